package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// sites are datacenters that are asked to execute queries. Those without a caller
// cannot be reached.
type sites struct {
	server.Peers
	by    map[string]api.Caller
	mu    sync.Mutex
	asked []*api.Request
}

// Call implements api.Caller.
func (s *sites) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, req)
	s.mu.Unlock()
	if to := s.by[req.Datacenter]; to != nil {
		return to.Call(ctx, req)
	}
	return nil, api.ErrNoPath
}

// names gives the datacenters that were asked since the last call, in order.
func (s *sites) names() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, req := range s.asked {
		out = append(out, req.Datacenter)
	}
	s.asked = nil
	return strings.Join(out, " ")
}

// answering is a datacenter that answers all with a function.
type answering func(ctx context.Context, req *api.Request) (*api.Response, error)

// Call implements api.Caller.
func (f answering) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	return f(ctx, req)
}

// finding gives a datacenter whose answer has some nodes.
func finding(dc string, nodes ...string) answering {
	return func(context.Context, *api.Request) (*api.Response, error) {
		r := &api.QueryResult{Service: "web", Nodes: []*api.ServiceHealth{}, Datacenter: dc, DNS: api.QueryDNS{TTL: "7s"}}
		for _, name := range nodes {
			r.Nodes = append(r.Nodes, &api.ServiceHealth{Node: &api.Node{Node: name}, Service: &api.Service{Service: "web"}})
		}
		return &api.Response{Value: r}, nil
	}
}

// around starts a server that knows other datacenters, by their distance.
func around(t *testing.T, others *sites, o inproc.Options, known ...string) *inproc.Server {
	o.Tune = func(c *server.Config) {
		c.Peers = others
		c.Pools.Nearest = func() []string { return append([]string{"dc1"}, known...) }
	}
	return inproc.Start(t, o)
}

func TestFailoverOrder(t *testing.T) {
	others := &sites{by: map[string]api.Caller{
		"bare": finding("bare"), "empty": finding("empty"), "full": finding("full", "f1", "f2"), "rich": finding("rich", "r"),
		"sick": answering(func(context.Context, *api.Request) (*api.Response, error) { return nil, errors.New("it is ill") }),
		"odd":  answering(func(context.Context, *api.Request) (*api.Response, error) { return &api.Response{}, nil }),
	}}
	s := around(t, others, inproc.Options{}, "empty", "sick", "full", "down", "odd", "rich", "bare")
	s.Must(t, "PUT", "/v1/catalog/register", instances[0])
	for i, c := range []struct {
		failover string
		asked    string
		dc       string
		count    int
		nodes    string
	}{
		{`{}`, "", "dc1", 0, ""},
		{`{"NearestN":1}`, "empty", "empty", 1, ""},
		{`{"NearestN":2}`, "empty sick", "empty", 2, ""}, // the last that answered
		{`{"NearestN":3}`, "empty sick full", "full", 3, "f1f2"},
		{`{"NearestN":99}`, "empty sick full", "full", 3, "f1f2"},
		{`{"Datacenters":["rich"]}`, "rich", "rich", 1, "r"},
		{`{"Datacenters":["down","full","rich"]}`, "down full", "full", 2, "f1f2"},
		{`{"Datacenters":["sick","down"]}`, "sick down", "dc1", 2, ""},
		{`{"Datacenters":["odd","rich"]}`, "odd rich", "rich", 2, "r"},
		{`{"Datacenters":["unknown","dc1","","bare","bare","rich"]}`, "bare rich", "rich", 2, "r"},
		{`{"Datacenters":["unknown"]}`, "", "dc1", 0, ""},
		{`{"NearestN":2,"Datacenters":["bare","sick","empty","rich"]}`, "empty sick bare rich", "rich", 4, "r"},
		{`{"Targets":[{"Peer":"p"},{"Datacenter":"bare"},{"Datacenter":"full"}]}`, "bare full", "full", 2, "f1f2"},
	} {
		queryOf(t, s, fmt.Sprintf(`{"Name":"q%d","Service":{"Service":"none","Failover":%s}}`, i, c.failover))
		r := execute(t, s, fmt.Sprintf("q%d", i))
		got := fmt.Sprintf("%s: %s after %d: %q", others.names(), r.Datacenter, r.Failovers, nodesOf(r))
		if want := fmt.Sprintf("%s: %s after %d: %q", c.asked, c.dc, c.count, c.nodes); got != want {
			t.Errorf("failover %s\n got %s\nwant %s", c.failover, got, want)
		}
	}
	for _, line := range []string{"datacenter=sick err=it is ill", "datacenter=down err=No path", "not known", "peer=p"} {
		if len(s.Log.Find(line)) == 0 {
			t.Errorf("the log does not speak of %q:\n%s", line, s.Log)
		}
	}
	queryOf(t, s, `{"Name":"here","Service":{"Service":"web","Failover":{"NearestN":9}}}`)
	if r := execute(t, s, "here"); others.names() != "" || r.Datacenter != "dc1" || r.Failovers != 0 || nodesOf(r) != "a" {
		t.Errorf("a query with an instance here: got %+v, want it from here", r)
	}
	s.Must(t, "PUT", "/v1/catalog/register", strings.Replace(instances[0], "passing", "critical", 1))
	if r := execute(t, s, "here"); others.names() != "empty sick full" || r.Datacenter != "full" || r.Failovers != 3 || r.DNS.TTL != "7s" {
		t.Errorf("a query whose instance here became critical: got %+v, want it from full", r)
	}
}

func execute(t *testing.T, s *inproc.Server, query string) *api.QueryResult {
	t.Helper()
	body := s.Must(t, "GET", "/v1/query/"+query+"/execute", "")
	r := &api.QueryResult{}
	if err := json.Unmarshal([]byte(body), r); err != nil || !strings.Contains(body, `"Nodes":[`) {
		t.Fatalf("execute %s: got %s, %v", query, body, err)
	}
	return r
}

// TestFailoverRequest looks at what another datacenter is told.
func TestFailoverRequest(t *testing.T) {
	var got *api.Request
	bounded := false
	others := &sites{by: map[string]api.Caller{"dc2": answering(func(ctx context.Context, req *api.Request) (*api.Response, error) {
		_, bounded = ctx.Deadline()
		got = req
		return finding("dc2", "x")(ctx, req)
	})}}
	s := around(t, others, inproc.Options{Authorizer: func(string) acl.Authorizer { return acl.AllowAll{} }}, "dc2")
	queryOf(t, s, `{"Name":"find-","Token":"captured","Template":{"Type":"name_prefix_match"},"DNS":{"TTL":"9s"},
		"Service":{"Service":"${name.suffix}","Tags":["v1","!v2"],"OnlyPassing":true,"IgnoreCheckIDs":["disk"],"Near":"_agent",
		"NodeMeta":{"k":"v"},"ServiceMeta":{"m":"n"},"Failover":{"Targets":[{"Datacenter":"dc${match(0)}2"}]}}}`)
	queryOf(t, s, `{"Name":"plain","Service":{"Service":"db","Failover":{"Datacenters":["dc2"]}}}`)

	s.Must(t, "GET", "/v1/query/find-web/execute?limit=3&stale&token=mine&index=1&wait=1ms", "")
	if got == nil {
		t.Fatal("no other datacenter was asked")
	}
	args := got.Args.(*api.QueryElsewhereArgs)
	if diff := cmp.Diff(api.ServiceQuery{
		Service: "web", Tags: []string{"v1", "!v2"}, OnlyPassing: true, IgnoreCheckIDs: []string{"disk"}, Near: "_agent",
		NodeMeta: map[string]string{"k": "v"}, ServiceMeta: map[string]string{"m": "n"},
		Failover: api.QueryFailover{Datacenters: []string{}, Targets: []api.QueryTarget{{Datacenter: "dc2"}}},
	}, args.Definition.Service); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	if args.Definition.DNS.TTL != "9s" || args.Definition.Token != "" || args.Asked.Limit != 3 || args.Asked.Asked != "" {
		t.Errorf("arguments: got %+v, want the TTL and the limit, no token and no agent", args)
	}
	want := api.Query{Consistency: api.Stale}
	if got.Token != "captured" || got.Datacenter != "dc2" || got.Final || got.Query != want || !bounded {
		t.Errorf("request: got %+v, bounded %t, want the query's token in the mode of the caller, and a deadline", got, bounded)
	}
	s.Must(t, "GET", "/v1/query/plain/execute?near=n9&consistent&token=mine", "")
	if args := got.Args.(*api.QueryElsewhereArgs); got.Token != "mine" || got.Consistency != api.Consistent || args.Asked.Near != "n9" {
		t.Errorf("request: got %+v %+v, want the caller's token, mode and node", got, args)
	}
}

// TestFailoverElsewhere executes queries in a datacenter that does not have them.
func TestFailoverElsewhere(t *testing.T) {
	judge := func(token string) acl.Authorizer {
		if token == "" {
			return acl.AllowAll{}
		}
		return rights(token)
	}
	there := inproc.Start(t, inproc.Options{Authorizer: judge, Tune: func(c *server.Config) { c.Datacenter, c.Self.Datacenter = "dc2", "dc2" }})
	for _, body := range instances {
		there.Must(t, "PUT", "/v1/catalog/register", body)
	}
	others := &sites{by: map[string]api.Caller{"dc2": there.Server}}
	s := around(t, others, inproc.Options{Authorizer: judge}, "dc2")
	const failover = `"Failover":{"NearestN":1,"Datacenters":["dc2"]}`
	queryOf(t, s, `{"Name":"open","Service":{"Service":"web",`+failover+`}}`)
	queryOf(t, s, `{"Name":"tagged","Service":{"Service":"web","Tags":["v1"],"OnlyPassing":true,`+failover+`}}`)
	queryOf(t, s, `{"Name":"bound","Token":"service:read,node:read b","Service":{"Service":"web",`+failover+`}}`)
	queryOf(t, s, `{"Name":"loop","Service":{"Service":"none",`+failover+`}}`)
	for _, c := range []struct{ target, nodes string }{
		{"open/execute", "abd"},
		{"tagged/execute", "a"},
		{"open/execute?token=service:read,node:read+d", "d"},
		{"open/execute?token=none", ""},
		{"bound/execute?token=none", "b"},
		{"loop/execute", ""},
	} {
		r := &api.QueryResult{}
		if err := json.Unmarshal([]byte(s.Must(t, "GET", "/v1/query/"+c.target, "")), r); err != nil {
			t.Fatal(err)
		}
		if got := nodesOf(r); got != c.nodes || r.Datacenter != "dc2" || r.Failovers != 1 {
			t.Errorf("%s: got %q in %+v, want %q from dc2", c.target, got, r, c.nodes)
		}
		if asked := others.names(); asked != "dc2" {
			t.Errorf("%s: asked %q, want dc2 once", c.target, asked)
		}
	}
	r, err := api.Call(t.Context(), s.Agent, api.QueryExecute, api.QueryExecuteArgs{QueryRef: api.QueryRef{Query: "open"}, Limit: 1})
	if err != nil || len(r.Nodes) != 1 {
		t.Errorf("limit=1: got %+v, %v, want one instance", r, err)
	}
}

// TestFailoverTooLate passes over a datacenter that does not answer.
func TestFailoverTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		others := &sites{by: map[string]api.Caller{"dc2": answering(func(ctx context.Context, _ *api.Request) (*api.Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), "dc3": finding("dc3", "x")}}
		s := around(t, others, inproc.Options{}, "dc2", "dc3")
		defer s.Stop()
		queryOf(t, s, `{"Name":"q","Service":{"Service":"none","Failover":{"NearestN":2}}}`)
		if r := execute(t, s, "q"); r.Datacenter != "dc3" || r.Failovers != 2 || len(s.Log.Find("did not answer within 3s")) != 1 {
			t.Errorf("a datacenter that does not answer: got %+v\n%s", r, s.Log)
		}
	})
}

// TestFailoverEnds gives up with its caller.
func TestFailoverEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	others := &sites{by: map[string]api.Caller{"dc2": answering(func(ctx context.Context, _ *api.Request) (*api.Response, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}), "dc3": finding("dc3", "x")}}
	s := around(t, others, inproc.Options{}, "dc2", "dc3")
	queryOf(t, s, `{"Name":"q","Service":{"Service":"none","Failover":{"NearestN":2}}}`)
	_, err := api.Call(ctx, s.Agent, api.QueryExecute, api.QueryExecuteArgs{QueryRef: api.QueryRef{Query: "q"}})
	if asked := others.names(); !errors.Is(err, context.Canceled) || asked != "dc2" {
		t.Errorf("a caller who goes away: got %v after asking %q, want that it is canceled after dc2", err, asked)
	}
}
