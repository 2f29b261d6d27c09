package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/api"
	"curia/httpapi"
	"curia/internal/testing/inproc"
	"curia/server"
)

// ofKey is the answer to a read of the key a.
func ofKey(value string, created, modified int) event {
	return event{"change", uint64(modified), fmt.Sprintf(
		`[{"LockIndex":0,"Key":"a","Flags":0,"Value":%q,"CreateIndex":%d,"ModifyIndex":%d}]`, value, created, modified)}
}

// inBubbles runs a test for each format in a bubble of its own.
func inBubbles(t *testing.T, f func(t *testing.T, media string)) {
	for _, media := range formats {
		t.Run(media, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, media) })
		})
	}
}

// TestEveryBlockingReadStreams follows each read through a write that does not
// concern it and one that does.
func TestEveryBlockingReadStreams(t *testing.T) {
	for _, op := range api.Ops() {
		if op.Kind == api.KindRead && !op.Bare || op.Blocks {
			t.Run(op.Name, func(t *testing.T) {
				inBubbles(t, func(t *testing.T, media string) { readStreams(t, op, media) })
			})
		}
	}
}

func readStreams(t *testing.T, op *api.Op, media string) {
	s := setStage(t, inproc.Options{})
	sample := sampleOf(t, op)
	target := s.fill(t, sample.target)
	fresh := func() event {
		w := s.Do("GET", target, "")
		index, _ := strconv.ParseUint(w.Header().Get("X-Consul-Index"), 10, 64)
		text := w.Body.String()
		if op.Result == reflect.TypeFor[api.RawValue]() {
			b, _ := json.Marshal(append([]byte{}, text...))
			text = string(b)
		}
		return event{"change", index, text}
	}
	f := follow(t, s.Handler, media, target)
	f.want(target, fresh())
	if got := f.header.Get("Content-Type"); got != media || f.code != 200 {
		t.Fatalf("%s: got %d with Content-Type %q; want 200, %s", target, f.code, got, media)
	}
	if u := sample.unrelated; u.method != "" {
		s.Must(t, u.method, s.fill(t, u.target), u.body)
		f.want(fmt.Sprintf("%s after %+v", target, u))
	}
	if r := sample.related; r.method != "" {
		s.Must(t, r.method, s.fill(t, r.target), r.body)
		f.want(fmt.Sprintf("%s after %+v", target, r), fresh())
	}
	f.leave()
	if !f.over() {
		t.Errorf("%s: the stream goes on without its client", target)
	}
	if sample.emptyBody == notFound {
		none := follow(t, s.Handler, media, s.fill(t, sample.empty))
		if got := none.next(); none.code != 200 || len(got) != 1 || got[0].Kind != "missing" || got[0].Index == 0 || got[0].Text != "null" {
			t.Errorf("%s: got %d %+v; want 200 and that it is missing", sample.empty, none.code, got)
		}
		none.leave()
	}
	s.Stop()
}

// TestOtherVerbsDoNotStream wants verbs that do not wait to refuse a stream
// before anything is done, unless the client takes JSON as well.
func TestOtherVerbsDoNotStream(t *testing.T) {
	for _, op := range api.Ops() {
		if op.Kind == api.KindRead && !op.Bare || op.Blocks || op.Kind == api.KindRaw {
			continue
		}
		s := setStage(t, inproc.Options{})
		sample := sampleOf(t, op)
		ask := func(accept string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(op.Method, s.fill(t, sample.target), strings.NewReader(s.fill(t, sample.body)))
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			s.Handler.ServeHTTP(w, r)
			return w
		}
		before := s.Store.Index()
		for _, media := range formats {
			w := ask(media)
			want := "Cannot stream " + op.Name + " as " + media + ": only blocking queries can be streamed"
			if w.Code != 406 || !strings.HasPrefix(w.Body.String(), want) || s.Store.Index() != before {
				t.Errorf("%s as %s: got %d %q, index %d; want 406 %q…, index %d", op.Name, media, w.Code, w.Body, s.Store.Index(), want, before)
			}
		}
		want := 200
		if sample.refused != "" {
			want = 500
		}
		if w := ask(sse + ", application/json;q=0.5"); w.Code != want {
			t.Errorf("%s as a stream or as JSON: got %d %q; want %d", op.Name, w.Code, w.Body, want)
		}
	}
}

// TestAcceptChoosesStream tries headers.
func TestAcceptChoosesStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		s.Must(t, "PUT", "/v1/kv/a", "1")
		for _, c := range []struct{ accept, want string }{
			{"", "application/json"},
			{"*/*", "application/json"},
			{"application/json", "application/json"},
			{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"},
			{"text/event-stream;q=0", "application/json"},
			{"application/json, text/event-stream", "application/json"},
			{"text/event-stream;q=0.5, application/json;q=0.9", "application/json"},
			{"text/plain", "application/json"},
			{"text/event-stream;q=x", "application/json"},
			{"nonsense;;;", "application/json"},
			{"text/event-stream", sse},
			{"Text/Event-Stream; charset=utf-8", sse},
			{"text/event-stream, application/json", sse},
			{"text/event-stream, */*", sse},
			{"application/x-ndjson", ndjson},
			{"*/*;q=0.1, application/x-ndjson", ndjson},
			{"application/x-ndjson;q=0.1, text/event-stream;q=0.2", sse},
		} {
			f := follow(t, s.Handler, c.accept, "/v1/kv/a")
			if got := f.header.Get("Content-Type"); got != c.want || f.over() != (c.want == "application/json") {
				t.Errorf("Accept: %s: got %s, over: %t; want %s", c.accept, got, f.over(), c.want)
			}
			f.leave()
		}
		s.Stop()
	})
}

// TestStreamResumes comes again with the ID of an event.
func TestStreamResumes(t *testing.T) {
	inBubbles(t, func(t *testing.T, media string) {
		s := inproc.Start(t, inproc.Options{})
		s.Must(t, "PUT", "/v1/kv/a", "1")
		s.Must(t, "PUT", "/v1/kv/a", "2")
		now := int(s.Store.Index())
		latest := ofKey("Mg==", now-1, now)
		for _, c := range []struct {
			what, query, id string
			want            []event
		}{
			{"a new client", "", "", []event{latest}},
			{"who has the latest", "", strconv.Itoa(now), nil},
			{"who has it, by index", "?index=" + strconv.Itoa(now), "", nil},
			{"who has an older one", "", strconv.Itoa(now - 1), []event{latest}},
			{"who has an older one, by index", "?index=" + strconv.Itoa(now-1), "", []event{latest}},
			{"whose header is newer than the query", "?index=1", strconv.Itoa(now), nil},
			{"whose header is older than the query", "?index=" + strconv.Itoa(now), "1", []event{latest}},
			{"who has one of another life", "", "1000000", []event{latest}},
			{"who has none", "?index=0&wait=1s", "0", []event{latest}},
		} {
			f := follow(t, s.Handler, media, "/v1/kv/a"+c.query, "Last-Event-ID", c.id)
			f.want(c.what, c.want...)
			if f.code != 200 || f.over() {
				t.Errorf("%s: got %d, over: %t; want 200 and a stream", c.what, f.code, f.over())
			}
			f.leave()
		}
		f := follow(t, s.Handler, media, "/v1/kv/a", "Last-Event-ID", strconv.Itoa(now))
		f.want("before the change")
		s.Must(t, "PUT", "/v1/kv/a", "3")
		f.want("after the change", ofKey("Mw==", now-1, now+1))
		f.leave()
		s.Stop()
	})
}

// TestErrorsBeforeStream wants errors before the first event as any request has
// them.
func TestErrorsBeforeStream(t *testing.T) {
	s := setStage(t, inproc.Options{Authorizer: resolve})
	for _, c := range []struct {
		target, id string
		code       int
		body       string
	}{
		{"/v1/kv/a", "x", 400, `Invalid Last-Event-ID "x": send the id of an event as it came, or none`},
		{"/v1/kv/a", "-1", 400, `Invalid Last-Event-ID "-1": send the id of an event as it came, or none`},
		{"/v1/kv/a?index=x", "", 400, "Invalid index"},
		{"/v1/kv/a?wait=x", "", 400, "Invalid wait time"},
		{"/v1/kv/a?dc=nowhere", "", 500, "No path to datacenter"},
		{"/v1/kv/", "", 400, "Missing key name"},
		{"/v1/kv/a?token=denied", "", 403, `Permission denied: token lacks permission 'key:read' on "a"`},
		{"/v1/acl/policy/" + tokenID, "", 404, "policy not found"},
		{"/v1/health/service/web?filter=nonsense", "", 400, ""},
	} {
		r := httptest.NewRequest("GET", c.target, nil)
		r.Header.Set("Accept", sse)
		r.Header.Set("Last-Event-ID", c.id)
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		if w.Code != c.code || c.body != "" && w.Body.String() != c.body || strings.HasPrefix(w.Header().Get("Content-Type"), sse) {
			t.Errorf("%s, Last-Event-ID %q: got %d %q, %s; want %d %q", c.target, c.id, w.Code, w.Body, w.Header().Get("Content-Type"), c.code, c.body)
		}
	}
}

// TestMissingKeyStreams follows a key through its life.
func TestMissingKeyStreams(t *testing.T) {
	inBubbles(t, func(t *testing.T, media string) {
		s := inproc.Start(t, inproc.Options{})
		f := follow(t, s.Handler, media, "/v1/kv/a")
		if got := f.next(); len(got) != 1 || got[0].Kind != "missing" {
			t.Errorf("a missing key: got %+v; want one event that says so", got)
		}
		s.Must(t, "PUT", "/v1/kv/b", "1")
		f.want("after the creation of another key")
		s.Must(t, "PUT", "/v1/kv/a", "1")
		now := int(s.Store.Index())
		f.want("after its creation", ofKey("MQ==", now, now))
		s.Must(t, "DELETE", "/v1/kv/a", "")
		f.want("after its end", event{"missing", uint64(now + 1), "null"})
		s.Must(t, "PUT", "/v1/kv/a", "")
		w := s.Do("GET", "/v1/kv/a", "")
		f.want("after its return", event{"change", uint64(now + 2), w.Body.String()})
		raw := follow(t, s.Handler, media, "/v1/kv/a?raw")
		raw.want("an empty value, raw", event{"change", uint64(now + 2), `""`})
		raw.leave()
		f.leave()
		s.Stop()
	})
}

// TestHeartbeats lets a stream be idle: it says nothing but that it lives, and
// not more often than it should.
func TestHeartbeats(t *testing.T) {
	for _, media := range formats {
		synctest.Test(t, func(t *testing.T) {
			s := inproc.Start(t, inproc.Options{})
			s.Must(t, "PUT", "/v1/kv/a", "1")
			f := follow(t, s.Handler, media, "/v1/kv/a")
			f.next()
			beats, last := 0, time.Now()
			for range 3600 {
				time.Sleep(time.Second)
				got := f.next()
				if len(got) == 0 {
					continue
				}
				gap := time.Since(last)
				if len(got) > 1 || got[0].Kind != "beat" || gap < 15*time.Second || gap > 28*time.Second {
					t.Fatalf("after %v the stream says %+v; want a heartbeat every 15 to 28 s", gap, got)
				}
				beats, last = beats+1, time.Now()
				if known := media == sse; known != (got[0].Index == 0) {
					t.Fatalf("heartbeat %+v; want no id where it would be the one of the last event", got[0])
				}
			}
			if beats < 3600/28 {
				t.Errorf("%d heartbeats in an hour; want at least %d", beats, 3600/28)
			}
			s.Must(t, "PUT", "/v1/kv/a", "2")
			if got := f.next(); len(got) != 1 || got[0].Kind != "change" {
				t.Errorf("a change after an hour: got %+v; want one event", got)
			}
			f.leave()
			s.Stop()
		})
	}
}

// TestHeartbeatsTellTheIndex wants a client that comes again not to be told what
// it knows: the index of an answer can grow while the answer stays.
func TestHeartbeatsTellTheIndex(t *testing.T) {
	for _, media := range formats {
		synctest.Test(t, func(t *testing.T) {
			s := inproc.Start(t, inproc.Options{})
			f := follow(t, s.Handler, media, "/v1/kv/a")
			f.next()
			s.Must(t, "PUT", "/v1/kv/b", "1")
			time.Sleep(28 * time.Second)
			f.want("after the creation of another key", event{"beat", s.Store.Index(), ""})
			f.leave()
			s.Stop()
		})
	}
}

// TestRevokedToken wants a stream to end whose token loses its permission, at
// once when there is something to tell, and after a heartbeat otherwise.
func TestRevokedToken(t *testing.T) {
	for _, c := range []struct{ what, media string }{
		{"/v1/kv/a", sse}, {"/v1/kv/a", ndjson}, {"/v1/event/list", sse}, {"/v1/event/list", ndjson},
	} {
		synctest.Test(t, func(t *testing.T) {
			what, media := c.what, c.media
			var mu sync.Mutex
			var who acl.Authorizer = acl.AllowAll{}
			var unknown error
			s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) {
				c.Authorizer = func(token string) (acl.Authorizer, error) {
					mu.Lock()
					defer mu.Unlock()
					if token == "t" {
						return who, unknown
					}
					return acl.AllowAll{}, nil
				}
			}})
			set := func(a acl.Authorizer, err error) {
				mu.Lock()
				defer mu.Unlock()
				who, unknown = a, err
			}
			changes := 0
			change := func() {
				changes++
				s.Must(t, "PUT", "/v1/kv/a", strconv.Itoa(changes))
				s.Must(t, "PUT", "/v1/event/fire/e", "")
			}
			notFound := &api.Error{Kind: api.Denied, Msg: "ACL not found"}
			gone := event{"failure", 0, `{"Error":"ACL not found","Status":403}`}
			change()

			f := follow(t, s.Handler, media, what, "X-Consul-Token", "t")
			f.next()
			change()
			if got := f.next(); len(got) != 1 || got[0].Kind != "change" {
				t.Errorf("%s with a good token: got %+v; want one change", what, got)
			}
			set(nil, notFound)
			change()
			f.want("a change after the token was deleted", gone)
			if !f.over() {
				t.Errorf("%s: the stream goes on after its token", what)
			}

			set(acl.AllowAll{}, nil)
			f = follow(t, s.Handler, media, what, "X-Consul-Token", "t")
			f.next()
			set(nil, notFound)
			f.want("before a heartbeat")
			time.Sleep(28 * time.Second)
			f.want("after a heartbeat", gone)
			if !f.over() {
				t.Errorf("%s: the idle stream goes on after its token", what)
			}
			f.leave()
			s.Stop()
		})
	}
}

// TestNarrowedToken wants a list to shrink with the permissions of its reader.
func TestNarrowedToken(t *testing.T) {
	for _, media := range formats {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var who acl.Authorizer = acl.AllowAll{}
			s := inproc.Start(t, inproc.Options{Authorizer: func(string) acl.Authorizer {
				mu.Lock()
				defer mu.Unlock()
				return who
			}})
			f := follow(t, s.Handler, media, "/v1/catalog/nodes")
			if got := f.next(); len(got) != 1 || !strings.Contains(got[0].Text, inproc.NodeName) {
				t.Fatalf("nodes: got %+v; want this one", got)
			}
			mu.Lock()
			who = acl.DenyAll{}
			mu.Unlock()
			time.Sleep(28 * time.Second)
			if got := f.next(); len(got) == 0 || got[0].Kind != "change" || got[0].Text != "[]" {
				t.Errorf("nodes without permission: got %+v; want none", got)
			}
			f.leave()
			s.Stop()
		})
	}
}

// TestStreamIsObservedOnce wants the time until the first answer to be measured.
func TestStreamIsObservedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			Op     string
			Took   time.Duration
			Status int
		}
		var got []seen
		s := inproc.Start(t, inproc.Options{
			Authorizer: resolve,
			HTTP: httpapi.Config{Observe: func(op *api.Op, took time.Duration, status int) {
				got = append(got, seen{op.Name, took, status})
			}},
		})
		s.Must(t, "PUT", "/v1/kv/a", "1")
		got = nil
		f := follow(t, s.Handler, sse, "/v1/kv/a")
		follow(t, s.Handler, sse, "/v1/kv/a?token=denied").leave()
		want := []seen{{"kv.get", 0, 200}, {"kv.get", 0, 403}}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("at the beginning (-want +got)\n%s", diff)
		}
		time.Sleep(time.Hour)
		s.Must(t, "PUT", "/v1/kv/a", "2")
		f.leave()
		f.over()
		want = append(want, seen{"kv.put", 0, 200})
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("at the end (-want +got)\n%s", diff)
		}
		s.Stop()
	})
}
