package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"curia/acl"
	"curia/agent"
	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

const (
	benchRoot  = "5ec2e7aa-0000-4000-8000-000000000001"
	benchToken = "5ec2e7aa-0000-4000-8000-000000000002"
	benchRules = `key_prefix "" { policy = "write" } key_prefix "vault/" { policy = "deny" } key "vault/public" { policy = "read" }
		node_prefix "" { policy = "write" } service_prefix "" { policy = "write" } service "consul" { policy = "read" } session_prefix "" { policy = "write" }`
)

// guardedBench starts a server whose callers have an ordinary token unless they bring
// another.
func guardedBench(b *testing.B) *inproc.Server {
	b.Helper()
	s := inproc.Start(b, inproc.Options{
		Tune: func(c *server.Config) {
			c.ACL = &server.ACLConfig{Options: acl.Options{Default: acl.DenyAll{}}, InitialManagement: benchRoot}
		},
		TuneAgent: func(c *agent.Config) { c.Tokens.Default = benchToken },
	})
	for s.Store.View().ACLTokenBySecret(benchRoot) == nil {
		runtime.Gosched() // the leader makes it
	}
	asRoot(b, s, api.ACLPolicyCreate, api.ACLCreate[api.ACLPolicy]{New: api.ACLPolicy{Name: "bench", Rules: benchRules}})
	asRoot(b, s, api.ACLTokenCreate, api.ACLTokenArgs{Token: api.ACLToken{SecretID: benchToken, ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{Name: "bench"}}}}})
	return s
}

func asRoot[Q, R any](b *testing.B, s *inproc.Server, verb api.Verb[Q, R], args Q) {
	b.Helper()
	if _, err := call(s, benchRoot, verb, args); err != nil {
		b.Fatalf("%s: %v", verb.Name, err)
	}
}

// BenchmarkACLs reads a key and a service, without ACLs and with an ordinary
// token.
func BenchmarkACLs(b *testing.B) {
	for _, kind := range []string{"off", "on"} {
		start := map[string]func(*testing.B) *inproc.Server{
			"off": func(b *testing.B) *inproc.Server { return inproc.Start(b, inproc.Options{}) }, "on": guardedBench,
		}[kind]
		for _, target := range []string{"/v1/kv/app/color", "/v1/health/service/web?passing"} {
			b.Run(kind+target, func(b *testing.B) {
				s := start(b)
				s.Must(b, "PUT", "/v1/kv/app/color", "red")
				for i := range 10 {
					s.Must(b, "PUT", "/v1/catalog/register", fmt.Sprintf(`{"Node":"m%d","Address":"10.0.0.1","Service":{"Service":"web"},"Check":{"Name":"c","Status":"passing","ServiceID":"web"}}`, i))
				}
				req := httptest.NewRequest("GET", target, http.NoBody)
				b.ReportAllocs()
				for b.Loop() {
					w := httptest.NewRecorder()
					s.Handler.ServeHTTP(w, req)
					if w.Code != 200 {
						b.Fatalf("%s: %d %s", target, w.Code, w.Body)
					}
				}
			})
		}
	}
}
