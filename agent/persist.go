package agent

import (
	"cmp"
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
// for each service and check, named after the hash of the ID. They are written
// atomically; files that cannot be read are reported and skipped.

type savedService struct {
	Token   string
	Service *api.Service
}

type savedCheck struct {
	Check        *api.Check
	Registration *api.CheckRegistration `json:"ChkType"` // null: a check of maintenance
	Token        string
}

func fileOf(dir, id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(dir, hex.EncodeToString(sum[:]))
}

func serviceFile(id string) string { return fileOf("services", id) }
func checkFile(id string) string   { return fileOf("checks", id) }

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
	a.registering.Lock()
	defer a.registering.Unlock()
	a.restoreServices()
	a.restoreTokens()
	states := a.states.load(time.Now())
	eachSaved(a, "checks", func(s *savedCheck) error { return a.restoreCheck(s, states) })
	for id := range states {
		if a.local.check(id) == nil {
			a.states.forget(id)
		}
	}
}

// restoreServices takes over the services, once: definitions of checks may name
// them, and those of services replace them.
func (a *Agent) restoreServices() {
	if a.restored {
		return
	}
	a.restored = true
	eachSaved(a, "services", func(s *savedService) error {
		if s.Service == nil || s.Service.ID == "" || s.Service.Service == "" {
			return errors.New("it holds no service")
		}
		a.local.putService(s.Service, s.Token, check.FromAPI)
		return nil
	})
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
func (a *Agent) restoreCheck(s *savedCheck, states map[string]savedState) error {
	if s.Check == nil || s.Check.CheckID == "" {
		return errors.New("it holds no check")
	}
	id := s.Check.CheckID
	orphan := s.Check.ServiceID != "" && a.local.service(s.Check.ServiceID) == nil
	switch {
	case orphan, a.local.check(id) != nil:
		a.unsave(checkFile(id))
		a.states.forget(id)
		return nil
	case s.Registration == nil:
		s.Check.Node, s.Check.Status = a.cfg.Node.Node, api.Critical
		a.local.putCheck(&localCheck{row: s.Check, token: s.Token})
		return nil
	}
	def := s.Registration
	if def.Key() != id {
		return errors.New("it is not about the check that it names")
	}
	if _, err := check.New(def, check.FromAPI, a.checkOptions(s.Token)); err != nil {
		return err
	}
	state := states[id]
	def.Token, def.Status = s.Token, cmp.Or(state.Status, api.Critical)
	c := a.putCheck(def, check.FromAPI)
	a.local.restate(c, state.Output)
	return nil
}
