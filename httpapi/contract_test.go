package httpapi_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/httpapi"
	"curia/internal/testing/inproc"
)

// about says that a verb is answered by the agent that is asked, wherever the
// caller points.
func about(op *api.Op) bool {
	switch op {
	case api.OpenAPI.Op, api.AgentMetrics.Op, api.AgentMetricsStream.Op, api.AgentMonitor.Op, api.AgentProfile.Op:
		return true
	}
	return op.Kind == api.KindLocal && op != api.EventFire.Op
}

// TestEveryVerbIsRouted asks for each verb under each of its methods, and
// looks at what arrives.
func TestEveryVerbIsRouted(t *testing.T) {
	seen := &recorder{}
	raw := map[*api.Op]httpapi.RawFunc{}
	for _, op := range api.Ops() {
		if op.Kind == api.KindRaw {
			raw[op] = func(_ http.ResponseWriter, r *http.Request, req *api.Request) error {
				_, err := seen.Call(r.Context(), req)
				return err
			}
		}
	}
	h := httpapi.New(httpapi.Config{Raw: raw}, seen, slog.New(slog.DiscardHandler))
	for _, op := range api.Ops() {
		s := sampleOf(t, op)
		for _, method := range append([]string{op.Method}, op.AlsoMethods...) {
			seen.last = nil
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, s.target, strings.NewReader(s.body)))
			if w.Code != 200 || seen.last == nil || seen.last.Op != op {
				t.Errorf("%s %s: got %d %q, verb %+v; want %s", method, s.target, w.Code, w.Body, seen.last, op.Name)
			}
		}
	}
}

// TestOtherMethods asks each path under methods that it does not have.
func TestOtherMethods(t *testing.T) {
	h := httpapi.New(httpapi.Config{}, &recorder{}, slog.New(slog.DiscardHandler))
	methods := map[string][]string{} // of the routes
	target := map[string]string{}
	for _, op := range api.Ops() {
		methods[op.Path] = append(append(methods[op.Path], op.Method), op.AlsoMethods...)
		target[op.Path] = sampleOf(t, op).target
	}
	for path, has := range methods {
		allow := "OPTIONS"
		for _, m := range []string{"GET", "PUT", "POST", "DELETE"} {
			if slices.Contains(has, m) {
				allow += "," + m
			}
		}
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW", "OPTIONS"} {
			if slices.Contains(has, m) {
				continue
			}
			wantCode, wantBody := 405, "method "+m+" not allowed"
			if m == "OPTIONS" {
				wantCode, wantBody = 200, ""
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(m, target[path], nil))
			if w.Code != wantCode || w.Body.String() != wantBody || w.Header().Get("Allow") != allow {
				t.Errorf("%s %s\n got %d %q Allow: %s\nwant %d %q Allow: %s",
					m, target[path], w.Code, w.Body, w.Header().Get("Allow"), wantCode, wantBody, allow)
			}
		}
	}
}

// TestUnknownDatacenter asks every verb to be carried out where nobody knows a
// way to.
func TestUnknownDatacenter(t *testing.T) {
	s := setStage(t, inproc.Options{})
	for _, op := range api.Ops() {
		sample := sampleOf(t, op)
		w := s.Do(op.Method, with(s.fill(t, sample.target), "dc=nowhere"), s.fill(t, sample.body))
		if about(op) {
			if w.Code != 200 {
				t.Errorf("%s with dc=nowhere: got %d %q; want 200, it is about the agent", op.Name, w.Code, w.Body)
			}
			continue
		}
		if w.Code != 500 || w.Body.String() != "No path to datacenter" {
			t.Errorf("%s with dc=nowhere: got %d %q; want 500 %q", op.Name, w.Code, w.Body, "No path to datacenter")
		}
	}
}

// TestReadOptionsThatAreWrong gives every read what it must refuse.
func TestReadOptionsThatAreWrong(t *testing.T) {
	s := setStage(t, inproc.Options{})
	bad := []struct{ param, text string }{
		{"stale&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics."},
		{"consistent=&stale=", "Cannot specify ?stale with ?consistent, conflicting semantics."},
		{"max_stale=1s&consistent", "Cannot specify ?stale with ?consistent, conflicting semantics."},
		{"cached&consistent", "Cannot specify ?cached with ?consistent, conflicting semantics."},
		{"index=x", "Invalid index"},
		{"index=-1", "Invalid index"},
		{"index=1.5", "Invalid index"},
		{"index=18446744073709551616", "Invalid index"},
		{"wait=10", "Invalid wait time"},
		{"wait=soon&index=1", "Invalid wait time"},
		{"wait=soon&index=x", "Invalid wait time"},
		{"max_stale=1", `Invalid max_stale value "1"`},
		{"ns=team", `Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature`},
		{"partition=team", `Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature`},
	}
	for _, op := range api.Ops() {
		if op.Kind != api.KindRead {
			continue
		}
		for _, b := range bad {
			target := with(s.fill(t, sampleOf(t, op).target), b.param)
			if w := s.Do(op.Method, target, ""); w.Code != 400 || w.Body.String() != b.text {
				t.Errorf("%s\n got %d %q\nwant 400 %q", target, w.Code, w.Body, b.text)
			}
		}
	}
}

// TestMissingPathParameter leaves out what a path is about.
func TestMissingPathParameter(t *testing.T) {
	text := map[string]string{
		"key": "Missing key name", "node": "Missing node name", "service": "Missing service name",
		"state": "Missing check state", "id": "Missing session", "address": "Missing address", "name": "Missing name",
		"query": "Missing query",
		"kind":  "Must provide either a kind or both kind and name",
	}
	s := setStage(t, inproc.Options{})
	for _, op := range api.Ops() {
		last := strings.LastIndex(op.Path, "{")
		if last < 0 || op == api.KVList.Op || op == api.KVKeys.Op { // an empty prefix means all keys
			continue
		}
		param, after, _ := strings.Cut(op.Path[last+1:], "}")
		if after != "" { // an empty segment before others is cleaned away
			continue
		}
		target := strings.NewReplacer("{", "", "}", "").Replace(op.Path[:last])
		if op.When != "" {
			target += "?" + op.When
		}
		sample := sampleOf(t, op)
		w := s.Do(op.Method, target, sample.body)
		got, want := fmt.Sprintf("%d %s", w.Code, w.Body), cmp.Or(sample.missing, "400 "+text[param])
		if got != want {
			t.Errorf("%s %s\n got %s\nwant %s", op.Method, target, got, want)
		}
	}
}

// TestEmptyResults wants [] and {}, never null, for lists without elements.
func TestEmptyResults(t *testing.T) {
	s := setStage(t, inproc.Options{})
	for _, op := range api.Ops() {
		sample := sampleOf(t, op)
		if op.Kind != api.KindRead || op.Bare || sample.empty == never {
			continue
		}
		w := s.Do(op.Method, strings.ReplaceAll(sample.empty, " ", "%20"), "")
		if got := answerOf(w.Code, w.Body.String()); got != sample.emptyBody {
			t.Errorf("%s\n got %d %q\nwant %q", sample.empty, w.Code, w.Body, sample.emptyBody)
		}
		if i, err := strconv.ParseUint(w.Header().Get("X-Consul-Index"), 10, 64); err != nil || i == 0 {
			t.Errorf("%s: X-Consul-Index: got %q; want a positive number", sample.empty, w.Header().Get("X-Consul-Index"))
		}
	}
	s.Must(t, "DELETE", "/v1/kv/?recurse", "")
	if got := s.Must(t, "GET", "/v1/kv/?keys", ""); got != "[]" {
		t.Errorf("GET /v1/kv/?keys of an empty store: got %q; want []", got)
	}
}

// TestHeadersOfReads wants every read to tell about itself, in every mode.
func TestHeadersOfReads(t *testing.T) {
	s := setStage(t, inproc.Options{})
	for _, op := range api.Ops() {
		if op.Kind != api.KindRead {
			continue
		}
		for param, mode := range map[string]string{"": "leader", "consistent": "consistent", "stale": "stale", "max_stale=1h": "stale", "stale&leader": "leader"} {
			target := with(s.fill(t, sampleOf(t, op).target), param)
			w := s.Do("GET", target, "")
			got := map[string]string{}
			for _, name := range []string{"Knownleader", "Lastcontact", "Effective-Consistency"} {
				got[name] = w.Header().Get("X-Consul-" + name)
			}
			want := map[string]string{"Knownleader": "true", "Lastcontact": "0", "Effective-Consistency": mode}
			index := w.Header().Get("X-Consul-Index")
			if op.Bare {
				want = map[string]string{"Knownleader": "", "Lastcontact": "", "Effective-Consistency": ""}
				if index != "" {
					t.Errorf("%s: X-Consul-Index: got %s; want none", target, index)
				}
			} else if n, err := strconv.ParseUint(index, 10, 64); err != nil || n == 0 || n > s.Store.Index() {
				t.Errorf("%s: X-Consul-Index: got %q; want 1…%d", target, index, s.Store.Index())
			}
			if diff := gocmp.Diff(want, got); w.Code != 200 || diff != "" {
				t.Errorf("%s: %d (-want +got)\n%s", target, w.Code, diff)
			}
		}
	}
}

// TestDiscoveryMaxStale wants reads of the catalog and of health, and no others,
// to be stale unless they say otherwise.
func TestDiscoveryMaxStale(t *testing.T) {
	s := setStage(t, inproc.Options{HTTP: httpapi.Config{DiscoveryMaxStale: time.Hour}})
	for target, want := range map[string]string{
		"/v1/catalog/nodes": "stale", "/v1/health/service/web": "stale", "/v1/catalog/services?leader": "leader",
		"/v1/health/state/any?consistent": "consistent", "/v1/kv/?keys": "leader", "/v1/session/list": "leader",
	} {
		if got := s.Do("GET", target, "").Header().Get("X-Consul-Effective-Consistency"); got != want {
			t.Errorf("GET %s: answered in the mode %q, want %q", target, got, want)
		}
	}
}

// TestPretty wants the same answer, indented by four blanks.
func TestPretty(t *testing.T) {
	for _, op := range api.Ops() {
		if op.Kind == api.KindRaw || op.Result == reflect.TypeFor[api.RawValue]() || sampleOf(t, op).refused == "" && op.Result == reflect.TypeFor[api.Nothing]() {
			continue
		}
		s := setStage(t, inproc.Options{})
		sample := sampleOf(t, op)
		w := s.Do(op.Method, with(s.fill(t, sample.target), "pretty"), s.fill(t, sample.body))
		if sample.refused != "" {
			if w.Code != 500 || w.Body.String() != sample.refused {
				t.Errorf("%s of a server that is alone: got %d %q; want 500 %q", op.Name, w.Code, w.Body, sample.refused)
			}
			continue
		}
		var compact, want bytes.Buffer
		if op.Result == reflect.TypeFor[api.Nothing]() {
			if w.Code != 200 || w.Body.Len() > 0 {
				t.Errorf("%s?pretty: got %d %q; want 200 without a body", op.Name, w.Code, w.Body)
			}
			continue
		}
		if err := json.Compact(&compact, w.Body.Bytes()); err != nil {
			t.Errorf("%s?pretty: got %d %q: %v", op.Name, w.Code, w.Body, err)
			continue
		}
		_ = json.Indent(&want, compact.Bytes(), "", "    ")
		want.WriteByte('\n')
		if diff := gocmp.Diff(want.String(), w.Body.String()); w.Code != 200 || diff != "" {
			t.Errorf("%s?pretty: %d (-want +got)\n%s", op.Name, w.Code, diff)
		}
	}
}

// TestDenied asks every verb with a token that may do nothing.
func TestDenied(t *testing.T) {
	s := setStage(t, inproc.Options{Authorizer: resolve})
	for _, op := range api.Ops() {
		sample := sampleOf(t, op)
		body := s.fill(t, sample.body)
		before := s.Store.Index()
		w := s.Do(op.Method, with(s.fill(t, sample.target), "token="+deniedToken), body)
		got := answerOf(w.Code, w.Body.String())
		switch {
		case sample.public:
			if w.Code != 200 {
				t.Errorf("%s without permission: got %d %q; want 200, it is public", op.Name, w.Code, w.Body)
			}
		case sample.hidden != "":
			if got != sample.hidden {
				t.Errorf("%s without permission: got %d %q; want %q", op.Name, w.Code, w.Body, sample.hidden)
			}
		case w.Code != 403 || !strings.HasPrefix(got, "Permission denied"):
			t.Errorf("%s without permission: got %d %q; want 403 %q", op.Name, w.Code, w.Body, "Permission denied…")
		}
		if now := s.Store.Index(); now != before && op != api.ACLBootstrap.Op && op != api.ACLLogout.Op {
			t.Errorf("%s without permission: the log went from %d to %d", op.Name, before, now)
		}
		filtered := w.Header().Get("X-Consul-Results-Filtered-By-Acls")
		seen := op.Kind == api.KindLocal && strings.Trim(sample.hidden, "[]{}") == "" && op != api.EventList.Op // there are no events
		if want := sample.hidden != "" && (sample.related.method != "" || seen); want != (filtered == "true") {
			t.Errorf("%s without permission: X-Consul-Results-Filtered-By-ACLs: got %q; want it: %t", op.Name, filtered, want)
		}
	}
}

// TestDeniedTransactions tries each kind of operation without permission.
func TestDeniedTransactions(t *testing.T) {
	s := setStage(t, inproc.Options{Authorizer: resolve})
	for _, op := range []string{
		`{"KV":{"Verb":"get","Key":"app/a"}}`,
		`{"KV":{"Verb":"get-tree","Key":"app/"}}`,
		`{"KV":{"Verb":"check-not-exists","Key":"none"}}`,
		`{"KV":{"Verb":"delete-tree","Key":""}}`,
		`{"Node":{"Verb":"get","Node":{"Node":"n2"}}}`,
		`{"Node":{"Verb":"set","Node":{"Node":"n5","Address":"1.2.3.4"}}}`,
		`{"Service":{"Verb":"get","Node":"n2","Service":{"ID":"web1"}}}`,
		`{"Service":{"Verb":"delete","Node":"n2","Service":{"ID":"web1"}}}`,
		`{"Service":{"Verb":"set","Node":"n2","Service":{"Service":"x"}}}`,
		`{"Check":{"Verb":"get","Check":{"Node":"n2","CheckID":"disk"}}}`,
		`{"Check":{"Verb":"set","Check":{"Node":"n2","CheckID":"web1-up","ServiceID":"web1","Status":"critical"}}}`,
		`{"Session":{"Verb":"delete","Session":{"ID":"SESSION"}}}`,
	} {
		body := s.fill(t, "["+op+"]")
		before := s.Store.Index()
		w := s.Do("PUT", "/v1/txn?token="+deniedToken, body)
		if w.Code != 409 || !strings.Contains(w.Body.String(), `"Errors":[{"OpIndex":0,"What":"Permission denied`) || s.Store.Index() != before {
			t.Errorf("txn %s without permission: got %d %q; want 409", body, w.Code, w.Body)
		}
	}
}

// TestBlockingIsRespected holds every read against a write that must not wake
// it and one that must.
func TestBlockingIsRespected(t *testing.T) {
	for _, op := range api.Ops() {
		if op.Kind != api.KindRead || op.Bare {
			continue
		}
		t.Run(op.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { blockingIsRespected(t, op) })
		})
	}
}

func blockingIsRespected(t *testing.T, op *api.Op) {
	s := setStage(t, inproc.Options{})
	sample := sampleOf(t, op)
	target := s.fill(t, sample.target)
	before := s.Do("GET", target, "")
	index := before.Header().Get("X-Consul-Index")
	woken := make(chan *httptest.ResponseRecorder, 1)
	began := time.Now()
	go func() { woken <- s.Do("GET", with(target, "wait=10s&index="+index), "") }()

	synctest.Wait()
	if u := sample.unrelated; u.method != "" {
		s.Must(t, u.method, s.fill(t, u.target), u.body)
		synctest.Wait()
		if len(woken) > 0 {
			t.Fatalf("%s?index=%s returned after %+v: %s", target, index, u, (<-woken).Body)
		}
	}
	r := sample.related
	if r.method == "" { // nothing can wake it
		if w := <-woken; w.Code != 200 || time.Since(began) < 10*time.Second {
			t.Errorf("%s?index=%s&wait=10s: got %d after %v; want 200 after 10 s", target, index, w.Code, time.Since(began))
		}
		return
	}
	s.Must(t, r.method, s.fill(t, r.target), r.body)
	synctest.Wait()
	if len(woken) == 0 {
		t.Fatalf("%s?index=%s does not return after %+v", target, index, r)
	}
	after := <-woken
	i, _ := strconv.ParseUint(index, 10, 64)
	j, _ := strconv.ParseUint(after.Header().Get("X-Consul-Index"), 10, 64)
	if after.Code != 200 || j <= i || after.Body.String() == before.Body.String() {
		t.Errorf("%s?index=%s after %+v\n got %d, index %d, %s\nwant 200, a greater index and another answer than %s",
			target, index, r, after.Code, j, after.Body, before.Body)
	}
	if fresh := s.Do("GET", target, ""); fresh.Body.String() != after.Body.String() || fresh.Header().Get("X-Consul-Index") != after.Header().Get("X-Consul-Index") {
		t.Errorf("%s: the watcher got\n%d %s\na fresh query gets\n%s %s", target, j, after.Body, fresh.Header().Get("X-Consul-Index"), fresh.Body)
	}
}

// TestHashBlocking holds a read of a service by its hash against changes of
// other services, of its checks, and of itself.
func TestHashBlocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := setStage(t, inproc.Options{})
		const target = "/v1/agent/service/l1"
		before := s.Do("GET", target, "")
		hash := before.Header().Get("X-Consul-Contenthash")
		if !strings.Contains(before.Body.String(), `"ContentHash":"`+hash+`"`) || hash == "" {
			t.Fatalf("%s: got hash %q in the header and %s", target, hash, before.Body)
		}
		if w := s.Do("GET", target+"?hash=other&wait=10s", ""); w.Body.String() != before.Body.String() {
			t.Errorf("%s?hash=other: got %d %s; want %s", target, w.Code, w.Body, before.Body)
		}
		began := time.Now()
		if w := s.Do("GET", target+"?wait=10s&hash="+hash, ""); w.Body.String() != before.Body.String() || time.Since(began) != 10*time.Second {
			t.Errorf("%s?hash=%s&wait=10s: got %d %s after %v; want the same after 10 s", target, hash, w.Code, w.Body, time.Since(began))
		}
		woken := make(chan *httptest.ResponseRecorder, 1)
		go func() { woken <- s.Do("GET", target+"?wait=10s&hash="+hash, "") }()
		synctest.Wait()
		for _, u := range []send{
			{"PUT", "/v1/agent/service/register", `{"Name":"another"}`},
			{"PUT", "/v1/agent/check/fail/l1-up", ""},
			{"PUT", "/v1/agent/service/register", `{"ID":"l1","Name":"local","Tags":["v1"]}`},
		} {
			s.Must(t, u.method, u.target, u.body)
			synctest.Wait()
			if len(woken) > 0 {
				t.Fatalf("%s?hash=%s returned after %+v: %s", target, hash, u, (<-woken).Body)
			}
		}
		s.Must(t, "PUT", "/v1/agent/service/register", `{"ID":"l1","Name":"local","Tags":["v2"]}`)
		after := <-woken
		if h := after.Header().Get("X-Consul-Contenthash"); after.Code != 200 || h == hash || !strings.Contains(after.Body.String(), `"v2"`) {
			t.Errorf("%s after a change: got %d, hash %s, %s; want another hash than %s and the tag v2", target, after.Code, h, after.Body, hash)
		}
		go func() { woken <- s.Do("GET", target+"?hash="+after.Header().Get("X-Consul-Contenthash"), "") }()
		synctest.Wait()
		s.Must(t, "PUT", "/v1/agent/service/deregister/l1", "")
		if w := <-woken; w.Code != 404 {
			t.Errorf("%s after its end: got %d %q; want 404", target, w.Code, w.Body)
		}
	})
}

// readAll is the body of a response.
func readAll(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
