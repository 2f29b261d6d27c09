package server

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/state"
)

const (
	selfID  = "11111111-2222-4333-8444-555555555555"
	otherID = "22222222-2222-4333-8444-555555555555"
	thirdID = "33333333-2222-4333-8444-555555555555"
)

// TestReconcileAlone keeps the entry of a server that knows no others.
func TestReconcileAlone(t *testing.T) {
	cfg := Config{
		Datacenter: "dc1", ServerPort: 8300,
		Self: api.Node{ID: selfID, Node: "n1", Address: "10.0.0.1", Datacenter: "dc1", Meta: map[string]string{"rack": "a"}},
	}
	member := (&Server{cfg: cfg}).members()[0]
	self := func(change func(*state.Register)) *state.Register {
		node := cfg.Self
		r := &state.Register{
			Node: &node,
			Service: &api.Service{ID: "consul", Service: "consul", Tags: []string{}, Port: 8300,
				Weights: api.Weights{Passing: 1, Warning: 1}, Meta: serviceMeta(member)},
			Checks: []*api.Check{{Node: "n1", CheckID: "serfHealth", Name: "Serf Health Status", Status: "passing",
				Output: "Agent alive and reachable", ServiceTags: []string{}}},
		}
		change(r)
		return r
	}
	same := func(*state.Register) {}
	for _, c := range []struct {
		what   string
		before []state.Command
		writes bool
	}{
		{"an empty catalog", nil, true},
		{"all is there", []state.Command{self(same)}, false},
		{"others are there too", []state.Command{self(same), &state.Register{Node: &api.Node{Node: "n2", Address: "10.0.0.2"}}}, false},
		{"another name for the ID", []state.Command{self(func(r *state.Register) { r.Node.Node = "old" })}, true},
		{"no ID", []state.Command{self(func(r *state.Register) { r.Node.ID = "" })}, true},
		{"another address", []state.Command{self(func(r *state.Register) { r.Node.Address = "10.0.0.9" })}, true},
		{"other metadata, which is the agent's", []state.Command{self(func(r *state.Register) { r.Node.Meta = nil })}, false},
		{"other addresses", []state.Command{self(func(r *state.Register) { r.Node.TaggedAddresses = map[string]string{"lan": "x"} })}, true},
		{"no service", []state.Command{self(func(r *state.Register) { r.Service = nil })}, true},
		{"another port", []state.Command{self(func(r *state.Register) { r.Service.Port = 1 })}, true},
		{"other metadata of the service", []state.Command{self(func(r *state.Register) { r.Service.Meta = nil })}, true},
		{"no check", []state.Command{self(func(r *state.Register) { r.Checks = nil })}, true},
		{"a check that fails", []state.Command{self(func(r *state.Register) { r.Checks[0].Status = "critical" })}, true},
		{"deregistered", []state.Command{self(same), &state.Deregister{Node: "n1"}}, true},
		{"deregistered service", []state.Command{self(same), &state.Deregister{Node: "n1", ServiceID: "consul"}}, true},
	} {
		store := state.NewStore()
		for i, cmd := range c.before {
			apply(t, store, uint64(i+1), cmd)
		}
		got := reconcile(store.View(), cfg, "n1", member)
		var want []state.Command
		if c.writes {
			want = []state.Command{self(same)}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.what, diff)
		}
		if len(got) == 0 {
			continue
		}
		apply(t, store, 100, got[0])
		if again := reconcile(store.View(), cfg, "n1", member); len(again) > 0 {
			t.Errorf("%s: after %+v there is more to do: %+v", c.what, got[0], again[0])
		}
	}
	if cfg.Self.CreateIndex != 0 || cfg.Self.ModifyIndex != 0 {
		t.Errorf("carrying out what reconcile gives changed its configuration: %+v", cfg.Self)
	}
}

// A memberOf is a client unless tags say otherwise: "role=consul port=8300".
func memberOf(name, id, addr string, status api.MemberStatus, tags string) *api.Member {
	m := &api.Member{Name: name, Addr: addr, Port: 8301, Status: status, ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2,
		Tags: map[string]string{"role": "node", "dc": "dc1", "id": id, "build": "1.21.4:abc", "raft_vsn": "3"}}
	for _, tag := range strings.Fields(tags) {
		k, v, _ := strings.Cut(tag, "=")
		m.Tags[k] = v
	}
	return m
}

// pass reconciles every name as the leader does, and tells what it wrote.
func pass(t *testing.T, store *state.Store, cfg Config, members []*api.Member, index *uint64) []string {
	t.Helper()
	wrote := []string{}
	one := func(name string, m *api.Member) {
		for _, cmd := range reconcile(store.View(), cfg, name, m) {
			*index++
			wrote = append(wrote, told(cmd))
			apply(t, store, *index, cmd)
		}
	}
	for _, m := range members {
		one(m.Name, m)
	}
	for _, name := range strays(store.View(), members) {
		one(name, nil)
	}
	return wrote
}

// told is a command in a few words.
func told(cmd state.Command) string {
	switch c := cmd.(type) {
	case *state.Deregister:
		return strings.TrimSpace("deregister " + c.Node + " " + c.ServiceID)
	case *state.Register:
		out := "register " + c.Node.Node + " " + c.Checks[0].Status
		if c.SkipNodeUpdate {
			out = c.Checks[0].Status + " " + c.Node.Node
		}
		if c.Service != nil {
			out += fmt.Sprintf(" %s:%d", c.Service.ID, c.Service.Port)
		}
		return out
	}
	return fmt.Sprintf("%T", cmd)
}

// TestReconcileMembers brings catalogs in step with members, and wants nothing
// to be left to do then.
func TestReconcileMembers(t *testing.T) {
	cfg := Config{
		Datacenter: "dc1", ServerPort: 8300, Pools: Pools{Members: func() []*api.Member { return nil }},
		Self: api.Node{ID: selfID, Node: "n1", Address: "10.0.0.1", Datacenter: "dc1", Meta: map[string]string{"rack": "a"}},
	}
	self := memberOf("n1", selfID, "10.0.0.1", api.MemberAlive, "role=consul port=8300")
	n2 := func(status api.MemberStatus) *api.Member { return memberOf("n2", otherID, "10.0.0.2", status, "") }
	node := func(name, id string, checks ...*api.Check) state.Command {
		return &state.Register{Node: &api.Node{Node: name, ID: id, Address: "10.0.0.2", Datacenter: "dc1", Meta: map[string]string{"own": "x"}}, Checks: checks}
	}
	serf := func(status string) *api.Check {
		return &api.Check{CheckID: "serfHealth", Name: "Serf Health Status", Status: status, ServiceTags: []string{}}
	}
	for _, c := range []struct {
		what    string
		before  []state.Command
		members []*api.Member
		want    string
		nodes   string // afterwards, but for n1
	}{
		{"a client joins", nil, []*api.Member{n2(api.MemberAlive)}, "register n2 passing", "n2 10.0.0.2 passing map[consul-version:1.21.4]"},
		{"a server joins", nil, []*api.Member{memberOf("n2", otherID, "10.0.0.2", api.MemberAlive, "role=consul port=8333")},
			"register n2 passing consul:8333", "n2 10.0.0.2 passing map[consul-version:1.21.4] consul:8333"},
		{"a server of another datacenter", nil, []*api.Member{memberOf("n2", otherID, "10.0.0.2", api.MemberAlive, "role=consul port=8333 dc=dc2")},
			"register n2 passing", "n2 10.0.0.2 passing map[consul-version:1.21.4]"},
		{"its own entry is kept", []state.Command{node("n2", otherID)}, []*api.Member{n2(api.MemberAlive)}, "register n2 passing", "n2 10.0.0.2 passing map[own:x]"},
		{"all is there", []state.Command{node("n2", otherID, serf("passing"))}, []*api.Member{n2(api.MemberAlive)}, "", "n2 10.0.0.2 passing map[own:x]"},
		{"it has moved", []state.Command{node("n2", otherID, serf("passing"))}, []*api.Member{memberOf("n2", otherID, "10.0.0.7", api.MemberAlive, "")},
			"register n2 passing", "n2 10.0.0.7 passing map[own:x]"},
		{"it comes back", []state.Command{node("n2", otherID, serf("critical"))}, []*api.Member{n2(api.MemberAlive)}, "register n2 passing", "n2 10.0.0.2 passing map[own:x]"},
		{"it fails", []state.Command{node("n2", otherID, serf("passing"))}, []*api.Member{n2(api.MemberFailed)}, "critical n2", "n2 10.0.0.2 critical map[own:x]"},
		{"it has failed", []state.Command{node("n2", otherID, serf("critical"))}, []*api.Member{n2(api.MemberFailed)}, "", "n2 10.0.0.2 critical map[own:x]"},
		{"it failed before it was known", nil, []*api.Member{n2(api.MemberFailed)}, "", ""},
		{"it is leaving", []state.Command{node("n2", otherID, serf("passing"))}, []*api.Member{n2(api.MemberLeaving)}, "", "n2 10.0.0.2 passing map[own:x]"},
		{"it has left", []state.Command{node("n2", otherID, serf("passing"))}, []*api.Member{n2(api.MemberLeft)}, "deregister n2", ""},
		{"it has left in another case", []state.Command{node("N2", otherID, serf("passing"))}, []*api.Member{n2(api.MemberLeft)}, "deregister N2", ""},
		{"it has left, and its agent wrote a last word", []state.Command{node("n2", otherID)}, []*api.Member{n2(api.MemberLeft)}, "deregister n2", ""},
		{"its name is somebody else's", []state.Command{node("n2", thirdID)}, []*api.Member{n2(api.MemberLeft)}, "", "n2 10.0.0.2 map[own:x]"},
		{"it is forgotten", []state.Command{node("n2", otherID, serf("critical"))}, nil, "deregister n2", ""},
		{"it is external", []state.Command{node("n2", otherID)}, nil, "", "n2 10.0.0.2 map[own:x]"},
		{"it was a server", []state.Command{&state.Register{Node: &api.Node{Node: "n2", ID: otherID, Address: "10.0.0.2", Datacenter: "dc1"},
			Service: &api.Service{ID: "consul", Service: "consul", Tags: []string{}}, Checks: []*api.Check{serf("passing")}}},
			[]*api.Member{n2(api.MemberAlive)}, "deregister n2 consul", "n2 10.0.0.2 passing map[]"},
		{"another machine has its name", []state.Command{node("n2", thirdID, serf("passing"))}, []*api.Member{n2(api.MemberAlive)},
			"critical n2, register n2 passing", "n2 10.0.0.2 passing map[consul-version:1.21.4]"},
		{"its name is now n3", []state.Command{node("n2", otherID, serf("passing"))},
			[]*api.Member{n2(api.MemberFailed), memberOf("n3", otherID, "10.0.0.2", api.MemberAlive, "")},
			"critical n2, register n3 passing", "n3 10.0.0.2 passing map[consul-version:1.21.4]"},
		{"its name was n3", []state.Command{node("n3", otherID, serf("passing"))},
			[]*api.Member{n2(api.MemberAlive), memberOf("n3", otherID, "10.0.0.2", api.MemberFailed, "")},
			"register n2 passing", "n2 10.0.0.2 passing map[consul-version:1.21.4]"},
	} {
		store, index := state.NewStore(), uint64(100)
		if got := pass(t, store, cfg, []*api.Member{self}, &index); strings.Join(got, ", ") != "register n1 passing consul:8300" {
			t.Fatalf("%s: first pass: got %q", c.what, got)
		}
		for _, cmd := range c.before {
			index++
			apply(t, store, index, cmd)
		}
		members := append([]*api.Member{self}, c.members...)
		if diff := cmp.Diff(c.want, strings.Join(pass(t, store, cfg, members, &index), ", ")); diff != "" {
			t.Errorf("%s: written (-want +got)\n%s", c.what, diff)
		}
		if diff := cmp.Diff(c.nodes, nodesBut(store, "n1")); diff != "" {
			t.Errorf("%s: nodes afterwards (-want +got)\n%s", c.what, diff)
		}
		if again := pass(t, store, cfg, members, &index); len(again) > 0 {
			t.Errorf("%s: a second pass writes %q, want nothing", c.what, again)
		}
	}
}

// nodesBut shows all nodes but one.
func nodesBut(store *state.Store, but string) string {
	var out []string
	v := store.View()
	for _, n := range v.Nodes() {
		if n.Node == but {
			continue
		}
		line := n.Node + " " + n.Address
		for _, c := range v.ChecksOfNode(n.Node) {
			line += " " + c.Status
		}
		line += fmt.Sprint(" ", n.Meta)
		for _, s := range v.ServicesOf(n.Node) {
			line += fmt.Sprintf(" %s:%d", s.ID, s.Port)
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

// TestReconcileSelf never takes away the server that leads, whatever gossip says.
func TestReconcileSelf(t *testing.T) {
	cfg := Config{
		Datacenter: "dc1", Pools: Pools{Members: func() []*api.Member { return nil }},
		Self: api.Node{ID: selfID, Node: "n1", Address: "10.0.0.1", Datacenter: "dc1"},
	}
	self := memberOf("n1", selfID, "10.0.0.1", api.MemberAlive, "role=consul port=8300")
	store, index := state.NewStore(), uint64(1)
	pass(t, store, cfg, []*api.Member{self}, &index)
	for _, status := range []api.MemberStatus{api.MemberNone, api.MemberLeaving, api.MemberLeft, api.MemberFailed} {
		m := *self
		m.Status = status
		if got := reconcile(store.View(), cfg, "n1", &m); len(got) > 0 {
			t.Errorf("the leader is seen as %s: got %s, want nothing to be done", status, told(got[0]))
		}
	}
	if got := reconcile(store.View(), cfg, "n1", nil); len(got) > 0 {
		t.Errorf("the leader is forgotten: got %s, want nothing to be done", told(got[0]))
	}
}

// TestServiceMeta tells about a server what its tags do.
func TestServiceMeta(t *testing.T) {
	plain := map[string]string{"version": "1.21.4", "raft_version": "3", "serf_protocol_current": "2", "serf_protocol_min": "1",
		"serf_protocol_max": "5", "non_voter": "false", "read_replica": "false"}
	with := func(pairs map[string]string) map[string]string {
		m := maps.Clone(plain)
		maps.Copy(m, pairs)
		return m
	}
	for tags, want := range map[string]map[string]string{
		"":                                plain,
		"nonvoter=1":                      with(map[string]string{"non_voter": "true"}),
		"read_replica=1":                  with(map[string]string{"non_voter": "true", "read_replica": "true"}),
		"grpc_port=8502 grpc_tls_port=17": with(map[string]string{"grpc_port": "8502", "grpc_tls_port": "17"}),
	} {
		if diff := cmp.Diff(want, serviceMeta(memberOf("n2", otherID, "10.0.0.2", api.MemberAlive, tags))); diff != "" {
			t.Errorf("tags %q (-want +got)\n%s", tags, diff)
		}
	}
}

func apply(t *testing.T, store *state.Store, index uint64, cmd state.Command) {
	t.Helper()
	for _, o := range store.Apply([]state.Entry{{Index: index, Now: time.Unix(0, 0), Command: cmd}}) {
		if o.Err != nil {
			t.Fatalf("%T at %d: %v", cmd, index, o.Err)
		}
	}
}
