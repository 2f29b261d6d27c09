package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"curia/acl"
	"curia/api"
	"curia/filter"
)

// Config is what the agent tells about itself.
type Config struct {
	NodeName, NodeID, Datacenter string
	// Self and Debug are the Config and DebugConfig of agent/self; neither holds
	// secrets.
	Self, Debug map[string]any
	Meta        map[string]string
	Version     api.Version
	DataDir     string // whose file system agent/host describes; empty: that of the root
	// LAN and WAN list the members of the pools.
	LAN, WAN func() []*api.Member
	// Pools is what else is asked of the pools.
	Pools Pools
	// Stats gives the sections of agent/self that others know.
	Stats func() map[string]map[string]string
	// Authorizer resolves tokens to what their holders may do; nil: everybody may
	// do everything.
	Authorizer func(token string) acl.Authorizer
}

// Agent answers the verbs about this node. Make one with New.
type Agent struct {
	cfg   Config
	next  api.Caller
	log   *slog.Logger
	local map[*api.Op]localFunc

	events *eventBuffer
	// services lists the services of this agent, for the filters of events.
	services func() []*api.Service

	draining chan struct{}
}

// localFunc carries out a verb about this agent for somebody.
type localFunc func(ctx context.Context, who acl.Authorizer, req *api.Request) (*api.Response, error)

// New makes an agent that passes on what is not about itself.
func New(cfg Config, next api.Caller, log *slog.Logger) *Agent {
	if cfg.Authorizer == nil {
		cfg.Authorizer = func(string) acl.Authorizer { return acl.AllowAll{} }
	}
	a := &Agent{
		cfg: cfg, next: next, log: log, local: map[*api.Op]localFunc{}, events: newEventBuffer(),
		services: func() []*api.Service { return nil }, draining: make(chan struct{}),
	}
	bind(a, api.AgentSelf, a.self)
	bind(a, api.AgentMembers, a.members)
	bind(a, api.AgentHost, a.host)
	bind(a, api.AgentVersion, func(*api.None) (*api.Version, error) { return &a.cfg.Version, nil })
	bind(a, api.CatalogDatacenters, func(*api.None) ([]string, error) { return []string{a.cfg.Datacenter}, nil })
	bind(a, api.AgentJoin, a.join)
	bind(a, api.AgentForceLeave, a.forceLeave)
	bind(a, api.AgentLeave, a.leave)
	a.local[api.EventFire.Op] = a.eventFire
	a.local[api.EventList.Op] = a.eventList
	return a
}

// bind ties a verb to a function that needs nothing but its arguments.
func bind[Q, R any](a *Agent, verb api.Verb[Q, R], f func(*Q) (R, error)) {
	a.local[verb.Op] = func(_ context.Context, _ acl.Authorizer, req *api.Request) (*api.Response, error) {
		v, err := f(req.Args.(*Q))
		return &api.Response{Value: v}, err
	}
}

// Drain ends the waits of all blocking queries: they answer what is there now.
// It is called once, before the faces close.
func (a *Agent) Drain() { close(a.draining) }

// Call implements api.Caller.
func (a *Agent) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if d, ok := req.Args.(api.NodeDefaulter); ok {
		d.DefaultNode(a.cfg.NodeName)
	}
	if req.Op.Kind != api.KindLocal {
		return a.next.Call(ctx, req)
	}
	f := a.local[req.Op]
	if f == nil {
		return nil, fmt.Errorf("verb %s is not bound", req.Op.Name)
	}
	who := a.cfg.Authorizer(req.Token)
	if need := req.Op.Need(req.Args); need.Resource != "" && !who.Allows(need) {
		return nil, api.Errorf(api.Denied, "Permission denied: token lacks permission %s", need)
	}
	resp, err := f(ctx, who, req)
	if err != nil {
		return resp, err
	}
	if members, ok := resp.Value.([]*api.Member); ok {
		resp.Value = visible(members, who)
	}
	if req.Filter != "" {
		resp.Value, err = filter.Apply(resp.Value, req.Filter)
	}
	return resp, err
}

// visible keeps the members that the caller may see.
func visible(all []*api.Member, who acl.Authorizer) []*api.Member {
	kept := make([]*api.Member, 0, len(all))
	for _, m := range all {
		if m.CanRead(who) {
			kept = append(kept, m)
		}
	}
	return kept
}

// members lists the members of a pool.
func (a *Agent) members(q *api.MembersArgs) ([]*api.Member, error) {
	if q.WAN != "" {
		return a.cfg.WAN(), nil
	}
	return a.cfg.LAN(), nil
}

// self tells the agent's configuration, member entry and statistics.
func (a *Agent) self(*api.None) (*api.Self, error) {
	s := &api.Self{
		Config: a.cfg.Self, DebugConfig: a.cfg.Debug, Meta: a.cfg.Meta,
		Coord: a.coordinate(),
		Stats: runtimeStats(),
	}
	for _, m := range a.cfg.LAN() {
		if m.Name == a.cfg.NodeName {
			s.Member = m
		}
	}
	maps.Copy(s.Stats, a.cfg.Stats())
	s.Stats["agent"] = map[string]string{
		"check_monitors": "0", "check_ttls": "0", "checks": "0", "services": "0",
	}
	s.Stats["build"] = map[string]string{"version": a.cfg.Version.HumanVersion, "revision": a.cfg.Version.SHA}
	return s, nil
}
