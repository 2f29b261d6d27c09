package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// sessionOf creates a session and returns its ID.
func sessionOf(t *testing.T, s *inproc.Server, body string) string {
	t.Helper()
	return strings.Split(s.Must(t, "PUT", "/v1/session/create", body), `"`)[3]
}

// lives reports whether a session is there.
func lives(t *testing.T, s *inproc.Server, id string) bool {
	t.Helper()
	return s.Must(t, "GET", "/v1/session/info/"+id, "") != "[]"
}

// TestSessionsExpire plays the life of sessions on the bubble's clock.
func TestSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		const checks = `,"NodeChecks":[]`
		brief := sessionOf(t, s, `{"Node":"n1","TTL":"10s"`+checks+`}`)
		renewed := sessionOf(t, s, `{"Node":"n1","TTL":"10s"`+checks+`}`)
		long := sessionOf(t, s, `{"Node":"n1","TTL":"1h"`+checks+`}`)
		endless := sessionOf(t, s, `{"Node":"n1"`+checks+`}`)
		s.Must(t, "PUT", "/v1/kv/lock?acquire="+brief, "held")
		gone := wait(s, api.SessionInfo, api.SessionID{ID: brief}, api.Query{MinIndex: s.Store.Index() - 1})
		began := time.Now()
		for time.Since(began) < 15*time.Second {
			time.Sleep(5 * time.Second)
			s.Must(t, "PUT", "/v1/session/renew/"+renewed, "")
		}
		if !lives(t, s, brief) || len(gone) > 0 {
			t.Errorf("a session of 10 s is gone after %v; want it to live for twice its TTL", time.Since(began))
		}
		<-gone
		if took := time.Since(began); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("a session of 10 s lived for %v; want 20 s", took)
		}
		for id, want := range map[string]bool{brief: false, renewed: true, long: true, endless: true} {
			if got := lives(t, s, id); got != want {
				t.Errorf("after %v the session %s lives: %t; want %t", time.Since(began), s.Must(t, "GET", "/v1/session/info/"+id, ""), got, want)
			}
		}
		if got := s.Must(t, "GET", "/v1/kv/lock", ""); strings.Contains(got, "Session") {
			t.Errorf("the lock of a session that expired: got %s; want it free", got)
		}
		time.Sleep(15*time.Second + time.Second) // 20 s after the last renewal
		if lives(t, s, renewed) {
			t.Errorf("a session that is renewed no more is there %v after it began", time.Since(began))
		}
		if w := s.Do("PUT", "/v1/session/renew/"+renewed, ""); w.Code != 404 || w.Body.String() != "Session id '"+renewed+"' not found" {
			t.Errorf("renewing a session that expired: got %d %q; want 404", w.Code, w.Body)
		}
		time.Sleep(2*time.Hour + time.Second)
		if lives(t, s, long) || !lives(t, s, endless) {
			t.Errorf("after two hours: the session of 1h lives: %t, the one without TTL: %t; want the latter alone", lives(t, s, long), lives(t, s, endless))
		}
	})
}

// TestManySessionsExpire ends many at once, and none too early.
func TestManySessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		began := time.Now()
		for i := range 300 {
			sessionOf(t, s, fmt.Sprintf(`{"Node":"n1","TTL":"%ds","NodeChecks":[]}`, 10+i%10))
		}
		for len(s.Store.View().Sessions()) > 0 {
			for _, x := range s.Store.View().Sessions() {
				if age := time.Since(began); age > 2*x.TTLDuration()+time.Second {
					t.Fatalf("a session of %s is there after %v", x.TTL, age)
				}
			}
			time.Sleep(500 * time.Millisecond)
		}
		if took := time.Since(began); took < 38*time.Second {
			t.Errorf("the last session, of 19 s, lived for %v; want 38 s", took)
		}
	})
}

// TestReaping forgets tombstones after their time, and no index goes back.
func TestReaping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		s.Must(t, "PUT", "/v1/kv/a/b", "1")
		s.Must(t, "PUT", "/v1/kv/a/c", "1")
		s.Must(t, "DELETE", "/v1/kv/a/c", "")
		before := indexOf(t, s, "/v1/kv/a/?recurse")
		watch := wait(s, api.KVList, api.PrefixArgs{Prefix: "a/"}, api.Query{MinIndex: before, MaxWait: 10 * time.Minute})
		tombstones := func() int { return s.Store.Snapshot().Counts()["tombstones"] }
		if tombstones() != 1 {
			t.Fatalf("one deletion left %d tombstones", tombstones())
		}
		began := time.Now()
		got := <-watch
		if time.Since(began) < 10*time.Minute {
			t.Errorf("reaping woke the watch of a listing after %v: %+v", time.Since(began), got)
		}
		time.Sleep(6 * time.Minute)
		if n := tombstones(); n != 0 {
			t.Errorf("%v after a deletion there are %d tombstones; want none", time.Since(began), n)
		}
		if after := indexOf(t, s, "/v1/kv/a/?recurse"); after < before {
			t.Errorf("the index of a listing went from %d back to %d with its tombstone", before, after)
		}
		idle := s.Store.Index()
		time.Sleep(time.Hour)
		if now := s.Store.Index(); now != idle {
			t.Errorf("an idle server's log went from %d to %d in an hour", idle, now)
		}
	})
}

// TestServerPutsItselfBack registers again when somebody has removed it.
func TestServerPutsItselfBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		want := s.Must(t, "GET", `/v1/health/service/consul?filter=Node.Node==n1`, "")
		s.Must(t, "PUT", "/v1/catalog/deregister", `{"Node":"n1"}`)
		if got := s.Must(t, "GET", "/v1/catalog/nodes", ""); got != "[]" {
			t.Fatalf("after the deregistration: %s", got)
		}
		time.Sleep(61 * time.Second)
		got := s.Must(t, "GET", "/v1/health/service/consul", "")
		if !strings.Contains(got, inproc.NodeID) || len(got) < len(want) {
			t.Errorf("a minute after the deregistration: got %s; want it as before: %s", got, want)
		}
	})
}

// TestWithoutLeader asks in every mode while there is no leader.
func TestWithoutLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{Follower: true, Tune: func(c *server.Config) { c.HoldTimeout = 3 * time.Second }})
		for _, c := range []struct {
			method, target string
			code           int
			text           string
			took           time.Duration
		}{
			{"GET", "/v1/kv/a", 500, "No cluster leader", 3 * time.Second},
			{"GET", "/v1/catalog/nodes?consistent", 500, "No cluster leader", 3 * time.Second},
			{"PUT", "/v1/kv/a", 500, "No cluster leader", 3 * time.Second},
			{"PUT", "/v1/session/renew/x", 500, "No cluster leader", 3 * time.Second},
			{"GET", "/v1/snapshot", 500, "No cluster leader", 3 * time.Second},
			{"GET", "/v1/kv/a?stale", 404, "", 0},
			{"GET", "/v1/catalog/nodes?max_stale=1m", 200, "[]", 0},
			{"GET", "/v1/status/leader", 200, `""`, 0},
			{"GET", "/v1/status/peers", 200, "[]", 0},
			{"GET", "/v1/agent/version", 200, `{"SHA":"","BuildDate":"","HumanVersion":"","FIPS":""}`, 0},
		} {
			began := time.Now()
			w := s.Do(c.method, c.target, "")
			if took := time.Since(began); w.Code != c.code || w.Body.String() != c.text || took != c.took {
				t.Errorf("%s %s without a leader: got %d %q after %v; want %d %q after %v", c.method, c.target, w.Code, w.Body, took, c.code, c.text, c.took)
			}
			if strings.Contains(c.target, "stale") && w.Header().Get("X-Consul-Knownleader") != "false" {
				t.Errorf("%s %s without a leader: X-Consul-KnownLeader: %q; want false", c.method, c.target, w.Header().Get("X-Consul-Knownleader"))
			}
		}
	})
}

// TestConsistencyModes tells in each mode how the answer was made.
func TestConsistencyModes(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for i := range 50 {
		s.Must(t, "PUT", "/v1/kv/a", fmt.Sprint(i))
		for _, mode := range []api.Consistency{api.Default, api.Consistent, api.Stale} {
			pairs, meta, err := api.Ask(t.Context(), s.Agent, api.KVGet, api.KeyArgs{Key: "a"}, api.Query{Consistency: mode})
			if err != nil || len(pairs) != 1 || string(pairs[0].Value) != fmt.Sprint(i) || meta.Consistency != mode || !meta.KnownLeader || meta.LastContact != 0 {
				t.Fatalf("a in mode %s after writing %d: got %+v, %+v, %v", mode, i, pairs, meta, err)
			}
		}
	}
}

// TestUnboundVerb says which verb it is that nobody carries out.
func TestUnboundVerb(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for _, call := range []api.Caller{s.Server, s.Agent} {
		for _, kind := range []api.Kind{api.KindRead, api.KindLocal} {
			_, err := call.Call(t.Context(), &api.Request{Op: &api.Op{Name: "no.such", Kind: kind}, Args: &api.None{}})
			var known *api.Error
			if err == nil || errors.As(err, &known) || err.Error() != "verb no.such is not bound" {
				t.Errorf("an unknown verb of kind %s: got %v; want an error that names it", kind, err)
			}
		}
	}
}
