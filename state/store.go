package state

import (
	"sync/atomic"
	"time"

	"curia/api"
)

// Store is the replicated state of one datacenter. Views may be taken
// concurrently; Apply and Restore are called by one goroutine at a time. Make
// one with NewStore.
type Store struct {
	root atomic.Pointer[root]
}

// root is one version of the whole state; it is immutable.
type root struct {
	index   uint64 // of the last applied command
	floor   uint64 // no answer has a smaller index
	trees   []*tree
	changed []uint64 // by position of a table: index of its last change
	// replaced is closed when a snapshot takes the place of this state.
	replaced chan struct{}
}

// NewStore returns an empty store.
func NewStore() *Store {
	s := &Store{}
	s.root.Store(emptyRoot())
	return s
}

func emptyRoot() *root {
	r := &root{trees: make([]*tree, trees), changed: make([]uint64, trees), replaced: make(chan struct{})}
	for i := range r.trees {
		r.trees[i] = newTree()
	}
	begun := r.trees[topics.id].begin()
	for _, s := range []string{api.Passing, api.Warning, api.Critical, api.Unknown} {
		t := &topic{Name: stateTopic(s)}
		begun.insert([]byte(t.Name), t)
	}
	r.trees[topics.id] = begun.commit()
	return r
}

// Index is the log index of the last applied command.
func (s *Store) Index() uint64 { return s.root.Load().index }

// Entry is one command of the log, at its index, with the leader's clock.
type Entry struct {
	Index   uint64
	Now     time.Time
	Command Command
}

// Outcome is what a command answered. Err is an *api.Error or nil; a command
// that failed has changed nothing.
type Outcome struct {
	Value any
	Err   error
}

// maxTogether is how many commands one transaction takes, so that readers do not
// wait long for the next state.
const maxTogether = 256

// Apply carries out entries in order, several in one transaction, and wakes the
// watchers of what they changed. It returns one outcome for each entry.
// Entries with a nil Command only move the index.
func (s *Store) Apply(entries []Entry) []Outcome {
	out := make([]Outcome, 0, len(entries))
	for len(entries) > 0 {
		tx := newTx(s.root.Load())
		n := together(entries)
		for _, e := range entries[:n] {
			out = append(out, tx.run(e))
		}
		s.commit(tx)
		entries = entries[n:]
	}
	return out
}

// together is how many of the entries one transaction takes.
func together(entries []Entry) int {
	n := min(len(entries), maxTogether)
	for i, e := range entries[:n] {
		if _, ok := e.Command.(alone); ok {
			return max(i, 1)
		}
	}
	return n
}

// commit publishes a transaction, then wakes. The order matters: who is woken
// must find the new state.
func (s *Store) commit(tx *Tx) {
	next := &root{
		index: tx.index, floor: tx.base.floor, changed: tx.changed, replaced: tx.base.replaced,
		trees: make([]*tree, len(tx.base.trees)),
	}
	for i, t := range tx.txns {
		if t == nil {
			next.trees[i] = tx.base.trees[i]
		} else {
			next.trees[i] = t.commit()
		}
	}
	s.root.Store(next)
	for _, t := range tx.txns {
		if t != nil {
			t.notify()
		}
	}
}
