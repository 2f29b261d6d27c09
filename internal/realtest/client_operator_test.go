package realtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/serf/coordinate"

	consul "github.com/hashicorp/consul/api"
)

func TestClientOperator(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	o := a.client().Operator()

	conf, err := o.AutopilotGetConfiguration(nil)
	check(t, err)
	same(t, "first configuration", fmt.Sprint(conf.CleanupDeadServers, conf.LastContactThreshold, conf.MaxTrailingLogs, conf.MinQuorum,
		conf.ServerStabilizationTime, conf.CreateIndex > 0), "true 200ms 250 0 10s true")
	conf.MaxTrailingLogs = 300
	done, err := o.AutopilotCASConfiguration(conf, nil)
	same(t, "write on a condition", fmt.Sprint(done, err), "true <nil>")
	done, err = o.AutopilotCASConfiguration(conf, nil)
	same(t, "write on a condition that no longer holds", fmt.Sprint(done, err), "false <nil>")
	conf.MaxTrailingLogs = 400
	check(t, o.AutopilotSetConfiguration(conf, nil))
	conf, err = o.AutopilotGetConfiguration(nil)
	check(t, err)
	same(t, "trailing logs", conf.MaxTrailingLogs, uint64(400))

	health, err := o.AutopilotServerHealth(nil)
	check(t, err)
	if !health.Healthy || len(health.Servers) != 1 || health.Servers[0].Name != "n1" || health.Servers[0].StableSince.IsZero() {
		t.Errorf("health: got %+v", health)
	}
	state, err := o.AutopilotState(nil)
	check(t, err)
	if s, ok := state.Servers[state.Leader]; !ok || s.Name != "n1" || s.Status != consul.AutopilotServerLeader || len(state.Voters) != 1 {
		t.Errorf("state: got %+v", state)
	}
	usage, _, err := o.Usage(nil)
	check(t, err)
	dc1 := usage.Usage["dc1"]
	same(t, "usage", fmt.Sprint(dc1.Nodes, dc1.Services, dc1.ServiceInstances, dc1.BillableServiceInstances), "1 1 1 0")

	for what, err := range map[string]error{
		"remove a peer by an address that nobody has": o.RaftRemovePeerByAddress("10.9.9.9:8300", nil),
		"remove a peer by an ID that nobody has":      o.RaftRemovePeerByID("nobody", nil),
		"install a key":                               o.KeyringInstall("pUqJrVyVRj5jsiYEkM/tFQ==", nil),
	} {
		if err == nil {
			t.Errorf("%s: got no error", what)
		}
	}
	if moved, err := o.RaftLeaderTransfer("", nil); err == nil {
		t.Errorf("transfer of leadership without another server: got %+v, wanted an error", moved)
	}
	if keys, err := o.KeyringList(nil); err == nil {
		t.Errorf("keys of gossip that is not encrypted: got %+v, wanted an error", keys)
	}
}

func TestClientCoordinate(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	client := a.client()
	c := client.Coordinate()
	register(t, client)
	for i, node := range []string{"w1", "w2", "w3"} {
		at := coordinate.NewCoordinate(coordinate.DefaultConfig())
		at.Vec[0] = 0.1 * float64(3-i)
		_, err := c.Update(&consul.CoordinateEntry{Node: node, Coord: at}, nil)
		check(t, err)
	}
	var found []*consul.CoordinateEntry
	var index uint64
	for deadline := time.Now().Add(thingWait); len(found) < 3; { // places are written in batches
		var meta *consul.QueryMeta
		var err error
		found, meta, err = c.Nodes(&consul.QueryOptions{WaitIndex: index, WaitTime: thingWait})
		check(t, err)
		index = meta.LastIndex
		if time.Now().After(deadline) {
			t.Fatalf("coordinates after %v: got %d, want 3", thingWait, len(found))
		}
	}
	one, _, err := c.Node("w2", nil)
	check(t, err)
	if len(one) != 1 || one[0].Node != "w2" || one[0].Coord.Vec[0] != 0.2 {
		t.Errorf("coordinate of w2: got %+v", one)
	}
	near, _, err := client.Health().Service("web", "", false, &consul.QueryOptions{Near: "w3"})
	check(t, err)
	same(t, "instances near w3", names(near, func(e *consul.ServiceEntry) string { return e.Node.Node }), "w3 w2 w1")
	areas, err := c.Datacenters()
	check(t, err)
	if len(areas) != 1 || areas[0].Datacenter != "dc1" || areas[0].AreaID != "WAN" || len(areas[0].Coordinates) != 1 {
		t.Errorf("datacenters: got %+v", areas)
	}
}

func TestClientConfigEntries(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client().ConfigEntries()
	entry := &consul.ServiceConfigEntry{Kind: consul.ServiceDefaults, Name: "web", Protocol: "http", Meta: map[string]string{"owned_by": "us"}}
	done, _, err := c.Set(entry, nil)
	same(t, "set", fmt.Sprint(done, err), "true <nil>")
	router := &consul.ServiceRouterConfigEntry{Kind: consul.ServiceRouter, Name: "web", Routes: []consul.ServiceRoute{
		{Match: &consul.ServiceRouteMatch{HTTP: &consul.ServiceRouteHTTPMatch{PathPrefix: "/api"}}, Destination: &consul.ServiceRouteDestination{Service: "api"}},
	}}
	_, _, err = c.Set(router, nil)
	check(t, err)

	got, meta, err := c.Get(consul.ServiceDefaults, "web", nil)
	check(t, err)
	web := got.(*consul.ServiceConfigEntry)
	same(t, "entry", fmt.Sprintln(web.Kind, web.Name, web.Protocol, web.Meta, web.CreateIndex == meta.LastIndex),
		"service-defaults web http map[owned_by:us] true\n")
	got, _, err = c.Get(consul.ServiceRouter, "web", nil)
	check(t, err)
	same(t, "routes", got.(*consul.ServiceRouterConfigEntry).Routes, router.Routes)

	woken := make(chan string, 1)
	go func() {
		now, _, err := c.Get(consul.ServiceDefaults, "web", &consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: thingWait})
		if err != nil {
			t.Error(err)
		}
		woken <- now.(*consul.ServiceConfigEntry).Protocol
	}()
	entry.Protocol = "tcp"
	done, _, err = c.CAS(entry, web.ModifyIndex, nil)
	same(t, "set on a condition", fmt.Sprint(done, err), "true <nil>")
	same(t, "protocol after a wait", await(t, "the entry wakes", woken), "tcp")
	done, _, err = c.CAS(entry, web.ModifyIndex, nil)
	same(t, "set on a condition that no longer holds", fmt.Sprint(done, err), "false <nil>")

	list, _, err := c.List(consul.ServiceDefaults, nil)
	check(t, err)
	none, _, err := c.List(consul.ServiceResolver, nil)
	check(t, err)
	same(t, "entries: of the kind, of another", []int{len(list), len(none)}, []int{1, 0})
	gone, _, err := c.DeleteCAS(consul.ServiceDefaults, "web", web.ModifyIndex, nil)
	same(t, "delete on a condition that does not hold", fmt.Sprint(gone, err), "false <nil>")
	_, err = c.Delete(consul.ServiceDefaults, "web", nil)
	check(t, err)
	if e, _, err := c.Get(consul.ServiceDefaults, "web", nil); err == nil {
		t.Errorf("read of a deleted entry: got %+v, wanted an error", e)
	}
}
