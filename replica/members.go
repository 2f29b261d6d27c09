package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"curia/api"
)

// Formed reports whether this server belongs to a cluster: its log, or a
// snapshot, says who the servers are.
func (r *Replica) Formed() bool { return len(r.raft.GetConfiguration().Configuration().Servers) > 0 }

// Form makes servers the voters of a new cluster; each of them does so with the
// same servers. A server that belongs to a cluster refuses.
func (r *Replica) Form(servers []*api.RaftServer) error {
	var conf raft.Configuration
	for _, s := range servers {
		conf.Servers = append(conf.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(s.ID), Address: raft.ServerAddress(s.Address)})
	}
	if err := r.raft.BootstrapCluster(conf).Error(); err != nil {
		return fmt.Errorf("form a cluster of %d servers: %w", len(servers), err)
	}
	return nil
}

// AddVoter lets a server vote: one that is new, or one that only kept a copy. A
// voter of that ID gets the address. Only the leader can do that; errors are
// those of Remove.
func (r *Replica) AddVoter(ctx context.Context, id, address string) error {
	return r.change(ctx, "let server "+id+" at "+address+" vote",
		r.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(address), 0, enqueueWait))
}

// AddNonvoter gives a server a copy of the log. A server of that ID that is
// there already gets the address, and votes as before. Only the leader can do
// that; errors are those of Remove.
func (r *Replica) AddNonvoter(ctx context.Context, id, address string) error {
	return r.change(ctx, "add server "+id+" at "+address+" to the log",
		r.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, enqueueWait))
}

// Demote takes the vote from a server, which keeps its copy of the log. Only the
// leader can do that; errors are those of Remove.
func (r *Replica) Demote(ctx context.Context, id string) error {
	return r.change(ctx, "take the vote from server "+id, r.raft.DemoteVoter(raft.ServerID(id), 0, enqueueWait))
}

// Remove takes a server out of the log. Only the leader can do that; it may
// remove itself, and then leads no longer. Errors of kind NoLeader are those of
// Propose. The last voter cannot be removed.
func (r *Replica) Remove(ctx context.Context, id string) error {
	return r.change(ctx, "remove server "+id+" from the log", r.raft.RemoveServer(raft.ServerID(id), 0, enqueueWait))
}

// Transfer makes another voter the leader: the one with an ID at an address, or
// with both empty the one whose log is longest. It returns when the other has
// been told; errors tell why it cannot lead.
func (r *Replica) Transfer(ctx context.Context, id, address string) error {
	if id == "" {
		return r.change(ctx, "transfer leadership", r.raft.LeadershipTransfer())
	}
	return r.change(ctx, "transfer leadership to "+id, r.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(address)))
}

// change waits for what was begun.
func (r *Replica) change(ctx context.Context, what string, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrRaftShutdown), errors.Is(err, raft.ErrLeadershipLost):
		return proposeError(err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
