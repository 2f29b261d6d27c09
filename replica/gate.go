package replica

import (
	"context"
	"sync"
)

// gate is a condition that many wait for, true of one term at most. The zero
// gate is shut.
type gate struct {
	mu     sync.Mutex
	term   uint64        // 0: shut
	opened chan struct{} // closed by open; nil while nobody waits
}

func (g *gate) open(term uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.term = term
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	g.term = 0
	g.mu.Unlock()
}

func (g *gate) isOpen(term uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.term != 0 && g.term == term
}

// await returns when the gate is open, or with the error of ctx.
func (g *gate) await(ctx context.Context) error {
	g.mu.Lock()
	if g.term != 0 {
		g.mu.Unlock()
		return nil
	}
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
	ch := g.opened
	g.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asking counts the questions to raft that are under way: one that it has when it
// stops is never answered. The zero value takes questions.
type asking struct {
	mu     sync.RWMutex
	closed bool
}

// begin reports whether a question may be put; end is called after its answer.
func (a *asking) begin() bool {
	a.mu.RLock()
	if a.closed {
		a.mu.RUnlock()
		return false
	}
	return true
}

func (a *asking) end() { a.mu.RUnlock() }

// close takes no more questions, and returns when all have their answers.
func (a *asking) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}
