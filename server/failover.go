package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"curia/api"
	"curia/state"
)

// elsewhereWait bounds how long one other datacenter is waited for. Who asks by
// DNS gives up after a few seconds.
const elsewhereWait = 3 * time.Second

// failOver executes a query that found nothing in other datacenters, one after
// the other, until one has an instance ("Failover"). Those that fail are passed
// over. When nobody has any, the answer is that of the last that gave one.
func (s *Server) failOver(ctx context.Context, req *api.Request, found *api.Response) (*api.Response, error) {
	r, ok := found.Value.(*api.QueryResult)
	if !ok || r.Query == nil || len(r.Nodes) > 0 || s.cfg.Peers == nil {
		return found, nil
	}
	asked := 0
	last := *r
	for _, dc := range s.failoverOrder(r.Query) {
		asked++
		there, err := s.executeIn(ctx, dc, req, r.Query)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			s.log.Warn("a prepared query cannot be executed in another datacenter", "op", req.Op.Name, "query", r.Query.ID, "datacenter", dc, "err", err)
			continue
		}
		result := there.Value.(*api.QueryResult)
		last, found.Filtered = *result, found.Filtered || there.Filtered
		if len(result.Nodes) > 0 {
			break
		}
	}
	last.Failovers = asked
	found.Value = &last
	return found, nil
}

// failoverOrder lists the datacenters in which a query is executed when this one
// has no instance: the nearest, then those that are named, each once.
func (s *Server) failoverOrder(q *api.PreparedQuery) []string {
	f := &q.Service.Failover
	if f.NearestN <= 0 && len(f.Datacenters) == 0 && len(f.Targets) == 0 {
		return nil
	}
	var known, order []string // by distance
	if s.cfg.Pools.Nearest != nil {
		known = slices.DeleteFunc(slices.Clone(s.cfg.Pools.Nearest()), func(dc string) bool { return dc == s.cfg.Datacenter })
	}
	named := slices.Clone(f.Datacenters)
	for _, t := range f.Targets {
		if t.Peer != "" {
			s.log.Warn("a prepared query cannot fail over to a cluster peer: name a datacenter", "query", q.ID, "peer", t.Peer)
			continue
		}
		named = append(named, t.Datacenter)
	}
	order = append(order, known[:min(max(f.NearestN, 0), len(known))]...)
	for _, dc := range named {
		switch {
		case dc == "" || dc == s.cfg.Datacenter || slices.Contains(order, dc):
		case !slices.Contains(known, dc):
			s.log.Warn("a prepared query names a datacenter that is not known", "query", q.ID, "datacenter", dc)
		default:
			order = append(order, dc)
		}
	}
	return order
}

// What is logged of a datacenter that gives no result.
var (
	errNoResult = errors.New("it answered without a result")
	errTooLate  = fmt.Errorf("it did not answer within %v", elsewhereWait)
)

// executeIn lets another datacenter execute a query, in the consistency mode of
// the request. What its caller may see is decided there, by the token of the query
// or else that of the request.
func (s *Server) executeIn(ctx context.Context, dc string, req *api.Request, query *api.PreparedQuery) (*api.Response, error) {
	args := &api.QueryElsewhereArgs{Definition: *query, Asked: *req.Args.(*api.QueryExecuteArgs)}
	args.Definition.Token = ""
	args.Asked.Asked = "" // that agent is a node of this datacenter
	token := query.Token
	if token == "" {
		token = req.Token
	}
	ctx, cancel := context.WithTimeoutCause(ctx, elsewhereWait, errTooLate)
	defer cancel()
	resp, err := s.cfg.Peers.Call(ctx, &api.Request{
		Op: api.QueryElsewhere.Op, Args: args, Token: token, Datacenter: dc,
		Query: api.Query{Consistency: req.Consistency, MaxStale: req.MaxStale},
	})
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	if r, ok := resp.Value.(*api.QueryResult); !ok || r == nil {
		return nil, errNoResult
	}
	return resp, nil
}

// queryElsewhere executes a query of another datacenter. It goes no further.
func (s *Server) queryElsewhere(v *state.View, q *api.QueryElsewhereArgs) (*api.QueryResult, error) {
	return s.execute(v, &q.Definition, &q.Asked)
}
