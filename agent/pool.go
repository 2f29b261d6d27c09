package agent

import (
	"context"

	"curia/api"
)

// Pools is what an agent asks of its pools, beside their members. An agent
// without them is alone.
type Pools struct {
	// JoinLAN and JoinWAN contact another agent; nil where there is no such pool.
	JoinLAN, JoinWAN func(address string) error
	// ForceLeave makes a member leave; members that nobody knows are no error.
	// nil does nothing.
	ForceLeave func(*api.ForceLeaveArgs) error
	// Leave begins to leave and to end the agent, and returns at once a channel
	// that is closed when it has left. nil does nothing.
	Leave func() <-chan struct{}
	// Fire hands an event to every agent of the datacenter, this one included,
	// whose Hear is called with it. nil hands it to this one.
	Fire func(name string, payload []byte) error
	// Coordinate is this agent's place in the network; nil where nobody measures.
	Coordinate func() *api.Coordinate
}

// join contacts another agent ("agent/join").
func (a *Agent) join(_ context.Context, q *api.JoinArgs) (api.Nothing, error) {
	join := a.cfg.Pools.JoinLAN
	if q.WAN != "" {
		join = a.cfg.Pools.JoinWAN
	}
	if join == nil {
		return api.Nothing{}, api.Errorf(api.Rejected, "join %s: this agent has no such pool; only servers have a WAN pool, unless ports.serf_wan is -1", q.Address)
	}
	if err := join(q.Address); err != nil {
		return api.Nothing{}, api.Errorf(api.Rejected, "%v", err)
	}
	return api.Nothing{}, nil
}

// forceLeave makes a failed member leave ("agent/force-leave").
func (a *Agent) forceLeave(_ context.Context, q *api.ForceLeaveArgs) (api.Nothing, error) {
	if force := a.cfg.Pools.ForceLeave; force != nil {
		return api.Nothing{}, force(q)
	}
	return api.Nothing{}, nil
}

// leave leaves, and begins to end ("agent/leave"). Who is answered finds that the
// others know of it.
func (a *Agent) leave(ctx context.Context, _ *api.None) (api.Nothing, error) {
	if a.cfg.Pools.Leave == nil {
		return api.Nothing{}, nil
	}
	select {
	case <-a.cfg.Pools.Leave():
	case <-a.draining: // it ends in another way
	case <-ctx.Done():
		return api.Nothing{}, ctx.Err()
	}
	return api.Nothing{}, nil
}

// coordinate is the agent's place in the network: the origin, as far as it is
// not measured.
func (a *Agent) coordinate() *api.Coordinate {
	if measure := a.cfg.Pools.Coordinate; measure != nil {
		if c := measure(); c != nil {
			return c
		}
	}
	return &api.Coordinate{Vec: make([]float64, 8), Error: 1.5, Height: 1e-5}
}
