//go:build unix

package watch

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/internal/child"
)

// TestParse reads definitions.
func TestParse(t *testing.T) {
	type raw = map[string]any
	tests := []struct {
		raw  raw
		want *Definition
		err  string
	}{
		{
			raw:  raw{"type": "key", "key": "k", "handler": "wc -c", "token": "t", "datacenter": "dc2", "stale": true},
			want: &Definition{Plan: Plan{Type: "key", Key: "k", Token: "t", Datacenter: "dc2", Stale: true}, Argv: []string{"/bin/sh", "-c", "wc -c"}},
		},
		{
			raw:  raw{"type": "service", "service": "web", "tag": "a", "passingonly": true, "args": []any{"wc", "-c"}, "handler_type": "script"},
			want: &Definition{Plan: Plan{Type: "service", Service: "web", Tags: []string{"a"}, PassingOnly: true}, Argv: []string{"wc", "-c"}},
		},
		{
			raw: raw{"type": "service", "service": "web", "tag": []any{"a", "b"}, "filter": "x == y", "handler_type": "http",
				"http_handler_config": raw{"path": "http://x/", "method": "put", "timeout": "3s", "header": raw{"x-a": []any{"1", "2"}}, "tls_skip_verify": true}},
			want: &Definition{Plan: Plan{Type: "service", Service: "web", Tags: []string{"a", "b"}, Filter: "x == y"},
				HTTP: &HTTPHandler{Path: "http://x/", Method: "PUT", Timeout: 3e9, Header: http.Header{"X-A": {"1", "2"}}, TLSSkipVerify: true}},
		},
		{
			raw: raw{"type": "event", "name": "deploy", "http_handler_config": raw{"path": "http://x/"}},
			want: &Definition{Plan: Plan{Type: "event", Name: "deploy"},
				HTTP: &HTTPHandler{Path: "http://x/", Method: "POST", Timeout: 10e9, Header: http.Header{}}},
		},
		{raw: raw{"handler": "true"}, err: "Watch type must be specified"},
		{raw: raw{"type": "fluff", "handler": "true"}, err: "Unsupported watch type: fluff"},
		{raw: raw{"type": "key", "key": "k"}, err: "Must define a watch handler"},
		{raw: raw{"type": "key", "key": "k", "handler": "a", "args": []any{"b"}}, err: "Only one watch handler allowed"},
		{raw: raw{"type": "key", "key": "k", "handler": "a", "http_handler_config": raw{"path": "http://x"}}, err: "Only one watch handler allowed"},
		{raw: raw{"type": "key", "key": "k", "handler_type": "http"}, err: "the path of http_handler_config must be given"},
		{raw: raw{"type": "key", "key": "k", "handler_type": "mail", "handler": "a"}, err: `handler_type "mail" is neither script nor http`},
		{raw: raw{"type": "key", "key": "k", "handler": "a", "fluff": 1, "state": "any"}, err: "Invalid parameters: [fluff state]"},
		{raw: raw{"type": "event", "handler": "a", "stale": true}, err: "Invalid parameters: [stale]"},
		{raw: raw{"type": "keyprefix", "handler": "a"}, err: "a prefix must be given"},
		{raw: raw{"type": "key", "key": 7, "handler": "a"}, err: "watch: key must be a string, not of the type number"},
		{raw: raw{"type": "key", "key": "k", "args": "wc"}, err: "watch: args must be a list of strings, not of the type string"},
		{raw: raw{"type": "service", "service": "a", "passingonly": "yes", "handler": "a"}, err: "watch: passingonly must be true or false, not of the type string"},
		{raw: raw{"type": "key", "key": "k", "http_handler_config": "x"}, err: "watch: http_handler_config must be an object, not of the type string"},
		{raw: raw{"type": "key", "key": "k", "args": []any{""}}, err: "args must begin with the name of a program"},
		{raw: raw{"type": "nodes", "http_handler_config": raw{"path": "foo"}}, err: `is "foo"; write a URL like`},
		{raw: raw{"type": "nodes", "http_handler_config": raw{"path": "http://x", "timeout": "-1s"}}, err: "must be positive, not -1s"},
	}
	for _, tt := range tests {
		got, err := Parse(tt.raw)
		if tt.err != "" || err != nil {
			if err == nil || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v: got %v; want %q", tt.raw, err, tt.err)
			}
			continue
		}
		got.text = ""
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Definition{})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.raw, diff)
		}
	}
}

// TestHandle runs handlers: what they are given, and what is kept of what they
// say.
func TestHandle(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
		}
		fmt.Fprintf(w, "%s %s %s %s %q", r.Method, r.Host, r.Header.Get("X-Consul-Index"), r.Header.Get("X-A"), body)
	}))
	defer srv.Close()
	tests := []struct {
		name string
		d    Definition
		out  string
		err  string
	}{
		{name: "program", d: Definition{Argv: []string{"sh", "-c", "echo $CONSUL_INDEX $CURIA_INDEX; cat"}}, out: "7 7\n{}\n"},
		{name: "failure", d: Definition{Argv: []string{"sh", "-c", "echo no >&2; exit 3"}}, out: "no\n", err: "exit status 3"},
		{name: "long", d: Definition{Argv: []string{"sh", "-c", "head -c 9000 /dev/zero | tr '\\0' x; printf end"}}, out: strings.Repeat("x", 4093) + "end"},
		{name: "http", d: Definition{HTTP: &HTTPHandler{Path: srv.URL, Method: "POST", Timeout: 1e10, Header: http.Header{"X-A": {"b"}, "Host": {"else"}}}},
			out: `POST else 7 b "{}\n"`},
		{name: "bad", d: Definition{HTTP: &HTTPHandler{Path: srv.URL + "/bad", Method: "PUT", Timeout: 1e10, Header: http.Header{"Host": {"h"}}}},
			out: `PUT h 7  "{}\n"`, err: "answered 500"},
	}
	for _, tt := range tests {
		out, err := tt.d.handle(t.Context(), Change{7, []byte("{}")})
		if out != tt.out || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %q, %v; want %q, %q", tt.name, out, err, tt.out, tt.err)
		}
	}
}

// counter answers each verb once and then waits.
type counter struct{ asked chan string }

func (c counter) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if req.MinIndex > 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c.asked <- req.Op.Name
	return &api.Response{Value: []*api.Node{}, Meta: api.Meta{Index: 1}}, nil
}

// TestSet runs watches, and others in their place.
func TestSet(t *testing.T) {
	define := func(raw map[string]any) *Definition {
		raw["args"] = []any{"true"}
		d, err := Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	nodes := func() *Definition { return define(map[string]any{"type": "nodes"}) }
	services := define(map[string]any{"type": "services"})
	c := counter{make(chan string, 10)}
	s := NewSet(c, slog.New(slog.DiscardHandler))
	s.Configure([]*Definition{nodes(), nodes()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for range 2 {
		if got := <-c.asked; got != "catalog.nodes" {
			t.Fatalf("first configuration: asked %s; want catalog.nodes twice", got)
		}
	}
	s.Configure([]*Definition{nodes(), services})
	if got := <-c.asked; got != "catalog.services" {
		t.Errorf("second configuration: asked %s; want catalog.services alone", got)
	}
	cancel()
	if err := <-done; err != context.Canceled || len(c.asked) > 0 {
		t.Errorf("end: got %v and %d questions more; want the error of the context and none", err, len(c.asked))
	}
}

// TestSetStopsTogether wants handlers that have to be killed to be killed at the
// same time: what replaces their watches waits for them.
func TestSetStopsTogether(t *testing.T) {
	dir := t.TempDir()
	var stubborn []*Definition
	for i := range 3 {
		d, err := Parse(map[string]any{"type": "nodes", "handler": fmt.Sprintf("trap '' TERM; mkfifo %[1]s/%[2]d; : >%[1]s/%[2]d; while :; do sleep 0.1; done", dir, i)})
		if err != nil {
			t.Fatal(err)
		}
		stubborn = append(stubborn, d)
	}
	c := counter{make(chan string, 10)}
	s := NewSet(c, slog.New(slog.DiscardHandler))
	s.Configure(stubborn)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for i := range stubborn {
		<-c.asked
		ready(t, fmt.Sprintf("%s/%d", dir, i))
	}
	other, err := Parse(map[string]any{"type": "services", "handler": "true"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Configure([]*Definition{other})
	<-c.asked
	if took := time.Since(began); took < child.DefaultGrace || took > 2*child.DefaultGrace {
		t.Errorf("three handlers that do not end: gone after %v; want little more than %v", took, child.DefaultGrace)
	}
	cancel()
	<-done
}

// ready waits until a handler has opened its fifo.
func ready(t *testing.T, fifo string) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: no handler is there", fifo)
		}
		if f, err := os.Open(fifo); err == nil {
			_ = f.Close()
			return
		}
	}
}
