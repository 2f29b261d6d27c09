package realtest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// lacks is what a refusal says that a token has not.
var lacks = regexp.MustCompile(`lacks permission '([a-z]+):([a-z]+)'(?: on "([^"]*)")?`)

// begin asks with a token and gives the status and the beginning of the answer,
// which may go on for ever.
func (a *agent) begin(token, method, path, body string, header ...string) (status int, answer string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), thingWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.addr+path, strings.NewReader(body))
	check(a.t, err)
	req.Header.Set("X-Consul-Token", token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := plain.Do(req)
	check(a.t, err)
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && path == "/v1/agent/monitor" {
		return resp.StatusCode, "" // it says something when something happens
	}
	buf := make([]byte, 4096)
	n, _ := bufio.NewReader(resp.Body).Read(buf)
	return resp.StatusCode, string(buf[:n])
}

// described lists the operations that an agent describes: a method and a path with
// its parameters filled in.
func (a *agent) described() [][2]string {
	a.t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	_, body := a.must("GET", "/v1/openapi.json", "")
	check(a.t, json.Unmarshal([]byte(body), &doc))
	fill := strings.NewReplacer("{key}", "walk", "{node}", "n1", "{service}", "web", "{id}", "00000000-0000-0000-0000-000000000002", "{name}", "walk",
		"{kind}", "service-defaults", "{state}", "any", "{profile}", "goroutine", "{address}", "127.0.0.1:1", "{query}", "walk")
	var out [][2]string
	for path, methods := range doc.Paths {
		for method := range methods {
			if slices.Contains([]string{"get", "put", "post", "delete"}, method) {
				out = append(out, [2]string{strings.ToUpper(method), fill.Replace(path)})
			}
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[1]+a[0], b[1]+b[0]) })
	return out
}

// open are beginnings of paths that everybody may ask.
var open = []string{
	"/v1/openapi.json", "/v1/status/", "/v1/catalog/datacenters", "/v1/coordinate/datacenters", "/v1/acl/bootstrap", "/v1/acl/replication",
	"/v1/acl/token/self", "/v1/acl/info/", "/v1/acl/login", "/v1/acl/logout", "/v1/internal/acl/authorize",
}

// empty are answers that tell nothing.
var empty = []string{"", "[]", "{}", "null", "data: []\n", "data: {}\n", "data: null\n"}

// TestWalkWithoutPermissions asks everything that agents describe with a token that
// may do nothing, as a question and as a stream: it is refused, or the answer is
// empty, on a server as on an agent before it.
func TestWalkWithoutPermissions(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: guarded()})
	a.must("PUT", "/v1/kv/walk", "x")
	a.must("PUT", "/v1/catalog/register", `{"Node":"n1","Address":"127.0.0.1","SkipNodeUpdate":true,"Service":{"Service":"web"}}`)
	a.must("PUT", "/v1/config", `{"Kind":"service-defaults","Name":"walk"}`)
	a.must("PUT", "/v1/session/create", `{"Node":"n1"}`)
	a.must("POST", "/v1/query", `{"Name":"walk","Service":{"Service":"web"}}`)
	a.must("PUT", "/v1/agent/service/register", `{"Name":"web","Check":{"CheckID":"walk","TTL":"1h"}}`)
	a.must("PUT", "/v1/event/fire/walk", "")
	b := a.newcomer("n2", map[string]any{"enable_debug": true, "acl": map[string]any{"enabled": true, "default_policy": "deny", "tokens": map[string]any{"agent": root}}})
	a.sees("n1=1 n2=1")
	token, _, err := a.client().ACL().TokenCreate(&consul.ACLToken{}, nil)
	check(t, err)
	asked := 0
	for _, agent := range []*agent{a, b} {
		for _, op := range a.described() {
			method, path := op[0], op[1]
			if slices.ContainsFunc(open, func(begin string) bool { return strings.HasPrefix(path, begin) }) {
				continue
			}
			bodies, accepts := []string{""}, []string{"", "text/event-stream"}
			if method != "GET" {
				bodies, accepts = []string{"{}", walkBody(path)}, accepts[:1]
			}
			for _, body := range bodies {
				for _, accept := range accepts {
					asked++
					status, answer := agent.begin(token.SecretID, method, path, body, "Accept", accept)
					missing := (status == 404 || status == 406) && method == "GET" // 406: it is no stream
					bad := (status == 400 || status == 500 || status == 404) && body == "{}"
					refused := status == 403 || strings.Contains(answer, "Permission denied: ") // within a transaction
					if !refused && !missing && !bad && !(method == "GET" && silent(answer)) && !harmless(method, path) {
						t.Errorf("%s: %s %s %s (Accept: %s)\n got %d %q\nwant a refusal or nothing", agent.addr, method, path, body, accept, status, answer)
					}
				}
			}
		}
	}
	if asked < 300 {
		t.Errorf("%d questions; want all that are described", asked)
	}
}

// silent reports whether an answer, or the first of a stream, tells nothing.
func silent(answer string) bool {
	if strings.HasPrefix(answer, "id: ") { // the events of a stream
		for line := range strings.Lines(answer) {
			if strings.HasPrefix(line, "data: ") && !slices.Contains(empty, line) && !strings.Contains(line, `"Nodes":[]`) {
				return false
			}
		}
		return true
	}
	return slices.Contains(empty, answer) || strings.Contains(answer, `"Nodes":[]`)
}

// harmless are writes about something that does not exist, which are answered as
// if it had been removed or with 404.
func harmless(method, path string) bool {
	return method == "DELETE" && path == "/v1/query/walk" || method == "PUT" && (path == "/v1/query/walk" ||
		strings.HasPrefix(path, "/v1/session/destroy/") || strings.HasPrefix(path, "/v1/session/renew/") ||
		strings.HasPrefix(path, "/v1/agent/service/maintenance/"))
}

// walkBody is a body that a path takes.
func walkBody(path string) string {
	for begin, body := range map[string]string{
		"/v1/catalog/register": `{"Node":"n1","Address":"6.6.6.6"}`, "/v1/catalog/deregister": `{"Node":"n1"}`, "/v1/txn": `[{"KV":{"Verb":"set","Key":"walk"}}]`,
		"/v1/agent/service/register": `{"Name":"x"}`, "/v1/agent/check/register": `{"Name":"x","TTL":"1h"}`, "/v1/agent/check/update/": `{"Status":"passing"}`,
		"/v1/agent/maintenance": "", "/v1/query": `{"Name":"walk2","Service":{"Service":"web"}}`, "/v1/operator/keyring": `{"Key":"AAAA"}`,
		"/v1/config": `{"Kind":"service-defaults","Name":"x"}`, "/v1/agent/token/": `{"Token":"x"}`, "/v1/acl/update": `{"ID":"x"}`, "/v1/coordinate/update": `{"Node":"n1"}`,
	} {
		if strings.HasPrefix(path, begin) && body != "" {
			return body
		}
	}
	return "{}"
}

// TestRawVerbs asks for what agents answer with streams of bytes, adds the
// permission that a refusal names until it is enough, and takes it away again.
func TestRawVerbs(t *testing.T) {
	t.Parallel()
	conf := guarded()
	conf["enable_debug"], conf["telemetry"] = true, map[string]any{"prometheus_retention_time": "60s"}
	a := start(t, option{config: conf})
	b := a.newcomer("n2", map[string]any{"enable_debug": true, "telemetry": conf["telemetry"], "acl": map[string]any{
		"enabled": true, "default_policy": "deny", "token_ttl": "0s", "policy_ttl": "0s", "role_ttl": "0s", "tokens": map[string]any{"agent": root}}})
	a.sees("n1=1 n2=1")
	acls := a.client().ACL()
	for i, agent := range []*agent{a, b} {
		for j, path := range []string{"/v1/agent/metrics", "/v1/agent/metrics?format=prometheus", "/v1/agent/monitor", "/debug/pprof/heap", "/v1/snapshot"} {
			policy, _, err := acls.PolicyCreate(&consul.ACLPolicy{Name: fmt.Sprintf("raw-%d-%d", i, j)}, nil)
			check(t, err)
			token, _, err := acls.TokenCreate(&consul.ACLToken{Policies: []*consul.ACLLink{{ID: policy.ID}}}, nil)
			check(t, err)
			status, answer := agent.begin(token.SecretID, "GET", path, "")
			m := lacks.FindStringSubmatch(answer)
			if status != 403 || m == nil {
				t.Errorf("%s GET %s without rules: got %d %q; want 403 with what is needed", agent.addr, path, status, answer)
				continue
			}
			if policy.Rules = fmt.Sprintf("%s = %q", m[1], m[2]); m[1] == "agent" {
				policy.Rules = fmt.Sprintf("agent %q { policy = %q }", m[3], m[2])
			}
			_, _, err = acls.PolicyUpdate(policy, nil)
			check(t, err)
			if status, answer := agent.begin(token.SecretID, "GET", path, ""); status != 200 {
				t.Errorf("%s GET %s with %s: got %d %q; want 200", agent.addr, path, policy.Rules, status, answer)
			}
			_, err = acls.TokenDelete(token.AccessorID, nil)
			check(t, err)
			if status, answer := agent.begin(token.SecretID, "GET", path, ""); status != 403 || answer != "ACL not found" {
				t.Errorf("%s GET %s with a token that is gone: got %d %q; want 403", agent.addr, path, status, answer)
			}
		}
	}
}

// TestMonitorEndsWithTheToken takes the token away from who listens to the log.
func TestMonitorEndsWithTheToken(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: guarded()})
	acls := a.client().ACL()
	policy, _, err := acls.PolicyCreate(&consul.ACLPolicy{Name: "listens", Rules: `agent "n1" { policy = "read" }`}, nil)
	check(t, err)
	token, _, err := acls.TokenCreate(&consul.ACLToken{Policies: []*consul.ACLLink{{ID: policy.ID}}}, nil)
	check(t, err)
	stop := make(chan struct{})
	lines, err := a.clientAs(token.SecretID).Agent().Monitor("debug", stop, nil)
	check(t, err)
	defer close(stop)
	_, err = acls.TokenDelete(token.AccessorID, nil)
	check(t, err)
	late := time.After(thingWait)
	for {
		select {
		case line, more := <-lines:
			if !more || line == "" {
				return // it ended
			}
		case <-late:
			t.Fatal("who listens to the log is told more of it though the token is gone")
		}
	}
}
