package httpapi_test

import (
	"strings"
	"testing"

	"curia/api"
)

// TestACLBadInput sends what is wrong to the endpoints of ACLs. Answers name the
// field, the value and the remedy, and nothing is written.
func TestACLBadInput(t *testing.T) {
	s := setGuardedStage(t, false)
	const nobody = "11111111-1111-4111-8111-111111111111"
	var old api.ACLToken
	var legacy api.LegacyID
	s.answer(t, "PUT", "/v1/acl/create", `{"Name":"old","Rules":"key \"a\" { policy = \"read\" }"}`, &legacy)
	s.answer(t, "GET", "/v1/acl/token/self?token="+legacy.ID, "", &old)
	jwt := `"Type":"jwt","Config":` + jwtConfig
	for _, c := range []struct {
		method, path, body string
		code               int
		has                string
	}{
		{"PUT", "token", `{"ExpirationTLL":"1h"}`, 400, `unknown field "ExpirationTLL"`},
		{"PUT", "token", `{"Policy":[{"Name":"p"}]}`, 400, `unknown field "Policy"`},
		{"PUT", "token", `{"Namespace":"team"}`, 400, `Invalid Namespace or Partition "team": neither is supported, leave them out`},
		{"PUT", "token", `{"Partition":"team"}`, 400, `"team"`},
		{"PUT", "token", `{"Rules":"key \"a\" { policy = \"read\" }"}`, 400, "Rules are for the older endpoints acl/create and acl/update: make a policy"},
		{"PUT", "token", `{"Policies":[{}]}`, 400, "Invalid link to a policy: it has neither ID nor Name"},
		{"PUT", "token", `{"Roles":[{}]}`, 400, "Invalid link to a role: it has neither ID nor Name"},
		{"PUT", "token/" + old.AccessorID, `{"Rules":"key \"b\" { policy = \"read\" }"}`, 400, "Rules are for the older endpoints"},
		{"PUT", "token/" + tokenID, `{"Rules":"key \"b\" { policy = \"read\" }"}`, 400, "Rules are for the older endpoints"},
		{"PUT", "token/" + tokenID, `{"ExpirationTTL":"1h"}`, 400, "Cannot change expiration time"},
		{"DELETE", "token/" + nobody, "", 404, "Cannot find token to delete"},
		{"PUT", "policy", `{"Name":"n","Rule":"key \"a\" { policy = \"read\" }"}`, 400, `unknown field "Rule"`},
		{"PUT", "policy", `{"Name":"n","Namespace":"team"}`, 400, `"team"`},
		{"PUT", "policy", `{"Name":"a b"}`, 400, `are allowed, not "a b"`},
		{"PUT", "policy", `{"Name":"` + strings.Repeat("a", 129) + `"}`, 400, "invalid Name. It has 129 characters, at most 128 are allowed"},
		{"PUT", "role", `{"Name":"n","Policy":[]}`, 400, `unknown field "Policy"`},
		{"PUT", "role", `{"Name":"n","Partition":"team"}`, 400, `"team"`},
		{"PUT", "role", `{"Name":"a/b"}`, 400, `are allowed, not "a/b"`},
		{"PUT", "role", `{"Name":"` + strings.Repeat("a", 257) + `"}`, 400, "invalid Name. It has 257 characters, at most 256 are allowed"},
		{"PUT", "auth-method", `{"Name":"n","MaxTokenTTLs":"1h",` + jwt + `}`, 400, `unknown field "MaxTokenTTLs"`},
		{"PUT", "auth-method", `{"Name":"n","Namespace":"team",` + jwt + `}`, 400, `"team"`},
		{"PUT", "auth-method/ci", `{"NamespaceRules":[],` + jwt + `}`, 400, `unknown field "NamespaceRules"`},
		{"PUT", "binding-rule", `{"AuthMethod":"ci","BindType":"role","BindName":"r","Select":"x"}`, 400, `unknown field "Select"`},
		{"PUT", "binding-rule", `{"AuthMethod":"ci","BindType":"role","BindName":"r","Namespace":5}`, 400, "namespace"},
		{"PUT", "update", "", 400, "ACL ID must be set"},
		{"PUT", "update", "{}", 400, "ACL ID must be set"},
		{"POST", "../query", `{"Name":"hides","Token":"<hidden>","Service":{"Service":"web"}}`, 400, `the Token "<hidden>" stands for one that was not shown`},
	} {
		before := s.Store.Index()
		target := strings.ReplaceAll("/v1/acl/"+c.path, "/acl/../", "/")
		w := s.as(rootSecret, c.method, target, c.body)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.has) || s.Store.Index() != before {
			t.Errorf("%s %s %s\n got %d %q\nwant %d with %q, and nothing written", c.method, target, c.body, w.Code, w.Body, c.code, c.has)
		}
	}
}

// TestACLRoundTrips sends back what was read, with the default namespace: nothing
// but the description changes, also of a token with rules of its own.
func TestACLRoundTrips(t *testing.T) {
	s := setGuardedStage(t, false)
	var legacy api.LegacyID
	s.answer(t, "PUT", "/v1/acl/create", `{"Name":"old","Rules":"key \"a\" { policy = \"read\" }"}`, &legacy)
	var old api.ACLToken
	s.answer(t, "GET", "/v1/acl/token/self?token="+legacy.ID, "", &old)
	for _, path := range []string{"token/" + tokenID, "token/" + old.AccessorID, "policy/" + s.policy, "role/" + s.role, "auth-method/ci", "binding-rule/" + s.rule} {
		var was, is, now map[string]any
		s.answer(t, "GET", "/v1/acl/"+path, "", &was)
		was["Description"], was["Namespace"], was["Partition"] = "another", "default", "default"
		s.answer(t, "PUT", "/v1/acl/"+path, encode(t, was), &is)
		s.answer(t, "GET", "/v1/acl/"+path, "", &now)
		for _, m := range []map[string]any{was, is, now} {
			for _, changes := range []string{"Hash", "ModifyIndex", "Namespace", "Partition"} {
				delete(m, changes)
			}
		}
		if got, want := encode(t, is)+encode(t, now), encode(t, was)+encode(t, was); got != want {
			t.Errorf("PUT %s of what was read\n got %s\nwant %s", path, got, want)
		}
	}
	if w := s.as(legacy.ID, "GET", "/v1/kv/a", ""); w.Code == 403 {
		t.Errorf("a token with rules of its own after an update: got %d %q; want it to have them still", w.Code, w.Body)
	}
	// Without its rules it is one of the newer kind.
	var now api.ACLToken
	s.answer(t, "PUT", "/v1/acl/token/"+old.AccessorID, `{"Description":"new"}`, &now)
	if w := s.as(legacy.ID, "GET", "/v1/kv/a", ""); w.Code != 403 || now.Legacy {
		t.Errorf("the token without its rules: got %d %q, %+v; want 403", w.Code, w.Body, now)
	}
}
