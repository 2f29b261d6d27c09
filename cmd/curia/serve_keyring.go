package main

import (
	"context"
	"errors"
	"sync"

	"curia/api"
	"curia/gossip"
	"curia/server"
)

// keys asks or changes the keys of every pool that is encrypted, at the same
// time. That a member refuses is an error.
func (p *pools) keys(_ context.Context, q server.KeyRequest) ([]*api.KeyringReport, error) {
	var some []*gossip.Pool
	for _, pool := range []*gossip.Pool{p.wan, p.lan} {
		if pool != nil && pool.Encrypted() && !(q.LocalOnly && pool == p.wan) {
			some = append(some, pool)
		}
	}
	// The library bounds the wait for answers by itself.
	var asking sync.WaitGroup
	reports, errs := make([]*api.KeyringReport, len(some)), make([]error, len(some))
	for i, pool := range some {
		asking.Go(func() {
			r, err := askKeys(pool, q)
			if errs[i] = err; err == nil {
				reports[i] = &api.KeyringReport{
					WAN: pool == p.wan, Datacenter: p.cfg.Node.Datacenter,
					Messages: r.Messages, Keys: r.Keys, PrimaryKeys: r.Primary, NumNodes: r.Nodes,
				}
			}
		})
	}
	asking.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return reports, nil
}

func askKeys(pool *gossip.Pool, q server.KeyRequest) (*gossip.KeyReport, error) {
	relay := uint8(q.Relay)
	switch q.Action {
	case server.InstallKey:
		return pool.InstallKey(q.Key, relay)
	case server.UseKey:
		return pool.UseKey(q.Key, relay)
	case server.RemoveKey:
		return pool.RemoveKey(q.Key, relay)
	}
	return pool.Keys(relay)
}
