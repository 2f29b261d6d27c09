package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/agent"
	"curia/api"
	"curia/internal/aclcache"
	"curia/internal/testing/inproc"
	"curia/server"
)

// copyTTL is how long the secondary of these tests believes what it was told.
const copyTTL = 30 * time.Second

// way is the way to the primary datacenter. Its other methods are never called.
type way struct {
	server.Peers
	name string // of the primary
	to   func() api.Caller

	mu    sync.Mutex
	gone  bool     // nobody is reached
	lost  []string // verbs that do not arrive
	asked map[string]int
}

// Call implements api.Caller. Answers arrive as JSON, as they do in truth.
func (w *way) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	w.mu.Lock()
	gone := w.gone || slices.Contains(w.lost, req.Op.Name)
	w.asked[req.Op.Name]++
	w.mu.Unlock()
	switch {
	case req.Datacenter != w.name:
		return nil, api.ErrNoPath
	case gone:
		return nil, api.Errorf(api.Unreached, "dc1 cannot be reached")
	}
	there := *req
	there.Datacenter = ""
	resp, err := w.to().Call(ctx, &there)
	if err != nil || resp == nil {
		return nil, err
	}
	b, err := api.AppendJSON(nil, resp.Value)
	if err != nil {
		return nil, err
	}
	v := reflect.New(req.Op.Result)
	if err := json.Unmarshal(b, v.Interface()); err != nil {
		return nil, err
	}
	return &api.Response{Value: v.Elem().Interface(), Meta: resp.Meta}, nil
}

func (w *way) cut(gone bool, lost ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone, w.lost = gone, lost
}

func (w *way) count(verb string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[verb]
}

// tuned makes the configuration of a server that of one in dc2.
func (w *way) tuned(c *server.Config, down aclcache.DownPolicy, tokens bool, secret func() string) {
	options := acl.Options{Default: acl.DenyAll{}}
	ask := func(ctx context.Context, secret string) (*acl.Identity, error) {
		resp, err := w.Call(ctx, &api.Request{Op: api.ACLIdentify.Op, Args: &api.IdentifyArgs{Secret: secret, Datacenter: "dc2"}, Datacenter: w.name})
		if err != nil {
			return nil, err
		}
		return resp.Value.(*acl.Identity), nil
	}
	c.Datacenter, c.Self.Datacenter, c.Peers = "dc2", "dc2", w
	c.ACL = &server.ACLConfig{
		Options: options, PrimaryDatacenter: w.name, DownPolicy: string(down),
		Elsewhere: aclcache.New(ask, acl.NewSets(options), copyTTL, down).ResolveKnown,
		Copy:      server.CopyConfig{Tokens: tokens, Token: secret, TTL: copyTTL, Extend: down == aclcache.ExtendCache || down == aclcache.AsyncCache},
	}
}

// two are two datacenters in one bubble: from is the primary, to copies from it.
type two struct {
	*way
	t        *testing.T
	from, to *inproc.Server

	tokenMu sync.Mutex
	token   string // to copy with
}

func (d *two) setToken(secret string) {
	d.tokenMu.Lock()
	defer d.tokenMu.Unlock()
	d.token = secret
}

// copying starts two datacenters and waits until the second has copied.
func copying(t *testing.T, down aclcache.DownPolicy) *two {
	t.Helper()
	d := pair(t, down, true, rootSecret)
	d.settle()
	return d
}

// pair starts two datacenters, of which one copies from the other with a token.
func pair(t *testing.T, down aclcache.DownPolicy, tokens bool, token string) *two {
	t.Helper()
	d := &two{t: t, from: guarded(t, acl.DenyAll{}), token: token}
	d.way = &way{name: inproc.Datacenter, to: func() api.Caller { return d.from.Server }, asked: map[string]int{}}
	d.to = inproc.Start(t, inproc.Options{
		Tune: func(c *server.Config) {
			d.tuned(c, down, tokens, func() string {
				d.tokenMu.Lock()
				defer d.tokenMu.Unlock()
				return d.token
			})
		},
		TuneAgent: func(c *agent.Config) { c.Datacenter, c.Node.Datacenter = "dc2", "dc2" },
	})
	return d
}

// settle waits until the copies are new.
func (d *two) settle() {
	d.t.Helper()
	began, deadline := time.Now(), time.After(time.Minute)
	for {
		v := d.to.Store.View()
		if c := v.ACLCopied(); c != nil && c.At.After(began) {
			synctest.Wait()
			return
		}
		w := v.Watch()
		select {
		case <-w.Changed[0]:
		case <-w.Replaced:
		case <-deadline:
			d.t.Fatalf("nothing was copied in a minute\n%s", d.to.Log)
		}
	}
}

// client is a client agent of a datacenter, as far as tokens go.
func client(s *inproc.Server, down aclcache.DownPolicy) *aclcache.Cache {
	return aclcache.New(func(ctx context.Context, secret string) (*acl.Identity, error) {
		return api.Call(ctx, s.Server, api.ACLIdentify, api.IdentifyArgs{Secret: secret})
	}, acl.NewSets(acl.Options{Default: acl.DenyAll{}}), copyTTL, down)
}

// mayWrite tells whether the holder of a secret may write a key, as a word.
func mayWrite(resolve acl.Resolver, secret string) string {
	who, err := resolve(secret)
	switch {
	case err != nil:
		return err.Error()
	case who.Allows(acl.Need{Resource: acl.Key, Name: "a", Access: acl.Write}):
		return "yes"
	}
	return "no"
}

const keyWriter = `key_prefix "" { policy = "write" }`

// rows shows the ACLs of a datacenter.
func rows(s *inproc.Server) (out []string) {
	v := s.Store.View()
	for _, p := range v.ACLPolicies() {
		out = append(out, fmt.Sprint("policy ", p.ID, " ", p.Name, " ", p.Rules))
	}
	for _, r := range v.ACLRoles() {
		out = append(out, fmt.Sprint("role ", r.ID, " ", r.Name, " ", r.Policies))
	}
	for _, t := range v.ACLTokens() {
		if !t.Local {
			out = append(out, fmt.Sprint("token ", t.AccessorID, " ", t.SecretID, " ", len(t.Description), " ", t.Policies, t.Roles))
		}
	}
	return out
}

// same wants both datacenters to have the same ACLs, after a round or two.
func (d *two) same(what string) {
	d.t.Helper()
	d.settle()
	d.settle()
	if diff := cmp.Diff(rows(d.from), rows(d.to)); diff != "" {
		d.t.Errorf("%s: the primary (-) and the copies (+)\n%s", what, diff)
	}
}

// TestCopies follows what the primary has.
func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := copying(t, aclcache.ExtendCache)
		d.same("in the beginning")
		policy := func(name string) *api.ACLPolicy {
			return must(t, d.from, api.ACLPolicyCreate, api.ACLCreate[api.ACLPolicy]{New: api.ACLPolicy{Name: name, Rules: keyWriter}})
		}
		rename := func(p *api.ACLPolicy, name string) {
			must(t, d.from, api.ACLPolicyUpdate, api.ACLUpdate[api.ACLPolicy]{ACLID: api.ACLID[api.ACLPolicy]{ID: p.ID}, New: api.ACLPolicy{Name: name}})
		}
		a, b, doomed := policy("a"), policy("b"), policy("doomed")
		role := must(t, d.from, api.ACLRoleCreate, api.ACLCreate[api.ACLRole]{New: api.ACLRole{
			Name: "r", ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{ID: a.ID}, {ID: doomed.ID}}},
		}})
		kept := must(t, d.from, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{Roles: []api.ACLLink{{ID: role.ID}}}})
		gone := must(t, d.from, api.ACLTokenCreate, api.ACLTokenArgs{})
		must(t, d.from, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{Local: true}})
		d.same("new rows")

		rename(a, "c")
		rename(b, "a")
		rename(a, "b")
		d.same("names that were swapped")

		must(t, d.from, api.ACLPolicyDelete, api.ACLID[api.ACLPolicy]{ID: doomed.ID})
		must(t, d.from, api.ACLTokenDelete, api.ACLID[api.ACLToken]{ID: gone.AccessorID})
		d.same("deletions")

		for i := range 300 {
			must(t, d.from, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{Description: strings.Repeat("x", 2000) + fmt.Sprint(i)}})
		}
		d.same("more than a page")

		archive := d.from.Do("GET", "/v1/snapshot?token="+rootSecret, "").Body.String()
		must(t, d.from, api.ACLRoleDelete, api.ACLID[api.ACLRole]{ID: role.ID})
		rename(b, "z")
		d.same("changes that will be undone")
		d.from.Must(t, "PUT", "/v1/snapshot?token="+rootSecret, archive)
		d.same("a primary that was restored")
		if got := mayWrite(d.to.Server.Resolve, kept.SecretID); got != "no" { // the rename took the rules
			t.Errorf("a token with a role: may write: %s", got)
		}

		own := d.to.Do("GET", "/v1/snapshot?token="+rootSecret, "").Body.String()
		policy("later")
		d.same("a change that the copies will forget")
		d.to.Must(t, "PUT", "/v1/snapshot?token="+rootSecret, own)
		d.same("copies that were restored")

		status := must(t, d.to, api.ACLReplication, api.None{})
		copied := d.to.Store.View().ACLCopied()
		want := &api.ACLReplicationStatus{
			Enabled: true, Running: true, SourceDatacenter: "dc1", ReplicationType: "tokens", ReplicatedIndex: copied.Indexes[0],
			ReplicatedRoleIndex: copied.Indexes[1], ReplicatedTokenIndex: copied.Indexes[2], LastSuccess: copied.At,
		}
		if diff := cmp.Diff(want, status); diff != "" || copied.Indexes[2] == 0 {
			t.Errorf("status (-want +got)\n%s", diff)
		}
		if got := must(t, d.from, api.ACLReplication, api.None{}); *got != (api.ACLReplicationStatus{SourceDatacenter: "dc1"}) {
			t.Errorf("status of the primary: got %+v", got)
		}
	})
}

// TestCopiesWithoutPrimary asks about tokens while the primary is away.
func TestCopiesWithoutPrimary(t *testing.T) {
	for _, c := range []struct {
		down             aclcache.DownPolicy
		new, old, nobody string // what the holder of a token may do: by new copies, by old ones; and a token that is not among them
	}{
		{aclcache.Allow, "yes", "yes", "yes"},
		{aclcache.Deny, "yes", "no", "no"},
		{aclcache.ExtendCache, "yes", "yes", "no"},
		{aclcache.AsyncCache, "yes", "yes", "no"},
	} {
		t.Run(string(c.down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := copying(t, c.down)
				secret := tokenOf(t, d.from, keyWriter)
				d.settle()
				d.settle()
				d.cut(true)
				for _, at := range []struct {
					after time.Duration
					want  string
				}{{copyTTL / 2, c.new}, {copyTTL, c.old}, {time.Hour, c.old}} {
					time.Sleep(at.after)
					if got := mayWrite(d.to.Server.Resolve, secret); got != at.want {
						t.Errorf("a server, %v later: may write: got %s, want %s", at.after, got, at.want)
					}
					if got := mayWrite(client(d.to, c.down).Resolve, secret); got != at.want {
						t.Errorf("a client agent, %v later: may write: got %s, want %s", at.after, got, at.want)
					}
				}
				if got := mayWrite(d.to.Server.Resolve, "00000000-0000-4000-8000-00000000dead"); got != c.nobody {
					t.Errorf("a token that nobody has: may write: got %s, want %s", got, c.nobody)
				}
				if c.down == aclcache.ExtendCache {
					if got := must(t, d.to, api.ACLPolicies, api.None{}); len(got) != 3 {
						t.Errorf("policies by the copies: got %d, want 3", len(got))
					}
					st := must(t, d.to, api.ACLReplication, api.None{})
					if st.LastErrorMessage != "dc1 cannot be reached" || st.LastError.IsZero() || !st.Running {
						t.Errorf("status: got %+v", st)
					}
				}
				d.cut(false)
				d.settle()
				if got := mayWrite(d.to.Server.Resolve, secret); got != "yes" {
					t.Errorf("with the primary again: may write: got %s, want yes", got)
				}
				if lines := d.to.Log.Find("ACLs"); len(lines) != 2 {
					t.Errorf("the log tells of copying:\n%s\nwant two lines", strings.Join(lines, "\n"))
				}
			})
		})
	}
}

// TestRevokedWithinTTL takes a token away while the copies are cut off from the
// primary. Whoever asks in between, nobody believes it for longer than the TTL.
func TestRevokedWithinTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := copying(t, aclcache.ExtendCache)
		secret := tokenOf(t, d.from, keyWriter)
		d.settle()
		d.settle()
		// What is copied does not arrive any more, everything else does.
		d.cut(false, api.ACLDigestGet.Name, api.ACLMarksGet.Name)
		began := time.Now()
		accessor := d.from.Store.View().ACLTokenBySecret(secret).AccessorID
		must(t, d.from, api.ACLTokenDelete, api.ACLID[api.ACLToken]{ID: accessor})
		agents := map[string]*aclcache.Cache{}
		believed := map[string]int{}
		for i := range int(copyTTL/time.Second) + 10 {
			for name, resolve := range map[string]acl.Resolver{"a server": d.to.Server.Resolve, "a new agent": client(d.to, aclcache.ExtendCache).Resolve} {
				if mayWrite(resolve, secret) == "yes" {
					believed[name]++
					if i >= int(copyTTL/time.Second) {
						t.Errorf("%s believes a token %v after it was revoked", name, time.Since(began))
					}
				}
			}
			if i%7 == 0 {
				agents[fmt.Sprint("agent since ", i)] = client(d.to, aclcache.ExtendCache)
			}
			for name, a := range agents {
				if mayWrite(a.Resolve, secret) == "yes" && i >= int(copyTTL/time.Second) {
					t.Errorf("%s believes a token %v after it was revoked", name, time.Since(began))
				}
			}
			time.Sleep(time.Second)
		}
		if believed["a server"] == 0 || believed["a new agent"] == 0 {
			t.Errorf("nobody ever believed the token: %v; the test shows nothing", believed)
		}
		// While copies arrive, a token is gone at once.
		d.cut(false)
		d.settle()
		secret = tokenOf(t, d.from, keyWriter)
		d.settle()
		d.settle()
		before := d.count(api.ACLIdentify.Name)
		if got := mayWrite(d.to.Server.Resolve, secret); got != "yes" || d.count(api.ACLIdentify.Name) != before {
			t.Errorf("a token that was copied: got %s, want yes, without asking the primary", got)
		}
		must(t, d.from, api.ACLTokenDelete, api.ACLID[api.ACLToken]{ID: d.from.Store.View().ACLTokenBySecret(secret).AccessorID})
		d.settle()
		d.settle()
		if got := mayWrite(d.to.Server.Resolve, secret); got != "ACL not found" {
			t.Errorf("a token that was revoked: got %s", got)
		}
	})
}
