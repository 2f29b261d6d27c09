package replica

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"curia/state"
)

// fsm applies the log to the store. Raft calls it from one goroutine.
type fsm struct {
	store   *state.Store
	applied func(entries []state.Entry, took time.Duration)

	moved signal        // something was applied, or restored
	told  atomic.Uint64 // index of the state whose watchers have all been woken

	once   sync.Once
	err    error
	failed chan struct{} // closed when an entry could not be read; err says why
}

var _ raft.BatchingFSM = (*fsm)(nil)

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch carries out entries in one transaction. After an entry that it
// cannot read it refuses all that follow: a server that skips one would differ
// from the others.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	entries := make([]state.Entry, 0, len(logs))
	for _, l := range logs {
		e := state.Entry{Index: l.Index}
		if l.Type == raft.LogCommand && f.err == nil {
			var err error
			if e, err = state.Decode(l.Data, l.Index); err != nil {
				f.fail(err)
			}
		}
		if f.err != nil {
			break
		}
		entries = append(entries, e)
	}
	out := make([]any, len(logs))
	began := time.Now()
	outcomes := f.store.Apply(entries)
	f.tell()
	if f.applied != nil {
		f.applied(entries, time.Since(began))
	}
	for i, o := range outcomes {
		out[i] = o
	}
	for i := len(entries); i < len(logs); i++ {
		out[i] = state.Outcome{Err: f.err}
	}
	return out
}

func (f *fsm) fail(err error) {
	f.once.Do(func() {
		f.err = fmt.Errorf("the log cannot be carried out: %w", err)
		close(f.failed)
	})
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if f.err != nil {
		return nil, f.err
	}
	return fsmSnapshot{f.store.Snapshot()}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	defer f.tell()
	return f.store.Restore(r)
}

// tell notes how far the store is, and wakes those who wait for that.
func (f *fsm) tell() {
	f.told.Store(f.store.Index())
	f.moved.give()
}

type fsmSnapshot struct{ *state.Snapshot }

// Persist implements raft.FSMSnapshot.
func (s fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := s.WriteTo(sink); err != nil {
		_ = sink.Cancel()
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (fsmSnapshot) Release() {}

// patientStable keeps trying to write what raft cannot do without: raft panics
// when it cannot save its term, and a disk that is full today may not be
// tomorrow. While it tries, raft takes no writes, and callers get errors.
type patientStable struct {
	raft.StableStore
	log *slog.Logger
}

// stableRetry is how long patientStable waits between two tries.
const stableRetry = 500 * time.Millisecond

// Set implements raft.StableStore.
func (p *patientStable) Set(key, val []byte) error {
	return p.insist(string(key), func() error { return p.StableStore.Set(key, val) })
}

// SetUint64 implements raft.StableStore.
func (p *patientStable) SetUint64(key []byte, val uint64) error {
	if old, err := p.GetUint64(key); err == nil && old == val {
		return nil // raft saves its term again at each start
	}
	return p.insist(string(key), func() error { return p.StableStore.SetUint64(key, val) })
}

func (p *patientStable) insist(key string, write func() error) error {
	for {
		err := write()
		if err == nil {
			return nil
		}
		p.log.Error("cannot save the state of the election, trying again", "key", key, "err", err)
		time.Sleep(stableRetry)
	}
}
