package gossip

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// at is a place that many milliseconds from the origin.
func at(ms float64) *api.Coordinate { return &api.Coordinate{Vec: []float64{ms / 1000}} }

func servers(ms ...float64) (out []*api.NodeCoordinate) {
	for _, x := range ms {
		out = append(out, &api.NodeCoordinate{Coord: at(x)})
	}
	return out
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name  string
		own   string
		from  *api.Coordinate
		sites []site
		want  []string
	}{
		{"alone", "dc1", at(0), []site{{"dc1", servers(0)}}, []string{"dc1"}},
		{"own first", "dc3", at(0), []site{{"dc1", servers(0)}, {"dc2", nil}, {"dc3", servers(9)}}, []string{"dc3", "dc1", "dc2"}},
		{"by distance", "dc1", at(5), []site{{"dc1", servers(5)}, {"dc2", servers(30)}, {"dc3", servers(6)}}, []string{"dc1", "dc3", "dc2"}},
		{"median, not mean", "dc1", at(0), []site{{"dc1", nil}, {"dc2", servers(3, 3, 3)}, {"dc3", servers(1, 900, 2)}}, []string{"dc1", "dc3", "dc2"}},
		{"greater of two", "dc1", at(0), []site{{"dc1", nil}, {"dc2", servers(1, 5)}, {"dc3", servers(4, 2)}}, []string{"dc1", "dc3", "dc2"}},
		{"unknown last", "dc1", at(0), []site{{"dc1", nil}, {"a", nil}, {"b", servers(900)}, {"c", nil}}, []string{"dc1", "b", "a", "c"}},
		{"not measured", "b", nil, []site{{"a", servers(1)}, {"b", nil}, {"c", servers(0)}}, []string{"b", "a", "c"}},
	} {
		if diff := cmp.Diff(c.want, nearest(c.own, c.from, c.sites)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}

// TestDatacenters looks at three datacenters whose members measure each other.
func TestDatacenters(t *testing.T) {
	in := func(name, dc string) *peer {
		c := config(name + "." + dc)
		c.Area, c.Tags["dc"] = WAN, dc
		return enter(t, c)
	}
	a, b, c, d := in("a", "dc2"), in("b", "dc1"), in("c", "dc2"), in("d", "dc3")
	for _, o := range []*peer{b, c, d} {
		o.join(a)
	}
	places := func() (out []string) {
		for _, dc := range a.Datacenters() {
			line := dc.Datacenter + " " + dc.AreaID
			for _, n := range dc.Coordinates {
				if n.Coord.Validate() == nil {
					line += " " + n.Node
				}
			}
			out = append(out, line)
		}
		return out
	}
	want := []string{"dc1 WAN b", "dc2 WAN a c", "dc3 WAN d"}
	if !eventually(func() bool { return cmp.Equal(want, places()) }) {
		t.Errorf("servers of all datacenters: got %q, want %q", places(), want)
	}
	if near := a.Nearest(); len(near) != 3 || near[0] != "dc2" {
		t.Errorf("datacenters by distance: got %q, want dc2 first of three", near)
	}
	// A datacenter that has failed is known, one that has left is not.
	b.kill()
	a.await(Failed, "b.dc1")
	if err := d.Leave(); err != nil {
		t.Fatal(err)
	}
	a.await(Left, "d.dc3")
	near := a.Nearest()
	if diff := cmp.Diff([]string{"dc2", "dc1"}, near); diff != "" {
		t.Errorf("datacenters after one has failed and one has left (-want +got)\n%s", diff)
	}
}
