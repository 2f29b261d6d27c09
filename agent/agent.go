package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"curia/acl"
	"curia/api"
	"curia/check"
	"curia/filter"
)

// Config is what the agent knows of itself and where it finds the rest.
type Config struct {
	// Node is this node as its registrations describe it.
	Node       api.Node
	Datacenter string
	DataDir    string // where registrations are kept; empty: nowhere
	About      About
	Checks     Checks
	// Tokens are those of the configuration. PersistTokens keeps those that are set
	// through the API in DataDir.
	Tokens        Tokens
	PersistTokens bool
	// LAN and WAN list the members of the pools.
	LAN, WAN func() []*api.Member
	// Pools is what else is asked of the pools.
	Pools Pools
	// Reload reads the configuration again.
	Reload func() error
	// Stats gives the sections of agent/self that others know.
	Stats func() map[string]map[string]string
	// Authorizer resolves tokens to what their holders may do; nil: everybody may
	// do everything.
	Authorizer acl.Resolver
	// RemoteExec says whether others may run commands here.
	RemoteExec RemoteExec
}

// About is what the agent tells about itself.
type About struct {
	// Config and Debug are the Config and DebugConfig of agent/self; neither holds
	// secrets.
	Config, Debug map[string]any
	Meta          map[string]string
	Version       api.Version
}

// Checks are the settings that all checks of the agent share.
type Checks struct {
	check.Options
	// UpdateInterval is about how long an output that changes while the status
	// does not is kept from the catalog; 0 or less: not at all.
	UpdateInterval time.Duration
	// DiscardOutput keeps no output.
	DiscardOutput bool
}

// Agent answers the verbs about this node. Make one with New.
type Agent struct {
	cfg   Config
	next  api.Caller
	log   *slog.Logger
	bound map[*api.Op]localFunc

	local  *local
	sync   *syncer
	runner runner
	states *states
	events *eventBuffer
	tokens *tokenStore

	started chan struct{} // closed when all checks run
	ended   chan struct{} // closed when Run is told to end

	// registering is held while a registration is taken over, so that no two mix.
	// It is the first lock to take.
	registering sync.Mutex
	restored    bool // the services of the data directory were taken over

	draining chan struct{}
}

// localFunc carries out a verb about this agent for somebody.
type localFunc func(ctx context.Context, who caller, req *api.Request) (*api.Response, error)

// New makes an agent that passes on what is not about itself.
func New(cfg Config, next api.Caller, log *slog.Logger) *Agent {
	if cfg.Authorizer == nil {
		cfg.Authorizer = func(string) (acl.Authorizer, error) { return acl.AllowAll{}, nil }
	}
	a := &Agent{
		cfg: cfg, next: next, log: log, bound: map[*api.Op]localFunc{},
		local: newLocal(), sync: newSyncer(), states: newStates(cfg.DataDir, log), events: newEventBuffer(),
		tokens: newTokenStore(cfg.Tokens, cfg.Node.Node), started: make(chan struct{}), ended: make(chan struct{}), draining: make(chan struct{}),
	}
	a.local.live.Store(&live{cfg.Node, cfg.About.Meta, cfg.Checks.DiscardOutput, cfg.PersistTokens})
	bind(a, api.AgentSelf, a.self)
	bindSeen(a, api.AgentMembers, a.members)
	bind(a, api.AgentHost, a.host)
	bind(a, api.AgentVersion, func(context.Context, *api.None) (*api.Version, error) { return &a.cfg.About.Version, nil })
	bindSeen(a, api.LocalServices, a.services)
	bindAs(a, api.LocalServiceGet, a.serviceGet)
	bindAs(a, api.LocalServiceRegister, a.serviceRegister)
	bindAs(a, api.LocalServiceDeregister, a.serviceDeregister)
	bindSeen(a, api.LocalChecks, a.checks)
	bindAs(a, api.LocalCheckRegister, a.checkRegister)
	bindAs(a, api.LocalCheckDeregister, a.checkDeregister)
	bindAs(a, api.LocalCheckPass, a.note(api.Passing))
	bindAs(a, api.LocalCheckWarn, a.note(api.Warning))
	bindAs(a, api.LocalCheckFail, a.note(api.Critical))
	bindAs(a, api.LocalCheckUpdate, a.checkUpdate)
	bindAs(a, api.LocalMaintenance, a.nodeMaintenance)
	bindAs(a, api.LocalServiceMaintenance, a.serviceMaintenance)
	bind(a, api.AgentReload, a.reload)
	bind(a, api.AgentToken, a.setToken)
	bindAs(a, api.LocalHealthByID, a.healthByID)
	bindAs(a, api.LocalHealthByName, a.healthByName)
	bind(a, api.AgentJoin, a.join)
	bind(a, api.AgentForceLeave, a.forceLeave)
	bind(a, api.AgentLeave, a.leave)
	a.bound[api.EventFire.Op] = a.eventFire
	a.bound[api.EventList.Op] = a.eventList
	return a
}

// Drain ends the waits of all blocking queries: they answer what is there now.
// It is called once, before the faces close.
func (a *Agent) Drain() {
	close(a.draining)
	if s, ok := a.next.(*Shared); ok {
		s.Drain()
	}
}

// Call implements api.Caller.
func (a *Agent) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	filled := a.WithDefaults(req)
	if req.Op.Kind != api.KindLocal {
		return a.next.Call(ctx, filled)
	}
	f := a.bound[req.Op]
	if f == nil {
		return nil, fmt.Errorf("verb %s is not bound", req.Op.Name)
	}
	may, err := a.admit(req)
	if err != nil {
		return nil, err
	}
	resp, err := f(ctx, caller{may, req.Token}, req)
	if err == nil && req.Filter != "" {
		resp.Value, err = filter.Apply(resp.Value, req.Filter)
	}
	return resp, err
}

// members lists the members of a pool that the caller may see.
func (a *Agent) members(_ context.Context, who caller, q *api.MembersArgs) (kept []*api.Member, hidden bool, err error) {
	all := a.cfg.LAN
	if q.WAN != "" {
		all = a.cfg.WAN
	}
	members := all()
	kept = visible(members, who)
	return kept, len(kept) < len(members), nil
}

// self tells the agent's configuration, member entry and statistics.
func (a *Agent) self(context.Context, *api.None) (*api.Self, error) {
	s := &api.Self{
		Config: a.cfg.About.Config, DebugConfig: a.cfg.About.Debug, Meta: a.local.live.Load().meta,
		Coord: a.coordinate(),
		Stats: runtimeStats(),
	}
	for _, m := range a.cfg.LAN() {
		if m.Name == a.cfg.Node.Node {
			s.Member = m
		}
	}
	maps.Copy(s.Stats, a.cfg.Stats())
	s.Stats["agent"] = a.localStats()
	s.Stats["build"] = map[string]string{"version": a.cfg.About.Version.HumanVersion, "revision": a.cfg.About.Version.SHA}
	return s, nil
}

// reload reads the configuration again; the old one stays when that fails.
func (a *Agent) reload(context.Context, *api.None) (api.Nothing, error) {
	if err := a.cfg.Reload(); err != nil {
		return api.Nothing{}, api.Errorf(api.Rejected, "reload failed, keeping the old configuration: %v", err)
	}
	return api.Nothing{}, nil
}

// localStats counts what the agent has.
func (a *Agent) localStats() map[string]string {
	services, checks := a.local.rows()
	ttls, monitors := 0, 0
	for _, c := range checks {
		switch c.Type {
		case api.CheckTTL:
			ttls++
		case "maintenance":
		default:
			monitors++
		}
	}
	return map[string]string{
		"services": strconv.Itoa(len(services)), "checks": strconv.Itoa(len(checks)),
		"check_ttls": strconv.Itoa(ttls), "check_monitors": strconv.Itoa(monitors),
	}
}
