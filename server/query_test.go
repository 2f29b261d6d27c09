package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
)

// queryOf creates a prepared query and returns its ID.
func queryOf(t *testing.T, s *inproc.Server, body string) string {
	t.Helper()
	return strings.Split(s.Must(t, "POST", "/v1/query", body), `"`)[3]
}

func TestQueryDefinitions(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	session := sessionOf(t, s, `{"Node":"n1","NodeChecks":[]}`)
	queryOf(t, s, `{"Name":"twice","Service":{"Service":"web"}}`)
	queryOf(t, s, `{"Name":"geo-","Template":{"Type":"name_prefix_match"},"Service":{"Service":"${name.suffix}"}}`)
	for _, c := range []struct {
		body string
		code int
		text string // the answer has it; empty: anything
	}{
		{``, 500, "Must be bound to a session"},
		{`{}`, 500, "Must be bound to a session"},
		{`{"Service":{"Service":"web"}}`, 500, "Must be bound to a session"},
		{`{"Service":{"Service":"web"},"Session":"SESSION"}`, 200, ""},
		{`{"Service":{"Service":"web"},"Session":"none"}`, 500, `invalid session "none"`},
		{`{"Service":{"Service":"web"},"Template":{"Type":"name_prefix_match"}}`, 200, ""}, // answers every name
		{`{"Service":{"Service":"web"},"Template":{"Type":"name_prefix_match"}}`, 500, `template "" exists already`},
		{`{"Name":"x"}`, 500, "Must provide a Service name to query"},
		{`{"Name":"x","Service":{"Tags":["a"]}}`, 500, "Must provide a Service name to query"},
		{`{"Name":"TWICE","Service":{"Service":"web"}}`, 500, `prepared query "TWICE" exists already`},
		{`{"Name":"Geo-","Template":{"Type":"name_prefix_match"},"Service":{"Service":"x"}}`, 500, `template "Geo-" exists already`},
		{`{"Name":"geo-","Service":{"Service":"x"}}`, 200, ""}, // answers this name alone
		{`{"ID":"x","Name":"x","Service":{"Service":"web"}}`, 400, "leave it out"},
		{`{"Name":"x","Service":{"Service":"web","Failover":{"NearestN":-1}}}`, 400, "Failover.NearestN -1"},
		{`{"Name":"x","Service":{"Service":"web","Failover":{"NearestN":1,"Targets":[{"Datacenter":"dc2"}]}}}`, 400, "Targets"},
		{`{"Name":"x","Service":{"Service":"web"},"DNS":{"TTL":"10"}}`, 400, "Invalid DNS.TTL: "},
		{`{"Name":"x","Service":{"Service":"web"},"DNS":{"TTL":"-1s"}}`, 400, `Invalid DNS.TTL "-1s"`},
		{`{"Name":"x","Service":{"Service":"web","Namespace":"team"}}`, 400, "Namespace"},
		{`{"Name":"x","Service":{"Service":"web","Partition":"team"}}`, 400, "Partition"},
		{`{"Name":"x","Service":{"Service":"web","SamenessGroup":"g"}}`, 400, "SamenessGroup"},
		{`{"Name":"x","Service":{"Service":"web","Peer":"p"}}`, 400, "Peer"},
		{`{"Name":"x","Service":{"Service":"web"},"Template":{"Type":"suffix"}}`, 400, `Invalid Template.Type "suffix"`},
		{`{"Name":"x","Service":{"Service":"web"},"Template":{"Regexp":"x"}}`, 400, "Invalid Template: it has no Type"},
		{`{"Name":"x","Service":{"Service":"web"},"Template":{"Type":"name_prefix_match","Regexp":"("}}`, 400, "Invalid Template.Regexp: "},
		{`{"Name":"x","Service":{"Service":"web","Tags":["${nope}"]},"Template":{"Type":"name_prefix_match"}}`, 400, `Invalid template "${nope}"`},
		{`{"Name":"braces","Service":{"Service":"${nope}"}}`, 200, ""}, // no template
		{`{"Name":`, 400, "Request decode failed: "},
		{`{"Name":"x","Service":"web"}`, 400, "Request decode failed: "},
		{`{"name":"full","service":{"service":"web","namespace":"default","partition":"default","failover":{"nearestn":2,"datacenters":["dc2"]}},"dns":{"ttl":"10s"}}`, 200, ""},
	} {
		before := s.Store.Index()
		w := s.Do("POST", "/v1/query", strings.ReplaceAll(c.body, "SESSION", session))
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("POST /v1/query %s\n got %d %q\nwant %d %q", c.body, w.Code, w.Body, c.code, c.text)
		}
		if c.code == 400 && s.Store.Index() != before {
			t.Errorf("POST /v1/query %s was refused, but written to the log", c.body)
		}
	}
}

// TestQueryLife reads, replaces and removes a query.
func TestQueryLife(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	session := sessionOf(t, s, `{"Node":"n1","NodeChecks":[]}`)
	id := queryOf(t, s, `{"Name":"q","Session":"`+session+`","Token":"secret","Service":{"Service":"web"}}`)
	created := s.Store.Index()
	want := fmt.Sprintf(`[{"ID":"%s","Name":"q","Session":"%s","Token":"secret","Template":{"Type":"","Regexp":"","RemoveEmptyTags":false},`+
		`"Service":{"Service":"web","Failover":{"NearestN":0,"Datacenters":[]},"OnlyPassing":false,"IgnoreCheckIDs":[],"Near":"","Tags":[],`+
		`"NodeMeta":{},"ServiceMeta":{},"Connect":false},"DNS":{"TTL":""},"CreateIndex":%d,"ModifyIndex":%d}]`, id, session, created, created)
	for _, target := range []string{"/v1/query", "/v1/query/" + id} {
		if got := s.Must(t, "GET", target, ""); got != want {
			t.Errorf("GET %s\n got %s\nwant %s", target, got, want)
		}
	}
	if got := s.Must(t, "PUT", "/v1/query/"+id, `{"ID":"other","Name":"q2","Service":{"Service":"db"}}`); got != "" {
		t.Errorf("PUT of a query: got %q, want no body", got)
	}
	got := s.Must(t, "GET", "/v1/query/"+id, "")
	for _, part := range []string{`"ID":"` + id + `"`, `"Name":"q2"`, `"Session":""`, `"Service":"db"`, fmt.Sprintf(`"CreateIndex":%d,"ModifyIndex":%d`, created, created+1)} {
		if !strings.Contains(got, part) {
			t.Errorf("query after an update: got %s, want %s in it", got, part)
		}
	}
	if got := s.Must(t, "DELETE", "/v1/query/"+id, ""); got != "" {
		t.Errorf("DELETE of a query: got %q, want no body", got)
	}
	const update = `{"Name":"q2","Service":{"Service":"db"}}`
	for _, c := range []struct{ method, target, body string }{
		{"GET", "/v1/query/" + id, ""}, {"PUT", "/v1/query/" + id, update}, {"DELETE", "/v1/query/" + id, ""},
		{"GET", "/v1/query/" + id + "/execute", ""}, {"GET", "/v1/query/q2/execute", ""}, {"GET", "/v1/query/q2/explain", ""},
	} {
		if w := s.Do(c.method, c.target, c.body); w.Code != 404 || w.Body.String() != "Query not found" {
			t.Errorf("%s %s of a query that is gone: got %d %q, want 404 %q", c.method, c.target, w.Code, w.Body, "Query not found")
		}
	}
	bound := queryOf(t, s, `{"Session":"`+session+`","Service":{"Service":"web"}}`)
	s.Must(t, "PUT", "/v1/session/destroy/"+session, "")
	if w := s.Do("GET", "/v1/query/"+bound, ""); w.Code != 404 {
		t.Errorf("query of a session that ended: got %d %q, want 404", w.Code, w.Body)
	}
}

// instances is what the executions of this test choose from.
var instances = []string{
	`{"Node":"a","Address":"10.0.0.1","NodeMeta":{"rack":"r1"},"Service":{"Service":"web","Tags":["V1","green"],"Meta":{"env":"prod"}},
		"Check":{"CheckID":"up","Name":"up","ServiceID":"web","Status":"passing"}}`,
	`{"Node":"b","Address":"10.0.0.2","NodeMeta":{"rack":"r2"},"Service":{"Service":"web","Tags":["v1","beta"],"Meta":{"env":"prod"}},
		"Check":{"CheckID":"up","Name":"up","ServiceID":"web","Status":"warning"}}`,
	`{"Node":"c","Address":"10.0.0.3","NodeMeta":{"rack":"r1"},"Service":{"Service":"web","Tags":["v2"]},
		"Check":{"CheckID":"disk","Name":"disk","Status":"critical"}}`,
	`{"Node":"d","Address":"10.0.0.4","Service":{"Service":"web"}}`,
}

func TestQueryExecution(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for _, body := range instances {
		s.Must(t, "PUT", "/v1/catalog/register", body)
	}
	for i, c := range []struct{ service, params, nodes string }{
		{`"Service":"web"`, "", "abd"},
		{`"Service":"WEB"`, "", "abd"},
		{`"Service":"none"`, "", ""},
		{`"Service":"web","OnlyPassing":true`, "", "ad"},
		{`"Service":"web","IgnoreCheckIDs":["disk"]`, "", "abcd"},
		{`"Service":"web","OnlyPassing":true,"IgnoreCheckIDs":["up"]`, "", "abd"},
		{`"Service":"web","Tags":["v1"]`, "", "ab"},
		{`"Service":"web","Tags":["V1","!Beta"]`, "", "a"},
		{`"Service":"web","Tags":["!v1"]`, "", "d"},
		{`"Service":"web","Tags":[""]`, "", ""},
		{`"Service":"web","NodeMeta":{"rack":"r1"}`, "", "a"},
		{`"Service":"web","NodeMeta":{"rack":""}`, "", ""},
		{`"Service":"web","ServiceMeta":{"env":"prod"},"NodeMeta":{"rack":"r2"}`, "", "b"},
		{`"Service":"web","Connect":true`, "", ""},
		{`"Service":"web"`, "?connect", ""},
		{`"Service":"web"`, "?connect=false&near=a", "abd"},
		{`"Service":"web","Near":"b"`, "?limit=9", "abd"},
		{`"Service":"none","Failover":{"NearestN":3,"Datacenters":["dc2"]}`, "", ""},
	} {
		id := queryOf(t, s, fmt.Sprintf(`{"Name":"q%d","Service":{%s}}`, i, c.service))
		for _, name := range []string{id, fmt.Sprintf("Q%d", i)} {
			var got api.QueryResult
			body := s.Must(t, "GET", "/v1/query/"+name+"/execute"+c.params, "")
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if nodes := nodesOf(&got); nodes != c.nodes || got.Failovers != 0 || got.Datacenter != "dc1" || !strings.Contains(body, `"Nodes":[`) {
				t.Errorf("%s%s: got nodes %q in %s, want %q", c.service, c.params, nodes, body, c.nodes)
			}
		}
	}
	// Instances without checks have null, as nowhere else.
	if got := s.Must(t, "GET", "/v1/query/q8/execute", ""); !strings.Contains(got, `"Checks":null}]`) {
		t.Errorf("an instance without checks: got %s, want null", got)
	}
	for param, want := range map[string]struct {
		code int
		text string
	}{
		"limit=x":   {500, `Bad limit: strconv.Atoi: parsing "x": invalid syntax`},
		"limit=":    {200, ""},
		"limit=-1":  {200, ""},
		"connect=x": {400, "Invalid value for ?connect"},
	} {
		if w := s.Do("GET", "/v1/query/q0/execute?"+param, ""); w.Code != want.code || want.text != "" && w.Body.String() != want.text {
			t.Errorf("execute?%s: got %d %q, want %d %q", param, w.Code, w.Body, want.code, want.text)
		}
	}
}

// nodesOf gives the nodes of a result in alphabetical order.
func nodesOf(r *api.QueryResult) string {
	var out []string
	for _, h := range r.Nodes {
		out = append(out, h.Node.Node)
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// TestQueryOrder wants every instance to come first at some time, and a limit to
// choose by chance.
func TestQueryOrder(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for i := range 4 {
		register(t, s, fmt.Sprintf("node%d", i), "web", "passing")
	}
	queryOf(t, s, `{"Name":"web","Service":{"Service":"web"}}`)
	for _, limit := range []api.QueryLimit{0, 1, 2} {
		first := map[string]bool{}
		// Four instances: that one is never first in 200 has a chance of 4 × 0.75^200.
		for range 200 {
			r, err := api.Call(t.Context(), s.Agent, api.QueryExecute, api.QueryExecuteArgs{QueryRef: api.QueryRef{Query: "web"}, Limit: limit})
			if want := int(limit); err != nil || want > 0 && len(r.Nodes) != want || want == 0 && len(r.Nodes) != 4 {
				t.Fatalf("limit=%d: got %d instances, %v", limit, len(r.Nodes), err)
			}
			first[r.Nodes[0].Node.Node] = true
		}
		if len(first) != 4 {
			t.Errorf("limit=%d: only %v came first in 200 executions, want each of 4", limit, first)
		}
	}
}

// TestQueryTemplates executes and explains templates under names.
func TestQueryTemplates(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for _, body := range instances {
		s.Must(t, "PUT", "/v1/catalog/register", body)
	}
	id := queryOf(t, s, `{"Name":"find-","Template":{"Type":"name_prefix_match","Regexp":"^find-(.+?)(?:-tag-(.*))?$","RemoveEmptyTags":true},
		"Service":{"Service":"${match(1)}","Tags":["${match(2)}"]}}`)
	for name, want := range map[string]string{"find-web": "abd", "FIND-web": "", "find-WEB-tag-v1": "ab", "find-web-tag-beta": "b", "find-": "", "find-other": ""} {
		var got api.QueryResult
		if err := json.Unmarshal([]byte(s.Must(t, "GET", "/v1/query/"+name+"/execute", "")), &got); err != nil {
			t.Fatal(err)
		}
		if nodes := nodesOf(&got); nodes != want {
			t.Errorf("execute %s: got nodes %q, want %q", name, nodes, want)
		}
	}
	var got api.QueryExplanation
	if err := json.Unmarshal([]byte(s.Must(t, "GET", "/v1/query/find-web-tag-v1/explain", "")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Query.ID != id || got.Query.Name != "find-" || got.Query.Service.Service != "web" || !cmp.Equal(got.Query.Service.Tags, []string{"v1"}) {
		t.Errorf("explain find-web-tag-v1: got %+v", got.Query)
	}
	for _, verb := range []string{"execute", "explain"} {
		if w := s.Do("GET", "/v1/query/"+id+"/"+verb, ""); w.Code != 400 || !strings.Contains(w.Body.String(), `begins with "find-"`) {
			t.Errorf("%s of a template by its ID: got %d %q, want a 400 that says how", verb, w.Code, w.Body)
		}
	}
}

// rights grants what begins with one of its lines: "query:read q" also
// query:read on "q1".
type rights string

func (r rights) Allows(n acl.Need) bool {
	for _, line := range strings.Split(string(r), ",") {
		what, prefix, _ := strings.Cut(line, " ")
		if what == string(n.Resource)+":"+string(n.Access) && strings.HasPrefix(n.Name, prefix) {
			return true
		}
	}
	return false
}
func (r rights) ID() string { return string(r) }

// TestQueryRights asks with tokens that are lists of rights. Without a token
// everything is allowed.
func TestQueryRights(t *testing.T) {
	s := inproc.Start(t, inproc.Options{Authorizer: func(token string) acl.Authorizer {
		if token == "" {
			return acl.AllowAll{}
		}
		return rights(token)
	}})
	for _, body := range instances {
		s.Must(t, "PUT", "/v1/catalog/register", body)
	}
	session := sessionOf(t, s, `{"Node":"n1","NodeChecks":[]}`)
	ids := strings.NewReplacer(
		"OPEN", queryOf(t, s, `{"Name":"open","Service":{"Service":"web"}}`),
		"BOUND", queryOf(t, s, `{"Name":"bound","Token":"service:read,node:read b","Service":{"Service":"web"}}`),
		"ANON", queryOf(t, s, `{"Session":"`+session+`","Token":"node:read","Service":{"Service":"web"}}`),
	)
	const body = `{"Name":"open","Service":{"Service":"web"}}`
	for _, c := range []struct {
		token, method, target, body string
		code                        int
		has, lacks                  string
	}{
		{"none", "POST", "/v1/query", `{"Name":"new","Service":{"Service":"web"}}`, 403, "query:write", ""},
		{"query:write ne", "POST", "/v1/query", `{"Name":"new","Service":{"Service":"web"}}`, 200, "ID", ""},
		{"none", "POST", "/v1/query", `{"Service":{"Service":"web"},"Session":"` + session + `"}`, 200, "ID", ""},
		{"query:write bound", "PUT", "/v1/query/OPEN", body, 403, "query:write", ""},
		{"query:write bound", "PUT", "/v1/query/OPEN", `{"Name":"bound2","Service":{"Service":"web"}}`, 403, `'query:write' on "open"`, ""},
		{"query:write open", "PUT", "/v1/query/OPEN", body, 200, "", ""},
		{"query:read", "DELETE", "/v1/query/OPEN", "", 403, "query:write", ""},
		{"query:read bound", "GET", "/v1/query/OPEN", "", 403, `'query:read' on "open"`, ""},
		{"query:read bound", "GET", "/v1/query/open/explain", "", 403, `'query:read' on "open"`, ""},
		{"query:read bound", "GET", "/v1/query/BOUND", "", 200, `"Token":"\u003chidden\u003e"`, "service:read"},
		{"query:read bound", "GET", "/v1/query/bound/explain", "", 200, `"Token":"\u003chidden\u003e"`, "service:read"},
		{"query:read bound,acl:write", "GET", "/v1/query/BOUND", "", 200, `"Token":"service:read`, "hidden"},
		{"query:read bound", "GET", "/v1/query", "", 200, `"Name":"bound"`, `"Name":"open"`},
		{"query:read", "GET", "/v1/query", "", 200, `"Name":"open"`, `"Name":""`},
		{"query:read,acl:write", "GET", "/v1/query", "", 200, `"Name":""`, "hidden"},
		{"none", "GET", "/v1/query/ANON", "", 200, `"Token":"\u003chidden\u003e"`, "node:read"}, // who knows the ID may see it
		{"none", "GET", "/v1/query/open/execute", "", 200, `"Nodes":[]`, ""},
		{"service:read,node:read a", "GET", "/v1/query/open/execute", "", 200, `"Node":"a"`, `"Node":"b"`},
		{"none", "GET", "/v1/query/bound/execute", "", 200, `"Node":"b"`, `"Node":"a"`}, // its own token decides
		{"", "GET", "/v1/query/bound/execute", "", 200, `"Node":"b"`, `"Node":"a"`},
		{"service:read,node:read", "GET", "/v1/query/ANON/execute", "", 200, `"Nodes":[]`, ""},
		{"none", "DELETE", "/v1/query/ANON", "", 200, "", ""},
	} {
		r := s.Do(c.method, ids.Replace(c.target)+"?token="+strings.ReplaceAll(c.token, " ", "+"), c.body)
		if got := r.Body.String(); r.Code != c.code || !strings.Contains(got, c.has) || c.lacks != "" && strings.Contains(got, c.lacks) {
			t.Errorf("%s %s with %q\n got %d %s\nwant %d with %q, without %q", c.method, c.target, c.token, r.Code, got, c.code, c.has, c.lacks)
		}
	}
}

// TestQueryWaits wakes who waits for what a query finds when the query changes,
// also between services that have no instance.
func TestQueryWaits(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	id := queryOf(t, s, `{"Name":"q","Service":{"Service":"none"}}`)
	args := api.QueryExecuteArgs{QueryRef: api.QueryRef{Query: "q"}}
	for _, service := range []string{"nothing", "web"} {
		_, meta, err := api.Ask(t.Context(), s.Agent, api.QueryExecute, args, api.Query{})
		if err != nil {
			t.Fatal(err)
		}
		woken := wait(s, api.QueryExecute, args, api.Query{MinIndex: meta.Index})
		s.Must(t, "PUT", "/v1/query/"+id, `{"Name":"q","Service":{"Service":"`+service+`"}}`)
		got := <-woken
		if r, ok := got.resp.Value.(*api.QueryResult); got.err != nil || !ok || r.Service != service || got.resp.Index <= meta.Index {
			t.Errorf("waiting for a query that now asks for %s: got %+v, %v", service, got.resp, got.err)
		}
	}
}
