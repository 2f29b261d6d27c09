package server

import (
	"context"
	"strconv"
	"sync"
	"time"

	"curia/acl"
	"curia/api"
	"curia/state"
)

func (s *Server) autopilotVerbs() []binding {
	return []binding{
		get(api.AutopilotConfigurationGet, autopilotConfiguration),
		put(api.AutopilotConfigurationSet, autopilotSet),
		led(api.AutopilotHealthGet, s.autopilotHealth),
		led(api.AutopilotStateGet, s.autopilotState),
	}
}

func autopilotConfiguration(v *state.View, _ *api.None) (*api.AutopilotConfiguration, error) {
	if c := v.Autopilot(); c != nil {
		return c, nil
	}
	return nil, api.ErrNotFound
}

func autopilotSet(_ *state.View, _ acl.Authorizer, q *api.AutopilotSetArgs) (state.Command, error) {
	if err := q.Conf.Validate(); err != nil {
		return nil, err
	}
	return &state.AutopilotSet{Conf: q.Conf, CAS: q.CAS}, nil
}

// autopilotHealth tells the health of the servers. When one is unhealthy, the
// answer is an error that carries it.
func (s *Server) autopilotHealth(ctx context.Context, _ acl.Authorizer, _ *api.None) (*api.AutopilotHealth, error) {
	health := s.lookAtServers(ctx)
	if !health.Healthy {
		return nil, &api.Error{Kind: api.TooMany, Msg: "the servers are not healthy", Detail: health}
	}
	return health, nil
}

func (s *Server) autopilotState(ctx context.Context, _ acl.Authorizer, _ *api.None) (*api.AutopilotState, error) {
	health := s.lookAtServers(ctx)
	out := &api.AutopilotState{
		Healthy: health.Healthy, FailureTolerance: health.FailureTolerance, OptimisticFailureTolerance: health.FailureTolerance,
		Servers: map[string]*api.AutopilotServer{}, Voters: []string{},
	}
	v := s.store.View()
	members := serversByID(s.members(), s.cfg.Datacenter)
	for _, h := range health.Servers {
		status := api.ServerNonVoter
		if h.Voter {
			status = api.ServerVoter
			out.Voters = append(out.Voters, h.ID)
		}
		if h.Leader {
			status, out.Leader = api.ServerLeader, h.ID
		}
		meta := map[string]string{}
		if n := v.Node(h.Name); n != nil && n.Meta != nil {
			meta = n.Meta
		}
		kind, m := api.ServerVoter, members[h.ID]
		copies := m != nil && neverVotes(m)
		if copies {
			kind = api.ServerReadReplica
		}
		out.Servers[h.ID] = &api.AutopilotServer{
			ID: h.ID, Name: h.Name, Address: h.Address, NodeStatus: h.SerfStatus, Version: h.Version, LastContact: h.LastContact,
			LastTerm: h.LastTerm, LastIndex: h.LastIndex, Healthy: h.Healthy, StableSince: h.StableSince, Status: status,
			Meta: meta, NodeType: kind, ReadReplica: copies,
		}
	}
	return out, nil
}

// ServerFacts is what another server and gossip tell about it.
type ServerFacts struct {
	Status      api.MemberStatus // in gossip
	Version     string
	LastContact time.Duration // since it heard of the leader
	LastTerm    uint64        // of the last entry of its log
	LastIndex   uint64
	Answered    bool     // it could be asked
	Servers     []string // IDs of those that its log is shared by
}

// factsWait bounds a question to all servers.
const factsWait = time.Second

// facts finds out about all servers of the log, at the same time. Those that
// gossip knows not to be there are not asked.
func (s *Server) facts(ctx context.Context, peers []*api.RaftServer, known map[string]*api.Member) map[string]ServerFacts {
	ctx, cancel := context.WithTimeout(ctx, factsWait)
	defer cancel()
	found := make([]ServerFacts, len(peers))
	var asked sync.WaitGroup
	for i, p := range peers {
		asked.Go(func() { found[i] = s.factsOf(ctx, p.ID, known[p.ID]) })
	}
	asked.Wait()
	out := make(map[string]ServerFacts, len(peers))
	for i, p := range peers {
		out[p.ID] = found[i]
	}
	return out
}

// factsOf finds out about one server; m is nil when gossip does not know it.
func (s *Server) factsOf(ctx context.Context, id string, m *api.Member) ServerFacts {
	var f ServerFacts
	switch {
	case id == s.cfg.Self.ID:
		stats := s.replica.Stats()
		f = ServerFacts{
			Status: api.MemberAlive, LastContact: s.replica.LastContact(),
			LastTerm: number(stats["last_log_term"]), LastIndex: number(stats["last_log_index"]),
		}
	case s.cfg.Pools.Facts == nil || s.cfg.Pools.Members != nil && (m == nil || m.Status != api.MemberAlive):
	default:
		f = s.cfg.Pools.Facts(ctx, id)
	}
	if s.cfg.Pools.Members != nil {
		f.Status = api.MemberNone
		if m != nil {
			f.Status, f.Version = m.Status, version(m)
		}
	}
	return f
}

// number reads a figure that raft tells as text; 0 when it is none.
func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// lookAtServers finds out about every server and judges its health.
func (s *Server) lookAtServers(ctx context.Context) *api.AutopilotHealth {
	conf := s.autopilot()
	members := serversByID(s.members(), s.cfg.Datacenter)
	peers, _ := s.namedServers()
	health := judge(&conf, peers, s.facts(ctx, peers, members))
	s.steady.date(health, time.Now())
	return health
}

// autopilot is the configuration of autopilot that holds now.
func (s *Server) autopilot() api.AutopilotConfiguration {
	if c := s.store.View().Autopilot(); c != nil {
		return *c
	}
	return s.cfg.Autopilot
}

// judge says which servers are healthy: alive, in touch with the leader, in its
// term and not far behind.
func judge(conf *api.AutopilotConfiguration, peers []*api.RaftServer, facts map[string]ServerFacts) *api.AutopilotHealth {
	var leader ServerFacts
	for _, p := range peers {
		if p.Leader {
			leader = facts[p.ID]
		}
	}
	out := &api.AutopilotHealth{Healthy: len(peers) > 0, Servers: []*api.ServerHealth{}}
	voters, good := 0, 0
	for _, p := range peers {
		f := facts[p.ID]
		h := &api.ServerHealth{
			ID: p.ID, Name: p.Node, Address: p.Address, SerfStatus: f.Status.String(), Version: f.Version, Leader: p.Leader,
			LastContact: api.ReadableDuration(f.LastContact), LastTerm: f.LastTerm, LastIndex: f.LastIndex, Voter: p.Voter,
		}
		h.Healthy = f.Status == api.MemberAlive && f.LastContact <= time.Duration(conf.LastContactThreshold) &&
			f.LastTerm == leader.LastTerm && f.LastIndex+conf.MaxTrailingLogs >= leader.LastIndex
		out.Healthy = out.Healthy && h.Healthy
		if p.Voter {
			voters++
			if h.Healthy {
				good++
			}
		}
		out.Servers = append(out.Servers, h)
	}
	if quorum := voters/2 + 1; voters > 0 {
		out.FailureTolerance = max(good-quorum, 0)
	}
	return out
}

// steadiness remembers since when each server is as healthy as it is. The zero
// value knows none. It may be used concurrently.
type steadiness struct {
	mu    sync.Mutex
	since map[string]steadyAs // by ID
	last  *api.AutopilotHealth
}

type steadyAs struct {
	healthy bool
	since   time.Time
}

// date fills in StableSince, and forgets the servers that are not there.
func (k *steadiness) date(health *api.AutopilotHealth, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[string]steadyAs, len(health.Servers))
	for _, h := range health.Servers {
		was, known := k.since[h.ID]
		if !known || was.healthy != h.Healthy {
			was = steadyAs{h.Healthy, now.UTC().Truncate(time.Second)}
		}
		h.StableSince = was.since
		next[h.ID] = was
	}
	k.since, k.last = next, health
}

// forget begins anew: what was seen in an earlier term says nothing about the
// time since.
func (k *steadiness) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.since, k.last = nil, nil
}

// latest is the health that was dated last; nil when there was none.
func (k *steadiness) latest() *api.AutopilotHealth {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

// beginAutopilot writes the first configuration of autopilot, if there is none.
func (s *Server) beginAutopilot(ctx context.Context) error {
	if s.store.View().Autopilot() != nil {
		return nil
	}
	_, err := s.replica.Propose(ctx, &state.AutopilotSet{Conf: s.cfg.Autopilot, CAS: new(uint64)})
	return err
}
