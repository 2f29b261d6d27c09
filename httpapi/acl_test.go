package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// rootSecret is the management token of guarded stages.
const rootSecret = "b0000000-0000-4000-8000-000000000001"

// guarded are options of a server that denies what no rule allows.
func guarded(keyList bool) inproc.Options {
	return inproc.Options{Tune: func(c *server.Config) {
		c.ACL = &server.ACLConfig{
			Options:           acl.Options{Default: acl.DenyAll{}, KeyList: keyList},
			InitialManagement: rootSecret,
		}
	}}
}

// setGuardedStage puts the fixture onto a server with ACLs.
func setGuardedStage(t *testing.T, keyList bool) *stage {
	t.Helper()
	o := guarded(keyList)
	o.LocalChecks = true
	s := &stage{Server: inproc.Start(t, o)}
	s.awaitToken(t, rootSecret)
	s.furnish(t, "token="+rootSecret)
	return s
}

// awaitToken waits until the leader has made a token.
func (s *stage) awaitToken(t *testing.T, secret string) {
	t.Helper()
	for {
		v := s.Store.View()
		if v.ACLTokenBySecret(secret) != nil {
			return
		}
		select {
		case <-v.Watch().Changed[0]:
		case <-t.Context().Done():
			t.Fatal("the leader makes no management token")
		}
	}
}

// as asks with a token.
func (s *stage) as(secret, method, target, body string) *httptest.ResponseRecorder {
	return s.Do(method, with(target, "token="+secret), body)
}

// token makes a token with rules and returns its secret and the ID of its policy.
func (s *stage) token(t *testing.T, name, rules string) (secret, policy string) {
	t.Helper()
	var p api.ACLPolicy
	s.answer(t, "PUT", "/v1/acl/policy", encode(t, api.ACLPolicy{Name: name, Rules: rules}), &p)
	var made api.ACLToken
	s.answer(t, "PUT", "/v1/acl/token", encode(t, api.ACLToken{ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{ID: p.ID}}}}), &made)
	return made.SecretID, p.ID
}

// answer asks as root and decodes what is answered.
func (s *stage) answer(t *testing.T, method, target, body string, into any) {
	t.Helper()
	w := s.as(rootSecret, method, target, body)
	if err := json.Unmarshal(w.Body.Bytes(), into); w.Code != http.StatusOK || err != nil {
		t.Fatalf("%s %s %s\n got %d %q, %v\nwant 200", method, target, body, w.Code, w.Body, err)
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lack is what a refusal says that the token has not.
var lack = regexp.MustCompile(`token with AccessorID '[-0-9a-f]{36}' lacks permission '([a-z]+):([a-z]+)'(?: on "([^"]*)")?`)

// TestRefusalsNameWhatIsNeeded asks every verb with a token without rules, adds
// the rule that the refusal names, and wants it to be enough.
func TestRefusalsNameWhatIsNeeded(t *testing.T) {
	for _, op := range api.Ops() {
		sample := sampleOf(t, op)
		if sample.public {
			continue
		}
		s := setGuardedStage(t, false)
		body := sample.body
		if body == "SNAPSHOT" {
			body = s.as(rootSecret, "GET", "/v1/snapshot", "").Body.String()
		} else {
			body = s.fill(t, body)
		}
		target := s.fill(t, sample.target)
		rules := ""
		secret, policy := s.token(t, "walk", rules)
		w := s.as(secret, op.Method, target, body)
		for asked := 0; w.Code == 403 || w.Code == 409; asked++ {
			m := lack.FindStringSubmatch(strings.ReplaceAll(w.Body.String(), `\"`, `"`))
			if m == nil && rules == "" && w.Body.String() == sample.hidden {
				break // it names nothing
			}
			if m == nil || asked == 5 {
				t.Errorf("%s with %q: got %d %q; want a permission to be named, five at most", op.Name, rules, w.Code, w.Body)
				break
			}
			if m[1] == "acl" || m[1] == "operator" || m[1] == "keyring" || m[1] == "mesh" || m[1] == "peering" {
				rules += fmt.Sprintf("%s = %q\n", m[1], m[2])
			} else {
				rules += fmt.Sprintf("%s %q { policy = %q }\n", m[1], m[3], m[2])
			}
			s.answer(t, "PUT", "/v1/acl/policy/"+policy, encode(t, api.ACLPolicy{Name: "walk", Rules: rules}), &api.ACLPolicy{})
			w = s.as(secret, op.Method, target, body)
		}
		got := answerOf(w.Code, w.Body.String())
		switch {
		case rules == "" && sample.hidden != "" && got != sample.hidden:
			t.Errorf("%s without rules: got %d %q; want %q", op.Name, w.Code, w.Body, sample.hidden)
		case rules == "" && sample.hidden == "":
			t.Errorf("%s without rules: got %d %q; want a refusal", op.Name, w.Code, w.Body)
		case rules != "" && w.Code != 200 && w.Body.String() != sample.refused:
			t.Errorf("%s with %q: got %d %q; want 200", op.Name, rules, w.Code, w.Body)
		}
		s.Stop()
	}
}

// TestTokensEndToEnd follows tokens through their life.
func TestTokensEndToEnd(t *testing.T) {
	s := setGuardedStage(t, true)
	reader, policy := s.token(t, "reader", `key_prefix "app/" { policy = "read" } node_prefix "" { policy = "read" }`)
	lister, _ := s.token(t, "lister", `key_prefix "app/" { policy = "list" }`)
	for _, c := range []struct {
		name, secret, method, target, body string
		code                               int
		has                                string
	}{
		{"unknown", "8f246b77-0000-ff88-5b48-8ec93abf3e05", "GET", "/v1/catalog/nodes", "", 403, "ACL not found"},
		{"unknown to the agent", "8f246b77-0000-ff88-5b48-8ec93abf3e05", "GET", "/v1/agent/members", "", 403, "ACL not found"},
		{"root word", "deny", "GET", "/v1/kv/app/a", "", 500, "Cannot resolve root ACL"},
		{"read", reader, "GET", "/v1/kv/app/a?raw", "", 200, "1"},
		{"no list", reader, "GET", "/v1/kv/app/?recurse", "", 403, "'key:list' on \"app/\""},
		{"no list of names", reader, "GET", "/v1/kv/app/?keys", "", 403, "'key:list'"},
		{"list", lister, "GET", "/v1/kv/app/?keys", "", 200, "app/b"},
		{"no write", reader, "PUT", "/v1/kv/app/a", "x", 403, "'key:write' on \"app/a\""},
		{"no tree", reader, "DELETE", "/v1/kv/app/?recurse", "", 403, "'key:write' on \"app/\""},
		{"self", reader, "GET", "/v1/acl/token/self", "", 200, reader},
		{"not others", reader, "GET", "/v1/acl/token/" + tokenID, "", 403, "'acl:read'"},
		{"anonymous", "", "GET", "/v1/kv/app/a", "", 403, "anonymous token lacks permission 'key:read' on \"app/a\". The anonymous token is used implicitly"},
		{"builtin reads all, but no secrets", secretID, "GET", "/v1/acl/token/" + tokenID, "", 200, `"SecretID":"\u003chidden\u003e"`},
		{"nor in lists", secretID, "GET", "/v1/acl/tokens", "", 200, `"SecretID":"\u003chidden\u003e"`},
		{"nor by the older list", secretID, "GET", "/v1/acl/list", "", 403, "'acl:write'"},
		{"expanded", rootSecret, "GET", "/v1/acl/token/" + tokenID + "?expanded", "", 200, `"ExpandedPolicies":[{"ID":"00000000-0000-0000-0000-000000000002"`},
		{"not the anonymous one", rootSecret, "DELETE", "/v1/acl/token/" + acl.Anonymous, "", 400, "anonymous token"},
		{"not the builtin policy", rootSecret, "PUT", "/v1/acl/policy/" + api.ManagementPolicy, `{"Name":"x"}`, 400, "builtin"},
		{"another secret", rootSecret, "PUT", "/v1/acl/token/" + tokenID, `{"SecretID":"b0000000-0000-4000-8000-000000000009"}`, 400, "SecretID"},
		{"reserved", rootSecret, "PUT", "/v1/acl/token", `{"AccessorID":"00000000-0000-0000-0000-000000000009"}`, 400, "reserved"},
		{"both ends", rootSecret, "PUT", "/v1/acl/token", `{"ExpirationTTL":"1h","ExpirationTime":"2100-01-01T00:00:00Z"}`, 400, "cannot both be set"},
		{"node identity", rootSecret, "PUT", "/v1/acl/token", `{"NodeIdentities":[{"NodeName":"n1"}]}`, 400, "datacenter"},
		{"service identity", rootSecret, "PUT", "/v1/acl/token", `{"ServiceIdentities":[{"ServiceName":"a b"}]}`, 400, "invalid name"},
		{"template", rootSecret, "PUT", "/v1/acl/token", `{"TemplatedPolicies":[{"TemplateName":"none"}]}`, 400, "templated policy"},
		{"bad rules", rootSecret, "PUT", "/v1/acl/policy", `{"Name":"bad","Rules":"service \"\" {\n policy = \"list\" }"}`, 400, "Invalid service policy: line 2"},
		{"long name", rootSecret, "PUT", "/v1/acl/policy", `{"Name":"` + strings.Repeat("a", 129) + `"}`, 400, "invalid Name"},
		{"translate", rootSecret, "POST", "/v1/acl/rules/translate", `key "a" { policy = "read" }`, 200, `key_prefix "a"`},
	} {
		if w := s.as(c.secret, c.method, c.target, c.body); w.Code != c.code || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s: %s %s %s\n got %d %q\nwant %d with %q", c.name, c.method, c.target, c.body, w.Code, w.Body, c.code, c.has)
		}
	}
	header := func(secret string) string {
		return s.as(secret, "GET", "/v1/catalog/services", "").Header().Get("X-Consul-Results-Filtered-By-Acls")
	}
	if got := header(reader) + "," + header("") + "," + header(rootSecret); got != "true,," {
		t.Errorf("X-Consul-Results-Filtered-By-ACLs of a token, nobody and root: got %q; want true,,", got)
	}
	s.answer(t, "PUT", "/v1/acl/policy/"+policy, `{"Name":"reader","Rules":"key \"app/a\" { policy = \"write\" }"}`, &api.ACLPolicy{})
	if w := s.as(reader, "PUT", "/v1/kv/app/a", "x"); w.Code != 200 {
		t.Errorf("after the policy changed: got %d %q; want 200", w.Code, w.Body)
	}
	if w := s.as(rootSecret, "DELETE", "/v1/acl/policy/"+policy, ""); w.Code != 200 {
		t.Errorf("delete the policy: got %d %q", w.Code, w.Body)
	}
	if w := s.as(reader, "PUT", "/v1/kv/app/a", "x"); w.Code != 403 {
		t.Errorf("after the policy is gone: got %d %q; want 403", w.Code, w.Body)
	}
	if lines := s.Log.Find(rootSecret); len(lines) > 0 {
		t.Errorf("the log has a secret: %q", lines)
	}
}
