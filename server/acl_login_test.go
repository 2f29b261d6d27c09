package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
)

// ciKey signs the tokens of these tests.
var ciKey = ed25519.NewKeyFromSeed([]byte("the key of tests, and no secret."))

// badge is a token with claims that lasts an hour.
func badge(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range claims {
		all[k] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: ciKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(all).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ciMethod is an auth method that accepts badges.
func ciMethod(t *testing.T, name string) api.ACLAuthMethod {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(ciKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{
		"JWTValidationPubKeys": []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
		"ClaimMappings":        map[string]string{"sub": "name", "team": "team"},
		"ListClaimMappings":    map[string]string{"groups": "groups"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return api.ACLAuthMethod{Name: name, Type: api.AuthJWT, Config: config}
}

func createMethod(t *testing.T, s *inproc.Server, m api.ACLAuthMethod) *api.ACLAuthMethod {
	t.Helper()
	return must(t, s, api.ACLAuthMethodCreate, api.ACLCreate[api.ACLAuthMethod]{New: m})
}

func createRule(t *testing.T, s *inproc.Server, r api.ACLBindingRule) *api.ACLBindingRule {
	t.Helper()
	return must(t, s, api.ACLBindingRuleCreate, api.ACLCreate[api.ACLBindingRule]{New: r})
}

// login logs in without a token.
func login(s *inproc.Server, method, token string) (*api.ACLToken, error) {
	return call(s, "", api.ACLLogin, api.ACLLoginArgs{Login: api.ACLCredentials{AuthMethod: method, BearerToken: token}})
}

// may are the permissions that a login gave, by name.
func may(t *api.ACLToken) string {
	var out []string
	for _, i := range t.ServiceIdentities {
		out = append(out, "service "+i.ServiceName)
	}
	for _, i := range t.NodeIdentities {
		out = append(out, "node "+i.NodeName+" in "+i.Datacenter)
	}
	for _, l := range t.Roles {
		out = append(out, "role "+l.Name)
	}
	for _, l := range t.Policies {
		out = append(out, "policy "+l.Name)
	}
	for _, p := range t.TemplatedPolicies {
		text := "template " + p.TemplateName
		if p.TemplateVariables != nil {
			text += " " + p.TemplateVariables.Name
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// TestBindings holds rules against bearers.
func TestBindings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		must(t, s, api.ACLRoleCreate, api.ACLCreate[api.ACLRole]{New: api.ACLRole{Name: "web"}})
		must(t, s, api.ACLPolicyCreate, api.ACLCreate[api.ACLPolicy]{New: api.ACLPolicy{Name: "team-a"}})
		for i, c := range []struct {
			rules  []api.ACLBindingRule
			claims map[string]any
			want   string // permissions, or the refusal
		}{
			{nil, nil, "Permission denied"},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "web"}}, nil, "service web"},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "${value.name}-${ value.team }"}}, map[string]any{"sub": "web", "team": "a"}, "service web-a"},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "web"}, {BindType: "service", BindName: "${value.name}"}}, map[string]any{"sub": "web"}, "service web"},
			{[]api.ACLBindingRule{{BindType: "node", BindName: "n-${value.name}"}}, map[string]any{"sub": "1"}, "node n-1 in dc1"},
			{[]api.ACLBindingRule{{BindType: "role", BindName: "${value.name}"}}, map[string]any{"sub": "web"}, "role web"},
			{[]api.ACLBindingRule{{BindType: "role", BindName: "${value.name}"}, {BindType: "role", BindName: "WEB"}}, map[string]any{"sub": "web"}, "role web"},
			{[]api.ACLBindingRule{{BindType: "role", BindName: "${value.name}"}}, map[string]any{"sub": "none"}, "Permission denied"},
			{[]api.ACLBindingRule{{BindType: "policy", BindName: "team-${value.team}"}, {BindType: "role", BindName: "none"}}, map[string]any{"team": "a"}, "policy team-a"},
			{[]api.ACLBindingRule{{BindType: "templated-policy", BindName: "builtin/dns"}}, nil, "template builtin/dns"},
			{[]api.ACLBindingRule{{BindType: "templated-policy", BindName: "builtin/service", BindVars: &api.TemplateVariables{Name: "${value.name}"}}},
				map[string]any{"sub": "web"}, "template builtin/service web"},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "dev", Selector: "dev in list.groups"}, {BindType: "service", BindName: "ops", Selector: "ops in list.groups"}},
				map[string]any{"groups": []string{"ops"}}, "service ops"},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "web", Selector: "value.name == web"}}, nil, "Permission denied"},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "${value.name}"}}, nil, `"${value.name}" needs ${value.name}, but`},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "x${value.name}"}}, map[string]any{"sub": ""}, `needs ${value.name}`},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "${value.name}"}}, map[string]any{"sub": "a\" {"}, "letters, digits"},
			{[]api.ACLBindingRule{{BindType: "service", BindName: "${value.name}"}}, map[string]any{"sub": []string{"a"}}, "does not accept the bearer token"},
		} {
			name := fmt.Sprintf("m%d", i)
			createMethod(t, s, ciMethod(t, name))
			for _, r := range c.rules {
				r.AuthMethod = name
				createRule(t, s, r)
			}
			made, err := login(s, name, badge(t, c.claims))
			if err != nil {
				if api.KindOf(err) != api.Denied || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%+v with %v: got %v, want %q", c.rules, c.claims, err, c.want)
				}
				continue
			}
			if got := may(made); got != c.want {
				t.Errorf("%+v with %v: got %q, want %q", c.rules, c.claims, got, c.want)
			}
		}
	})
}

// TestLogin follows a token from its login to its logout.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		m := ciMethod(t, "ci")
		m.MaxTokenTTL = api.ReadableDuration(5 * time.Minute)
		createMethod(t, s, m)
		createRule(t, s, api.ACLBindingRule{AuthMethod: "ci", BindType: "service", BindName: "${value.name}"})
		token := badge(t, map[string]any{"sub": "web"})
		made, err := call(s, "", api.ACLLogin, api.ACLLoginArgs{Login: api.ACLCredentials{
			AuthMethod: "CI", BearerToken: token, Meta: map[string]string{"job": "7", "by": "x"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		until := made.CreateTime.Add(5 * time.Minute)
		want := &api.ACLToken{
			AccessorID: made.AccessorID, SecretID: made.SecretID, Description: `token created via login: {"by":"x","job":"7"}`, AuthMethod: "ci", Local: true,
			ExpirationTime: &until, CreateTime: made.CreateTime, ACLGrants: api.ACLGrants{ServiceIdentities: []api.ServiceIdentity{{ServiceName: "web"}}},
			Hash: made.Hash, CreateIndex: made.CreateIndex, ModifyIndex: made.CreateIndex,
		}
		if diff := cmp.Diff(want, made); diff != "" || len(made.SecretID) != 36 || time.Since(made.CreateTime) != 0 {
			t.Errorf("token (-want +got):\n%s", diff)
		}
		register := api.RegisterArgs{Registration: api.Registration{Node: "n1", Address: inproc.Address, SkipNodeUpdate: true, Service: &api.ServiceSpec{Service: api.Service{Service: "web"}}}}
		if _, err := call(s, made.SecretID, api.CatalogRegister, register); err != nil {
			t.Errorf("register the service: %v", err)
		}
		for name, c := range map[string]struct {
			secret string
			args   api.ACLCredentials
			kind   api.ErrorKind
			want   string
		}{
			"with a token":         {made.SecretID, api.ACLCredentials{AuthMethod: "ci", BearerToken: token}, api.Rejected, "do not provide a token when logging in"},
			"with an unknown one":  {"nobody's", api.ACLCredentials{AuthMethod: "ci", BearerToken: token}, api.Rejected, "do not provide a token when logging in"},
			"with another method":  {"", api.ACLCredentials{AuthMethod: "none", BearerToken: token}, api.Denied, `ACL not found: auth method "none" not found`},
			"with a damaged token": {"", api.ACLCredentials{AuthMethod: "ci", BearerToken: token + "AAAA"}, api.Denied, "Permission denied: "},
		} {
			_, err := call(s, c.secret, api.ACLLogin, api.ACLLoginArgs{Login: c.args})
			if api.KindOf(err) != c.kind || !strings.HasPrefix(fmt.Sprint(err), c.want) || strings.Contains(err.Error(), token[:30]) {
				t.Errorf("log in %s: got %v, want %q", name, err, c.want)
			}
		}
		refused := func(what string, err error, kind api.ErrorKind) {
			t.Helper()
			if api.KindOf(err) != kind {
				t.Errorf("%s: got %v, want a refusal of kind %d", what, err, kind)
			}
		}
		_, err = call(s, rootSecret, api.ACLTokenClone, api.ACLTokenCloneArgs{ACLID: api.ACLID[api.ACLToken]{ID: made.AccessorID}})
		refused("clone", err, api.Invalid)
		_, err = call(s, rootSecret, api.LegacyClone, api.LegacyID{ID: made.SecretID})
		refused("clone by secret", err, api.Invalid)
		_, err = call(s, rootSecret, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{AuthMethod: "ci"}})
		refused("create with an auth method", err, api.Invalid)
		_, err = call(s, rootSecret, api.ACLLogout, api.ACLLogoutArgs{})
		refused("log out with another token", err, api.Denied)
		_, err = call(s, "", api.ACLLogout, api.ACLLogoutArgs{})
		refused("log out without a token", err, api.Denied)
		updated := must(t, s, api.ACLTokenUpdate, api.ACLUpdate[api.ACLToken]{ACLID: api.ACLID[api.ACLToken]{ID: made.AccessorID}, New: api.ACLToken{Description: "x", Local: true}})
		if updated.AuthMethod != "ci" {
			t.Errorf("after an update: AuthMethod is %q, want ci", updated.AuthMethod)
		}
		if of := must(t, s, api.ACLTokens, api.ACLTokensArgs{AuthMethod: "CI"}); len(of) != 1 || of[0].AccessorID != made.AccessorID {
			t.Errorf("tokens of the auth method: got %v, want one", of)
		}
		if ok, err := call(s, made.SecretID, api.ACLLogout, api.ACLLogoutArgs{}); !ok || err != nil {
			t.Errorf("log out: got %t, %v", ok, err)
		}
		_, err = call(s, made.SecretID, api.ACLLogout, api.ACLLogoutArgs{})
		refused("log out again", err, api.Denied)
		for _, secret := range []string{token, token[len(token)-20:], made.SecretID} {
			if lines := s.Log.Find(secret); len(lines) > 0 {
				t.Errorf("the log has a secret: %q", lines)
			}
		}
	})
}

// TestLoginsEnd wants tokens to go with their time, and with their auth method.
func TestLoginsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		m := ciMethod(t, "short")
		m.MaxTokenTTL, m.TokenLocality = api.ReadableDuration(time.Minute), api.GlobalTokens
		createMethod(t, s, m)
		createMethod(t, s, ciMethod(t, "gone"))
		tokens := map[string]*api.ACLToken{}
		for _, method := range []string{"short", "gone"} {
			createRule(t, s, api.ACLBindingRule{AuthMethod: method, BindType: "service", BindName: "web"})
			made, err := login(s, method, badge(t, nil))
			if err != nil {
				t.Fatal(err)
			}
			tokens[method] = made
		}
		if tokens["short"].Local || tokens["gone"].ExpirationTime != nil {
			t.Errorf("got %+v and %+v, want a global token and one that does not end", tokens["short"], tokens["gone"])
		}
		must(t, s, api.ACLAuthMethodDelete, api.ACLName{Name: "gone"})
		if _, err := call(s, tokens["gone"].SecretID, api.ACLTokenSelf, api.ACLSelfArgs{}); api.KindOf(err) != api.Denied {
			t.Errorf("after the end of the auth method: got %v, want ACL not found", err)
		}
		if rules := must(t, s, api.ACLBindingRules, api.ACLBindingRulesArgs{}); len(rules) != 1 || rules[0].AuthMethod != "short" {
			t.Errorf("rules: got %v, want that of short", rules)
		}
		time.Sleep(time.Minute + time.Second)
		if s.Store.View().ACLToken(tokens["short"].AccessorID) != nil {
			t.Error("a second after the end the token is still there")
		}
	})
}

// TestMethodsThatAreWrong wants faults to be found when they are written.
func TestMethodsThatAreWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		createMethod(t, s, ciMethod(t, "ci"))
		for _, c := range []struct {
			change func(*api.ACLAuthMethod)
			want   string
		}{
			{func(m *api.ACLAuthMethod) { m.Name = "" }, `invalid Name ""`},
			{func(m *api.ACLAuthMethod) { m.Name = "a b" }, `invalid Name "a b"`},
			{func(m *api.ACLAuthMethod) { m.Name = "CI" }, `an auth method with the Name "ci" already exists`},
			{func(m *api.ACLAuthMethod) { m.Type = "" }, `there is no Type "", only "jwt"`},
			{func(m *api.ACLAuthMethod) { m.Type = "kubernetes" }, `the Type "kubernetes" is not supported, only "jwt" is: use the type "jwt" with the public keys`},
			{func(m *api.ACLAuthMethod) { m.Type = "oidc" }, `the Type "oidc" is not supported`},
			{func(m *api.ACLAuthMethod) { m.Type = "aws-iam" }, `the Type "aws-iam" is not supported`},
			{func(m *api.ACLAuthMethod) { m.TokenLocality = "here" }, `TokenLocality is "here"`},
			{func(m *api.ACLAuthMethod) { m.MaxTokenTTL = api.ReadableDuration(time.Second) }, "MaxTokenTTL is 1s: use 1m0s to 24h0m0s"},
			{func(m *api.ACLAuthMethod) { m.MaxTokenTTL = api.ReadableDuration(25 * time.Hour) }, "MaxTokenTTL is 25h0m0s"},
			{func(m *api.ACLAuthMethod) { m.Config = nil }, "Config: exactly one of"},
		} {
			m := ciMethod(t, "new")
			c.change(&m)
			_, err := call(s, rootSecret, api.ACLAuthMethodCreate, api.ACLCreate[api.ACLAuthMethod]{New: m})
			if api.KindOf(err) != api.Invalid || !strings.HasPrefix(fmt.Sprint(err), "Invalid Auth Method: "+c.want) {
				t.Errorf("create %+v: got %v, want %q", m, err, c.want)
			}
		}
		for _, c := range []struct {
			rule api.ACLBindingRule
			want string
		}{
			{api.ACLBindingRule{BindType: "role", BindName: "x"}, "no AuthMethod"},
			{api.ACLBindingRule{AuthMethod: "none", BindType: "role", BindName: "x"}, `no such auth method "none"`},
			{api.ACLBindingRule{AuthMethod: "ci", BindName: "x"}, `there is no BindType "": use service, node, role, policy or templated-policy`},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "role"}, "no BindName"},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "role", BindName: "${value.nope}"}, `"${value.nope}" needs ${value.nope}, but claims of one value are there under the names ["name" "team"] only`},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "role", BindName: "${list.groups}"}, "needs ${list.groups}"},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "role", BindName: "${value.name"}, "${ without }"},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "service", BindName: "a b"}, `the BindName "a b" of a service`},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "node", BindName: "a.b"}, `the BindName "a.b" of a node`},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "templated-policy", BindName: "none"}, `no such ACL templated policy with Name "none"`},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "templated-policy", BindName: "builtin/service"}, "letters, digits"},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "role", BindName: "x", BindVars: &api.TemplateVariables{}}, "BindVars are for"},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "role", BindName: "x", Selector: "value.nope == 1"}, `Selector "value.nope == 1": there is no "value.nope"`},
			{api.ACLBindingRule{AuthMethod: "ci", BindType: "role", BindName: "x", ID: "7"}, "Cannot specify the ID"},
		} {
			_, err := call(s, rootSecret, api.ACLBindingRuleCreate, api.ACLCreate[api.ACLBindingRule]{New: c.rule})
			if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("create %+v: got %v, want %q", c.rule, err, c.want)
			}
		}
	})
}

// TestDefaultTokenStaysOut wants no token to stand in for that of who logs in.
func TestDefaultTokenStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		args := api.AgentTokenArgs{Kind: "default"}
		args.Spec.Token = rootSecret
		must(t, s, api.AgentToken, args)
		createMethod(t, s, ciMethod(t, "ci"))
		createRule(t, s, api.ACLBindingRule{AuthMethod: "ci", BindType: "service", BindName: "web"})
		made, err := login(s, "ci", badge(t, nil))
		if err != nil {
			t.Fatalf("log in: %v", err)
		}
		if _, err := s.Agent.Call(context.Background(), &api.Request{Op: api.ACLLogout.Op, Args: &api.ACLLogoutArgs{}}); api.KindOf(err) != api.Denied {
			t.Errorf("log out without a token: got %v, want a refusal", err)
		}
		if s.Store.View().ACLToken(made.AccessorID) == nil {
			t.Error("the token is gone")
		}
	})
}
