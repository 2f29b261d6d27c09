package server_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// TestServersAskWithoutToken wants a server elsewhere to answer what servers ask each
// other whatever becomes of the primary datacenter, and to look tokens up as ever.
func TestServersAskWithoutToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []string
		s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) {
			c.ACL = &server.ACLConfig{Options: acl.Options{Default: acl.DenyAll{}}, PrimaryDatacenter: "dc0"}
			c.ACL.Elsewhere = func(secret string, _ *acl.Dated) (acl.Authorizer, error) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, secret)
				return nil, api.ErrUnknownToken
			}
		}})
		for _, c := range []struct {
			req  *api.Request
			want string
		}{
			{&api.Request{Op: api.LeaderIndex.Op, Args: &api.IndexArgs{}}, ""},
			{&api.Request{Op: api.ServerStatus.Op, Args: &api.None{}}, ""},
			{&api.Request{Op: api.ServerStatus.Op, Args: &api.None{}, Token: "x"}, api.ErrUnknownToken.Error()},
		} {
			got := ""
			if _, err := s.Server.Call(t.Context(), c.req); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%s with the token %q: got %q, want %q", c.req.Op.Name, c.req.Token, got, c.want)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]string{"x"}, asked); diff != "" {
			t.Errorf("tokens that the primary was asked about (-want +got)\n%s", diff)
		}
	})
}
