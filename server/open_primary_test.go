package server_test

import (
	"context"
	"testing"
	"testing/synctest"

	"curia/acl"
	"curia/api"
	"curia/internal/aclcache"
	"curia/internal/testing/inproc"
	"curia/server"
)

// openPrimary is a primary datacenter where ACLs are off.
type openPrimary struct{ server.Peers }

// Call implements api.Caller.
func (openPrimary) Call(context.Context, *api.Request) (*api.Response, error) {
	return nil, &api.Error{Kind: api.Disabled, Msg: "ACL support disabled"}
}

// TestPrimaryWithoutACLs wants a client agent elsewhere to let nobody in because the
// primary has its ACLs off.
func TestPrimaryWithoutACLs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) {
			c.Peers = openPrimary{}
			c.ACL = &server.ACLConfig{Options: acl.Options{Default: acl.DenyAll{}}, PrimaryDatacenter: "dc0"}
			c.ACL.Elsewhere = func(string, *acl.Dated) (acl.Authorizer, error) { return acl.DenyAll{}, nil }
		}})
		for _, secret := range []string{"", "made-up"} {
			if got := mayWrite(client(s, aclcache.ExtendCache).Resolve, secret); got != "no" {
				t.Errorf("the holder of %q may write: got %s, want no", secret, got)
			}
		}
	})
}
