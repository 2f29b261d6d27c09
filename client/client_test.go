package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// asked is a request as a server saw it.
type asked struct {
	method, path string // path is escaped
	query        url.Values
	header       http.Header
	body         []byte
}

// serve starts a server that gives one answer to everything, and tells what
// it was asked last.
func serve(t *testing.T, answer http.HandlerFunc) (*Client, *asked) {
	t.Helper()
	last := &asked{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		*last = asked{r.Method, r.URL.EscapedPath(), r.URL.Query(), r.Header, body}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	c, err := New(Config{Address: srv.URL})
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	return c, last
}

func answerWith(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

// TestEveryVerb fills every argument of every verb and looks for it where the
// declaration says that it travels.
func TestEveryVerb(t *testing.T) {
	for _, op := range api.Ops() {
		t.Run(op.Name, func(t *testing.T) {
			c, last := serve(t, answerWith(200, ""))
			args := reflect.New(op.Args)
			want := map[string]string{}
			for i, a := range api.ArgsOf(op.Args) {
				want[a.Name] = fill(t, a, args.Elem().FieldByIndex(a.Index), i)
			}
			var err error
			if op.Kind == api.KindRaw {
				var stream io.ReadCloser
				stream, _, err = c.Stream(t.Context(), op, args.Interface(), nil)
				if err == nil {
					stream.Close()
				}
			} else {
				_, err = c.Call(t.Context(), &api.Request{Op: op, Args: args.Interface()})
			}
			if err != nil {
				t.Fatalf("call: %v", err)
			}
			if last.method != op.Method {
				t.Errorf("asked with %s, want %s", last.method, op.Method)
			}
			if op.When != "" && !last.query.Has(op.When) {
				t.Errorf("asked with ?%v, want ?%s among it", last.query, op.When)
			}
			path := op.Path
			for _, a := range api.ArgsOf(op.Args) {
				switch a.Source {
				case api.FromPath:
					path = strings.Replace(path, "{"+a.Name+"}", want[a.Name], 1)
				case api.FromQuery:
					if got := strings.Join(last.query[a.Name], "+"); !last.query.Has(a.Name) || got != want[a.Name] {
						t.Errorf("asked with ?%s=%q, want %q", a.Name, got, want[a.Name])
					}
				case api.FromHeader:
					if got := last.header.Get(a.Name); got != want[a.Name] {
						t.Errorf("asked with %s: %q, want %q", a.Name, got, want[a.Name])
					}
				case api.FromBody:
					if got := string(last.body); got != want[a.Name] {
						t.Errorf("asked with body %s, want %s", got, want[a.Name])
					}
				}
			}
			if got, err := url.PathUnescape(last.path); err != nil || got != path {
				t.Errorf("asked for %q (%v), want %q", got, err, path)
			}
		})
	}
}

// fill gives an argument a value and returns what it looks like on the way.
func fill(t *testing.T, a api.Arg, v reflect.Value, i int) string {
	if a.Source == api.FromBody {
		if a.Name == "raw" {
			v.SetBytes([]byte("a value\x00"))
			return "a value\x00"
		}
		fillBody(v)
		text, err := json.Marshal(v.Interface())
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		return string(text)
	}
	word := fmt.Sprintf("%s %d/é?", a.Name, i)
	switch p := v.Addr().Interface().(type) {
	case api.QueryValue:
		if err := p.ParseQuery(""); err == nil {
			if text, given := p.QueryText(); given {
				return text
			}
		}
		if err := p.ParseQuery("7"); err != nil {
			t.Fatalf("argument %s means nothing without a value, and does not take 7: %v", a.Name, err)
		}
		return "7"
	case *string:
		*p = word
		return word
	case **string:
		*p = &word
		return word
	case *bool:
		*p = true
		return ""
	case *uint64:
		*p = 1<<64 - 1
		return "18446744073709551615"
	case **uint64:
		*p = new(uint64)
		return "0"
	case *int:
		*p = 7
		return "7"
	case *[]string:
		*p = []string{word, "second"}
		return word + "+second"
	}
	t.Fatalf("argument %s has the type %s, which this test does not know", a.Name, v.Type())
	return ""
}

// fillBody makes a body that is not its zero value.
func fillBody(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.String && f.CanSet() {
				f.SetString("text <&> é")
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	}
}

func TestEscapes(t *testing.T) {
	tests := []struct{ key, path string }{
		{"", "/v1/kv/"},
		{"a", "/v1/kv/a"},
		{"a/b/c", "/v1/kv/a/b/c"},
		{"a/b/", "/v1/kv/a/b/"},
		{"/", "/v1/kv/%2F"},
		{"/a", "/v1/kv/%2Fa"},
		{"//a", "/v1/kv/%2F%2Fa"},
		{"a//b", "/v1/kv/a/%2Fb"},
		{"a///b", "/v1/kv/a/%2F%2Fb"},
		{"a//", "/v1/kv/a/%2F"},
		{".", "/v1/kv/%2E"},
		{"..", "/v1/kv/%2E%2E"},
		{"a/./b", "/v1/kv/a/%2E/b"},
		{"a/../b", "/v1/kv/a/%2E%2E/b"},
		{"/../x", "/v1/kv/%2F%2E%2E/x"},
		{"...", "/v1/kv/..."},
		{".hidden", "/v1/kv/.hidden"},
		{"100%", "/v1/kv/100%25"},
		{"%2F", "/v1/kv/%252F"},
		{"a?b#c", "/v1/kv/a%3Fb%23c"},
		{"a b+c", "/v1/kv/a%20b%2Bc"},
		{"a;b,c=d&e", "/v1/kv/a%3Bb%2Cc%3Dd%26e"},
		{"user@host:1~", "/v1/kv/user@host:1~"},
		{"é", "/v1/kv/%C3%A9"},
		{"\xff\x00\n", "/v1/kv/%FF%00%0A"},
		{`a\b"c`, "/v1/kv/a%5Cb%22c"},
	}
	c, last := serve(t, answerWith(200, "true"))
	for _, tt := range tests {
		if _, err := api.Call(t.Context(), c, api.KVPut, api.KVPutArgs{Key: tt.key}); err != nil {
			t.Errorf("put %q: %v", tt.key, err)
			continue
		}
		got, _ := url.PathUnescape(strings.TrimPrefix(last.path, "/v1/kv/"))
		if last.path != tt.path || got != tt.key {
			t.Errorf("put %q: asked for %q, which is the key %q; want %q", tt.key, last.path, got, tt.path)
		}
	}
}

func TestEscapesMiddle(t *testing.T) {
	p := &parts{path: "/v1/a/{x}/b/{y}"}
	p.setPath("x", "1/{y}")
	p.setPath("y", "2/3")
	if want := "/v1/a/1%2F%7By%7D/b/2/3"; p.path != want {
		t.Errorf("set x and y: got %s, want %s", p.path, want)
	}
}

func FuzzEscapes(f *testing.F) {
	for _, key := range []string{"", "/", "a//b/../c/.", "%2F%", "é\xff"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		text := "/" + escapeRest(key)
		if got, err := url.PathUnescape(text[1:]); err != nil || got != key {
			t.Errorf("escape %q: %q is read as %q, %v", key, text, got, err)
		}
		for _, bad := range []string{"//", "/./", "/../"} {
			if strings.Contains(text+"/", bad) && !strings.HasSuffix(text, "/") {
				t.Errorf("escape %q: %q would be cleaned away in %q", key, bad, text)
			}
		}
	})
}

func TestOptions(t *testing.T) {
	c, last := serve(t, answerWith(200, "[]"))
	c.cfg.Token, c.cfg.Datacenter, c.cfg.Consistency, c.cfg.BasicAuth = "secret", "east", api.Stale, "me:pass:word"

	req := &api.Request{Op: api.KVList.Op, Args: &api.PrefixArgs{Prefix: "a"}}
	if _, err := c.Call(t.Context(), req); err != nil {
		t.Fatalf("list: %v", err)
	}
	if diff := cmp.Diff(url.Values{"recurse": {""}, "stale": {""}, "dc": {"east"}}, last.query); diff != "" {
		t.Errorf("defaults: query (-want +got):\n%s", diff)
	}
	if got := last.header.Get("X-Consul-Token"); got != "secret" {
		t.Errorf("defaults: token %q, want %q", got, "secret")
	}
	if got := last.header.Get("Authorization"); got != "Basic bWU6cGFzczp3b3Jk" {
		t.Errorf("defaults: Authorization %q, want that of me:pass:word", got)
	}

	req.Query = api.Query{Consistency: api.Consistent, MaxStale: time.Minute, MinIndex: 7, MaxWait: 10 * time.Second, Filter: `Key == "a"`}
	req.Token, req.Datacenter = "other", "west"
	if _, err := c.Call(t.Context(), req); err != nil {
		t.Fatalf("list: %v", err)
	}
	want := url.Values{"recurse": {""}, "consistent": {""}, "max_stale": {"1m0s"}, "index": {"7"}, "wait": {"10s"},
		"filter": {`Key == "a"`}, "dc": {"west"}}
	if diff := cmp.Diff(want, last.query); diff != "" {
		t.Errorf("options: query (-want +got):\n%s", diff)
	}
	if got := last.header.Get("X-Consul-Token"); got != "other" {
		t.Errorf("options: token %q, want %q", got, "other")
	}
}

func TestResults(t *testing.T) {
	head := map[string]string{
		"X-Consul-Index": "42", "X-Consul-KnownLeader": "true", "X-Consul-LastContact": "15",
		"X-Consul-Effective-Consistency": "stale", "X-Consul-Results-Filtered-By-ACLs": "true",
	}
	tests := []struct {
		op   *api.Op
		body string
		want any
	}{
		{api.KVGet.Op, `[{"Key":"a","Value":"YQ==","Flags":18446744073709551615}]`, []*api.KVPair{{Key: "a", Value: []byte("a"), Flags: 1<<64 - 1}}},
		{api.KVRaw.Op, "{not json", api.RawValue("{not json")},
		{api.KVPut.Op, "true", true},
		{api.StatusLeader.Op, `"10.0.0.1:8300"`, "10.0.0.1:8300"},
		{api.CatalogServices.Op, `{"web":["v1"]}`, map[string][]string{"web": {"v1"}}},
		{api.SessionCreate.Op, `{"ID":"s"}`, api.SessionID{ID: "s"}},
		{api.CatalogNode.Op, "null", (*api.NodeServices)(nil)},
	}
	for _, tt := range tests {
		c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range head {
				w.Header().Set(k, v)
			}
			fmt.Fprint(w, tt.body)
		})
		resp, err := c.Call(t.Context(), &api.Request{Op: tt.op})
		if err != nil {
			t.Errorf("%s: %v", tt.op.Name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, resp.Value); diff != "" {
			t.Errorf("%s: value (-want +got):\n%s", tt.op.Name, diff)
		}
		want := api.Meta{Index: 42, KnownLeader: true, LastContact: 15 * time.Millisecond, Consistency: api.Stale, Filtered: true}
		if diff := cmp.Diff(want, resp.Meta); diff != "" {
			t.Errorf("%s: meta (-want +got):\n%s", tt.op.Name, diff)
		}
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		status int
		text   string
		kind   api.ErrorKind
		want   string
	}{
		{400, "Missing key name", api.Invalid, "Missing key name"},
		{401, "ACL support disabled", api.Disabled, "ACL support disabled"},
		{403, "Permission denied", api.Denied, "Permission denied"},
		{404, "", api.NotFound, "the agent answered 404 Not Found"},
		{405, "method GET not allowed", api.Invalid, "method GET not allowed"},
		{409, "rolled back", api.Conflict, "rolled back"},
		{413, "too long", api.TooLarge, "too long"},
		{429, "slow down", api.TooMany, "slow down"},
		{500, "No cluster leader", api.NoLeader, "No cluster leader"},
		{500, "No path to datacenter", api.NoPath, "No path to datacenter"},
		{500, "invalid session \"x\"\n", api.Rejected, `invalid session "x"`},
		{503, "later", api.Unavailable, "later"},
		{502, "<html>", api.Internal, "<html>"},
	}
	for _, tt := range tests {
		c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Consul-Index", "9")
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.text)
		})
		resp, err := c.Call(t.Context(), &api.Request{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: "a"}})
		var se *StatusError
		var ae *api.Error
		if !errors.As(err, &se) || !errors.As(err, &ae) || se.Status != tt.status || ae.Kind != tt.kind || err.Error() != tt.want {
			t.Errorf("answer %d %q: got %v (kind %d), want %q (kind %d)", tt.status, tt.text, err, api.KindOf(err), tt.want, tt.kind)
		}
		if (resp != nil) != (tt.kind == api.NotFound) || resp != nil && resp.Index != 9 {
			t.Errorf("answer %d: response %v, want one with index 9 if and only if the status is 404", tt.status, resp)
		}
	}
}

func TestErrorDetail(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"Results":null,"Errors":[{"OpIndex":1,"What":"no"}]}`)
	})
	_, err := api.Call(t.Context(), c, api.Txn, api.TxnArgs{})
	var ae *api.Error
	if !errors.As(err, &ae) {
		t.Fatalf("transaction: got %v, want an *api.Error", err)
	}
	want := &api.TxnResponse{Errors: []*api.TxnError{{OpIndex: 1, What: "no"}}}
	if diff := cmp.Diff(any(want), ae.Detail); diff != "" {
		t.Errorf("detail (-want +got):\n%s", diff)
	}
}

func TestBadAnswer(t *testing.T) {
	c, _ := serve(t, answerWith(200, "<html>"))
	_, err := api.Call(t.Context(), c, api.KVPut, api.KVPutArgs{Key: "a"})
	if err == nil || !strings.Contains(err.Error(), "decode answer to kv.put") {
		t.Errorf("put: got %v, want an error that says what could not be decoded", err)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	_, err := api.Call(t.Context(), c, api.KVPut, api.KVPutArgs{Key: "a"})
	if err == nil || err.Error() != "the agent answered 307 Temporary Redirect to /elsewhere" {
		t.Errorf("put: got %v, want an error that names the redirection", err)
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	c, err := New(Config{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Call(t.Context(), c, api.StatusLeader, api.None{})
	var ue *UnreachableError
	if !errors.As(err, &ue) || ue.Address != "http://"+addr {
		t.Errorf("ask %s: got %v, want an *UnreachableError with the address", addr, err)
	}
}

func TestStream(t *testing.T) {
	c, last := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "5")
		if r.ContentLength != 7 {
			t.Errorf("Content-Length %d, want the size of the file, 7", r.ContentLength)
		}
		fmt.Fprint(w, "an archive")
	})
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	body, head, err := c.Stream(t.Context(), api.SnapshotRestore.Op, &api.None{}, f)
	if err != nil {
		t.Fatalf("stream: %v", err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || string(got) != "an archive" || head.Get("X-Consul-Index") != "5" || string(last.body) != "content" {
		t.Errorf("stream: got %q, %v, %v after sending %q", got, head, err, last.body)
	}
}

func TestStreamError(t *testing.T) {
	c, _ := serve(t, answerWith(403, "Permission denied"))
	_, _, err := c.Stream(t.Context(), api.SnapshotSave.Op, &api.StaleArgs{}, nil)
	if api.KindOf(err) != api.Denied {
		t.Errorf("save: got %v, want an error of the kind Denied", err)
	}
}

func TestWrongArguments(t *testing.T) {
	c, _ := serve(t, answerWith(200, ""))
	for _, args := range []any{&api.None{}, api.KeyArgs{}, (*api.KeyArgs)(nil)} {
		if _, err := c.Call(t.Context(), &api.Request{Op: api.KVGet.Op, Args: args}); err == nil {
			t.Errorf("get with arguments of type %T: no error", args)
		}
	}
	if _, err := c.Call(t.Context(), &api.Request{Op: api.SnapshotSave.Op}); err == nil {
		t.Error("call of a raw verb: no error")
	}
}
