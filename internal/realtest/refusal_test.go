package realtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	consul "github.com/hashicorp/consul/api"
)

// newcomer starts an agent that is no server and joins others until they let it.
func (a *agent) newcomer(name string, conf map[string]any) *agent {
	a.t.Helper()
	b := prepare(a.t, option{config: map[string]any{"node_name": name, "server": false, "bootstrap_expect": 0, "retry_interval": "50ms"}})
	b.configure(map[string]any{"retry_join": []string{a.lanAddress()}})
	b.configure(conf)
	b.launch()
	return b
}

// TestRefusedNewcomers covers agents that may not join: they say why, in the log
// and to those who let them join, go on, and the others notice nothing.
func TestRefusedNewcomers(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	held := a.newcomer("n2", nil)
	a.sees("n1=1 n2=1")
	id, err := os.ReadFile(filepath.Join(held.dir, "node-id"))
	check(t, err)
	own := func(b *agent) string {
		self, err := b.client().Agent().Self()
		check(t, err)
		return fmt.Sprint(self["Config"]["NodeID"])
	}
	for _, c := range []struct {
		name string
		node string
		conf map[string]any
		want func(b *agent) []string // what the refusal says
	}{
		{"wrong datacenter", "n3", map[string]any{"datacenter": "dc9"}, func(*agent) []string {
			return []string{"part of wrong datacenter 'dc1'"}
		}},
		{"name of another", "n2", nil, func(b *agent) []string {
			return []string{"Member 'n2' at " + held.lanAddress(), strings.TrimSpace(string(id)), "at " + b.lanAddress(), own(b)}
		}},
		{"name of another in capitals", "N1", nil, func(b *agent) []string {
			return []string{"Member 'n1' at " + a.lanAddress(), own(a), "at " + b.lanAddress(), own(b)}
		}},
		{"node ID of another", "n3", map[string]any{"node_id": strings.TrimSpace(string(id))}, func(*agent) []string {
			return []string{"Member 'n2' has conflicting node ID '" + strings.TrimSpace(string(id)) + "' with member 'n3'"}
		}},
	} {
		b := a.newcomer(c.node, c.conf)
		eventually(t, startWait, func() error { return b.said("cannot join yet") })
		err := b.client().Agent().Join(a.lanAddress(), false)
		for _, text := range append(c.want(b), "failed to join "+a.lanAddress()) {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: agent/join: got %v, wanted it to say %q", c.name, err, text)
			}
			if text := strings.TrimPrefix(text, "failed to join "); !strings.Contains(b.output(), text) {
				t.Errorf("%s: the log does not say %q", c.name, text)
			}
		}
		if out, err := b.command("join", a.lanAddress()); err == nil || !strings.Contains(out, "Failed to join any nodes.") {
			t.Errorf("%s: curia join: got %v, %q", c.name, err, out)
		}
		b.sees(c.node + "=1")
		if !a.running() || !held.running() || !b.running() {
			t.Fatalf("%s: running: got %t, %t, the newcomer %t, wanted all", c.name, a.running(), held.running(), b.running())
		}
		b.end()
		a.sees("n1=1 n2=1")
	}
}

// TestCoordinatesOfAgents lets three agents measure each other and tell the
// server, which takes a while.
func TestCoordinatesOfAgents(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		return
	}
	fast := map[string]any{"gossip_lan": map[string]any{"probe_interval": "50ms", "probe_timeout": "40ms"}}
	a := start(t, option{config: fast})
	b := a.newcomer("n2", fast)
	a.newcomer("n3", fast)
	b.sees("n1=1 n2=1 n3=1")
	c := b.client()
	eventually(t, 2*thingWait, func() error {
		places, _, err := c.Coordinate().Nodes(nil)
		if err == nil && len(places) < 3 {
			err = fmt.Errorf("coordinates: got those of %s, wanted three", names(places, func(e *consul.CoordinateEntry) string { return e.Node }))
		}
		return err
	})
	nodes, _, err := c.Catalog().Nodes(&consul.QueryOptions{Near: "_agent"})
	check(t, err)
	if len(nodes) != 3 || nodes[0].Node != "n2" {
		t.Errorf("nodes near n2: got %s, wanted n2 first of three", names(nodes, func(n *consul.Node) string { return n.Node }))
	}
	if out, err := b.command("rtt", "n3"); err != nil || !strings.HasPrefix(out, "Estimated n3 <-> n2 rtt: ") {
		t.Errorf("rtt: got %q, %v", out, err)
	}
}
