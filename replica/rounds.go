package replica

import (
	"context"
	"sync"
)

// readRounds lets readers share the question to a quorum: all who ask while a
// round is under way wait for the next one, which begins when it ends.
type readRounds struct {
	verify func() error

	mu      sync.Mutex
	waiting *readRound // the round that has not begun; nil: nobody waits
	running bool
}

type readRound struct {
	done chan struct{}
	err  error
}

// next waits for a round that begins after this call.
func (r *readRounds) next(ctx context.Context) error {
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = &readRound{done: make(chan struct{})}
	}
	round := r.waiting
	if !r.running {
		r.running = true
		go r.run()
	}
	r.mu.Unlock()
	select {
	case <-round.done:
		return round.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run holds rounds until nobody waits for one. It ends by itself: verify is
// answered even when replication stops.
func (r *readRounds) run() {
	for {
		r.mu.Lock()
		round := r.waiting
		r.waiting = nil
		if round == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		round.err = r.verify()
		close(round.done)
	}
}
