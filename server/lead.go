package server

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/internal/pause"
	"curia/state"
)

// Times of the leader's duties.
const (
	reconcileEvery = time.Minute
	reapEvery      = 30 * time.Second
	tombstoneTTL   = 15 * time.Minute
)

// Lead carries out the duties of the leader until ctx ends with its leadership.
// It returns the first error of a duty.
func (s *Server) Lead(ctx context.Context) error {
	s.log.Info("leading the datacenter", "datacenter", s.cfg.Datacenter)
	if err := s.beginAutopilot(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.reconcileMembers(ctx) })
	group.Go(func() error { return s.expireSessions(ctx) })
	group.Go(func() error { return s.reap(ctx) })
	group.Go(func() error { return s.watchServers(ctx) })
	group.Go(func() error { return s.writeCoordinates(ctx) })
	group.Go(func() error { return s.tendACLs(ctx) })
	group.Go(func() error { return s.copyACLs(ctx) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// reap forgets tombstones and lock delays that time has made useless.
func (s *Server) reap(ctx context.Context) error {
	for {
		if !pause.For(ctx, reapEvery) {
			return ctx.Err()
		}
		now := time.Now()
		for more := s.store.View().Reapable(now.Add(-tombstoneTTL), now); more; {
			v, err := s.replica.Propose(ctx, &state.Reap{Before: now.Add(-tombstoneTTL)})
			if err != nil {
				return err
			}
			more, _ = v.(bool)
		}
	}
}
