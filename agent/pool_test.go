package agent

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

func TestPools(t *testing.T) {
	a := newAgent(&next{})
	var asked []string
	left := make(chan struct{})
	note := func(what string) { asked = append(asked, what) }
	where := &api.Coordinate{Vec: []float64{1}, Error: 2}
	a.cfg.Pools = Pools{
		JoinLAN: func(addr string) error {
			note("join " + addr)
			return errors.New("nobody there")
		},
		ForceLeave: func(q *api.ForceLeaveArgs) error {
			note("force " + q.Node)
			return nil
		},
		Leave: func() <-chan struct{} {
			note("leave")
			return left
		},
		Coordinate: func() *api.Coordinate { return where },
	}
	_, err := api.Call(t.Context(), a, api.AgentJoin, api.JoinArgs{Address: "10.0.0.1"})
	if err == nil || err.Error() != "nobody there" || api.KindOf(err) != api.Rejected {
		t.Errorf("join: got %v", err)
	}
	_, err = api.Call(t.Context(), a, api.AgentJoin, api.JoinArgs{Address: "10.0.0.1", WAN: "1"})
	if err == nil || !strings.Contains(err.Error(), "ports.serf_wan") {
		t.Errorf("join without a WAN pool: got %v", err)
	}
	if _, err := api.Call(t.Context(), a, api.AgentForceLeave, api.ForceLeaveArgs{NodeName: api.NodeName{Node: "n2"}}); err != nil {
		t.Errorf("force-leave: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := api.Call(ctx, a, api.AgentLeave, api.None{}); err != context.Canceled {
		t.Errorf("leave, and go away before it is done: got %v", err)
	}
	close(left)
	if _, err := api.Call(t.Context(), a, api.AgentLeave, api.None{}); err != nil {
		t.Errorf("leave: %v", err)
	}
	if diff := cmp.Diff([]string{"join 10.0.0.1", "force n2", "leave", "leave"}, asked); diff != "" {
		t.Errorf("asked of the pools (-want +got)\n%s", diff)
	}
	self, err := api.Call(t.Context(), a, api.AgentSelf, api.None{})
	if err != nil || self.Coord != where {
		t.Errorf("coordinate of agent/self: got %+v, %v", self, err)
	}
	where = nil
	self, err = api.Call(t.Context(), a, api.AgentSelf, api.None{})
	if err != nil || self.Coord == nil || len(self.Coord.Vec) != 8 {
		t.Errorf("coordinate that is not measured: got %+v, %v", self, err)
	}
}

func TestMembersFiltered(t *testing.T) {
	a := newAgent(&next{})
	got, _, err := api.Ask(t.Context(), a, api.AgentMembers, api.MembersArgs{}, api.Query{Filter: `Name == "n2"`})
	if err != nil || len(got) != 1 || got[0].Name != "n2" {
		t.Errorf("members: got %+v, %v", got, err)
	}
	if _, _, err := api.Ask(t.Context(), a, api.AgentMembers, api.MembersArgs{}, api.Query{Filter: "("}); api.KindOf(err) != api.Invalid {
		t.Errorf("a filter that is none: got %v", err)
	}
}
