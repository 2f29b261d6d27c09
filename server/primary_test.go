package server_test

import (
	"context"
	"testing"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/aclcache"
	"curia/internal/testing/inproc"
	"curia/server"
)

// primary is a datacenter that knows tokens. Its other methods are never called.
type primary struct {
	server.Peers
	asked []string // the verbs
	known map[string]*acl.Identity
	gone  bool
}

func (p *primary) Call(_ context.Context, req *api.Request) (*api.Response, error) {
	if req.Datacenter != "dc0" {
		return nil, api.ErrNoPath
	}
	p.asked = append(p.asked, req.Op.Name)
	if p.gone {
		return nil, api.Errorf(api.Unreached, "the primary is gone")
	}
	q, ok := req.Args.(*api.IdentifyArgs)
	if !ok {
		return &api.Response{Value: req.Op.Name}, nil
	}
	if id := p.known[q.Secret]; id != nil {
		return &api.Response{Value: id}, nil
	}
	return nil, api.ErrUnknownToken
}

// TestPrimaryDatacenter asks a datacenter that has no ACLs of its own.
func TestPrimaryDatacenter(t *testing.T) {
	reader := &acl.Identity{Accessor: "r", Policies: []acl.Text{{Rules: `key "a" { policy = "read" }`}}}
	peers := &primary{known: map[string]*acl.Identity{"reader": reader}}
	options := acl.Options{Default: acl.DenyAll{}}
	ask := func(ctx context.Context, secret string) (*acl.Identity, error) {
		resp, err := peers.Call(ctx, &api.Request{Op: api.ACLIdentify.Op, Args: &api.IdentifyArgs{Secret: secret}, Datacenter: "dc0"})
		if err != nil {
			return nil, err
		}
		return resp.Value.(*acl.Identity), nil
	}
	cache := aclcache.New(ask, acl.NewSets(options), time.Nanosecond, aclcache.ExtendCache)
	s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) {
		c.Peers = peers
		c.ACL = &server.ACLConfig{Options: options, PrimaryDatacenter: "dc0", Elsewhere: cache.ResolveKnown}
	}})
	read := func(token string) api.ErrorKind {
		_, err := s.Agent.Call(t.Context(), &api.Request{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: "a"}, Token: token})
		return api.KindOf(err)
	}
	for _, c := range []struct {
		what, token string
		gone        bool
		want        api.ErrorKind
	}{
		{"a token of the primary", "reader", false, api.NotFound},
		{"a token that nobody has", "stranger", false, api.Denied},
		{"without a token", "", false, api.Denied},
		{"a known token without the primary", "reader", true, api.NotFound},
		{"a new token without the primary", "newcomer", true, api.Denied},
	} {
		peers.gone = c.gone
		if got := read(c.token); got != c.want {
			t.Errorf("%s: read of a missing key: got error kind %d, want %d", c.what, got, c.want)
		}
	}
	peers.gone = false
	delete(peers.known, "reader")
	if got := read("reader"); got != api.Denied {
		t.Errorf("a revoked token: got error kind %d, want %d", got, api.Denied)
	}
	peers.asked = nil
	if _, err := s.Agent.Call(t.Context(), &api.Request{Op: api.ACLPolicies.Op, Args: &api.None{}}); err != nil || len(peers.asked) != 1 || peers.asked[0] != "acl.policies" {
		t.Errorf("list policies: error %v, the primary was asked for %v; want acl.policies", err, peers.asked)
	}
}
