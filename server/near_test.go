package server

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/state"
)

// placed is a view of a store in which nodes are on a line, at so many
// milliseconds; those at a negative place have no coordinate.
func placed(t *testing.T, at map[string]float64) *state.View {
	t.Helper()
	store := state.NewStore()
	index := uint64(0)
	apply := func(c state.Command) {
		index++
		if out := store.Apply([]state.Entry{{Index: index, Now: time.Unix(1, 0), Command: c}}); out[0].Err != nil {
			t.Fatal(out[0].Err)
		}
	}
	for name, ms := range at {
		apply(&state.Register{Node: &api.Node{Node: name, Address: "10.0.0.1"}})
		if ms >= 0 {
			apply(&state.CoordinateBatch{Updates: []*api.NodeCoordinate{{Node: name, Coord: &api.Coordinate{Vec: []float64{ms / 1000}, Height: high[name]}}}})
		}
	}
	return store.View()
}

// high are the heights of nodes, in seconds.
var high = map[string]float64{"z": 1}

func TestNearest(t *testing.T) {
	at := map[string]float64{"a": 0, "b": 10, "c": 30, "d": 31, "lost": -1, "gone": -1, "x": 101, "y": 102, "z": 100}
	for _, c := range []struct{ near, list, want string }{
		{"", "d c b a", "d c b a"},
		{"a", "d c b a", "a b c d"},
		{"A", "d c b a", "a b c d"},
		{"c", "a b c d", "c d b a"},
		{"d", "a lost b gone c d", "d c b a lost gone"},
		{"b", "lost gone", "lost gone"},
		{"lost", "d c b a", "d c b a"},
		{"nobody", "d c b a", "d c b a"},
		{"d", "a a c a c", "c c a a a"},
		{"d", "", ""},
		// Nobody is nearer to a node than itself, however bad its own network is.
		{"z", "x y z", "z x y"},
		{"Z", "x y z", "z x y"},
	} {
		list := strings.Fields(c.list)
		got := nearest(placed(t, at), c.near, list, func(s string) string { return s })
		if diff := cmp.Diff(strings.Fields(c.want), got); diff != "" {
			t.Errorf("%q near %q (-want +got):\n%s", c.list, c.near, diff)
		}
	}
}
