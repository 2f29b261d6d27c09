package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"curia/api"
)

// peerAction is what to do with a server of the log.
type peerAction uint8

// The actions.
const (
	addPeer     peerAction = iota // as one that does not vote, or to give one that is there its address
	promotePeer                   // let it vote
	demotePeer                    // let it vote no longer
	removePeer
)

func (a peerAction) String() string {
	return [...]string{"add", "promote", "demote", "remove"}[a]
}

// peerChange is a change of the servers of the log.
type peerChange struct {
	Do      peerAction
	ID      string
	Address string // only to add and to promote
	Why     string // for the log
}

const (
	peerWait       = 10 * time.Second // for one change of the servers of the log
	askServerEvery = 5 * time.Second  // that wants to be one, whether it may
)

// reconcileServer brings the servers of the log in step with a member; nil is
// one that gossip does not know any more.
func (s *Server) reconcileServer(ctx context.Context, m *api.Member, members []*api.Member) error {
	if s.cfg.Pools.Members == nil || !isServer(m, s.cfg.Datacenter) {
		return nil
	}
	servers, _ := s.replica.Servers()
	changes, err := peerChanges(servers, s.cfg.Self.ID, s.cfg.Datacenter, m, members)
	if err != nil {
		s.log.Error("cannot let a server take part in the log", "node", m.Name, "err", err)
		return nil
	}
	if n := len(changes); n > 0 && changes[n-1].Do == addPeer {
		switch err := s.mayJoin(ctx, servers, changes[n-1].ID); {
		case api.KindOf(err) == api.Unavailable:
			s.log.Warn("cannot let a server take part in the log yet", "node", m.Name, "err", err)
			s.askAgain(m)
			return nil
		case err != nil:
			s.log.Error("cannot let a server take part in the log", "node", m.Name, "err", err)
			return nil
		}
	}
	return s.changePeers(ctx, changes)
}

// askAgain lets the leader look at a member soon: once, however often it was told to,
// or each look at all members would begin another row of questions that never ends.
func (s *Server) askAgain(m *api.Member) {
	if _, waits := s.again.LoadOrStore(m.Name, true); waits {
		return
	}
	time.AfterFunc(askServerEvery, func() {
		s.again.Delete(m.Name)
		s.MemberChanged(m)
	})
}

// mayJoin finds out whether a server belongs to another cluster: to add it would
// replace what it knows by the log of this one, and mix the two.
func (s *Server) mayJoin(ctx context.Context, servers []*api.RaftServer, id string) error {
	shared := func(o string) bool {
		return slices.ContainsFunc(servers, func(p *api.RaftServer) bool { return p.ID == o })
	}
	if s.cfg.Pools.Facts == nil || shared(id) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, factsWait)
	defer cancel()
	facts := s.cfg.Pools.Facts(ctx, id)
	switch {
	case !facts.Answered:
		return api.Errorf(api.Unavailable, "it does not answer on its server port, asking it again")
	case len(facts.Servers) > 0 && !slices.ContainsFunc(facts.Servers, shared):
		return api.Errorf(api.Rejected, "it belongs to another cluster, whose servers are %s: stop it; then either give it no address of this cluster to join "+
			"(retry_join, or `curia join`), or delete its data directory, so that it becomes a part of this cluster and forgets what the other knows",
			strings.Join(facts.Servers, ", "))
	}
	return nil
}

// changePeers carries out changes. After one that is refused it leaves out the
// rest: the next look at the servers begins anew.
func (s *Server) changePeers(ctx context.Context, changes []peerChange) error {
	for _, c := range changes {
		err := s.changePeer(ctx, c)
		switch {
		case err == nil:
			s.log.Info("changed the servers of the log", "do", c.Do.String(), "id", c.ID, "address", c.Address, "why", c.Why)
		case ctx.Err() != nil || leaderless(err):
			return err
		default:
			s.log.Warn("cannot change the servers of the log, trying again", "do", c.Do.String(), "id", c.ID, "address", c.Address, "why", c.Why, "err", err)
			return nil
		}
	}
	return nil
}

func (s *Server) changePeer(ctx context.Context, c peerChange) error {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	switch c.Do {
	case addPeer:
		return s.replica.AddNonvoter(ctx, c.ID, c.Address)
	case promotePeer:
		return s.replica.AddVoter(ctx, c.ID, c.Address)
	case demotePeer:
		return s.replica.Demote(ctx, c.ID)
	default:
		return s.replica.Remove(ctx, c.ID)
	}
}

// peerChanges gives the changes of the log's servers that follow from a member
// being alive, or having left. One that has failed may come back: autopilot
// decides about it. The server self, which leads, is never removed.
func peerChanges(servers []*api.RaftServer, self, datacenter string, m *api.Member, members []*api.Member) ([]peerChange, error) {
	id := m.Tags[tagID]
	if id == "" || serversByID(members, datacenter)[id] != m {
		return nil, nil // what it was called before says nothing about what it is
	}
	var known *api.RaftServer
	for _, p := range servers {
		if p.ID == id {
			known = p
		}
	}
	switch {
	case m.Status == api.MemberLeft && known != nil && id != self:
		return []peerChange{{Do: removePeer, ID: id, Why: "it has left"}}, nil
	case m.Status != api.MemberAlive:
		return nil, nil
	}
	address := serverAddress(m)
	if known != nil && known.Address == address {
		return nil, nil
	}
	if known == nil {
		if other := otherBootstrap(m, members, datacenter); other != "" {
			return nil, api.Errorf(api.Rejected, "it was started with bootstrap, as was %s; only one server of a datacenter may be: start it without", other)
		}
	}
	var out []peerChange
	for _, p := range servers {
		if p.Address != address || p.ID == id {
			continue
		}
		if p.ID == self {
			return nil, api.Errorf(api.Rejected, "its address %s is that of this server; give each its own with advertise and ports.server", address)
		}
		out = append(out, peerChange{Do: removePeer, ID: p.ID, Why: "server " + id + " has its address " + address})
	}
	why := "it has joined"
	if known != nil {
		why = "it was at " + known.Address
	}
	return append(out, peerChange{Do: addPeer, ID: id, Address: address, Why: why}), nil
}

// otherBootstrap names another member that was started with bootstrap, as m
// was; empty when there is none, or m was not.
func otherBootstrap(m *api.Member, members []*api.Member, datacenter string) string {
	if _, ok := m.Tags[tagBootstrap]; !ok {
		return ""
	}
	for _, o := range members {
		_, ok := o.Tags[tagBootstrap]
		if ok && o.Name != m.Name && o.Tags[tagID] != m.Tags[tagID] && o.Status != api.MemberLeft && isServer(o, datacenter) {
			return o.Name
		}
	}
	return ""
}
