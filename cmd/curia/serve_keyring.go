package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"curia/api"
	"curia/gossip"
	"curia/server"
)

// keys asks or changes the keys of every pool that is encrypted, at the same
// time. What members refuse is an error beside the reports of the others.
func (p *pools) keys(_ context.Context, q server.KeyRequest) ([]*api.KeyringReport, error) {
	var some []*gossip.Pool
	for _, pool := range []*gossip.Pool{p.wan, p.lan} {
		if pool != nil && pool.Encrypted() && !(q.LocalOnly && pool == p.wan) {
			some = append(some, pool)
		}
	}
	// The library bounds the wait for answers by itself.
	var asking errgroup.Group
	reports, errs := make([]*api.KeyringReport, len(some)), make([]error, len(some))
	for i, pool := range some {
		asking.Go(func() error {
			var r *gossip.KeyReport
			r, errs[i] = askKeys(pool, q)
			if r != nil {
				reports[i] = &api.KeyringReport{
					WAN: pool == p.wan, Datacenter: p.cfg.Node.Datacenter,
					Messages: r.Messages, Keys: r.Keys, PrimaryKeys: r.Primary, NumNodes: r.Nodes,
				}
			}
			return errs[i]
		})
	}
	if asking.Wait() != nil {
		return nil, firstKnown(errs)
	}
	return reports, nil
}

// firstKnown is an error that says its kind, if there is one, and otherwise all.
func firstKnown(errs []error) error {
	var known *api.Error
	for _, err := range errs {
		if errors.As(err, &known) {
			return known
		}
	}
	return errors.Join(errs...)
}

func askKeys(pool *gossip.Pool, q server.KeyRequest) (*gossip.KeyReport, error) {
	switch q.Action {
	case server.InstallKey:
		return pool.InstallKey(q.Key, q.Relay)
	case server.UseKey:
		return pool.UseKey(q.Key, q.Relay)
	case server.RemoveKey:
		return pool.RemoveKey(q.Key, q.Relay)
	}
	return pool.Keys(q.Relay)
}
