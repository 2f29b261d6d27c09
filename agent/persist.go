package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"curia/api"
	"curia/check"
	"curia/internal/atomicfile"
)

// What was registered over the API is kept in files of the data directory, one
// for each service, check and state of a TTL check, named after the hash of the
// ID. They are written atomically; files that cannot be read are reported and
// skipped.

type savedService struct {
	Token   string
	Service *api.Service
}

type savedCheck struct {
	Check        *api.Check
	Registration *api.CheckRegistration `json:"ChkType"` // null: a check of maintenance
	Token        string
}

type savedState struct {
	CheckID string
	Status  string
	Output  string
	Expires int64 // seconds since 1970
}

func fileOf(dir, id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(dir, hex.EncodeToString(sum[:]))
}

func serviceFile(id string) string { return fileOf("services", id) }
func checkFile(id string) string   { return fileOf("checks", id) }
func stateFile(id string) string   { return fileOf(filepath.Join("checks", "state"), id) }

// save writes a file of the data directory. A failure is logged: the agent goes
// on with what it has in memory.
func (a *Agent) save(name string, v any) {
	if a.cfg.DataDir == "" {
		return
	}
	b, err := json.Marshal(v)
	if err == nil {
		err = atomicfile.Write(filepath.Join(a.cfg.DataDir, name), b)
	}
	if err != nil {
		a.log.Error("cannot keep a registration for a restart", "file", name, "err", err)
	}
}

// unsave removes a file of the data directory, if it is there.
func (a *Agent) unsave(name string) {
	if a.cfg.DataDir == "" {
		return
	}
	if err := os.Remove(filepath.Join(a.cfg.DataDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Error("cannot forget a registration, it will be back after a restart", "file", name, "err", err)
	}
}

// Restore takes over what was kept in the data directory. Definitions of
// configuration files win over what has the same ID, which is forgotten. It is
// called once, after Configure and before Run.
func (a *Agent) Restore() {
	eachSaved(a, "services", func(s *savedService) error {
		if s.Service == nil || s.Service.ID == "" {
			return errors.New("it holds no service")
		}
		if a.local.service(s.Service.ID) == nil {
			a.local.putService(s.Service, s.Token, check.FromAPI)
		}
		return nil
	})
	eachSaved(a, "checks", a.restoreCheck)
}

// eachSaved reads the files of a directory.
func eachSaved[T any](a *Agent, dir string, take func(*T) error) {
	if a.cfg.DataDir == "" {
		return
	}
	entries, err := os.ReadDir(filepath.Join(a.cfg.DataDir, dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Error("cannot read what was registered before", "dir", dir, "err", err)
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if !e.Type().IsRegular() {
			continue
		}
		if strings.HasSuffix(name, atomicfile.Temporary) {
			a.unsave(name)
			continue
		}
		b, err := os.ReadFile(filepath.Join(a.cfg.DataDir, name))
		v := new(T)
		if err == nil {
			err = json.Unmarshal(b, v)
		}
		if err == nil {
			err = take(v)
		}
		if err != nil {
			a.log.Error("skipping a damaged registration", "file", name, "err", err)
		}
	}
}

// restoreCheck takes over a check from before: critical, or with the state that
// a TTL check had when that has not expired.
func (a *Agent) restoreCheck(s *savedCheck) error {
	if s.Check == nil || s.Check.CheckID == "" {
		return errors.New("it holds no check")
	}
	id := s.Check.CheckID
	a.local.mu.Lock()
	known := a.local.checks[id] != nil
	orphan := s.Check.ServiceID != "" && a.local.services[s.Check.ServiceID] == nil
	a.local.mu.Unlock()
	switch {
	case known:
		return nil
	case orphan:
		a.unsave(checkFile(id))
		a.unsave(stateFile(id))
		return nil
	case s.Registration == nil:
		s.Check.Status = api.Critical
		a.local.putCheck(&localCheck{row: s.Check, token: s.Token})
		return nil
	}
	def := s.Registration
	if _, err := check.New(def, check.FromAPI, a.checkOptions()); err != nil {
		return err
	}
	def.Status = api.Critical
	var output string
	var state savedState
	if b, err := os.ReadFile(filepath.Join(a.cfg.DataDir, stateFile(id))); err == nil && json.Unmarshal(b, &state) == nil {
		if time.Unix(state.Expires, 0).After(time.Now()) {
			def.Status, output = state.Status, state.Output
		} else {
			a.unsave(stateFile(id))
		}
	}
	a.putCheck(def, check.FromAPI)
	if output != "" {
		a.local.mu.Lock()
		c := a.local.checks[id]
		row := *c.row
		row.Output = output
		c.row = &row
		a.local.mu.Unlock()
	}
	return nil
}

// saveEvery is how often states of TTL checks are written, all at once.
const saveEvery = 200 * time.Millisecond

// saveTTLs writes the states of TTL checks behind their updates, and at the end.
// A state that is only refreshed is written again when half of what is on disk
// has passed.
func (a *Agent) saveTTLs(ctx context.Context) error {
	if a.cfg.DataDir == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	last := map[string]savedState{}
	for {
		select {
		case <-ctx.Done():
			a.saveStates(last)
			return ctx.Err()
		case <-tick.C:
			a.saveStates(last)
		}
	}
}

// saveStates writes the states that a restart could lose. last holds what was
// written.
func (a *Agent) saveStates(last map[string]savedState) {
	a.local.mu.Lock()
	all := make([]*localCheck, 0, len(a.local.checks))
	for _, c := range a.local.checks {
		all = append(all, c)
	}
	a.local.mu.Unlock()
	for _, c := range all {
		// A TTL reports while it holds its own lock: ask it without any of ours.
		ttl := a.ttl(c)
		if ttl == nil || c.from != check.FromAPI {
			continue
		}
		expires := ttl.Deadline().Unix()
		a.local.mu.Lock()
		s := savedState{CheckID: c.row.CheckID, Status: c.row.Status, Output: c.row.Output, Expires: expires}
		current := a.local.checks[s.CheckID] == c
		a.local.mu.Unlock()
		was, had := last[s.CheckID]
		fresh := time.Duration(s.Expires-was.Expires)*time.Second < time.Duration(c.def.TTL)/2
		if !current || had && was.Status == s.Status && was.Output == s.Output && fresh {
			continue
		}
		last[s.CheckID] = s
		a.save(stateFile(s.CheckID), s)
	}
}
