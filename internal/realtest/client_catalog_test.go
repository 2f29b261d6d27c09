package realtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// web registers an instance of web on a node of its own.
func web(node, addr string, port int, status string, tags ...string) *consul.CatalogRegistration {
	return &consul.CatalogRegistration{
		Node: node, Address: addr, NodeMeta: map[string]string{"rack": "r" + node[1:]},
		Service: &consul.AgentService{ID: "web-" + node, Service: "web", Tags: tags, Port: port, Meta: map[string]string{"version": "1"}},
		Checks: consul.HealthChecks{
			{Node: node, CheckID: "alive", Name: "node is alive", Status: consul.HealthPassing},
			{Node: node, CheckID: "web", Name: "web answers", Status: status, ServiceID: "web-" + node, Output: "tried"},
		},
	}
}

// register puts three instances of web into the catalog.
func register(t *testing.T, c *consul.Client) {
	t.Helper()
	for _, reg := range []*consul.CatalogRegistration{
		web("w1", "10.0.0.1", 80, consul.HealthPassing, "green", "v1"),
		web("w2", "10.0.0.2", 80, consul.HealthWarning, "green"),
		web("w3", "10.0.0.3", 81, consul.HealthCritical, "blue", "v1"),
	} {
		_, err := c.Catalog().Register(reg, nil)
		check(t, err)
	}
}

func names[T any](all []T, name func(T) string) string {
	var out []string
	for _, v := range all {
		out = append(out, name(v))
	}
	return strings.Join(out, " ")
}

func TestClientCatalog(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	client := a.client()
	c := client.Catalog()
	register(t, client)
	dcs, err := c.Datacenters()
	same(t, "datacenters", fmt.Sprint(dcs, err), "[dc1] <nil>")
	services, meta, err := c.Services(nil)
	check(t, err)
	slices.Sort(services["web"])
	same(t, "services", services, map[string][]string{"consul": {}, "web": {"blue", "green", "v1"}})
	if meta.LastIndex == 0 || !meta.KnownLeader {
		t.Errorf("services: got %+v", meta)
	}

	nodeName := func(n *consul.Node) string { return n.Node + "=" + n.Address }
	ofService := func(s *consul.CatalogService) string { return fmt.Sprint(s.Node, ":", s.ServiceID, ":", s.ServicePort) }
	for _, q := range []struct {
		options *consul.QueryOptions
		want    string
	}{
		{&consul.QueryOptions{NodeMeta: map[string]string{"rack": "r2"}}, "w2=10.0.0.2"},
		{&consul.QueryOptions{Filter: `Node == "w3" or Meta.rack == "r1"`}, "w1=10.0.0.1 w3=10.0.0.3"},
		{&consul.QueryOptions{Filter: `Node == "none"`}, ""},
		{&consul.QueryOptions{Near: "n1", Filter: `Node matches "^w"`, AllowStale: true}, "w1=10.0.0.1 w2=10.0.0.2 w3=10.0.0.3"},
	} {
		nodes, _, err := c.Nodes(q.options)
		check(t, err)
		same(t, fmt.Sprintf("nodes with %+v", q.options), names(nodes, nodeName), q.want)
	}
	for _, q := range []struct {
		tags    []string
		options *consul.QueryOptions
		want    string
	}{
		{nil, nil, "w1:web-w1:80 w2:web-w2:80 w3:web-w3:81"},
		{[]string{"green"}, nil, "w1:web-w1:80 w2:web-w2:80"},
		{[]string{"green", "v1"}, nil, "w1:web-w1:80"},
		{nil, &consul.QueryOptions{NodeMeta: map[string]string{"rack": "r3"}}, "w3:web-w3:81"},
		{nil, &consul.QueryOptions{Filter: `ServicePort == 81 and "blue" in ServiceTags`}, "w3:web-w3:81"},
		{nil, &consul.QueryOptions{Filter: `ServiceMeta.version == "1" and NodeMeta.rack != "r1"`, RequireConsistent: true}, "w2:web-w2:80 w3:web-w3:81"},
	} {
		got, _, err := c.ServiceMultipleTags("web", q.tags, q.options)
		check(t, err)
		same(t, fmt.Sprintf("service web %q with %+v", q.tags, q.options), names(got, ofService), q.want)
	}
	none, _, err := c.Service("none", "", nil)
	same(t, "an unknown service", fmt.Sprint(none, err), "[] <nil>")
	if _, _, err := c.Nodes(&consul.QueryOptions{Filter: "Node =="}); err == nil {
		t.Error("a broken filter: got no error")
	}
	if _, err := c.Register(&consul.CatalogRegistration{Node: "", Address: "1.2.3.4"}, nil); err == nil {
		t.Error("register without a name: got no error")
	}
	if _, _, err := c.Nodes(&consul.QueryOptions{Datacenter: "elsewhere"}); err == nil {
		t.Error("an unknown datacenter: got no error")
	}
}

func TestClientCatalogNode(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	client := a.client()
	c := client.Catalog()
	register(t, client)

	node, _, err := c.Node("w1", nil)
	check(t, err)
	if node == nil || node.Node.Address != "10.0.0.1" || node.Node.Datacenter != "dc1" || len(node.Services) != 1 {
		t.Fatalf("node w1: got %+v", node)
	}
	s := node.Services["web-w1"]
	same(t, "service of w1", fmt.Sprint(s.Service, s.Port, s.Tags, s.Meta), fmt.Sprint("web", 80, []string{"green", "v1"}, map[string]string{"version": "1"}))
	list, _, err := c.NodeServiceList("w1", nil)
	check(t, err)
	same(t, "service list of w1", list.Node.Node+" "+names(list.Services, func(s *consul.AgentService) string { return s.ID }), "w1 web-w1")
	missing, _, err := c.Node("nobody", nil)
	same(t, "an unknown node", fmt.Sprint(missing, err), "<nil> <nil>")

	services, meta, err := c.Services(nil)
	check(t, err)
	if !slices.Contains(slices.Collect(maps.Keys(services)), "web") {
		t.Fatalf("services: got %v", services)
	}
	woken := make(chan bool, 1)
	go func() {
		now, _, err := c.Services(&consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: thingWait})
		if err != nil {
			t.Error(err)
		}
		_, there := now["db"]
		woken <- there
	}()
	_, err = c.Register(&consul.CatalogRegistration{Node: "w1", Address: "10.0.0.1", SkipNodeUpdate: true, Service: &consul.AgentService{Service: "db"}}, nil)
	check(t, err)
	same(t, "the new service after a wait", await(t, "services wake", woken), true)

	for _, d := range []struct {
		dereg *consul.CatalogDeregistration
		want  string
	}{
		{&consul.CatalogDeregistration{Node: "w1", ServiceID: "db"}, "web-w1 alive web"},
		{&consul.CatalogDeregistration{Node: "w1", CheckID: "alive"}, "web-w1 web"},
		{&consul.CatalogDeregistration{Node: "w1", ServiceID: "web-w1"}, ""},
	} {
		_, err := c.Deregister(d.dereg, nil)
		check(t, err)
		list, _, err := c.NodeServiceList("w1", nil)
		check(t, err)
		checks, _, err := client.Health().Node("w1", nil)
		check(t, err)
		got := names(list.Services, func(s *consul.AgentService) string { return s.ID }) + " " +
			names(checks, func(c *consul.HealthCheck) string { return c.CheckID })
		same(t, fmt.Sprintf("what is left after deregistering %+v", d.dereg), strings.TrimSpace(got), d.want)
	}
	_, err = c.Deregister(&consul.CatalogDeregistration{Node: "w1"}, nil)
	check(t, err)
	node, _, err = c.Node("w1", nil)
	same(t, "the node after deregistering it", fmt.Sprint(node, err), "<nil> <nil>")
}

func TestClientHealth(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	client := a.client()
	h := client.Health()
	register(t, client)

	checkName := func(c *consul.HealthCheck) string { return c.Node + ":" + c.CheckID + ":" + c.Status }
	checks, meta, err := h.Node("w2", nil)
	check(t, err)
	same(t, "checks of w2", names(checks, checkName), "w2:alive:passing w2:web:warning")
	same(t, "status of w2", checks.AggregatedStatus(), consul.HealthWarning)
	if meta.LastIndex == 0 {
		t.Errorf("checks of w2: got %+v", meta)
	}
	checks, _, err = h.Checks("web", nil)
	check(t, err)
	same(t, "checks of web", names(checks, checkName), "w1:web:passing w2:web:warning w3:web:critical")
	same(t, "tags of a check", checks[0].ServiceTags, []string{"green", "v1"})
	checks, _, err = h.Checks("web", &consul.QueryOptions{Filter: `Status != "passing"`, NodeMeta: map[string]string{"rack": "r3"}})
	check(t, err)
	same(t, "bad checks of web in rack r3", names(checks, checkName), "w3:web:critical")
	for state, want := range map[string]string{
		consul.HealthWarning: "w2:web:warning", consul.HealthCritical: "w3:web:critical",
	} {
		checks, _, err := h.State(state, nil)
		check(t, err)
		same(t, "checks in state "+state, names(checks, checkName), want)
	}
	checks, _, err = h.State(consul.HealthAny, &consul.QueryOptions{Filter: `Node == "w3"`})
	check(t, err)
	same(t, "checks of w3 in any state", names(checks, checkName), "w3:alive:passing w3:web:critical")

	entry := func(e *consul.ServiceEntry) string {
		return fmt.Sprint(e.Node.Node, ":", e.Service.Port, ":", len(e.Checks), ":", e.Checks.AggregatedStatus())
	}
	for _, q := range []struct {
		tags    []string
		passing bool
		options *consul.QueryOptions
		want    string
	}{
		{nil, false, nil, "w1:80:2:passing w2:80:2:warning w3:81:2:critical"},
		{nil, true, nil, "w1:80:2:passing"},
		{[]string{"v1"}, false, nil, "w1:80:2:passing w3:81:2:critical"},
		{[]string{"v1", "blue"}, false, nil, "w3:81:2:critical"},
		{nil, false, &consul.QueryOptions{Filter: `Service.Port == 80 and Node.Meta.rack == "r2"`}, "w2:80:2:warning"},
		{nil, false, &consul.QueryOptions{Filter: `Service.Port != 80`, AllowStale: true}, "w3:81:2:critical"},
	} {
		got, _, err := h.ServiceMultipleTags("web", q.tags, q.passing, q.options)
		check(t, err)
		same(t, fmt.Sprintf("health of web %q passing=%t with %+v", q.tags, q.passing, q.options), names(got, entry), q.want)
	}

	_, meta, err = h.Service("web", "", true, nil)
	check(t, err)
	woken := make(chan string, 1)
	go func() {
		now, _, err := h.Service("web", "", true, &consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: thingWait})
		if err != nil {
			t.Error(err)
		}
		woken <- names(now, entry)
	}()
	_, err = client.Catalog().Register(web("w3", "10.0.0.3", 81, consul.HealthPassing, "blue", "v1"), nil)
	check(t, err)
	same(t, "healthy instances after a wait", await(t, "health wakes", woken), "w1:80:2:passing w3:81:2:passing")
}

func TestClientAgentStatusOperator(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	leader, err := c.Status().Leader()
	check(t, err)
	peers, err := c.Status().Peers()
	check(t, err)
	same(t, "peers", peers, []string{leader})

	self, err := c.Agent().Self()
	check(t, err)
	same(t, "self: node name, datacenter, member", fmt.Sprint(self["Config"]["NodeName"], self["Config"]["Datacenter"], self["Member"]["Name"]), fmt.Sprint("n1", "dc1", "n1"))
	name, err := c.Agent().NodeName()
	same(t, "node name", fmt.Sprint(name, " ", err), "n1 <nil>")
	members, err := c.Agent().Members(false)
	check(t, err)
	same(t, "members", names(members, func(m *consul.AgentMember) string { return fmt.Sprint(m.Name, m.Status) }), "n11")
	host, err := c.Agent().Host()
	check(t, err)
	if host["Memory"] == nil || host["Host"] == nil {
		t.Errorf("host: got %v", host)
	}
	version, err := c.Agent().Version()
	check(t, err)
	if version["HumanVersion"] == "" {
		t.Errorf("version: got %v", version)
	}
	raft, err := c.Operator().RaftGetConfiguration(nil)
	check(t, err)
	if len(raft.Servers) != 1 || !raft.Servers[0].Leader || !raft.Servers[0].Voter || raft.Servers[0].Address != leader || raft.Servers[0].Node != "n1" {
		t.Errorf("raft configuration: got %+v, wanted n1 at %s alone", raft.Servers, leader)
	}
}

func TestClientTxn(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	kvOp := func(verb consul.KVOp, key, value string, index uint64) *consul.TxnOp {
		return &consul.TxnOp{KV: &consul.KVTxnOp{Verb: verb, Key: key, Value: []byte(value), Index: index}}
	}
	ok, resp, _, err := c.Txn().Txn(consul.TxnOps{
		kvOp(consul.KVSet, "t/a", "1", 0), kvOp(consul.KVSet, "t/b", "2", 0), kvOp(consul.KVCheckNotExists, "t/c", "", 0), kvOp(consul.KVGetTree, "t/", "", 0),
		{Node: &consul.NodeTxnOp{Verb: consul.NodeSet, Node: consul.Node{Node: "tx", Address: "10.1.0.1"}}},
		{Service: &consul.ServiceTxnOp{Verb: consul.ServiceSet, Node: "tx", Service: consul.AgentService{ID: "s1", Service: "s", Port: 9}}},
		{Check: &consul.CheckTxnOp{Verb: consul.CheckSet, Check: consul.HealthCheck{Node: "tx", CheckID: "c1", Name: "c", Status: consul.HealthPassing, ServiceID: "s1"}}},
	}, nil)
	check(t, err)
	if !ok || len(resp.Errors) != 0 {
		t.Fatalf("transaction: got %t, %+v", ok, resp)
	}
	got := names(resp.Results, func(r *consul.TxnResult) string {
		switch {
		case r.KV != nil:
			return r.KV.Key + "=" + string(r.KV.Value)
		case r.Node != nil:
			return r.Node.Node
		case r.Service != nil:
			return r.Service.ID
		}
		return r.Check.CheckID
	})
	same(t, "results", got, "t/a= t/b= t/a=1 t/b=2 tx s1 c1")

	// One that fails takes all with it, and names the operation.
	_, before, err := c.KV().List("t/", nil)
	check(t, err)
	ok, resp, _, err = c.Txn().Txn(consul.TxnOps{
		kvOp(consul.KVSet, "t/a", "changed", 0), kvOp(consul.KVCAS, "t/b", "changed", 1),
		{Node: &consul.NodeTxnOp{Verb: consul.NodeDelete, Node: consul.Node{Node: "tx"}}},
	}, nil)
	check(t, err)
	if ok || len(resp.Errors) != 1 || resp.Errors[0].OpIndex != 1 {
		t.Errorf("transaction with a wrong index: got %t, %+v, wanted an error of operation 1", ok, resp)
	}
	pairs, after, err := c.KV().List("t/", nil)
	check(t, err)
	same(t, "what is there after a rollback",
		fmt.Sprint(names(pairs, func(p *consul.KVPair) string { return p.Key + "=" + string(p.Value) }), after.LastIndex), fmt.Sprint("t/a=1 t/b=2", before.LastIndex))
	entries, _, err := c.Health().Service("s", "", true, nil)
	check(t, err)
	same(t, "the service of a transaction", names(entries, func(e *consul.ServiceEntry) string { return e.Node.Node + e.Checks[0].CheckID }), "txc1")

	id, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{LockDelay: time.Millisecond}, nil)
	check(t, err)
	done, kv, _, err := c.KV().Txn(consul.KVTxnOps{
		{Verb: consul.KVLock, Key: "t/lock", Session: id, Value: []byte("x")}, {Verb: consul.KVCheckSession, Key: "t/lock", Session: id},
		{Verb: consul.KVUnlock, Key: "t/lock", Session: id}, {Verb: consul.KVDeleteTree, Key: "t/"},
	}, nil)
	if err != nil || !done {
		t.Errorf("lock and unlock in one transaction: got %t, %+v, %v", done, kv, err)
	}
}
