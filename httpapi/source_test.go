package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
	"curia/httpapi"
	"curia/internal/testing/inproc"
)

// TestStreamsShareQuestions wants one query to wait for all streams of a question,
// in either format, and another for each other question or token.
func TestStreamsShareQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		s.Must(t, "PUT", "/v1/kv/a", "1")
		s.Must(t, "PUT", "/v1/kv/b", "1")
		s.Must(t, "POST", "/v1/query", `{"Name":"q","Service":{"Service":"web"}}`)
		var all []*streaming
		for _, c := range []struct {
			target, token string
			want          float64 // queries that wait then
		}{
			{"/v1/kv/a", "", 1},
			{"/v1/kv/a", "", 1},
			{"/v1/kv/a?index=7&wait=1s&pretty", "", 1},
			{"/v1/kv/a?raw", "", 2},
			{"/v1/kv/b", "", 3},
			{"/v1/kv/a", "t", 4},
			{"/v1/kv/a?token=t", "", 4},
			{"/v1/kv/a?stale", "", 5},
			{"/v1/health/service/web", "", 6},
			{"/v1/health/service/web?filter=Service.Port==1", "", 7},
			// The order of its results is drawn for each who asks.
			{"/v1/query/q/execute", "", 8},
			{"/v1/query/q/execute", "", 9},
		} {
			for _, media := range formats {
				before := waiting(t, s)
				all = append(all, follow(t, s.Handler, media, c.target, "X-Consul-Token", c.token))
				want := c.want
				if strings.Contains(c.target, "execute") {
					want = before + 1
				}
				if got := waiting(t, s); got != want {
					t.Errorf("%s with token %q: %v queries wait; want %v", c.target, c.token, got, want)
				}
			}
		}
		for _, f := range all {
			f.next()
		}
		s.Must(t, "PUT", "/v1/kv/a", "2")
		for i, f := range all {
			want := 0
			if i < 8 || i >= 10 && i < 16 {
				want = 1
			}
			if got := f.next(); len(got) != want {
				t.Errorf("stream %d after a change of a: got %v; want %d events", i, got, want)
			}
		}
		for _, f := range all {
			f.leave()
		}
		synctest.Wait()
		if got := waiting(t, s); got != 0 {
			t.Errorf("%v queries wait after all have left; want none", got)
		}
		s.Stop()
	})
}

// script answers reads of keys one after the other as it says; what is asked beyond
// it waits.
type script struct {
	mu    sync.Mutex
	steps []func(ctx context.Context) (index uint64)
	asked []uint64 // MinIndex of each question
}

// Call implements api.Caller.
func (s *script) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, req.MinIndex)
	if len(s.steps) == 0 {
		s.mu.Unlock()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	s.mu.Unlock()
	index := step(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return &api.Response{Value: []*api.KVPair{{Key: "a", ModifyIndex: index}}, Meta: api.Meta{Index: index}}, nil
}

// at is a step that answers at once.
func at(index uint64) func(context.Context) uint64 {
	return func(context.Context) uint64 { return index }
}

// when is a step that waits.
func when(ch chan struct{}, index uint64) func(context.Context) uint64 {
	return func(ctx context.Context) uint64 {
		select {
		case <-ch:
		case <-ctx.Done():
		}
		return index
	}
}

// indexes of what a stream says.
func indexes(all []event) string {
	var out []string
	for _, e := range all {
		out = append(out, fmt.Sprint(e.Kind, " ", e.Index))
	}
	return strings.Join(out, ", ")
}

// TestLateStreams join a source that is behind or ahead of their first answer.
func TestLateStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := make(chan struct{}), make(chan struct{})
		s := &script{steps: []func(context.Context) uint64{
			at(5), when(first, 6), // the first stream and its source
			at(8),                         // the second stream: it is ahead of the source
			when(second, 8), when(nil, 0), // the source catches up, and waits
			at(7), at(8), // the third stream is behind the source, and goes on alone
		}}
		h := httpapi.New(httpapi.Config{}, s, slog.New(slog.DiscardHandler))
		check := func(what string, f *streaming, want string) {
			t.Helper()
			if got := indexes(f.next()); got != want {
				t.Errorf("%s: got %q; want %q", what, got, want)
			}
		}
		one := follow(t, h, ndjson, "/v1/kv/a")
		check("the first stream", one, "change 5")
		two := follow(t, h, ndjson, "/v1/kv/a")
		check("the second stream", two, "change 8")
		close(first)
		check("the first stream, after a change", one, "change 6")
		check("the second stream, which has a later one", two, "")
		close(second)
		check("the first stream, when its source has caught up", one, "change 8")
		check("the second stream, which has that", two, "")
		three := follow(t, h, ndjson, "/v1/kv/a")
		check("a stream that is behind", three, "change 7, change 8")
		for _, f := range []*streaming{one, two, three} {
			f.leave()
		}
		synctest.Wait()
		if got, want := fmt.Sprint(s.asked), "[0 5 0 6 8 0 7 8]"; got != want {
			t.Errorf("asked from the indexes %s; want %s", got, want)
		}
	})
}

// TestStaleStream joins a source that has begun, and has nothing to tell: the first
// answer of the stream is older than that which the source goes on from.
func TestStaleStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []func(context.Context) uint64{
			at(9), when(nil, 0), // the first stream and its source
			at(7), at(9), // the second stream
		}}
		h := httpapi.New(httpapi.Config{}, s, slog.New(slog.DiscardHandler))
		one := follow(t, h, ndjson, "/v1/kv/a?stale")
		two := follow(t, h, ndjson, "/v1/kv/a?stale")
		if got := indexes(two.next()); got != "change 7, change 9" {
			t.Errorf("a stream that is behind: got %q; want that it catches up", got)
		}
		one.leave()
		two.leave()
		synctest.Wait()
	})
}

// TestStreamsGoForward lets the source of a stream tell older answers than its
// first one before that has come.
func TestStreamsGoForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, third := make(chan struct{}), make(chan struct{}), make(chan struct{})
		s := &script{steps: []func(context.Context) uint64{
			at(5), when(first, 6), // the first stream and its source
			when(third, 8),                // the second stream, which takes long to begin
			when(second, 7), when(nil, 0), // the source
		}}
		h := httpapi.New(httpapi.Config{}, s, slog.New(slog.DiscardHandler))
		one := follow(t, h, ndjson, "/v1/kv/a")
		two := follow(t, h, ndjson, "/v1/kv/a")
		for _, ch := range []chan struct{}{first, second, third} {
			close(ch)
			synctest.Wait()
		}
		if got := indexes(two.next()); got != "change 8" {
			t.Errorf("the second stream: got %q; want nothing older than its first answer", got)
		}
		one.leave()
		two.leave()
		synctest.Wait()
	})
}

// TestDesertedSource ends when the last of its streams goes on alone.
func TestDesertedSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		s := &script{steps: []func(context.Context) uint64{
			at(5), when(first, 8), // the first stream and its source
			func(ctx context.Context) uint64 {
				<-ctx.Done()
				close(ended)
				return 0
			},
			when(second, 7), // the second stream is behind the source
		}}
		h := httpapi.New(httpapi.Config{}, s, slog.New(slog.DiscardHandler))
		defer h.Drain()
		one := follow(t, h, ndjson, "/v1/kv/a")
		close(first)
		synctest.Wait()
		two := follow(t, h, ndjson, "/v1/kv/a")
		one.leave()
		synctest.Wait()
		close(second)
		if got := indexes(two.next()); got != "change 7" {
			t.Errorf("the second stream: got %q; want its answer", got)
		}
		select {
		case <-ended:
		default:
			t.Error("the source that nobody follows goes on")
		}
		two.leave()
		synctest.Wait()
	})
}

// TestPanicInSource wants a panic below a stream to end that stream, not the agent.
func TestPanicInSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &inproc.Log{}
		s := &script{steps: []func(context.Context) uint64{at(5), func(context.Context) uint64 { panic("torn") }, at(6)}}
		h := httpapi.New(httpapi.Config{}, s, slog.New(log))
		f := follow(t, h, sse, "/v1/kv/a")
		if got := f.next(); len(got) != 2 || got[1].Kind != "failure" || !strings.Contains(got[1].Text, `"Status":500`) || !f.over() {
			t.Errorf("got %v, over: %t; want an answer, a failure and the end", got, f.over())
		}
		if lines := log.Find("panic"); len(lines) != 1 {
			t.Errorf("the log:\n%s\nwant one line about a panic", log)
		}
		again := follow(t, h, sse, "/v1/kv/a")
		if got := indexes(again.next()); got != "change 6" {
			t.Errorf("a stream after the panic: got %q; want its answer", got)
		}
		again.leave()
		synctest.Wait()
	})
}

// TestPanicBeforeStream wants a stream that ends with a panic before its first answer
// to be of no concern to the source that it would have followed.
func TestPanicBeforeStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		s := &script{steps: []func(context.Context) uint64{
			at(5), func(ctx context.Context) uint64 {
				<-ctx.Done()
				close(ended)
				return 0
			},
			func(context.Context) uint64 { panic("torn") }, // the second stream
		}}
		h := httpapi.New(httpapi.Config{}, s, slog.New(slog.DiscardHandler))
		defer h.Drain()
		one := follow(t, h, ndjson, "/v1/kv/a")
		if two := follow(t, h, ndjson, "/v1/kv/a"); two.code != 500 {
			t.Errorf("the second stream: got status %d; want 500", two.code)
		}
		one.leave()
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("the source goes on without its only stream")
		}
	})
}

// TestStreamOfHTTP10 is not sent in chunks.
func TestStreamOfHTTP10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, end := onPipes(t)
		s.Must(t, "PUT", "/v1/kv/a", "1")
		c := p.dial()
		defer c.Close()
		fmt.Fprintf(c, "GET /v1/kv/a?raw HTTP/1.0\r\nAccept: %s\r\n\r\n", ndjson)
		r := bufio.NewReader(c)
		for line, err := r.ReadString('\n'); line != "\r\n"; line, err = r.ReadString('\n') {
			if err != nil {
				t.Fatal(err)
			}
		}
		first := s.Store.Index()
		s.Must(t, "PUT", "/v1/kv/a", "2")
		want := fmt.Sprintf("{\"Index\":%d,\"Value\":\"MQ==\"}\n{\"Index\":%d,\"Value\":\"Mg==\"}\n", first, first+1)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		c.Close()
		end()
	})
}

// TestStopWithSlowReader wants an agent that stops not to wait for a reader who
// takes nothing.
func TestStopWithSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, end := onPipes(t)
		s.Must(t, "PUT", "/v1/kv/a", "1")
		c, _, resp := p.ask(t, "/v1/kv/a?raw", sse)
		defer c.Close()
		lines := bufio.NewReader(resp.Body)
		for range 3 { // id, data, nothing
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		s.Must(t, "PUT", "/v1/kv/a", "2")
		synctest.Wait() // it is being sent
		began := time.Now()
		end()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("the end took %v; want no more than the time that a stream has to end", took)
		}
	})
}
