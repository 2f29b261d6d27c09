package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/httpapi"
	"curia/internal/testing/inproc"
)

// handler makes a handler that asks a recorder.
func handler(cfg httpapi.Config) (*httpapi.Handler, *recorder) {
	rec := &recorder{}
	return httpapi.New(cfg, rec, slog.New(slog.DiscardHandler)), rec
}

// ask sends one request to a handler.
func ask(h http.Handler, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestDecodedRequests(t *testing.T) {
	cas, session := uint64(7), "s"
	h, rec := handler(httpapi.Config{})
	for _, c := range []struct {
		method, target, body string
		want                 api.Request
	}{
		{"GET", "/v1/kv/a%2Fb?dc=dc2&stale", "", api.Request{Args: &api.KeyArgs{Key: "a/b"}, Datacenter: "dc2", Query: api.Query{Consistency: api.Stale}}},
		{"GET", "/v1/kv/a+b?dc=dc2&datacenter=dc3", "", api.Request{Args: &api.KeyArgs{Key: "a+b"}, Datacenter: "dc3"}},
		{"GET", "/v1/kv/a?consistent&index=5&wait=1m30s", "", api.Request{Args: &api.KeyArgs{Key: "a"},
			Query: api.Query{Consistency: api.Consistent, MinIndex: 5, MaxWait: 90 * time.Second}}},
		{"GET", "/v1/kv/a?index=&wait=", "", api.Request{Args: &api.KeyArgs{Key: "a"}}},
		{"GET", "/v1/kv/a?max_stale=10s", "", api.Request{Args: &api.KeyArgs{Key: "a"}, Query: api.Query{Consistency: api.Stale, MaxStale: 10 * time.Second}}},
		{"GET", "/v1/kv/a?max_stale=-10s", "", api.Request{Args: &api.KeyArgs{Key: "a"}, Query: api.Query{Consistency: api.Stale}}},
		{"GET", "/v1/kv/a?max_stale=10s&leader", "", api.Request{Args: &api.KeyArgs{Key: "a"}, Query: api.Query{MaxStale: 10 * time.Second}}},
		{"GET", "/v1/kv/a?wait=-5s", "", api.Request{Args: &api.KeyArgs{Key: "a"}, Query: api.Query{MaxWait: -5 * time.Second}}},
		{"GET", "/v1/kv/a?cached&ns=default&partition=default", "", api.Request{Args: &api.KeyArgs{Key: "a"}}},
		{"GET", "/v1/kv/a/?keys&seperator=x", "", api.Request{Args: &api.KVKeysArgs{Prefix: "a/", Separator: "x", Seperator: "x"}}},
		{"GET", "/v1/kv/?keys&separator=/&seperator=x&recurse", "", api.Request{Args: &api.KVKeysArgs{Separator: "/", Seperator: "x"}}},
		{"GET", "/v1/kv/a?recurse&raw", "", api.Request{Args: &api.PrefixArgs{Prefix: "a"}}},
		{"PUT", "/v1/kv/a?flags=18446744073709551615", "v", api.Request{Args: &api.KVPutArgs{Key: "a", Flags: 1<<64 - 1, Value: []byte("v")}}},
		{"PUT", "/v1/kv/a?cas=7", "", api.Request{Args: &api.KVPutArgs{Key: "a", CAS: &cas, Value: []byte{}}}},
		{"PUT", "/v1/kv/a?acquire=s", "\x00\xff", api.Request{Args: &api.KVPutArgs{Key: "a", Acquire: &session, Value: []byte("\x00\xff")}}},
		{"PUT", "/v1/kv/a?release=s&index=x", "", api.Request{Args: &api.KVPutArgs{Key: "a", Release: &session, Value: []byte{}}}},
		{"DELETE", "/v1/kv/?recurse", "", api.Request{Args: &api.KVDeleteArgs{Recurse: true}}},
		{"DELETE", "/v1/kv/a?cas=7", "", api.Request{Args: &api.KVDeleteArgs{Key: "a", CAS: &cas}}},
		{"GET", "/v1/health/service/web?passing&tag=a&tag=b&node-meta=k:v&near=_agent&filter=x", "", api.Request{
			Args: &api.HealthServiceArgs{Passing: true, ServiceArgs: api.ServiceArgs{Service: "web", Tags: []string{"a", "b"},
				NodeSelection: api.NodeSelection{NodeMeta: []string{"k:v"}, Near: "_agent"}}}, Query: api.Query{Filter: "x"}}},
		{"GET", "/v1/health/service/web?passing=false&tag", "", api.Request{
			Args: &api.HealthServiceArgs{ServiceArgs: api.ServiceArgs{Service: "web", Tags: []string{""}}}}},
		{"GET", "/v1/catalog/node/a/b", "", api.Request{Args: &api.NodeName{Node: "a/b"}}},
		{"PUT", "/v1/session/create", "", api.Request{Args: &api.SessionCreateArgs{}}},
		{"PUT", "/v1/session/create", `{"name":"x"} rest`, api.Request{Args: &api.SessionCreateArgs{Spec: api.SessionSpec{Name: "x"}}}},
		{"PUT", "/v1/catalog/deregister", `{"Node":"n","serviceid":"s"}`, api.Request{
			Args: &api.DeregisterArgs{Deregistration: api.Deregistration{Node: "n", ServiceID: "s"}}}},
	} {
		rec.last = nil
		w := ask(h, c.method, c.target, strings.NewReader(c.body))
		if rec.last == nil {
			t.Errorf("%s %s: got %d %q; want a call", c.method, c.target, w.Code, w.Body)
			continue
		}
		got := *rec.last
		got.Op, c.want.JSON = nil, true
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", c.method, c.target, diff)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	h, rec := handler(httpapi.Config{})
	for _, c := range []struct {
		method, target, body string
		code                 int
		text                 string
	}{
		{"GET", "/v1/nothing", "", 404, "Invalid URL path: not a recognized HTTP API endpoint\n"},
		{"GET", "/nothing", "", 404, "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"},
		{"POST", "/", "", 404, "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"},
		{"GET", "/v1/kv/a%00b", "", 400, ""},
		{"GET", "/v1/kv/a%e2%80%8bb", "", 400, ""},
		{"GET", "/v1/kv/a%FF", "", 200, "[]"}, // bytes that are no text are printed as U+FFFD, which can be
		{"GET", "/v1/kv/h%C3%A4", "", 200, "[]"},
		{"GET", "/v1/kv/a?x=%zz", "", 500, ""},
		{"GET", "/v1/kv/a?a;b", "", 500, ""},
		{"GET", "/v1/health/service/web?passing=maybe", "", 400, "Invalid value for ?passing"},
		{"PUT", "/v1/kv/a?flags=x", "", 500, `strconv.ParseUint: parsing "x": invalid syntax`},
		{"PUT", "/v1/kv/a?cas", "", 500, `strconv.ParseUint: parsing "": invalid syntax`},
		{"PUT", "/v1/kv/a?cas=-1", "", 500, `strconv.ParseUint: parsing "-1": invalid syntax`},
		{"PUT", "/v1/kv/a?release=r&acquire=a", "", 400, "Conflicting flags: acquire=a&release=r"},
		{"PUT", "/v1/kv/a?cas=1&release=", "", 400, "Conflicting flags: cas=1&release="},
		{"DELETE", "/v1/kv/a?cas=1&recurse", "", 400, "Conflicting flags: cas=1&recurse="},
		{"PUT", "/v1/catalog/register", "", 400, "Request decode failed: EOF"},
		{"PUT", "/v1/catalog/register", "{", 400, "Request decode failed: unexpected EOF"},
		{"PUT", "/v1/catalog/register", `{"Nodes":"x"}`, 400, `Request decode failed: json: unknown field "Nodes"`},
		{"PUT", "/v1/catalog/register", `{"Node":1}`, 400, "Request decode failed: json: cannot unmarshal number…"},
		{"PUT", "/v1/session/create", `{"LockDelay":"15"}`, 400, "Request decode failed: time: missing unit in duration \"15\""},
		{"PUT", "/v1/txn", "", 400, "Failed to parse body: EOF"},
		{"PUT", "/v1/txn", "{}", 400, "Failed to parse body: json: cannot unmarshal object…"},
	} {
		rec.last = nil
		w := ask(h, c.method, c.target, strings.NewReader(c.body))
		got := w.Body.String()
		if begin, rest := strings.CutSuffix(c.text, "…"); rest {
			got = got[:min(len(begin), len(got))] + "…"
		}
		if w.Code != c.code || got != c.text {
			t.Errorf("%s %s %s\n got %d %q\nwant %d %q", c.method, c.target, c.body, w.Code, w.Body, c.code, c.text)
		}
		if (rec.last != nil) != (c.code == 200) {
			t.Errorf("%s %s: call %+v; want one only after 200", c.method, c.target, rec.last)
		}
	}
}

func TestRedirects(t *testing.T) {
	h, rec := handler(httpapi.Config{})
	for _, c := range []struct {
		method, target string
		code           int
		to             string
	}{
		{"PUT", "/v1/kv//a?cas=1", 307, "/v1/kv/a?cas=1"},
		{"PUT", "/v1/kv/x/../a", 307, "/v1/kv/a"},
		{"GET", "/v1//kv/a%2Fb", 307, "/v1/kv/a%2Fb"},
		{"GET", "/v1/kv?keys", 301, "/v1/kv/?keys"},
		{"GET", "/v1/catalog/service", 301, "/v1/catalog/service/"},
		{"PUT", "/v1/kv/%2F%2E%2E%2Fa", 200, ""},
		{"PUT", "/v1/kv/.hidden", 200, ""},
	} {
		rec.last = nil
		w := ask(h, c.method, c.target, nil)
		if w.Code != c.code || w.Header().Get("Location") != c.to {
			t.Errorf("%s %s: got %d to %q; want %d to %q", c.method, c.target, w.Code, w.Header().Get("Location"), c.code, c.to)
		}
		if (rec.last != nil) != (c.code == 200) {
			t.Errorf("%s %s was carried out: %t", c.method, c.target, rec.last != nil)
		}
	}
	if w := ask(h, "GET", "/", nil); w.Code != 200 || !strings.HasPrefix(w.Body.String(), "Consul Agent") {
		t.Errorf("GET /: got %d %q", w.Code, w.Body)
	}
}

func TestTokenSources(t *testing.T) {
	h, rec := handler(httpapi.Config{})
	for _, c := range []struct {
		target  string
		headers []string
		want    string
	}{
		{"/v1/kv/a", nil, ""},
		{"/v1/kv/a?token=q", []string{"X-Consul-Token", "h", "Authorization", "Bearer b"}, "q"},
		{"/v1/kv/a?token=", []string{"X-Consul-Token", "h", "Authorization", "Bearer b"}, "h"},
		{"/v1/kv/a", []string{"X-Consul-Token", "", "Authorization", "Bearer b"}, "b"},
		{"/v1/kv/a", []string{"Authorization", "bEARER  b  rest"}, "b"},
		{"/v1/kv/a", []string{"Authorization", "Basic b"}, ""},
		{"/v1/kv/a", []string{"Authorization", "Bearer"}, ""},
		{"/v1/kv/a", []string{"Authorization", "Bearerb"}, ""},
		{"/v1/kv/a", []string{"X-Nomad-Token", "n"}, ""},
	} {
		ask(h, "GET", c.target, nil, c.headers...)
		if rec.last.Token != c.want {
			t.Errorf("GET %s with %q: got token %q; want %q", c.target, c.headers, rec.last.Token, c.want)
		}
	}
}

func TestNamespaceHeaders(t *testing.T) {
	h, _ := handler(httpapi.Config{})
	for header, text := range map[string]string{
		"X-Consul-Namespace": `Invalid header: "X-Consul-Namespace" - Namespaces are a Consul Enterprise feature`,
		"X-Consul-Partition": `Invalid header: "X-Consul-Partition" - Partitions are a Consul Enterprise feature`,
	} {
		for value, code := range map[string]int{"": 200, "default": 200, "team": 400} {
			for _, r := range []struct{ method, target string }{{"GET", "/v1/kv/a"}, {"PUT", "/v1/kv/a"}, {"GET", "/v1/agent/self"}} {
				w := ask(h, r.method, r.target, nil, header, value)
				if w.Code != code || code == 400 && w.Body.String() != text {
					t.Errorf("%s %s with %s: %q: got %d %q; want %d", r.method, r.target, header, value, w.Code, w.Body, code)
				}
			}
		}
	}
}

// unknownLength hides how long a body is, so that it is sent in chunks.
type unknownLength struct{ io.Reader }

func TestBodyLimits(t *testing.T) {
	h, rec := handler(httpapi.Config{MaxValue: 1000, MaxTxn: 2000})
	const more = "See https://developer.hashicorp.com/docs/agent/config/config-files#kv_max_value_size."
	txn := `[{"KV":{"Verb":"set","Key":"a","Value":""}}]`
	for _, c := range []struct {
		target, body string
		limit        int
	}{
		{"/v1/kv/a", "", 1000},
		{"/v1/txn", txn, 2000},
		{"/v1/session/create", "{}", 8 << 20},
	} {
		for _, chunked := range []bool{false, true} {
			for _, over := range []int{0, 1} {
				size := c.limit + over
				body := c.body + strings.Repeat(" ", size-len(c.body))
				var r io.Reader = strings.NewReader(body)
				text := fmt.Sprintf("Request body(%d bytes) too large, max size: %d bytes. %s", size, c.limit, more)
				if chunked {
					r, text = unknownLength{r}, fmt.Sprintf("Request body too large, max size: %d bytes. %s", c.limit, more)
				}
				rec.last = nil
				w := ask(h, "PUT", c.target, r)
				wantCode := 200 + 213*over
				if w.Code != wantCode || over == 1 && w.Body.String() != text {
					t.Errorf("PUT %s of %d bytes, chunked %t\n got %d %.200q\nwant %d %q", c.target, size, chunked, w.Code, w.Body, wantCode, text)
				}
				if (rec.last == nil) != (over == 1) {
					t.Errorf("PUT %s of %d bytes, chunked %t: carried out: %t", c.target, size, chunked, rec.last != nil)
				}
			}
		}
	}
}

// TestBodyThatEndsEarly promises more than it sends.
func TestBodyThatEndsEarly(t *testing.T) {
	h, rec := handler(httpapi.Config{})
	r := httptest.NewRequest("PUT", "/v1/kv/a", strings.NewReader("short"))
	r.ContentLength = 10
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 400 || rec.last != nil {
		t.Errorf("PUT of 5 of 10 bytes: got %d %q, carried out: %t; want 400", w.Code, w.Body, rec.last != nil)
	}
}

func TestCompression(t *testing.T) {
	big, small := bytes.Repeat([]byte("x"), 1400), bytes.Repeat([]byte("x"), 1399)
	for _, c := range []struct {
		accept string
		value  []byte
		want   string
	}{
		{"", big, ""}, {"gzip", big, "gzip"}, {"gzip", small, ""}, {"deflate, GZIP;q=0.5", big, "gzip"},
		{"gzip;q=0", big, ""}, {"gzip; q=0", big, ""}, {"gzip;q=0.0", big, ""}, {"gzip;q=0.001", big, "gzip"},
		{"br", big, ""}, {"identity, x-gzip", big, ""},
	} {
		h, rec := handler(httpapi.Config{})
		rec.answer = func(context.Context, *api.Request) (*api.Response, error) {
			return &api.Response{Value: api.RawValue(c.value)}, nil
		}
		w := ask(h, "GET", "/v1/kv/a?raw", nil, "Accept-Encoding", c.accept)
		if got := w.Header().Get("Content-Encoding"); got != c.want || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%d bytes to a client that accepts %q: got encoding %q, Vary %q; want %q", len(c.value), c.accept, got, w.Header().Get("Vary"), c.want)
		}
		if c.want == "" && (w.Body.String() != string(c.value) || w.Header().Get("Content-Length") != fmt.Sprint(len(c.value))) {
			t.Errorf("%d bytes to a client that accepts %q: got %d bytes, Content-Length %s", len(c.value), c.accept, w.Body.Len(), w.Header().Get("Content-Length"))
		}
		if c.want == "gzip" && w.Body.Len() > 200 {
			t.Errorf("%d bytes are %d compressed", len(c.value), w.Body.Len())
		}
	}
}

// TestCompressedAnswerIsWhole lets net/http read a compressed answer.
func TestCompressedAnswerIsWhole(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for i := range 50 {
		s.Must(t, "PUT", fmt.Sprintf("/v1/kv/key-%d", i), strings.Repeat("value", i))
	}
	plain := s.Must(t, "GET", "/v1/kv/?recurse", "")
	url := s.Listen() + "/v1/kv/?recurse"
	resp, err := s.Client().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, resp); got != plain || !resp.Uncompressed {
		t.Errorf("GET %s\n got %d bytes, compressed: %t\nwant %d, compressed", url, len(got), resp.Uncompressed, len(plain))
	}
}

func TestConfiguredHeaders(t *testing.T) {
	h, _ := handler(httpapi.Config{Rules: httpapi.Rules{Headers: map[string]string{"Access-Control-Allow-Origin": "*", "Content-Type": "x"}}})
	for _, r := range []struct {
		method, target, contentType string
	}{
		{"GET", "/v1/kv/a", "application/json"}, {"GET", "/v1/none", "text/plain; charset=utf-8"},
		{"BREW", "/v1/kv/a", "text/plain; charset=utf-8"}, {"OPTIONS", "/v1/kv/a", "x"}, {"GET", "/v1/kv", "x"},
	} {
		w := ask(h, r.method, r.target, nil)
		if w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("X-Consul-Default-Acl-Policy") != "allow" {
			t.Errorf("%s %s: got headers %v; want those that are configured", r.method, r.target, w.Header())
		}
		if got := w.Header().Get("Content-Type"); got != r.contentType {
			t.Errorf("%s %s: got Content-Type %q; want %q", r.method, r.target, got, r.contentType)
		}
	}
}

func TestBlockedEndpoints(t *testing.T) {
	h, rec := handler(httpapi.Config{Rules: httpapi.Rules{Blocked: []string{"/v1/agent/", "/v1/kv/secret"}}})
	for target, code := range map[string]int{
		"/v1/agent/self": 403, "/v1/agent/none": 403, "/v1/kv/secret": 403, "/v1/kv/secrets": 403, "/v1/kv/%73ecret": 403,
		"/v1/kv/open": 200, "/v1/kv/": 400, "/v1/catalog/nodes": 200,
	} {
		rec.last = nil
		w := ask(h, "GET", target, nil)
		if w.Code != code || code == 403 && (w.Body.String() != "Endpoint is blocked by agent configuration" || rec.last != nil) {
			t.Errorf("GET %s: got %d %q; want %d", target, w.Code, w.Body, code)
		}
	}
}

func TestWhoMayWrite(t *testing.T) {
	h, _ := handler(httpapi.Config{Rules: httpapi.Rules{WriteFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}})
	for _, c := range []struct {
		method, from string
		code         int
	}{
		{"PUT", "10.1.2.3:99", 200}, {"PUT", "[::ffff:10.1.2.3]:99", 200}, {"PUT", "[::1]:99", 200}, {"DELETE", "10.1.2.3:99", 200},
		{"PUT", "11.1.2.3:99", 403}, {"DELETE", "11.1.2.3:99", 403}, {"PUT", "@", 403}, {"PUT", "", 403},
		{"GET", "11.1.2.3:99", 200}, {"OPTIONS", "11.1.2.3:99", 200}, {"HEAD", "11.1.2.3:99", 405},
	} {
		r := httptest.NewRequest(c.method, "/v1/kv/a", nil)
		r.RemoteAddr = c.from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.code || c.code == 403 && w.Body.String() != "Access is restricted" {
			t.Errorf("%s from %q: got %d %q; want %d", c.method, c.from, w.Code, w.Body, c.code)
		}
	}
}

func TestErrorStatuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{errors.New("broken"), 500, "broken"},
		{api.Errorf(api.Internal, "x"), 500, "x"},
		{api.Errorf(api.Rejected, "x"), 500, "x"},
		{api.Errorf(api.Invalid, "x"), 400, "x"},
		{api.ErrNotFound, 404, ""},
		{api.Errorf(api.Denied, "x"), 403, "x"},
		{api.Errorf(api.Disabled, "x"), 401, "x"},
		{api.Errorf(api.Conflict, "x"), 409, "x"},
		{api.Errorf(api.TooLarge, "x"), 413, "x"},
		{api.Errorf(api.TooMany, "x"), 429, "x"},
		{api.ErrNoLeader, 500, "No cluster leader"},
		{api.ErrNoPath, 500, "No path to datacenter"},
		{api.Errorf(api.Unavailable, "x"), 503, "x"},
		{fmt.Errorf("while asking: %w", api.Errorf(api.Denied, "x")), 403, "while asking: x"},
		{&api.Error{Kind: api.Conflict, Msg: "m", Detail: &api.TxnError{OpIndex: 1, What: "w"}}, 409, `{"OpIndex":1,"What":"w"}`},
	} {
		var status int
		h, rec := handler(httpapi.Config{Observe: func(_ *api.Op, _ time.Duration, s int) { status = s }})
		rec.answer = func(context.Context, *api.Request) (*api.Response, error) {
			return &api.Response{Meta: api.Meta{Index: 9}}, c.err
		}
		w := ask(h, "GET", "/v1/kv/a", nil)
		if w.Code != c.code || w.Body.String() != c.text || status != c.code || w.Header().Get("Content-Length") != fmt.Sprint(len(c.text)) {
			t.Errorf("GET that fails with %v\n got %d %q, observed %d\nwant %d %q", c.err, w.Code, w.Body, status, c.code, c.text)
		}
		if got := w.Header().Get("X-Consul-Index"); got != "9" {
			t.Errorf("GET that fails with %v: got index %q; want that of the answer", c.err, got)
		}
	}
}

// TestPanic wants a 500, one line in the log, and a connection that goes on.
func TestPanic(t *testing.T) {
	log := &inproc.Log{}
	rec := &recorder{answer: func(_ context.Context, req *api.Request) (*api.Response, error) {
		if req.Op == api.KVGet.Op {
			panic("boom")
		}
		return &api.Response{Value: []string{"fine"}}, nil
	}}
	srv := httptest.NewServer(httpapi.New(httpapi.Config{}, rec, slog.New(log)))
	defer srv.Close()
	dials := 0
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/v1/kv/a", 500, "internal error, see the log of the agent"},
		{"/v1/kv/a?keys", 200, `["fine"]`},
		{"/v1/kv/a", 500, "internal error, see the log of the agent"},
	} {
		req, err := http.NewRequestWithContext(reused(&dials), "GET", srv.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, resp); resp.StatusCode != c.code || got != c.body {
			t.Errorf("GET %s: got %d %q; want %d %q", c.path, resp.StatusCode, got, c.code, c.body)
		}
	}
	if dials != 1 {
		t.Errorf("three requests took %d connections; want one that survives the panics", dials)
	}
	if lines := log.Find("panic in a request"); len(lines) != 2 || !strings.Contains(lines[0], "boom") {
		t.Errorf("the log says %q; want two lines about boom", lines)
	}
}
