package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/state"
)

func TestReconcile(t *testing.T) {
	cfg := Config{
		Datacenter: "dc1", ServerPort: 8300, ServiceMeta: map[string]string{"version": "1"},
		Self: api.Node{ID: "11111111-2222-4333-8444-555555555555", Node: "n1", Address: "10.0.0.1", Datacenter: "dc1", Meta: map[string]string{"rack": "a"}},
	}
	self := func(change func(*state.Register)) *state.Register {
		node := cfg.Self
		r := &state.Register{
			Node: &node,
			Service: &api.Service{ID: "consul", Service: "consul", Tags: []string{}, Port: 8300,
				Weights: api.Weights{Passing: 1, Warning: 1}, Meta: map[string]string{"version": "1"}},
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
		{"another ID", []state.Command{self(func(r *state.Register) { r.Node.ID = "" })}, true},
		{"another address", []state.Command{self(func(r *state.Register) { r.Node.Address = "10.0.0.9" })}, true},
		{"other metadata", []state.Command{self(func(r *state.Register) { r.Node.Meta = nil })}, true},
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
		got := reconcile(store.View(), cfg)
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
		if again := reconcile(store.View(), cfg); len(again) > 0 {
			t.Errorf("%s: after %+v there is more to do: %+v", c.what, got[0], again[0])
		}
	}
	if cfg.Self.CreateIndex != 0 || cfg.Self.ModifyIndex != 0 {
		t.Errorf("carrying out what reconcile gives changed its configuration: %+v", cfg.Self)
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
