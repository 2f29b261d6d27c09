package realtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	consul "github.com/hashicorp/consul/api"

	"curia/gossip"
)

// TestDatacenters lets a server see those of two other datacenters.
func TestDatacenters(t *testing.T) {
	t.Parallel()
	// Places are measured with each probe.
	a := start(t, option{config: map[string]any{"gossip_wan": map[string]any{"probe_interval": "50ms", "probe_timeout": "40ms"}}})
	for _, name := range []string{"s.dc2", "s.dc3", "t.dc3"} {
		node, dc, _ := strings.Cut(name, ".")
		p := enter(t, gossip.Config{Area: gossip.WAN, Name: name, Tags: map[string]string{"role": "consul", "dc": dc, "id": node + dc}})
		_, err := p.Join([]string{a.wanAddress()})
		check(t, err)
	}
	c := a.client()
	eventually(t, thingWait, func() error {
		areas, err := c.Coordinate().Datacenters()
		var got []string
		for _, area := range areas {
			line := area.Datacenter
			for _, at := range area.Coordinates {
				line += fmt.Sprintf(" %s/%d", at.Node, len(at.Coord.Vec))
			}
			got = append(got, line)
		}
		if want := []string{"dc1 n1/8", "dc2 s/8", "dc3 s/8 t/8"}; err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("servers of all datacenters: got %q, %v, want %q", got, err, want)
		}
		return nil
	})
	names, err := c.Catalog().Datacenters()
	check(t, err)
	same(t, "nearest datacenter", names[0], "dc1")
	slices.Sort(names)
	same(t, "all datacenters", names, []string{"dc1", "dc2", "dc3"})
	for _, line := range []string{"rtt -wan n1.dc1 t.dc3", "rtt -wan s.dc2"} {
		out, err := a.command(strings.Fields(line)...)
		if err != nil || !strings.HasPrefix(out, "Estimated ") || !strings.HasSuffix(out, " ms (using WAN coordinates)\n") {
			t.Errorf("%s: got %q, %v", line, out, err)
		}
	}
}

// TestNear sorts by the distance from the agent that is asked and from others.
func TestNear(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	register(t, c)
	for node, ms := range map[string]float64{"n1": 0, "w1": 30, "w2": 10, "w3": 20} {
		at := fmt.Sprintf(`{"Node":%q,"Coord":{"Vec":[%v,0,0,0,0,0,0,0]}}`, node, ms/1000)
		a.must("PUT", "/v1/coordinate/update", at)
	}
	eventually(t, thingWait, func() error {
		_, text := a.must("GET", "/v1/coordinate/nodes", "")
		var places []*consul.CoordinateEntry
		if err := json.Unmarshal([]byte(text), &places); err != nil || len(places) < 4 {
			return fmt.Errorf("coordinates: got %s, %v, want four", text, err)
		}
		return nil
	})
	for near, want := range map[string]string{"_agent": "w2 w3 w1", "w1": "w1 w3 w2", "W3": "w3 w1 w2"} {
		q := &consul.QueryOptions{Near: near}
		health, _, err := c.Health().Service("web", "", false, q)
		check(t, err)
		same(t, "health near "+near, names(health, func(e *consul.ServiceEntry) string { return e.Node.Node }), want)
		catalog, _, err := c.Catalog().Service("web", "", q)
		check(t, err)
		same(t, "catalog near "+near, names(catalog, func(s *consul.CatalogService) string { return s.Node }), want)
	}
	nodes, _, err := c.Catalog().Nodes(&consul.QueryOptions{Near: "_agent"})
	check(t, err)
	same(t, "nodes near _agent", names(nodes, func(n *consul.Node) string { return n.Node }), "n1 w2 w3 w1")
	a.prints("Estimated w1 <-> w2 rtt: 20.000 ms (using LAN coordinates)\n", "rtt", "w1", "w2")
	// The agent tells by itself where it is, sooner or later.
	if out, err := a.command("rtt", "w3"); err != nil || !strings.HasPrefix(out, "Estimated w3 <-> n1 rtt: 20.0") {
		t.Errorf("rtt to the agent: got %q, %v", out, err)
	}
}

// TestEventElsewhere fires an event in another datacenter, and in one that nobody
// knows.
func TestEventElsewhere(t *testing.T) {
	t.Parallel()
	here := start(t, option{})
	there := start(t, option{config: map[string]any{"datacenter": "dc2"}})
	check(t, there.client().Agent().Join(here.wanAddress(), true))
	fire := func(dc string) error {
		_, _, err := here.client().Event().Fire(&consul.UserEvent{Name: "deploy"}, &consul.WriteOptions{Datacenter: dc})
		return err
	}
	eventually(t, thingWait, func() error { return fire("dc2") })
	eventually(t, thingWait, func() error {
		heard, _, err := there.client().Event().List("deploy", nil)
		if err == nil && len(heard) == 0 {
			err = fmt.Errorf("no event in dc2")
		}
		return err
	})
	if heard, _, err := here.client().Event().List("deploy", nil); err != nil || len(heard) != 0 {
		t.Errorf("events here: got %d, %v, want none", len(heard), err)
	}
	if err := fire("dc9"); err == nil || !strings.Contains(err.Error(), "No path to datacenter") {
		t.Errorf("fire in dc9: got %v, want that there is no path", err)
	}
}
