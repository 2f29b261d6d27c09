package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"curia/internal/atomicfile"
)

// savedState is what a TTL check said last.
type savedState struct {
	CheckID string
	Status  string
	Output  string
	Expires int64 // seconds since 1970; 0: the check is gone
}

// states keeps what TTL checks said last in one file, so that a restart within
// their time does not turn them critical. Updates are written behind, all that
// came within a short time at once, one line each; the last line about a check
// counts. The file is written anew when old lines fill it. It survives the end of
// the process, but is not synced: after the end of the machine nobody's state
// counts any more.
type states struct {
	path string // empty: kept nowhere
	log  *slog.Logger

	mu    sync.Mutex
	noted []*localCheck // that were updated
	gone  []string

	// What follows belongs to the goroutine in run.
	kept map[string]savedState // what the file says
	file *os.File              // nil: to be written anew
	size int64
	full int64 // the size at which to write anew
	bad  bool  // the last attempt failed
	torn bool  // the file has lines that nobody can read
}

// saveEvery is how often updates are written.
const saveEvery = 200 * time.Millisecond

// minStates is the size in bytes up to which a file is never written anew.
const minStates = 1 << 20

func newStates(dataDir string, log *slog.Logger) *states {
	s := &states{log: log, kept: map[string]savedState{}}
	if dataDir != "" {
		s.path = filepath.Join(dataDir, "checks", "state", "journal")
	}
	return s
}

// note says that a check was updated. It may be called often and concurrently.
func (s *states) note(c *localCheck) {
	if s.path == "" || c.noted.Swap(true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = append(s.noted, c)
}

// forget says that a check is no more.
func (s *states) forget(id string) {
	if s.path == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = append(s.gone, id)
}

// load reads the states that have not expired. It is called before run.
func (s *states) load(at time.Time) map[string]savedState {
	if s.path == "" {
		return nil
	}
	text, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("cannot read the states of TTL checks", "file", s.path, "err", err)
	}
	damaged := 0
	for line := range bytes.Lines(text) {
		var state savedState
		switch err := json.Unmarshal(line, &state); {
		case err != nil:
			damaged++
		case state.Expires > at.Unix():
			s.kept[state.CheckID] = state
		default:
			delete(s.kept, state.CheckID)
		}
	}
	if s.torn = damaged > 0; s.torn {
		s.log.Error("skipping damaged states of TTL checks", "file", s.path, "lines", damaged)
	}
	return s.kept
}

// run writes behind the updates, and once more at the end.
func (s *states) run(ctx context.Context, state func(*localCheck) (savedState, bool)) error {
	if s.path == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	defer s.close()
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.save(state)
			return ctx.Err()
		case <-tick.C:
			s.save(state)
		}
	}
}

// save writes what changed since the last time.
func (s *states) save(state func(*localCheck) (savedState, bool)) {
	s.mu.Lock()
	noted, gone := s.noted, s.gone
	s.noted, s.gone = nil, nil
	s.mu.Unlock()
	var lines []byte
	for _, id := range gone {
		if _, had := s.kept[id]; had {
			delete(s.kept, id)
			lines = appendState(lines, savedState{CheckID: id})
		}
	}
	for _, c := range noted {
		c.noted.Store(false)
		now, ok := state(c)
		if !ok || !lost(s.kept[now.CheckID], now, time.Duration(c.def.TTL)) {
			continue
		}
		s.kept[now.CheckID] = now
		lines = appendState(lines, now)
	}
	if len(lines) == 0 && !s.bad && !s.torn {
		return
	}
	err := s.write(lines)
	if err != nil && !s.bad {
		s.log.Error("cannot keep the states of TTL checks for a restart", "file", s.path, "err", err)
	}
	s.bad = err != nil
}

// lost reports whether a restart could lose something if kept alone was on disk:
// another state, or, when it was only refreshed, more than half of its time.
func lost(kept, now savedState, ttl time.Duration) bool {
	return kept.Status != now.Status || kept.Output != now.Output || time.Duration(now.Expires-kept.Expires)*time.Second >= ttl/2
}

func appendState(to []byte, state savedState) []byte {
	line, err := json.Marshal(state)
	if err != nil {
		return to // strings and numbers can always be encoded
	}
	return append(append(to, line...), '\n')
}

// write appends lines, or writes everything when there is no file or it is full.
func (s *states) write(lines []byte) error {
	if s.file == nil || s.size > s.full {
		return s.rewrite()
	}
	n, err := s.file.Write(lines)
	s.size += int64(n)
	if err != nil {
		s.close() // half a line may be there: begin anew
	}
	return err
}

// rewrite replaces the file.
func (s *states) rewrite() error {
	s.close()
	var all []byte
	for _, state := range s.kept {
		all = appendState(all, state)
	}
	if err := atomicfile.Write(s.path, all); err != nil {
		return err
	}
	file, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	s.file, s.size, s.torn = file, int64(len(all)), false
	s.full = max(minStates, 4*s.size)
	return nil
}

func (s *states) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}
