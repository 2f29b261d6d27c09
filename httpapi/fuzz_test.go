package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"curia/api"
	"curia/internal/testing/inproc"
)

// documented are the statuses that the API documents.
var documented = []int{200, 301, 307, 400, 401, 403, 404, 405, 409, 413, 429, 500, 503}

// mayFail are the beginnings of what a 500 may say: refusals that are
// documented with it. An empty text belongs to a query that cannot be read.
var mayFail = regexp.MustCompile(`^(` + strings.Join([]string{
	`$`, `No path to datacenter$`, `strconv.ParseUint: parsing `,
	`ACL rule compilation failed: `, `Invalid ACL Type$`,
	`\[?\{"AggregatedStatus":"`, `do not provide a token when logging in$`, `log in with the auth method `,
	`missing session$`, `invalid session "`,
	`Must provide `, `Bad node ID: `, `Invalid service address$`, `check node ".*" does not match node `, `failed inserting `,
	`Missing node registration$`, `Missing check '`, `Check '.*' is in critical state$`, `(?s)Invalid Behavior setting '`,
	`(?s)Session TTL '.*' invalid: `, `Invalid Session TTL '`,
	`Cannot provide tag filter without service filter$`, `(?s)Invalid (node|service|tag) filter: `, `user event exceeds limit`, `(?s)join .*`,
	`(Service|Check)ID missing$`, `CheckID ".*" does not have associated TTL$`, `Scripts are disabled on this agent`, `the checks of this agent do not run yet$`,
	`Must be bound to a session$`, `Bad limit: `, `prepared query .* (exists already|is already in use|is the ID of a query)$`,
	`(?s)(id|address) ".*" was not found in the Raft configuration$`, `cannot (remove|transfer) `, `there is no keyring: `,
	`the snapshot cannot be restored: `, `restore snapshot: `, `read snapshot archive: `, `Invalid operation \d+: (Must|Invalid|check node)`,
}, "|") + `)`)

// answerWait is how long an answer may take: blocking queries are cut off when
// their client goes away.
const answerWait = 10 * time.Second

// FuzzRequest sends whatever can be sent and wants a documented answer.
func FuzzRequest(f *testing.F) {
	s := inproc.Start(f, inproc.Options{})
	for _, r := range fixture {
		s.Must(f, r.method, r.target, r.body)
	}
	for _, op := range api.Ops() {
		for _, x := range samples[op.Name].seeds(op) {
			f.Add(x.method, x.target, "X-Consul-Token: t\r\n", []byte(x.body))
		}
	}
	for _, target := range []string{
		"*", "/", "//", "/v1/kv/..", "/v1/kv/%2e%2e/%zz", "/v1/kv/%00", "/v1/kv/a?%zz", "/v1/kv/a?index=1&wait=1ns", "/v1/kv/a?cas=1&recurse",
		"/v1/query/find-web/execute?limit=1&near=n2&connect=false", "/v1/query/find-other/execute?limit=x", "/v1/query//execute",
		"http://host/v1/kv/a", "/v1/catalog/nodes?filter=a+b", "/v1/catalog/services?filter=a+in+b&near=x&node-meta=a:b", "/v1/health/state/any?filter=Checks",
		"/v1/kv/?keys&separator=%00", "/v1/health/service/web?passing=x&tag&stale&consistent&max_stale=1",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "BREW"} {
			f.Add(method, target, "Accept-Encoding: gzip\r\n", []byte("[{}]"))
		}
	}
	f.Fuzz(func(t *testing.T, method, target, headers string, body []byte) {
		r := parse(method, target, headers, body)
		if r == nil {
			return // net/http refuses it
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Handler.ServeHTTP(w, r.WithContext(ctx))
		}()
		if blocks(r) {
			cancel()
		}
		select {
		case <-done:
		case <-time.After(answerWait):
			t.Fatalf("%s %s: no answer after %v", method, target, answerWait)
		}
		judge(t, s, r, w, body)
	})
}

// seeds are requests of a verb.
func (x sample) seeds(op *api.Op) []send {
	out := []send{{op.Method, x.target, x.body}, {op.Method, with(x.target, "pretty&index=1&wait=1ms&stale"), x.body}}
	if x.empty != "" && x.empty != never {
		out = append(out, send{op.Method, x.empty, ""})
	}
	for _, w := range []send{x.related, x.unrelated} {
		if w.method != "" {
			out = append(out, w)
		}
	}
	return out
}

// parse makes a request as net/http would read it; nil when it would not.
func parse(method, target, headers string, body []byte) *http.Request {
	var b bytes.Buffer
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + headers)
	if !strings.HasSuffix(headers, "\r\n") {
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	r, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		return nil
	}
	r.Body, r.ContentLength, r.RemoteAddr = http.NoBody, 0, "127.0.0.1:1"
	if len(body) > 0 {
		r.Body, r.ContentLength = readCloser{bytes.NewReader(body)}, int64(len(body))
	}
	return r
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// blocks reports whether a request may ask for a change that does not come.
func blocks(r *http.Request) bool {
	return strings.Contains(r.URL.RawQuery, "ind") || strings.Contains(r.URL.RawQuery, "%")
}

// judge holds an answer against what is documented.
func judge(t *testing.T, s *inproc.Server, r *http.Request, w *httptest.ResponseRecorder, body []byte) {
	t.Helper()
	asked := r.Method + " " + r.RequestURI + " " + string(body)
	if lines := s.Log.Find("panic"); len(lines) > 0 {
		t.Fatalf("%q: %s", asked, lines[0])
	}
	text := w.Body.String()
	if w.Header().Get("Content-Encoding") == "gzip" {
		return // only large answers are compressed, and they are lists
	}
	switch {
	case !slices.Contains(documented, w.Code):
		t.Errorf("%q: got %d %q, which is no documented status", asked, w.Code, text)
	case w.Code == 503 && strings.HasPrefix(r.URL.Path, "/v1/agent/health/service/"):
		// The service is critical: the status is the answer.
	case w.Code >= 500 && !mayFail.MatchString(text) && !(text == "context canceled" && blocks(r)):
		t.Errorf("%q: got %d %q, which is no documented text", asked, w.Code, text)
	case w.Code == 200 && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") && !json.Valid([]byte(text)):
		t.Errorf("%q: got 200 with JSON that is none: %q", asked, text)
	case w.Code == 200 && text == "null" && !strings.HasPrefix(r.URL.Path, "/v1/catalog/node"):
		t.Errorf("%q: got null", asked)
	}
}
