package server_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

const rootSecret = "b0000000-0000-4000-8000-000000000001"

// guarded starts a server that denies what no rule allows, and waits for its
// management token. It belongs into a bubble.
func guarded(t *testing.T, byDefault acl.Authorizer) *inproc.Server {
	t.Helper()
	s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) {
		c.ACL = &server.ACLConfig{Options: acl.Options{Default: byDefault}, InitialManagement: rootSecret}
	}})
	synctest.Wait()
	if s.Store.View().ACLTokenBySecret(rootSecret) == nil {
		t.Fatalf("there is no management token\n%s", s.Log)
	}
	return s
}

// call asks with a secret.
func call[Q, R any](s *inproc.Server, secret string, verb api.Verb[Q, R], args Q) (R, error) {
	var zero R
	resp, err := s.Agent.Call(context.Background(), &api.Request{Op: verb.Op, Args: &args, Token: secret})
	if err != nil {
		return zero, err
	}
	return resp.Value.(R), nil
}

// must is call that has to succeed.
func must[Q, R any](t *testing.T, s *inproc.Server, verb api.Verb[Q, R], args Q) R {
	t.Helper()
	r, err := call(s, rootSecret, verb, args)
	if err != nil {
		t.Fatalf("%s %+v: %v", verb.Name, args, err)
	}
	return r
}

// tokenOf makes a token with rules of its own.
func tokenOf(t *testing.T, s *inproc.Server, rules string) string {
	t.Helper()
	p := must(t, s, api.ACLPolicyCreate, api.ACLCreate[api.ACLPolicy]{New: api.ACLPolicy{Name: "p" + time.Now().Format("150405") + strings.Repeat("x", len(s.Store.View().ACLPolicies())), Rules: rules}})
	return must(t, s, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{ID: p.ID}}}}}).SecretID
}

// TestSamePermissionsShare wants authorizers of the same rules to have one ID,
// so that results are shared.
func TestSamePermissionsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		id := func(secret string) string {
			who, err := s.Server.Resolve(secret)
			if err != nil {
				t.Fatal(err)
			}
			return who.ID()
		}
		a, b := tokenOf(t, s, `key "a" { policy = "read" } node "" { policy = "read" }`), tokenOf(t, s, `node "" { policy = "read" } key "a" { policy = "read" }`)
		other := tokenOf(t, s, `key "b" { policy = "read" }`)
		legacy := must(t, s, api.LegacyCreate, api.LegacyCreateArgs{Spec: api.LegacySpec{ID: "old", Rules: `key "a" { policy = "read" } node "" { policy = "read" }`}}).ID
		if id(a) != id(b) || id(a) == id(other) || id(a) == id(legacy) || id(rootSecret) != (acl.AllowAll{}).ID() {
			t.Errorf("IDs: got %s and %s for the same rules, %s and %s for others, %s for root", id(a), id(b), id(other), id(legacy), id(rootSecret))
		}
	})
}

// TestTokensExpire wants a token to be worth nothing when its time is over, and
// to be gone soon.
func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		made := must(t, s, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{
			ExpirationTTL: api.ReadableDuration(time.Minute), ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{Name: "global-management"}}},
		}})
		time.Sleep(59 * time.Second)
		if _, err := call(s, made.SecretID, api.KVPut, api.KVPutArgs{Key: "a"}); err != nil {
			t.Errorf("a second before the end: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := call(s, made.SecretID, api.KVPut, api.KVPutArgs{Key: "a"}); api.KindOf(err) != api.Denied || err.Error() != "ACL not found" {
			t.Errorf("at the end: got %v, want ACL not found", err)
		}
		time.Sleep(time.Second)
		if s.Store.View().ACLToken(made.AccessorID) != nil {
			t.Error("a second after the end the token is still there")
		}
		for ttl, text := range map[time.Duration]string{time.Second: "cannot be less than", 200 * 365 * 24 * time.Hour: "cannot be more than"} {
			_, err := call(s, rootSecret, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{ExpirationTTL: api.ReadableDuration(ttl)}})
			if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), text) {
				t.Errorf("a token for %s: got %v, want %q", ttl, err, text)
			}
		}
	})
}

// TestWaitsEndWithTheToken wants a waiting query to see no change after its token
// has lost the permission, or is gone.
func TestWaitsEndWithTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		must(t, s, api.KVPut, api.KVPutArgs{Key: "a", Value: []byte("1")})
		loses, dies := tokenOf(t, s, `key "a" { policy = "read" }`), tokenOf(t, s, `key "a" { policy = "read" }`)
		index := s.Store.Index()
		errs := map[string]chan error{loses: make(chan error, 1), dies: make(chan error, 1)}
		for secret, got := range errs {
			go func() {
				_, err := s.Agent.Call(context.Background(), &api.Request{
					Op: api.KVGet.Op, Args: &api.KeyArgs{Key: "a"}, Token: secret, Query: api.Query{MinIndex: index},
				})
				got <- err
			}()
		}
		synctest.Wait()
		for _, p := range s.Store.View().ACLTokenBySecret(loses).Policies {
			must(t, s, api.ACLPolicyDelete, api.ACLID[api.ACLPolicy]{ID: p.ID})
		}
		must(t, s, api.LegacyDestroy, api.LegacyID{ID: dies})
		must(t, s, api.KVPut, api.KVPutArgs{Key: "a", Value: []byte("2")})
		synctest.Wait()
		for secret, want := range map[string]string{loses: `lacks permission 'key:read' on "a"`, dies: "ACL not found"} {
			select {
			case err := <-errs[secret]:
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			default:
				t.Errorf("the query still waits, want %q", want)
			}
		}
	})
}

// TestWhoMayRegister tries registrations with a token that may write the service
// web and the node n2.
func TestWhoMayRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		register := func(secret string, r api.Registration) error {
			_, err := call(s, secret, api.CatalogRegister, api.RegisterArgs{Registration: r})
			return err
		}
		service := func(id, name string) *api.ServiceSpec {
			return &api.ServiceSpec{Service: api.Service{ID: id, Service: name}}
		}
		check := func(id, of string) *api.CheckSpec {
			return &api.CheckSpec{Check: api.Check{CheckID: id, Name: id, ServiceID: of}}
		}
		for _, node := range []string{"n2", "n3"} {
			r := api.Registration{Node: node, Address: "1", Service: service("db1", "db"), Checks: []*api.CheckSpec{check("own", ""), check("db", "db1")}}
			if err := register(rootSecret, r); err != nil {
				t.Fatal(err)
			}
		}
		secret := tokenOf(t, s, `service "web" { policy = "write" } node "n2" { policy = "write" }`)
		for _, c := range []struct {
			name string
			r    api.Registration
			want string // what is lacking
		}{
			{"own node", api.Registration{Node: "n2", Address: "2"}, ""},
			{"other node", api.Registration{Node: "n3", Address: "2"}, `'node:write' on "n3"`},
			{"other node as it is", api.Registration{Node: "n3", Address: "1"}, ""},
			{"new node", api.Registration{Node: "n4", Address: "1", SkipNodeUpdate: true}, `'node:write' on "n4"`},
			{"service on other node", api.Registration{Node: "n3", SkipNodeUpdate: true, Service: service("", "web")}, ""},
			{"other service", api.Registration{Node: "n2", SkipNodeUpdate: true, Service: service("x", "db")}, `'service:write' on "db"`},
			{"in place of another", api.Registration{Node: "n3", SkipNodeUpdate: true, Service: service("db1", "web")}, `'service:write' on "db"`},
			{"check of node", api.Registration{Node: "n2", SkipNodeUpdate: true, Check: check("new", "")}, ""},
			{"check of other node", api.Registration{Node: "n3", SkipNodeUpdate: true, Check: check("new", "")}, `'node:write' on "n3"`},
			{"check of service", api.Registration{Node: "n3", SkipNodeUpdate: true, Check: check("w", "web")}, ""},
			{"check of other service", api.Registration{Node: "n3", SkipNodeUpdate: true, Check: check("new", "db1")}, `'service:write' on "db"`},
			{"takes a check of the node", api.Registration{Node: "n3", SkipNodeUpdate: true, Check: check("own", "web")}, `'node:write' on "n3"`},
			{"takes a check of a service", api.Registration{Node: "n3", SkipNodeUpdate: true, Service: service("", "web"), Check: check("db", "web")}, `'service:write' on "db"`},
		} {
			err := register(secret, c.r)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: got %v, want %q to be lacking", c.name, err, c.want)
			}
		}
		for _, c := range []struct {
			d    api.Deregistration
			want string
		}{
			{api.Deregistration{Node: "n3"}, `'node:write' on "n3"`},
			{api.Deregistration{Node: "n3", ServiceID: "db1"}, `'service:write' on "db"`},
			{api.Deregistration{Node: "n3", CheckID: "db"}, `'service:write' on "db"`},
			{api.Deregistration{Node: "n3", CheckID: "own"}, `'node:write' on "n3"`},
			{api.Deregistration{Node: "n3", ServiceID: "web"}, ""},
			{api.Deregistration{Node: "n2", ServiceID: "db1"}, ""},
			{api.Deregistration{Node: "n2"}, ""},
		} {
			_, err := call(s, secret, api.CatalogDeregister, api.DeregisterArgs{Deregistration: c.d})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("deregister %+v: got %v, want %q to be lacking", c.d, err, c.want)
			}
		}
	})
}

// TestDefaultAllow opens everything but the ACLs.
func TestDefaultAllow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.AllowAll{})
		if _, err := call(s, "", api.KVPut, api.KVPutArgs{Key: "a"}); err != nil {
			t.Errorf("put without a token: %v", err)
		}
		if _, err := call(s, "", api.ACLTokens, api.ACLTokensArgs{}); api.KindOf(err) != api.Denied {
			t.Errorf("list tokens without a token: got %v, want a refusal", err)
		}
		must(t, s, api.LegacyUpdate, api.LegacyUpdateArgs{Spec: api.LegacySpec{ID: "anonymous", Rules: `key "a" { policy = "deny" }`}})
		if _, err := call(s, "", api.KVGet, api.KeyArgs{Key: "a"}); api.KindOf(err) != api.Denied {
			t.Errorf("get with an anonymous token that may not: got %v, want a refusal", err)
		}
	})
}
