package server_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/aclcache"
	"curia/internal/testing/inproc"
	"curia/server"
)

func tokenID(accessor string) api.ACLID[api.ACLToken] { return api.ACLID[api.ACLToken]{ID: accessor} }

// TestLocalTokens makes tokens that hold in one datacenter alone, in each, and
// does everything with those of the secondary there.
func TestLocalTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := copying(t, aclcache.ExtendCache)
		policy := must(t, d.to, api.ACLPolicyCreate, api.ACLCreate[api.ACLPolicy]{New: api.ACLPolicy{Name: "w", Rules: keyWriter}})
		if p := d.from.Store.View().ACLPolicy(policy.ID); p == nil {
			t.Fatalf("a policy that was made in the secondary is not in the primary")
		}
		if p := must(t, d.to, api.ACLPolicyRead, api.ACLID[api.ACLPolicy]{ID: policy.ID}); p == nil || p.Name != "w" {
			t.Fatalf("the secondary does not read what was written through it: %+v", p)
		}
		make := func(s *inproc.Server, local bool) *api.ACLToken {
			return must(t, s, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{Local: local, ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{Name: "w"}}}}})
		}
		here, there, global := make(d.to, true), make(d.from, true), make(d.to, false)
		for _, c := range []struct {
			what  string
			at    *inproc.Server
			token *api.ACLToken
			want  string
		}{
			{"a local token of the secondary, there", d.to, here, "yes"},
			{"a local token of the secondary, in the primary", d.from, here, "ACL not found"},
			{"a local token of the primary, there", d.from, there, "yes"},
			{"a local token of the primary, in the secondary", d.to, there, "ACL not found"},
			{"a global token, in the secondary", d.to, global, "yes"},
			{"a global token, in the primary", d.from, global, "yes"},
		} {
			if got := mayWrite(c.at.Server.Resolve, c.token.SecretID); got != c.want {
				t.Errorf("%s: may write: got %s, want %s", c.what, got, c.want)
			}
			if got := mayWrite(client(c.at, aclcache.ExtendCache).Resolve, c.token.SecretID); got != c.want {
				t.Errorf("%s, by a client agent: may write: got %s, want %s", c.what, got, c.want)
			}
		}
		listed := map[string]bool{}
		for _, tok := range must(t, d.to, api.ACLTokens, api.ACLTokensArgs{}) {
			listed[tok.AccessorID] = true
		}
		if !listed[here.AccessorID] || !listed[global.AccessorID] || listed[there.AccessorID] {
			t.Errorf("tokens of the secondary: got %v, want its own and the global ones", listed)
		}
		d.cut(true) // all of this needs nobody else
		self, err := call(d.to, here.SecretID, api.ACLTokenSelf, api.ACLSelfArgs{})
		if err != nil || self.AccessorID != here.AccessorID {
			t.Errorf("token/self: got %+v, %v", self, err)
		}
		changed := must(t, d.to, api.ACLTokenUpdate, api.ACLUpdate[api.ACLToken]{ACLID: tokenID(here.AccessorID), New: api.ACLToken{Description: "x", Local: true}})
		copied := must(t, d.to, api.ACLTokenClone, api.ACLTokenCloneArgs{ACLID: tokenID(here.AccessorID)})
		if changed.Description != "x" || !copied.Local || copied.Description != "x" {
			t.Errorf("update and clone of a local token: got %+v and %+v", changed, copied)
		}
		must(t, d.to, api.ACLTokenDelete, tokenID(here.AccessorID))
		if got := d.to.Store.View().ACLToken(here.AccessorID); got != nil {
			t.Errorf("a local token that was deleted: got %+v", got)
		}
		ends := must(t, d.to, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{Local: true, ExpirationTTL: api.ReadableDuration(time.Minute)}})
		time.Sleep(2 * time.Minute)
		if d.to.Store.View().ACLToken(ends.AccessorID) != nil {
			t.Error("a local token is there after its end")
		}
		if got := must(t, d.to, api.ACLTokenRead, api.ACLTokenReadArgs{ACLID: tokenID(global.AccessorID)}); got.SecretID != global.SecretID {
			t.Errorf("a copied token without the primary: got %+v", got)
		}
		if _, err := call(d.to, rootSecret, api.ACLTokenDelete, tokenID(global.AccessorID)); api.KindOf(err) != api.Unreached {
			t.Errorf("delete a global token without the primary: got %v", err)
		}
	})
}

// TestLocalLogins logs in where an auth method was made.
func TestLocalLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := copying(t, aclcache.ExtendCache)
		rule := api.ACLBindingRule{AuthMethod: "ci", BindType: api.BindService, BindName: "${value.name}"}
		login := func(s *inproc.Server) (*api.ACLToken, error) {
			return call(s, "", api.ACLLogin, api.ACLLoginArgs{Login: api.ACLCredentials{AuthMethod: "ci", BearerToken: badge(t, map[string]any{"sub": "web"})}})
		}
		global := ciMethod(t, "ci")
		global.TokenLocality = api.GlobalTokens
		if _, err := call(d.to, rootSecret, api.ACLAuthMethodCreate, api.ACLCreate[api.ACLAuthMethod]{New: global}); api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "in the primary, dc1") {
			t.Errorf("a method with global tokens in the secondary: got %v", err)
		}
		for _, s := range []*inproc.Server{d.from, d.to} {
			m := global
			if s == d.to {
				m.TokenLocality = ""
			}
			must(t, s, api.ACLAuthMethodCreate, api.ACLCreate[api.ACLAuthMethod]{New: m})
			must(t, s, api.ACLBindingRuleCreate, api.ACLCreate[api.ACLBindingRule]{New: rule})
		}
		local, err := login(d.to)
		if err != nil || !local.Local || d.from.Store.View().ACLToken(local.AccessorID) != nil {
			t.Fatalf("log in in the secondary: got %+v, %v", local, err)
		}
		wide, err := login(d.from)
		if err != nil || wide.Local {
			t.Fatalf("log in in the primary: got %+v, %v", wide, err)
		}
		d.same("with tokens of logins")
		if _, err := call(d.to, local.SecretID, api.ACLLogout, api.ACLLogoutArgs{}); err != nil || d.to.Store.View().ACLToken(local.AccessorID) != nil {
			t.Errorf("log out in the secondary: %v", err)
		}
		must(t, d.to, api.ACLAuthMethodDelete, api.ACLName{Name: "ci"})
		if d.to.Store.View().ACLToken(wide.AccessorID) == nil || d.from.Store.View().ACLAuthMethod("ci") == nil {
			t.Error("the method of the secondary has taken something of the primary's with it")
		}
	})
}

// TestPoliciesAlone copies no tokens: the primary says who holds one.
func TestPoliciesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := pair(t, aclcache.ExtendCache, false, "")
		refused := func(what string, want string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", what, err, want)
			}
		}
		local := api.ACLTokenArgs{Token: api.ACLToken{Local: true}}
		_, err := call(d.to, rootSecret, api.ACLTokenCreate, local)
		refused("a local token", "set acl.enable_token_replication", err)
		must(t, d.from, api.ACLAuthMethodCreate, api.ACLCreate[api.ACLAuthMethod]{New: ciMethod(t, "ci")})
		_, err = call(d.to, "", api.ACLLogin, api.ACLLoginArgs{Login: api.ACLCredentials{AuthMethod: "ci", BearerToken: "x"}})
		refused("log in for a local token", "set acl.enable_token_replication on the servers of dc2", err)
		if st := must(t, d.to, api.ACLReplication, api.None{}); st.Enabled || st.Running || st.SourceDatacenter != "dc1" {
			t.Errorf("status without a token to copy with: got %+v", st)
		}
		secret := tokenOf(t, d.from, keyWriter)
		if got := mayWrite(d.to.Server.Resolve, secret); got != "yes" {
			t.Errorf("a token of the primary: may write: got %s", got)
		}

		d.setToken(rootSecret)
		d.settle()
		if st := must(t, d.to, api.ACLReplication, api.None{}); !st.Enabled || !st.Running || st.ReplicationType != "policies" || st.ReplicatedIndex == 0 || st.ReplicatedTokenIndex != 0 {
			t.Errorf("status: got %+v", st)
		}
		v := d.to.Store.View()
		if len(v.ACLPolicies()) != 3 || len(v.ACLTokens()) != 0 {
			t.Errorf("copies: got %d policies and %d tokens, want 3 and none", len(v.ACLPolicies()), len(v.ACLTokens()))
		}
		before := d.count(api.ACLPolicies.Name)
		if got := must(t, d.to, api.ACLPolicies, api.None{}); len(got) != 3 || d.count(api.ACLPolicies.Name) != before {
			t.Errorf("policies: got %d, want 3 without asking the primary", len(got))
		}
		if got := must(t, d.to, api.ACLTokens, api.ACLTokensArgs{}); len(got) != 3 {
			t.Errorf("tokens, of the primary: got %d, want 3", len(got))
		}
	})
}

// TestCopyingFails tells once why nothing is copied, and how to help.
func TestCopyingFails(t *testing.T) {
	for _, c := range []struct {
		what, rules     string // of the token to copy with; empty: there is none
		message, remedy string
	}{
		{"no token", "", "there is no token to copy with", "give every server acl.tokens.replication"},
		{"a token that may read", `acl = "read"`, "lacks permission 'acl:write'", `with acl = "write"`},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := pair(t, aclcache.ExtendCache, true, "")
				secret := ""
				if c.rules != "" {
					secret = tokenOf(t, d.from, c.rules)
					d.setToken(secret)
				}
				time.Sleep(5 * time.Minute)
				st := must(t, d.to, api.ACLReplication, api.None{})
				if !st.Enabled || !strings.Contains(st.LastErrorMessage, c.message) || !st.LastSuccess.IsZero() {
					t.Errorf("status: got %+v, want the message %q", st, c.message)
				}
				lines := d.to.Log.Find("cannot copy ACLs")
				if c.rules != "" && len(lines) == 2 {
					lines = lines[1:] // it may have begun without
				}
				if len(lines) != 1 || !strings.Contains(lines[0], c.remedy) || secret != "" && strings.Contains(lines[0], secret) {
					t.Errorf("the log: got %q, want one line with %s", lines, c.remedy)
				}
				if c.rules != "" {
					if n := d.count(api.ACLDigestGet.Name); n > 40 {
						t.Errorf("the primary was asked %d times in five minutes", n)
					}
				}
				d.setToken(rootSecret)
				d.settle()
				if lines := d.to.Log.Find("copied from the primary datacenter again"); len(lines) != 1 {
					t.Errorf("the log tells %d times that it works, want once", len(lines))
				}
			})
		})
	}
}

// TestNotThePrimary asks a datacenter for copies that has none to give.
func TestNotThePrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := copying(t, aclcache.ExtendCache)
		digest := &api.Request{Op: api.ACLDigestGet.Op, Args: &api.ACLDigestArgs{}, Token: rootSecret}
		if _, err := d.to.Server.Call(t.Context(), digest); api.KindOf(err) != api.Rejected || !strings.Contains(err.Error(), "dc2 is not the primary: that is dc1") {
			t.Errorf("a secondary: got %v", err)
		}
		passed := &api.Request{Op: api.ACLPolicies.Op, Args: &api.None{}, Token: rootSecret, Passed: true}
		if _, err := d.to.Server.Call(t.Context(), passed); api.KindOf(err) != api.Rejected {
			t.Errorf("a request that two datacenters would pass to each other: got %v", err)
		}
		open := inproc.Start(t, inproc.Options{})
		if _, err := open.Server.Call(t.Context(), digest); api.KindOf(err) != api.Disabled {
			t.Errorf("a datacenter without ACLs: got %v", err)
		}
		nobody := &api.Request{Op: api.ACLDigestGet.Op, Args: &api.ACLDigestArgs{}}
		for _, args := range []any{&api.ACLDigestArgs{}, &api.ACLDigestArgs{Tokens: true}} {
			nobody.Args = args
			if _, err := d.from.Server.Call(t.Context(), nobody); api.KindOf(err) != api.Denied {
				t.Errorf("%+v without a token: got %v", args, err)
			}
		}
	})
}

// TestCopyingLeadersChange lets another server lead in the middle of copying, in a
// datacenter of three.
func TestCopyingLeadersChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := guarded(t, acl.DenyAll{})
		c := newCluster(t)
		w := &way{name: "dc0", to: func() api.Caller { return from.Server }, asked: map[string]int{}}
		c.tune = func(cfg *server.Config) {
			w.tuned(cfg, aclcache.ExtendCache, true, func() string { return rootSecret })
			cfg.Datacenter, cfg.Self.Datacenter = inproc.Datacenter, inproc.Datacenter // as gossip has it
		}
		for i := range 3 {
			c.start(i + 1)
		}
		c.within(0, 20*time.Second, "s1 s2 s3")
		for i := range 3 {
			for j := range 50 {
				must(t, from, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{Description: fmt.Sprint(strings.Repeat("x", 9000), i, j)}})
			}
			if i == 0 {
				w.cut(false, api.ACLRowsGet.Name) // it cannot end its round
			}
			if i < 2 {
				old := c.leader()
				if err := old.replica.Transfer(t.Context(), "", ""); err != nil {
					t.Fatal(err)
				}
			}
			w.cut(false)
		}
		deadline := time.Now().Add(time.Minute)
		want := from.Store.View().ACLSums(true)
		for time.Now().Before(deadline) {
			time.Sleep(time.Second)
			done := 0
			for _, n := range c.nodes {
				if got := n.store.View().ACLSums(true); string(got[2]) == string(want[2]) {
					done++
				}
			}
			if done == 3 {
				return
			}
		}
		t.Errorf("the copies of three servers are not those of the primary after a minute\n%s", c.log)
	})
}
