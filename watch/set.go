package watch

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"curia/api"
)

// Set is the watches of an agent. Make one with NewSet. Safe for concurrent use.
type Set struct {
	agent api.Caller
	log   *slog.Logger

	mu      sync.Mutex
	wanted  []*Definition
	changed chan struct{} // has a token when wanted is new
}

// NewSet makes a set without watches, which asks agent.
func NewSet(agent api.Caller, log *slog.Logger) *Set {
	return &Set{agent: agent, log: log, changed: make(chan struct{}, 1)}
}

// Configure replaces the watches. Those that were there before go on as if
// nothing had happened.
func (s *Set) Configure(all []*Definition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = all
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Run runs the watches until ctx ends. It is called once.
func (s *Set) Run(ctx context.Context) error {
	running := map[string]func(){} // what stops a watch, by its text and number
	defer func() { stopAll(slices.Collect(maps.Values(running))) }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.changed:
		}
		s.mu.Lock()
		wanted := map[string]*Definition{}
		for _, d := range s.wanted {
			name := d.text
			for i := 2; wanted[name] != nil; i++ {
				name = fmt.Sprintf("%s %d", d.text, i)
			}
			wanted[name] = d
		}
		s.mu.Unlock()
		var unwanted []func()
		for name, stop := range running {
			if wanted[name] == nil {
				unwanted = append(unwanted, stop)
				delete(running, name)
			}
		}
		stopAll(unwanted)
		for name, d := range wanted {
			if running[name] == nil {
				running[name] = s.start(ctx, d)
			}
		}
	}
}

// stopAll stops watches at the same time: each may have a handler that has to be
// killed.
func stopAll(some []func()) {
	var stopping sync.WaitGroup
	for _, stop := range some {
		stopping.Go(stop)
	}
	stopping.Wait()
}

// start lets a watch run. What it returns waits until it has ended.
func (s *Set) start(ctx context.Context, d *Definition) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		log := s.log.With("watch", d.Plan.String())
		_ = d.Follow(ctx, s.agent, Follower{
			Changed: func(ctx context.Context, c Change) error {
				output, err := d.handle(ctx, c)
				switch {
				case ctx.Err() != nil:
				case err != nil:
					log.Error("handler of a watch failed", "index", c.Index, "err", err, "output", output)
				default:
					log.Debug("handler of a watch ran", "index", c.Index, "output", output)
				}
				return ctx.Err()
			},
			Failed: func(err error, next time.Duration) {
				log.Error("watch failed", "err", err, "retry", next)
			},
		})
	}()
	return func() { cancel(); <-done }
}
