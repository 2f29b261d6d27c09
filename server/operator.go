package server

import (
	"context"
	"errors"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// Pools is what a server asks of gossip and of the other servers. Where a
// function is nil there is nobody to ask: the server is alone. All may be called
// concurrently.
type Pools struct {
	// Members lists the members of the datacenter's LAN pool with their tags and
	// statuses, this server among them.
	Members func() []*api.Member
	// Facts asks another server of the log, by ID, how far it is. What cannot be found out before ctx ends is left zero; Status
	// and Version need not be filled in when Members is there.
	Facts func(ctx context.Context, id string) ServerFacts
	// ForceLeave makes a failed member of the LAN pool, by name, one that has left.
	ForceLeave func(node string) error
	// Datacenters tells where the servers of all datacenters are.
	Datacenters func() []*api.DatacenterCoordinates
	// Nearest lists the datacenters by their distance, this one first.
	Nearest func() []string
	// Keys asks or changes the keys of all pools, and reports for each; nil while
	// gossip is not encrypted.
	Keys func(ctx context.Context, q KeyRequest) ([]*api.KeyringReport, error)
}

func (s *Server) operatorVerbs() []binding {
	return []binding{
		led(api.OperatorRaftRemove, s.raftRemove),
		led(api.OperatorRaftTransfer, s.raftTransfer),
		list(api.OperatorUsage, s.usage),
	}
}

// raftRemove takes a server out of the log.
func (s *Server) raftRemove(ctx context.Context, _ acl.Authorizer, q *api.RaftPeerArgs) (api.Nothing, error) {
	servers, _ := s.replica.Servers()
	peer, err := findPeer(servers, q)
	if err != nil {
		return api.Nothing{}, err
	}
	if peer.Voter && others(servers, peer.ID) == 0 {
		return api.Nothing{}, api.Errorf(api.Rejected, "cannot remove %s (%s): it is the only voter, nobody would be left to lead", peer.ID, peer.Address)
	}
	if err := s.replica.Remove(ctx, peer.ID); err != nil {
		return api.Nothing{}, refused(err)
	}
	s.log.Warn("removed a server from the log on request", "id", peer.ID, "address", peer.Address)
	return api.Nothing{}, nil
}

// findPeer finds the server of an ID or address.
func findPeer(servers []*api.RaftServer, q *api.RaftPeerArgs) (*api.RaftServer, error) {
	for _, p := range servers {
		if q.ID != "" && p.ID == q.ID || q.Address != "" && p.Address == q.Address {
			return p, nil
		}
	}
	if q.ID != "" {
		return nil, api.Errorf(api.Rejected, "id %q was not found in the Raft configuration", q.ID)
	}
	return nil, api.Errorf(api.Rejected, "address %q was not found in the Raft configuration", q.Address)
}

// others counts the voters beside one.
func others(servers []*api.RaftServer, id string) int {
	n := 0
	for _, p := range servers {
		if p.Voter && p.ID != id {
			n++
		}
	}
	return n
}

// raftTransfer makes another server the leader.
func (s *Server) raftTransfer(ctx context.Context, _ acl.Authorizer, q *api.RaftTransferArgs) (api.Transferred, error) {
	servers, _ := s.replica.Servers()
	address := ""
	if q.ID != "" {
		peer, err := findPeer(servers, &api.RaftPeerArgs{ID: q.ID})
		if err != nil {
			return api.Transferred{}, err
		}
		if address = peer.Address; !peer.Voter {
			return api.Transferred{}, api.Errorf(api.Rejected, "cannot transfer leadership to %s: it is not a voter", peer.ID)
		}
	}
	if others(servers, s.cfg.Self.ID) == 0 {
		return api.Transferred{}, api.Errorf(api.Rejected, "cannot transfer leadership: there is no other server that could lead")
	}
	if err := s.replica.Transfer(ctx, q.ID, address); err != nil {
		return api.Transferred{}, refused(err)
	}
	s.log.Info("transferred leadership on request", "id", q.ID)
	return api.Transferred{Success: true}, nil
}

// refused lets clients see why the log or the pools refuse something.
func refused(err error) error {
	var known *api.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	return api.Errorf(api.Rejected, "%v", err)
}

// usage counts what this datacenter has, which is the only one that is known.
func (s *Server) usage(v *state.View, _ *api.UsageArgs) (*api.Usage, error) {
	return &api.Usage{Usage: map[string]*api.ServiceUsage{s.cfg.Datacenter: v.Usage()}}, nil
}
