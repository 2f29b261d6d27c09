package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// register writes a service with a check on a node of its own.
func register(t *testing.T, s *inproc.Server, node, service, status string) {
	t.Helper()
	s.Must(t, "PUT", "/v1/catalog/register", fmt.Sprintf(
		`{"Node":%q,"Address":"10.0.0.1","Service":{"Service":%q},"Check":{"Name":"up","ServiceID":%q,"Status":%q}}`, node, service, service, status))
}

// counting is an authorizer that grants everything and counts how often it is
// asked about a node: once for each instance and evaluation.
type counting struct{ asked atomic.Int64 }

func (c *counting) Allows(n acl.Need) bool {
	if n.Resource == acl.Node {
		c.asked.Add(1)
	}
	return true
}
func (*counting) ID() string { return "counting" }

// given is what a waiter got.
type given struct {
	resp *api.Response
	err  error
}

// wait asks a verb in the background until its index is greater.
func wait[Q, R any](s *inproc.Server, verb api.Verb[Q, R], args Q, q api.Query) <-chan given {
	out := make(chan given, 1)
	go func() {
		resp, err := s.Agent.Call(context.Background(), &api.Request{Op: verb.Op, Args: &args, Query: q})
		out <- given{resp, err}
	}()
	return out
}

// webHealth asks for the health of the service web.
var webHealth = api.HealthServiceArgs{ServiceArgs: api.ServiceArgs{Service: "web"}}

// TestTenThousandWaiters wants one evaluation and one encoding for all who
// wait for the same change.
func TestTenThousandWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		who := &counting{}
		s := inproc.Start(t, inproc.Options{Authorizer: func(string) acl.Authorizer { return who }})
		register(t, s, "n2", "web", "passing")
		_, meta, err := api.Ask(t.Context(), s.Agent, api.HealthService, webHealth, api.Query{})
		if err != nil {
			t.Fatal(err)
		}
		const waiters = 10_000
		who.asked.Store(0)
		got := make(chan given, waiters)
		for range waiters {
			go func() {
				resp, err := s.Agent.Call(t.Context(), &api.Request{Op: api.HealthService.Op, Args: &webHealth, Query: api.Query{MinIndex: meta.Index}})
				got <- given{resp, err}
			}()
		}
		synctest.Wait()
		if n := who.asked.Load(); n != 0 || len(got) != 0 {
			t.Fatalf("before the change: %d evaluations and %d answers; want none", n, len(got))
		}
		register(t, s, "n2", "web", "warning")
		asked := who.asked.Swap(0) // the write asks too
		synctest.Wait()
		if len(got) != waiters {
			t.Fatalf("after the change: %d answers; want %d", len(got), waiters)
		}
		asked += who.asked.Load()
		// The write leaves the node as it is, so it asks about the service alone.
		if asked != 1 {
			t.Errorf("%d waiters: the authorizer was asked about the node %d times; want 1: one evaluation", waiters, asked)
		}
		first := <-got
		for range waiters - 1 {
			g := <-got
			if g.err != nil || g.resp.Encoded == nil || g.resp.Encoded != first.resp.Encoded || g.resp.Index != s.Store.Index() {
				t.Fatalf("a waiter got %+v, %v; want what the first got: %+v", g.resp, g.err, first.resp)
			}
		}
	})
}

// TestNotOneEarlyReturn lets many wait for one service while others change.
func TestNotOneEarlyReturn(t *testing.T) {
	waiters, writes := 10_000, 1000
	if testing.Short() {
		waiters, writes = 500, 100
	}
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		register(t, s, "n2", "web", "passing")
		register(t, s, "n3", "db", "passing")
		index := func(verb *api.Op, args any) uint64 {
			resp, err := s.Agent.Call(t.Context(), &api.Request{Op: verb, Args: args})
			if err != nil {
				t.Fatal(err)
			}
			return resp.Index
		}
		byService := &api.ServiceArgs{Service: "web"}
		queries := []struct {
			op    *api.Op
			args  any
			index uint64
		}{
			{op: api.HealthService.Op, args: &webHealth}, {op: api.CatalogService.Op, args: byService}, {op: api.HealthChecks.Op, args: byService},
			{op: api.HealthNode.Op, args: &api.NodeName{Node: "n2"}}, {op: api.CatalogNode.Op, args: &api.NodeName{Node: "n2"}},
		}
		for i, q := range queries {
			queries[i].index = index(q.op, q.args)
		}
		answered := make(chan int, waiters)
		for i := range waiters {
			q := queries[i%len(queries)]
			go func() {
				resp, err := s.Agent.Call(t.Context(), &api.Request{Op: q.op, Args: q.args, Query: api.Query{MinIndex: q.index}})
				if err != nil || resp.Index <= q.index {
					t.Errorf("%s after %d: got %+v, %v", q.op.Name, q.index, resp, err)
				}
				answered <- i
			}()
		}
		synctest.Wait()
		unrelated := []func(i int){
			func(i int) { register(t, s, "n3", "db", []string{"passing", "warning"}[i%2]) },
			func(i int) { s.Must(t, "PUT", fmt.Sprintf("/v1/kv/key-%d", i%100), fmt.Sprint(i)) },
			func(i int) { register(t, s, fmt.Sprintf("other-%d", i), "other", "passing") },
			func(i int) {
				s.Must(t, "PUT", "/v1/session/create", `{"Node":"n2","NodeChecks":[]}`)
			},
			func(i int) {
				s.Must(t, "PUT", "/v1/catalog/deregister", fmt.Sprintf(`{"Node":"other-%d"}`, i-2))
			},
			func(i int) { register(t, s, "n2", "web", "passing") }, // as it is
		}
		for i := range writes {
			unrelated[i%len(unrelated)](i)
			time.Sleep(time.Millisecond) // a thousand in a second of the bubble's clock
		}
		synctest.Wait()
		early := len(answered)
		register(t, s, "n2", "web", "critical")
		s.Must(t, "PUT", "/v1/catalog/register", `{"Node":"n2","Address":"10.0.0.7"}`)
		synctest.Wait()
		if late := len(answered); early != 0 || late != waiters {
			t.Errorf("%d waiters and %d unrelated writes: %d returned early, %d in all after a related one; want 0 and all",
				waiters, writes, early, late)
		}
	})
}

// TestWaitForMissingKey sleeps through the creation of neighbours.
func TestWaitForMissingKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		s.Must(t, "PUT", "/v1/kv/a", "1")
		for _, key := range []string{"missing", "miss"} {
			resp, err := s.Agent.Call(t.Context(), &api.Request{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: key}})
			if !errors.Is(err, api.ErrNotFound) || resp == nil || resp.Index == 0 {
				t.Fatalf("get of a missing key: %+v, %v; want not found, with an index", resp, err)
			}
			w := wait(s, api.KVGet, api.KeyArgs{Key: key}, api.Query{MinIndex: resp.Index})
			synctest.Wait()
			for _, other := range []string{"m", "missing/below", "missinh", "zzz"} {
				s.Must(t, "PUT", "/v1/kv/"+other, fmt.Sprint(time.Now(), key))
				s.Must(t, "DELETE", "/v1/kv/"+other, "")
			}
			synctest.Wait()
			if len(w) > 0 {
				t.Fatalf("the wait for %s returned after writes of other keys: %+v", key, <-w)
			}
			s.Must(t, "PUT", "/v1/kv/"+key, "v")
			got := <-w
			if got.err != nil || string(got.resp.Value.([]*api.KVPair)[0].Value) != "v" {
				t.Errorf("the wait for %s: got %+v; want the key", key, got)
			}
		}
	})
}

// TestWaitSeesDeletion wakes who waits for a key that goes.
func TestWaitSeesDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		for _, del := range []string{"/v1/kv/a/b", "/v1/kv/a?recurse", "/v1/kv/?recurse"} {
			s.Must(t, "PUT", "/v1/kv/a/b", "1")
			index := s.Store.Index()
			w := wait(s, api.KVGet, api.KeyArgs{Key: "a/b"}, api.Query{MinIndex: index})
			l := wait(s, api.KVList, api.PrefixArgs{Prefix: "a/"}, api.Query{MinIndex: index})
			synctest.Wait()
			s.Must(t, "DELETE", del, "")
			for what, ch := range map[string]<-chan given{"get": w, "list": l} {
				if got := <-ch; !errors.Is(got.err, api.ErrNotFound) || got.resp.Index <= index {
					t.Errorf("%s after DELETE %s: got %+v, %v; want not found with an index over %d", what, del, got.resp, got.err, index)
				}
			}
		}
	})
}

// TestHowLongAWaitIs holds waits against their bounds: the wait itself, and a
// sixteenth more at most.
func TestHowLongAWaitIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) { c.DefaultWait, c.MaxWait = time.Minute, 5*time.Minute }})
		s.Must(t, "PUT", "/v1/kv/a", "1")
		index := s.Store.Index()
		longest := map[string]time.Duration{}
		for range 5 {
			for _, c := range []struct {
				wait time.Duration
				want time.Duration
			}{
				{0, time.Minute}, {-time.Second, time.Minute}, {time.Millisecond, time.Millisecond}, {10 * time.Second, 10 * time.Second},
				{5 * time.Minute, 5 * time.Minute}, {24 * time.Hour, 5 * time.Minute},
			} {
				for _, min := range []uint64{index, index + 1000} {
					began := time.Now()
					got := <-wait(s, api.KVGet, api.KeyArgs{Key: "a"}, api.Query{MinIndex: min, MaxWait: c.wait})
					took := time.Since(began)
					if got.err != nil || got.resp.Index != index || took < c.want || took > c.want+c.want/16 {
						t.Errorf("wait=%v index=%d: got index %d, %v after %v; want index %d after %v and a sixteenth more at most",
							c.wait, min, got.resp.Index, got.err, took, index, c.want)
					}
					longest[c.wait.String()] = max(longest[c.wait.String()], took-c.want)
				}
			}
		}
		if longest["10s"] == 0 {
			t.Error("10 waits of 10 s had no jitter at all")
		}
		for _, min := range []uint64{0, index - 1} {
			began := time.Now()
			<-wait(s, api.KVGet, api.KeyArgs{Key: "a"}, api.Query{MinIndex: min, MaxWait: time.Hour})
			if took := time.Since(began); took != 0 {
				t.Errorf("index=%d, where the key is at %d: got an answer after %v; want at once", min, index, took)
			}
		}
	})
}

// TestDrain answers all who wait at once.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		register(t, s, "n2", "web", "passing")
		index := s.Store.Index()
		waits := []<-chan given{
			wait(s, api.KVGet, api.KeyArgs{Key: "none"}, api.Query{MinIndex: index}),
			wait(s, api.HealthService, webHealth, api.Query{MinIndex: index}),
			wait(s, api.CatalogNode, api.NodeName{Node: "n2"}, api.Query{MinIndex: index, Consistency: api.Consistent}),
			wait(s, api.SessionList, api.None{}, api.Query{MinIndex: index, Consistency: api.Stale}),
			wait(s, api.CatalogNode, api.NodeName{Node: inproc.NodeID[:8]}, api.Query{MinIndex: index}), // looks at several things
		}
		synctest.Wait()
		began := time.Now()
		s.Drain()
		for i, w := range waits {
			got := <-w
			if (got.err != nil && !errors.Is(got.err, api.ErrNotFound)) || got.resp == nil || got.resp.Index == 0 || got.resp.Index > index {
				t.Errorf("wait %d after the drain: got %+v, %v; want an answer", i, got.resp, got.err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the drain took %v; want no time", took)
		}
	})
}

// TestClientThatGoesAway leaves no wait behind.
func TestClientThatGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		targets := []string{"/v1/kv/a?index=1000", "/v1/catalog/nodes?index=1000", "/v1/catalog/node/" + inproc.NodeID[:8] + "?index=1000"}
		done := make(chan *httptest.ResponseRecorder, len(targets))
		for _, target := range targets {
			go func() { done <- s.DoContext(ctx, "GET", target, "") }()
		}
		synctest.Wait()
		if len(done) > 0 {
			t.Fatalf("a wait ended by itself: %+v", <-done)
		}
		began := time.Now()
		cancel()
		for range targets {
			<-done
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("the waits went on for %v after their client had gone", took)
		}
	})
}

// TestWaitForSeveralThings wakes by each of what a query looks at.
func TestWaitForSeveralThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		register(t, s, "n2", "web", "passing")
		ask := func(args api.NodeName) <-chan given {
			resp, err := s.Agent.Call(t.Context(), &api.Request{Op: api.CatalogNode.Op, Args: &args})
			if err != nil {
				t.Fatal(err)
			}
			w := wait(s, api.CatalogNode, args, api.Query{MinIndex: resp.Index})
			synctest.Wait()
			return w
		}
		prefix := inproc.NodeID[:8]
		for _, c := range []struct{ target, body, want string }{
			{"/v1/catalog/register", `{"Node":"n1","SkipNodeUpdate":true,"Service":{"Service":"new"}}`, "n1"},
			{"/v1/catalog/register", fmt.Sprintf(`{"Node":%q,"Address":"10.0.0.9"}`, prefix), prefix},
			{"/v1/catalog/deregister", fmt.Sprintf(`{"Node":%q}`, prefix), "n1"},
		} {
			w := ask(api.NodeName{Node: prefix})
			register(t, s, "n2", "web", []string{"passing", "warning"}[len(c.body)%2])
			synctest.Wait()
			if len(w) > 0 {
				t.Fatalf("the wait for the node %s returned after a change of another: %+v", prefix, (<-w).resp.Value)
			}
			s.Must(t, "PUT", c.target, c.body)
			got := <-w
			if n, _ := got.resp.Value.(*api.NodeServices); got.err != nil || n == nil || n.Node.Node != c.want {
				t.Errorf("the wait for the node %s after %s: got %+v, %v; want %s", prefix, c.body, got.resp.Value, got.err, c.want)
			}
		}
	})
}

// TestWaitAcrossRestore returns all waits when a snapshot takes the place of
// the state, with an index that does not go back.
func TestWaitAcrossRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		register(t, s, "n2", "web", "passing")
		s.Must(t, "PUT", "/v1/kv/a", "old")
		archive := s.Must(t, "GET", "/v1/snapshot", "")
		for i := range 50 {
			s.Must(t, "PUT", "/v1/kv/a", fmt.Sprint(i))
			s.Must(t, "PUT", "/v1/kv/new", fmt.Sprint(i))
		}
		register(t, s, "n2", "web", "critical")
		index := s.Store.Index()
		waits := map[string]<-chan given{
			"get":     wait(s, api.KVGet, api.KeyArgs{Key: "a"}, api.Query{MinIndex: index}),
			"missing": wait(s, api.KVGet, api.KeyArgs{Key: "none"}, api.Query{MinIndex: index}),
			"list":    wait(s, api.KVList, api.PrefixArgs{Prefix: "n"}, api.Query{MinIndex: index}),
			"health":  wait(s, api.HealthService, webHealth, api.Query{MinIndex: index}),
			"future":  wait(s, api.CatalogNodes, api.NodeSelection{}, api.Query{MinIndex: index + 1_000_000}),
		}
		synctest.Wait()
		began := time.Now()
		s.Must(t, "PUT", "/v1/snapshot", archive)
		for what, w := range waits {
			got := <-w
			if got.resp == nil || got.resp.Index <= index || got.err != nil && !errors.Is(got.err, api.ErrNotFound) {
				t.Errorf("%s after the restore: got %+v, %v; want an index over %d", what, got.resp, got.err, index)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the waits went on for %v; want them to return at once", took)
		}
		if got := s.Must(t, "GET", "/v1/kv/a?raw", ""); got != "old" {
			t.Errorf("after the restore a is %q; want the old value", got)
		}
		before := indexOf(t, s, "/v1/kv/a")
		s.Must(t, "PUT", "/v1/kv/a", "newest")
		if after := indexOf(t, s, "/v1/kv/a"); after <= before {
			t.Errorf("a write after the restore: its index %d is not greater than %d before", after, before)
		}
	})
}

// indexOf is the index of the answer to a GET.
func indexOf(t *testing.T, s *inproc.Server, target string) uint64 {
	t.Helper()
	w := s.Do("GET", target, "")
	n, err := strconv.ParseUint(w.Header().Get("X-Consul-Index"), 10, 64)
	if err != nil || n == 0 {
		t.Fatalf("GET %s: %d %.100s: X-Consul-Index %q", target, w.Code, w.Body, w.Header().Get("X-Consul-Index"))
	}
	return n
}

// everywhere are queries whose indexes must never go back.
var everywhere = []string{
	"/v1/kv/a", "/v1/kv/a/b", "/v1/kv/none", "/v1/kv/a?recurse", "/v1/kv/a/?keys", "/v1/kv/?keys", "/v1/kv/none?recurse",
	"/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/service/web", "/v1/catalog/service/none", "/v1/catalog/node/n2", "/v1/catalog/node/none",
	"/v1/catalog/node-services/n2", "/v1/health/node/n2", "/v1/health/node/none", "/v1/health/checks/web", "/v1/health/service/web",
	"/v1/health/service/none", "/v1/health/state/any", "/v1/health/state/passing", "/v1/health/state/critical", "/v1/health/state/nonsense",
	"/v1/session/list", "/v1/session/node/n2", "/v1/session/node/none", "/v1/session/info/none",
}

// TestIndexNeverGoesBack watches the indexes of all queries through writes,
// deletes, a restart and the restore of a snapshot.
func TestIndexNeverGoesBack(t *testing.T) {
	dir := t.TempDir()
	s := inproc.Start(t, inproc.Options{Dir: dir})
	last := map[string]uint64{}
	look := func(after string) {
		t.Helper()
		for _, target := range everywhere {
			now := indexOf(t, s, target)
			if now < last[target] {
				t.Errorf("after %s: the index of %s went from %d back to %d", after, target, last[target], now)
			}
			last[target] = now
		}
	}
	do := func(method, target, body string) {
		t.Helper()
		s.Must(t, method, target, body)
		look(strings.TrimSpace(method + " " + target + " " + body))
	}
	look("start")
	everything := func() {
		t.Helper()
		register(t, s, "n2", "web", "passing")
		look("registration")
		do("PUT", "/v1/kv/a", "1")
		do("PUT", "/v1/kv/a/b", "1")
		do("PUT", "/v1/kv/z", "1")
		do("PUT", "/v1/session/create", `{"Node":"n2","Behavior":"delete","NodeChecks":["up"]}`)
		do("DELETE", "/v1/kv/a/b", "")
		register(t, s, "n2", "web", "critical")
		look("a check that fails")
		do("DELETE", "/v1/kv/a?recurse", "")
		do("PUT", "/v1/catalog/deregister", `{"Node":"n2","CheckID":"up"}`)
		do("PUT", "/v1/catalog/deregister", `{"Node":"n2","ServiceID":"web"}`)
		do("PUT", "/v1/catalog/deregister", `{"Node":"n2"}`)
		do("DELETE", "/v1/kv/?recurse", "")
	}
	everything()
	archive := s.Must(t, "GET", "/v1/snapshot", "")
	everything()
	for range 2 {
		s.Stop()
		s = inproc.Start(t, inproc.Options{Dir: dir})
		look("a restart")
	}
	s.Must(t, "PUT", "/v1/snapshot", archive)
	look("a restore")
	s.Stop()
	s = inproc.Start(t, inproc.Options{Dir: dir})
	look("a restart after a restore")
	everything()
}
