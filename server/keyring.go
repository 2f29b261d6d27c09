package server

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"curia/api"
	"curia/gossip"
)

// KeyAction is what to do with the keys of the pools.
type KeyAction uint8

// The actions.
const (
	ListKeys KeyAction = iota
	InstallKey
	UseKey
	RemoveKey
)

// KeyRequest asks the members of the pools about their keys, or to change them.
type KeyRequest struct {
	Action KeyAction
	Key    string // in base64; empty for ListKeys
	Relay  uint64 // members that pass on each answer, at most 5
	// LocalOnly leaves out the pool that spans datacenters.
	LocalOnly bool
}

func (s *Server) keyringVerbs() []binding {
	return []binding{
		ledWhole(api.KeyringList, s.keyringList),
		ledWhole(api.KeyringInstall, s.keyringChange(InstallKey)),
		ledWhole(api.KeyringUse, s.keyringChange(UseKey)),
		ledWhole(api.KeyringRemove, s.keyringChange(RemoveKey)),
	}
}

func (s *Server) keyringList(ctx context.Context, req *api.Request, q *api.KeyringListArgs) ([]*api.KeyringReport, error) {
	there := *q
	there.LocalOnly = true
	return s.keys(ctx, req, &there, KeyRequest{Action: ListKeys, Relay: q.RelayFactor, LocalOnly: bool(q.LocalOnly)})
}

func (s *Server) keyringChange(action KeyAction) func(context.Context, *api.Request, *api.KeyringChangeArgs) (api.Nothing, error) {
	return func(ctx context.Context, req *api.Request, q *api.KeyringChangeArgs) (api.Nothing, error) {
		there := *q
		there.LocalOnly = true
		_, err := s.keys(ctx, req, &there, KeyRequest{Action: action, Key: q.Body.Key, Relay: q.RelayFactor, LocalOnly: q.LocalOnly})
		return api.Nothing{}, err
	}
}

// maxRelay is the greatest relay factor.
const maxRelay = 5

// keys asks the pools about their keys, and the leaders of other datacenters
// about those of their agents, with the arguments there. Whoever refuses or does
// not answer is an error: a key that is missing somewhere, or left somewhere, is
// what has to be known.
func (s *Server) keys(ctx context.Context, req *api.Request, there any, q KeyRequest) ([]*api.KeyringReport, error) {
	if q.Relay > maxRelay {
		return nil, api.Errorf(api.Invalid, "Invalid relay-factor %d: it must be in the range 0 to %d", q.Relay, maxRelay)
	}
	if s.cfg.Pools.Keys == nil {
		return nil, api.Errorf(api.Rejected, "there is no keyring: gossip is not encrypted, start all agents with encrypt")
	}
	if q.Action == InstallKey {
		if err := gossip.CheckKey(q.Key); err != nil {
			return nil, api.Errorf(api.Invalid, "install a key: %v", err)
		}
	}
	others := s.otherDatacenters(q)
	reports, errs := make([][]*api.KeyringReport, 1+len(others)), make([]error, 1+len(others))
	var asking errgroup.Group
	asking.Go(func() error {
		reports[0], errs[0] = s.cfg.Pools.Keys(ctx, q)
		return nil
	})
	for i, dc := range others {
		asking.Go(func() error {
			resp, err := s.cfg.Peers.Call(ctx, &api.Request{Op: req.Op, Args: there, Token: req.Token, Datacenter: dc})
			if err != nil {
				errs[1+i] = fmt.Errorf("in datacenter %s: %w", dc, err)
				return nil
			}
			reports[1+i], _ = resp.Value.([]*api.KeyringReport)
			return nil
		})
	}
	_ = asking.Wait() // the errors are in errs
	if err := errors.Join(errs...); err != nil {
		return nil, refused(err)
	}
	var out []*api.KeyringReport
	for _, some := range reports {
		out = append(out, some...)
	}
	return out, nil
}

// otherDatacenters lists those that are known beside this one, unless a request
// is about this one only.
func (s *Server) otherDatacenters(q KeyRequest) (out []string) {
	if q.LocalOnly || s.cfg.Peers == nil || s.cfg.Pools.Nearest == nil {
		return nil
	}
	for _, dc := range s.cfg.Pools.Nearest() {
		if dc != s.cfg.Datacenter {
			out = append(out, dc)
		}
	}
	return out
}
