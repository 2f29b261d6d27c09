package server

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"curia/api"
)

// memberQueue is how many changes of members may wait for the leader. What does
// not fit is found by the next full pass.
const memberQueue = 256

// memberNews says which members the leader is to look at.
type memberNews struct {
	changes chan string // names of those that something happened to
	again   sync.Map    // names of those that it will look at soon, whatever happens
}

// The tags of members that the leader goes by.
const (
	tagRole        = "role" // roleServer or that of a client
	tagDatacenter  = "dc"
	tagID          = "id"           // of the node
	tagPort        = "port"         // of a server
	tagBuild       = "build"        // version:revision
	tagBootstrap   = "bootstrap"    // present at the server that formed the cluster alone
	tagNonVoter    = "nonvoter"     // present at a server that never votes
	tagReadReplica = "read_replica" // the same by its later name
	roleServer     = "consul"
)

// MemberChanged tells the leader that something happened to a member: it came,
// went, failed, was forgotten or changed. The leader looks at Pools.Members to
// see what. It never blocks and may be called concurrently, at any time; on a
// server that does not lead it does nothing of note.
func (s *Server) MemberChanged(m *api.Member) {
	select {
	case s.changes <- m.Name:
	default:
	}
}

// members lists the members of the datacenter: this server alone when nobody
// was told where to look.
func (s *Server) members() []*api.Member {
	if s.cfg.Pools.Members != nil {
		return s.cfg.Pools.Members()
	}
	self := s.cfg.Self
	return []*api.Member{{Name: self.Node, Addr: self.Address, Status: api.MemberAlive, Tags: map[string]string{
		tagRole: roleServer, tagDatacenter: s.cfg.Datacenter, tagID: self.ID,
		tagPort: strconv.Itoa(s.cfg.ServerPort),
	}}}
}

// reconcileMembers keeps the catalog and the servers of the log in step with
// the members of the datacenter until ctx ends: at once when something happens
// to a member, and all of them now and then.
func (s *Server) reconcileMembers(ctx context.Context) error {
	s.takeChanges() // of an earlier term: the first pass sees everything
	ticker := time.NewTicker(reconcileEvery)
	defer ticker.Stop()
	for scope := leaveStrays; ; scope = reapStrays {
		if err := s.reconcileAll(ctx, scope); err != nil {
			return err
		}
		for due := false; !due; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
				due = true
			case name := <-s.changes:
				if err := s.reconcileChanged(ctx, append(s.takeChanges(), name)); err != nil {
					return err
				}
			}
		}
	}
}

// takeChanges empties the queue.
func (s *Server) takeChanges() []string {
	var names []string
	for {
		select {
		case name := <-s.changes:
			names = append(names, name)
		default:
			return names
		}
	}
}

// reconcileChanged brings in step the members that something happened to, each
// once: when many fail together, each of them is told of several times.
func (s *Server) reconcileChanged(ctx context.Context, names []string) error {
	slices.Sort(names)
	members := s.members()
	for _, name := range slices.Compact(names) {
		if err := s.reconcileOne(ctx, name, memberNamed(members, name), members); err != nil {
			return err
		}
	}
	return nil
}

// passScope says what a full pass does about nodes that gossip does not know. In
// the first one of a term nothing: after a start the server may lead before it
// has heard of the members that have been there all the time.
type passScope bool

const (
	leaveStrays passScope = false
	reapStrays  passScope = true
)

// reconcileAll brings everything in step. It begins with a quorum: a server
// that leads no longer must not judge by what it remembers. What it
// acknowledged while it led is applied here, so there is nothing to wait for.
func (s *Server) reconcileAll(ctx context.Context, scope passScope) error {
	began := time.Now()
	defer func() { s.figures.reconcile.Observe(time.Since(began)) }()
	if err := s.replica.Confirm(ctx); err != nil {
		return err
	}
	members := s.members()
	for _, m := range members {
		if err := s.reconcileOne(ctx, m.Name, m, members); err != nil {
			return err
		}
	}
	if scope == leaveStrays {
		return nil
	}
	for _, name := range strays(s.store.View(), members) {
		if err := s.reconcileOne(ctx, name, nil, members); err != nil {
			return err
		}
	}
	return nil
}

// reconcileOne brings in step what concerns one name; m is nil when no member
// has it. The view is taken anew for each: what was done for one member may
// concern the next, which may have been the same machine under another name.
func (s *Server) reconcileOne(ctx context.Context, name string, m *api.Member, members []*api.Member) error {
	for _, cmd := range reconcile(s.store.View(), s.cfg, name, m) {
		_, err := s.replica.Propose(ctx, cmd)
		switch {
		case err == nil:
		case ctx.Err() != nil || leaderless(err):
			return err
		default:
			s.log.Warn("cannot bring the catalog in step with a member, trying again", "node", name, "err", err)
			return nil
		}
	}
	return s.reconcileServer(ctx, m, members)
}

// leaderless reports whether an error means that duties make no sense here now.
func leaderless(err error) bool {
	var known *api.Error
	return errors.As(err, &known) && (known.Kind == api.NoLeader || known.Kind == api.Lost || known.Kind == api.Unavailable)
}

func memberNamed(members []*api.Member, name string) *api.Member {
	for _, m := range members {
		if strings.EqualFold(m.Name, name) {
			return m
		}
	}
	return nil
}

// isServer reports whether a member is a server of the datacenter.
func isServer(m *api.Member, datacenter string) bool {
	return m != nil && m.Tags[tagRole] == roleServer && m.Tags[tagDatacenter] == datacenter && serverPort(m) > 0
}

// serverPort is the port of a server, 0 when the member does not tell one.
func serverPort(m *api.Member) int {
	port, err := strconv.ParseUint(m.Tags[tagPort], 10, 16)
	if err != nil {
		return 0
	}
	return int(port)
}

// serverAddress is where other servers reach a server.
func serverAddress(m *api.Member) string {
	return net.JoinHostPort(m.Addr, m.Tags[tagPort])
}

// neverVotes reports whether a server is meant to keep a copy only.
func neverVotes(m *api.Member) bool {
	_, a := m.Tags[tagNonVoter]
	_, b := m.Tags[tagReadReplica]
	return a || b
}

// version is what a member says it runs, empty when it does not.
func version(m *api.Member) string {
	v, _, _ := strings.Cut(m.Tags[tagBuild], ":")
	return v
}

// presence orders statuses by how much they say about a machine: where two
// members have the same ID, one is what the other was called before.
var presence = map[api.MemberStatus]int{api.MemberAlive: 4, api.MemberLeaving: 3, api.MemberFailed: 2, api.MemberLeft: 1}

// serversByID finds the servers among the members, each under its newest name.
func serversByID(members []*api.Member, datacenter string) map[string]*api.Member {
	out := map[string]*api.Member{}
	for _, m := range members {
		id := m.Tags[tagID]
		if id == "" || !isServer(m, datacenter) {
			continue
		}
		if old := out[id]; old == nil || cmp.Compare(presence[m.Status], presence[old.Status]) > 0 {
			out[id] = m
		}
	}
	return out
}
