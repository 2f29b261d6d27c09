package server

import (
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

func (s *Server) raftConfiguration(context.Context, *api.StaleArgs) (*api.RaftConfiguration, error) {
	servers, index := s.namedServers()
	return &api.RaftConfiguration{Servers: servers, Index: index}, nil
}

// namedServers lists the servers of the log under the names that the catalog
// has for them, and the index of the entry that made them so.
func (s *Server) namedServers() ([]*api.RaftServer, uint64) {
	servers, index := s.replica.Servers()
	names := map[string]string{s.cfg.Self.ID: s.cfg.Self.Node}
	for _, n := range s.store.View().Nodes() {
		names[n.ID] = n.Node
	}
	for _, p := range servers {
		p.Node = names[p.ID]
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
