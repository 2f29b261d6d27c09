package replica

import (
	"context"
	"sync"
)

// gate is a condition that many wait for. The zero gate is shut.
type gate struct {
	mu     sync.Mutex
	up     bool
	opened chan struct{} // closed by open; nil while nobody waits
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.up = true
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

func (g *gate) shut() {
	g.mu.Lock()
	g.up = false
	g.mu.Unlock()
}

func (g *gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.up
}

// await returns when the gate is open, or with the error of ctx.
func (g *gate) await(ctx context.Context) error {
	g.mu.Lock()
	if g.up {
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
