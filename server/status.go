package server

import (
	"cmp"
	"context"
	"sort"
	"strconv"

	"curia/api"
)

func (s *Server) statusVerbs() []binding {
	return []binding{
		bare(api.StatusLeader, func(context.Context, *api.None) (string, error) { return s.replica.Leader(), nil }),
		bare(api.StatusPeers, s.peers),
		bare(api.OperatorRaftConfiguration, s.raftConfiguration),
	}
}

func (s *Server) peers(context.Context, *api.None) ([]string, error) {
	servers, _ := s.replica.Servers()
	out := []string{}
	for _, p := range servers {
		out = append(out, p.Address)
	}
	sort.Strings(out)
	return out, nil
}

// raftConfiguration lists the servers of the log, with what each of them says of
// its length.
func (s *Server) raftConfiguration(ctx context.Context, _ *api.StaleArgs) (*api.RaftConfiguration, error) {
	servers, index := s.namedServers()
	facts := s.facts(ctx, servers, serversByID(s.members(), s.cfg.Datacenter))
	for _, p := range servers {
		p.LastIndex = facts[p.ID].LastIndex
	}
	return &api.RaftConfiguration{Servers: servers, Index: index}, nil
}

// unknownNode stands for the name of a server that neither gossip nor the
// catalog knows.
const unknownNode = "(unknown)"

// namedServers lists the servers of the log under the names that gossip, or
// else the catalog, has for them, and the index of the entry that made them so.
func (s *Server) namedServers() ([]*api.RaftServer, uint64) {
	servers, index := s.replica.Servers()
	names := map[string]string{}
	for _, n := range s.store.View().Nodes() {
		names[n.ID] = n.Node
	}
	for id, m := range serversByID(s.members(), s.cfg.Datacenter) {
		names[id] = m.Name
	}
	names[s.cfg.Self.ID] = s.cfg.Self.Node
	for _, p := range servers {
		p.Node = cmp.Or(names[p.ID], unknownNode)
	}
	return servers, index
}

// Stats gives the sections of agent/self that a server knows.
func (s *Server) Stats() map[string]map[string]string {
	servers, _ := s.replica.Servers()
	return map[string]map[string]string{
		"consul": {
			"bootstrap": strconv.FormatBool(len(servers) == 1), "known_datacenters": "1",
			"leader": strconv.FormatBool(s.replica.Ready()), "leader_addr": s.replica.Leader(), "server": "true",
		},
		"raft": s.replica.Stats(),
	}
}
