package rounds

import (
	"context"
	"sync"
)

// Rounds shares the answers of Ask: all who come while a round is under way wait
// for the next one, which begins when it ends. Ask must end by itself. Safe for
// concurrent use; not to be copied.
type Rounds[T any] struct {
	Ask func() (T, error)

	mu      sync.Mutex
	waiting *round[T] // the round that has not begun; nil: nobody waits
	running bool
}

type round[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// Next waits for a round that begins after this call.
func (r *Rounds[T]) Next(ctx context.Context) (T, error) {
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = &round[T]{done: make(chan struct{})}
	}
	mine := r.waiting
	if !r.running {
		r.running = true
		go r.run()
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// run holds rounds until nobody waits for one.
func (r *Rounds[T]) run() {
	for {
		r.mu.Lock()
		now := r.waiting
		r.waiting = nil
		if now == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		now.value, now.err = r.Ask()
		close(now.done)
	}
}
