package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"curia/api"
)

// TestNamesInOtherCases asks under names that the catalog takes for the same and
// rules do not, and about one thing in the name of another.
func TestNamesInOtherCases(t *testing.T) {
	s := setGuardedStage(t, false)
	const id = "aaaaaaaa-0000-4000-8000-000000000001"
	var done any
	s.answer(t, "PUT", "/v1/catalog/register", `{"Node":"Vault","ID":"`+id+`","Address":"10.0.0.1",
		"Service":{"ID":"db1","Service":"db"},"Checks":[{"CheckID":"disk","Name":"disk","Status":"passing"},
		{"CheckID":"db-up","Name":"db-up","ServiceID":"db1","Status":"passing"}]}`, &done)
	low, _ := s.token(t, "low", `
		node_prefix "" { policy = "write" }      node "Vault" { policy = "deny" }
		session_prefix "" { policy = "write" }   session "Vault" { policy = "deny" }
		service_prefix "" { policy = "write" }   service "db" { policy = "deny" }`)
	services, _ := s.token(t, "services", `service_prefix "" { policy = "write" }`)
	none, _ := s.token(t, "none", "")
	for _, c := range []struct{ name, secret, method, target, body, lacks string }{
		{"register", low, "PUT", "/v1/catalog/register", `{"Node":"VAULT","Address":"6.6.6.6"}`, "node:write' on \"Vault\""},
		{"only the case", low, "PUT", "/v1/catalog/register", `{"Node":"VAULT","Address":"10.0.0.1"}`, "node:write' on \"Vault\""},
		{"the case with a service", services, "PUT", "/v1/catalog/register", `{"Node":"VAULT","Address":"10.0.0.1","Service":{"Service":"x"}}`, "node:write' on \"VAULT\""},
		{"take the ID", low, "PUT", "/v1/catalog/register", `{"Node":"mine","Address":"6.6.6.6","ID":"` + strings.ToUpper(id) + `"}`, "node:write' on \"Vault\""},
		{"a node named like an ID", services, "PUT", "/v1/catalog/register", `{"Node":"aaaaaaaa","Address":"6.6.6.6","SkipNodeUpdate":true,"Service":{"Service":"x"}}`, "node:write' on \"aaaaaaaa\""},
		{"deregister", low, "PUT", "/v1/catalog/deregister", `{"Node":"VAULT"}`, "node:write' on \"Vault\""},
		{"deregister its service", low, "PUT", "/v1/catalog/deregister", `{"Node":"VAULT","ServiceID":"db1"}`, "service:write' on \"db\""},
		{"deregister its check", low, "PUT", "/v1/catalog/deregister", `{"Node":"VAULT","CheckID":"disk"}`, "node:write' on \"Vault\""},
		{"session", low, "PUT", "/v1/session/create", `{"Node":"VAULT","Checks":[]}`, "session:write' on \"Vault\""},
		{"coordinate", low, "PUT", "/v1/coordinate/update", `{"Node":"VAULT","Coord":{"Vec":[0,0,0,0,0,0,0,0]}}`, "node:write' on \"Vault\""},
		{"txn get", low, "PUT", "/v1/txn", `[{"Node":{"Verb":"get","Node":{"Node":"VAULT"}}}]`, "node:read' on \"Vault\""},
		{"txn set", low, "PUT", "/v1/txn", `[{"Node":{"Verb":"set","Node":{"Node":"VAULT","Address":"6.6.6.6"}}}]`, "node:write' on \"Vault\""},
		{"txn delete", low, "PUT", "/v1/txn", `[{"Node":{"Verb":"delete","Node":{"Node":"VAULT"}}}]`, "node:write' on \"Vault\""},
		{"txn takes the ID", low, "PUT", "/v1/txn", `[{"Node":{"Verb":"set","Node":{"Node":"mine","Address":"6.6.6.6","ID":"` + strings.ToUpper(id) + `"}}}]`, "node:write' on \"Vault\""},
		{"txn service", low, "PUT", "/v1/txn", `[{"Service":{"Verb":"delete","Node":"VAULT","Service":{"ID":"db1"}}}]`, "service:write' on \"db\""},
		{"txn no service", none, "PUT", "/v1/txn", `[{"Service":{"Verb":"delete","Node":"Vault","Service":{"ID":"none"}}}]`, "node:write' on \"Vault\""},
		{"check of no service", none, "PUT", "/v1/txn", `[{"Check":{"Verb":"delete","Check":{"Node":"Vault","CheckID":"disk","ServiceID":"none"}}}]`, "node:write' on \"Vault\""},
		{"read it", none, "PUT", "/v1/txn", `[{"Check":{"Verb":"get","Check":{"Node":"Vault","CheckID":"disk","ServiceID":"none"}}}]`, "node:read' on \"Vault\""},
		{"check as of another service", low, "PUT", "/v1/txn", `[{"Check":{"Verb":"delete","Check":{"Node":"Vault","CheckID":"db-up","ServiceID":"none"}}}]`, "service:write' on \"db\""},
		{"check as of the node", low, "PUT", "/v1/txn", `[{"Check":{"Verb":"set","Check":{"Node":"VAULT","CheckID":"db-up","Status":"critical"}}}]`, "service:write' on \"db\""},
		{"check before its service", services, "PUT", "/v1/txn", `[{"Check":{"Verb":"set","Check":{"Node":"Vault","CheckID":"new","ServiceID":"x","Status":"critical"}}},
			{"Service":{"Verb":"set","Node":"Vault","Service":{"ID":"x","Service":"x"}}}]`, "node:write' on \"Vault\""},
		{"check of another service, after another operation", low, "PUT", "/v1/txn", `[{"Service":{"Verb":"delete","Node":"Vault","Service":{"ID":"none","Service":"x"}}},
			{"Check":{"Verb":"set","Check":{"Node":"Vault","CheckID":"new","ServiceID":"db1","Status":"critical"}}}]`, "service:write' on \"db\""},
		{"new check of no service", services, "PUT", "/v1/txn", `[{"Check":{"Verb":"set","Check":{"Node":"Vault","CheckID":"new","ServiceID":"none","Status":"critical"}}}]`, "node:write' on \"Vault\""},
	} {
		before := s.Store.Index()
		w := s.as(c.secret, c.method, c.target, c.body)
		got := strings.ReplaceAll(w.Body.String(), `\"`, `"`)
		if w.Code != 403 && w.Code != 409 || !strings.Contains(got, "lacks permission '"+c.lacks) || s.Store.Index() != before {
			t.Errorf("%s: %s %s %s\n got %d %s\nwant a refusal for %s", c.name, c.method, c.target, c.body, w.Code, got, c.lacks)
		}
	}
	both := `[{"Service":{"Verb":"set","Node":"Vault","Service":{"ID":"x","Service":"x"}}},
		{"Check":{"Verb":"set","Check":{"Node":"VAULT","CheckID":"x-up","ServiceID":"x","Status":"critical"}}}]`
	if w := s.as(services, "PUT", "/v1/txn", both); w.Code != 200 {
		t.Errorf("a service and its check: got %d %s; want 200", w.Code, w.Body)
	}
}

// TestHiddenBeforeCut wants what a caller may not see to be gone before the rest
// is cut to folders or to a limit.
func TestHiddenBeforeCut(t *testing.T) {
	s := setGuardedStage(t, false)
	var done any
	for _, key := range []string{"cut/a/b", "cut/a/c", "cut/d/e", "cut/f"} {
		s.answer(t, "PUT", "/v1/kv/"+key, "x", &done)
	}
	for _, node := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		s.answer(t, "PUT", "/v1/catalog/register", `{"Node":"cut-`+node+`","Address":"10.0.0.1","Service":{"Service":"cut"}}`, &done)
	}
	s.answer(t, "POST", "/v1/query", `{"Name":"cut","Service":{"Service":"cut"}}`, &done)
	low, _ := s.token(t, "low", `key_prefix "cut/" { policy = "read" } key_prefix "cut/d/e" { policy = "deny" }
		service "cut" { policy = "read" } node "cut-c" { policy = "read" } node "cut-f" { policy = "read" }`)
	one, _ := s.token(t, "one", `key "cut/a/c" { policy = "read" }`)
	for _, c := range []struct{ secret, target, want string }{
		{rootSecret, "/v1/kv/cut/?keys&separator=/", `["cut/a/","cut/d/","cut/f"]`},
		{low, "/v1/kv/cut/?keys&separator=/", `["cut/a/","cut/f"]`},
		{one, "/v1/kv/cut/?keys&separator=/", `["cut/a/"]`},
		{one, "/v1/kv/cut/a/?keys&separator=/", `["cut/a/c"]`},
	} {
		if w := s.as(c.secret, "GET", c.target, ""); w.Code != 200 || w.Body.String() != c.want {
			t.Errorf("GET %s: got %d %q; want %s", c.target, w.Code, w.Body, c.want)
		}
	}
	for range 10 { // the order is random
		if w := s.as(low, "GET", "/v1/query/cut/execute?limit=2", ""); strings.Count(w.Body.String(), `"Node":"cut-`) != 2 {
			t.Fatalf("execute with a limit of 2 by who may see 2: got %d %q", w.Code, w.Body)
		}
		if w := s.as(rootSecret, "GET", "/v1/query/cut/execute?limit=2", ""); strings.Count(w.Body.String(), `"Node":{`) != 2 {
			t.Fatalf("execute with a limit of 2 by who may see all: got %d %q", w.Code, w.Body)
		}
	}
}

// TestInitialManagementEndsBootstrapping wants nobody else to make a management
// token where the configuration names one.
func TestInitialManagementEndsBootstrapping(t *testing.T) {
	s := setGuardedStage(t, false)
	w := s.Do("PUT", "/v1/acl/bootstrap", "")
	if w.Code != 403 || !strings.HasPrefix(w.Body.String(), "Permission denied: ACL bootstrap no longer allowed (reset index: ") {
		t.Errorf("bootstrap: got %d %q; want 403", w.Code, w.Body)
	}
}

// TestTransactionsNeedWhatTheyName tries each kind of operation without rules, adds
// those that the refusals name, and wants them to be enough.
func TestTransactionsNeedWhatTheyName(t *testing.T) {
	for _, c := range []struct{ op, needs string }{
		{`{"KV":{"Verb":"get","Key":"app/a"}}`, "key app/a read"},
		{`{"KV":{"Verb":"get-tree","Key":"app/"}}`, "key app/ read"},
		{`{"KV":{"Verb":"check-not-exists","Key":"none"}}`, "key none read"},
		{`{"KV":{"Verb":"set","Key":"app/a","Value":"eA=="}}`, "key app/a write"},
		{`{"KV":{"Verb":"delete-tree","Key":"app/"}}`, "key app/ write"},
		{`{"Node":{"Verb":"get","Node":{"Node":"N2"}}}`, "node N2 read, node n2 read"},
		{`{"Node":{"Verb":"set","Node":{"Node":"n5","Address":"1.2.3.4"}}}`, "node n5 write"},
		{`{"Node":{"Verb":"delete","Node":{"Node":"n2"}}}`, "node n2 write"},
		{`{"Service":{"Verb":"get","Node":"n2","Service":{"ID":"web1"}}}`, "service web read"},
		{`{"Service":{"Verb":"set","Node":"n2","Service":{"Service":"x"}}}`, "service x write"},
		{`{"Service":{"Verb":"set","Node":"n2","Service":{"ID":"web1","Service":"x"}}}`, "service x write, service web write"},
		{`{"Service":{"Verb":"delete","Node":"n2","Service":{"ID":"web1"}}}`, "service web write"},
		{`{"Check":{"Verb":"get","Check":{"Node":"n2","CheckID":"web1-up"}}}`, "service web read"},
		{`{"Check":{"Verb":"set","Check":{"Node":"n2","CheckID":"web1-up","ServiceID":"web1","Status":"critical"}}}`, "service web write"},
		{`{"Check":{"Verb":"set","Check":{"Node":"n2","CheckID":"new","Status":"critical"}}}`, "node n2 write"},
		{`{"Check":{"Verb":"delete","Check":{"Node":"n2","CheckID":"web1-up"}}}`, "service web write"},
		{`{"Session":{"Verb":"delete","Session":{"ID":"SESSION"}}}`, "session n2 write"},
	} {
		s := setGuardedStage(t, false)
		secret, policy := s.token(t, "txn", "")
		body, rules := s.fill(t, "["+c.op+"]"), ""
		var named []string
		w := s.as(secret, "PUT", "/v1/txn", body)
		for len(named) < 5 {
			m := lack.FindStringSubmatch(strings.ReplaceAll(w.Body.String(), `\"`, `"`))
			if m == nil {
				break
			}
			named = append(named, m[1]+" "+m[3]+" "+m[2])
			word := m[1]
			if strings.HasSuffix(m[3], "/") {
				word += "_prefix"
			}
			rules += fmt.Sprintf("%s %q { policy = %q }\n", word, m[3], m[2])
			s.answer(t, "PUT", "/v1/acl/policy/"+policy, encode(t, api.ACLPolicy{Name: "txn", Rules: rules}), &api.ACLPolicy{})
			w = s.as(secret, "PUT", "/v1/txn", body)
		}
		if got := strings.Join(named, ", "); got != c.needs || w.Code != 200 {
			t.Errorf("txn %s\n got %d %s, needs %s\nwant 200, needs %s", body, w.Code, w.Body, got, c.needs)
		}
		s.Stop()
	}
}
