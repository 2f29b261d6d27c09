package server

import (
	"context"
	"errors"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/api"
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
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// reconcileMembers keeps the catalog in step with the members of the
// datacenter: this server.
func (s *Server) reconcileMembers(ctx context.Context) error {
	for {
		began := time.Now()
		v := s.store.View()
		for _, cmd := range reconcile(v, s.cfg) {
			if _, err := s.replica.Propose(ctx, cmd); err != nil {
				return err
			}
		}
		s.figures.reconcile.Observe(time.Since(began))
		if !pause(ctx, reconcileEvery) {
			return ctx.Err()
		}
	}
}

// reconcile gives the commands that bring the catalog in step with the members.
func reconcile(v *state.View, cfg Config) []state.Command {
	self := cfg.Self
	service := &api.Service{
		ID: api.ConsulService, Service: api.ConsulService, Tags: []string{}, Port: cfg.ServerPort,
		Weights: api.Weights{Passing: 1, Warning: 1}, Meta: cfg.ServiceMeta,
	}
	check := &api.Check{
		Node: self.Node, CheckID: api.SerfHealth, Name: "Serf Health Status", Status: api.Passing,
		Output: "Agent alive and reachable", ServiceTags: []string{},
	}
	if known := v.Node(self.Node); known != nil && known.ID == self.ID && known.Address == self.Address &&
		maps.Equal(known.Meta, self.Meta) && maps.Equal(known.TaggedAddresses, self.TaggedAddresses) &&
		provides(v, self.Node, service) && shows(v, self.Node, check) {
		return nil
	}
	return []state.Command{&state.Register{Node: &self, Service: service, Checks: []*api.Check{check}}}
}

func provides(v *state.View, node string, want *api.Service) bool {
	for _, s := range v.ServicesOf(node) {
		if s.ID == want.ID {
			return s.Port == want.Port && maps.Equal(s.Meta, want.Meta)
		}
	}
	return false
}

func shows(v *state.View, node string, want *api.Check) bool {
	for _, c := range v.ChecksOfNode(node) {
		if c.CheckID == want.CheckID {
			return c.Status == want.Status
		}
	}
	return false
}

// reap forgets tombstones and lock delays that time has made useless.
func (s *Server) reap(ctx context.Context) error {
	for {
		if !pause(ctx, reapEvery) {
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
