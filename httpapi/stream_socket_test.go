package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/httpapi"
	"curia/internal/metrics"
	"curia/internal/testing/inproc"
)

// pipes is a listener whose connections are pipes: they work in a bubble, and
// take nothing that is not read.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial connects to the listener.
func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// ask sends a request for a stream and reads the head of the answer.
func (p *pipes) ask(t *testing.T, target, accept string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	c := p.dial()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nAccept-Encoding: gzip\r\n\r\n", target, accept)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("GET %s: %v", target, err)
	}
	return c, r, resp
}

// onPipes lets a server answer on pipes in a bubble, until its end. What it
// leaves behind fails the test: a bubble waits for all its goroutines.
func onPipes(t *testing.T) (s *inproc.Server, p *pipes, end func()) {
	s = inproc.Start(t, inproc.Options{})
	p = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: s.Handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(p) }()
	return s, p, func() {
		s.Stop()
		if err := srv.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
		<-done
	}
}

// waiting is how many blocking queries wait.
func waiting(t *testing.T, s *inproc.Server) float64 {
	t.Helper()
	all, err := metrics.ParseFilter(nil, metrics.LetThrough)
	if err != nil {
		t.Fatal(err)
	}
	r := metrics.New(metrics.Config{})
	r.SetRules(metrics.Rules{Filter: all})
	r.Add(s.Server.Measure)
	for _, g := range r.Metrics().Gauges {
		if strings.HasSuffix(g.Name, "rpc.queries_blocking") {
			return g.Value
		}
	}
	t.Fatal("nobody counts the queries that wait")
	return 0
}

// TestSlowReaderIsDropped wants a stream whose reader takes nothing to end when
// its time is up, and nothing to be kept for it until then.
func TestSlowReaderIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, end := onPipes(t)
		defer end()
		s.Must(t, "PUT", "/v1/kv/a", strings.Repeat("x", 100_000))
		c, r, _ := p.ask(t, "/v1/kv/a", sse)
		defer c.Close()
		for range 10 {
			s.Must(t, "PUT", "/v1/kv/a", strings.Repeat("y", 100_000)+time.Now().String())
			time.Sleep(time.Second)
		}
		began := time.Now()
		time.Sleep(time.Minute)
		n, err := io.CopyN(io.Discard, r, 100_000)
		// One event is 134 kB: it was begun, and no more of it comes than buffers hold.
		if n > 10_000 || err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("after %v: got %d bytes more, %v; want the end of the connection", time.Since(began), n, err)
		}
		if strings.Contains(s.Log.String(), "panic") {
			t.Errorf("the log:\n%s", s.Log)
		}
	})
}

// TestReaderWhoCatchesUp is slow, but not too slow: what it missed is skipped,
// the last state is not.
func TestReaderWhoCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, end := onPipes(t)
		defer end()
		s.Must(t, "PUT", "/v1/kv/a", "0")
		c, _, resp := p.ask(t, "/v1/kv/a?raw", ndjson)
		lines := bufio.NewScanner(resp.Body)
		for i := range 100 {
			s.Must(t, "PUT", "/v1/kv/a", fmt.Sprintf("%d", i))
		}
		s.Must(t, "PUT", "/v1/kv/a", "last")
		time.Sleep(10 * time.Second)
		got := 0
		for lines.Scan() {
			got++
			if strings.Contains(lines.Text(), `"Value":"bGFzdA=="`) {
				break
			}
		}
		if lines.Err() != nil || got == 0 || got > 4 {
			t.Errorf("100 changes for a reader who sleeps: %d events, %v; want a few, and the last state", got, lines.Err())
		}
		c.Close()
	})
}

// TestStreamInOrder wants one event for each of ten writes that are awaited, and
// none lost.
func TestStreamInOrder(t *testing.T) {
	inBubbles(t, func(t *testing.T, media string) {
		s := inproc.Start(t, inproc.Options{})
		s.Must(t, "PUT", "/v1/kv/a", "0")
		first := int(s.Store.Index())
		f := follow(t, s.Handler, media, "/v1/kv/a?raw")
		want := []event{{"change", uint64(first), `"MA=="`}}
		got := f.next()
		for i, text := range []string{"MQ==", "Mg==", "Mw==", "NA==", "NQ==", "Ng==", "Nw==", "OA==", "OQ==", "MTA="} {
			s.Must(t, "PUT", "/v1/kv/a", fmt.Sprint(i+1))
			got = append(got, f.next()...)
			want = append(want, event{"change", uint64(first + i + 1), `"` + text + `"`})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ten writes: got %v; want %v", got, want)
		}
		f.leave()
		s.Stop()
	})
}

// TestClientLeavesStream wants nothing to be left of a stream whose client has
// gone, at once.
func TestClientLeavesStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, end := onPipes(t)
		defer end()
		s.Must(t, "PUT", "/v1/kv/a", "1")
		c, _, resp := p.ask(t, "/v1/kv/a", sse)
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.HasPrefix(line, "id: ") {
			t.Errorf("the first line: %q, %v; want an id", line, err)
		}
		synctest.Wait()
		if n := waiting(t, s); n != 1 {
			t.Errorf("%v queries wait while a stream is open; want 1", n)
		}
		c.Close()
		synctest.Wait()
		if n := waiting(t, s); n != 0 {
			t.Errorf("%v queries wait after the client has gone; want none", n)
		}
	})
}

// TestStreamsEndWithServer wants streams to end in order when the server drains,
// and those that begin later to end after their first event.
func TestStreamsEndWithServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, end := onPipes(t)
		defer end()
		s.Must(t, "PUT", "/v1/kv/a", "1")
		open, _, resp := p.ask(t, "/v1/kv/a?raw", ndjson)
		defer open.Close()
		began := time.Now()
		index := s.Store.Index()
		s.Drain()
		want := fmt.Sprintf("{\"Index\":%d,\"Value\":\"MQ==\"}\n", index)
		if got := readAll(t, resp); got != want || time.Since(began) != 0 {
			t.Errorf("a stream that was open: got %q after %v; want %q and the end at once", got, time.Since(began), want)
		}
		late, _, resp := p.ask(t, "/v1/kv/a?raw", ndjson)
		defer late.Close()
		if got := readAll(t, resp); got != want {
			t.Errorf("a stream that began later: got %q; want %q", got, want)
		}
	})
}

// TestStreamsOfAnyKindOfClient sends no stream compressed, wants the headers of
// any answer on it, and the connection to be of use after it.
func TestStreamsOfAnyKindOfClient(t *testing.T) {
	o := inproc.Options{}
	o.HTTP.Headers = map[string]string{"X-Own": "yes"}
	s := inproc.Start(t, o)
	s.Must(t, "PUT", "/v1/kv/a", strings.Repeat("x", 10_000))
	s.Listen()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", s.Listen()+"/v1/kv/a?pretty", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", sse)
	r.Header.Set("Accept-Encoding", "gzip")
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for name, want := range map[string]string{
		"Content-Encoding": "", "Content-Length": "", "X-Own": "yes", "Cache-Control": "no-store", "X-Consul-Knownleader": "true",
		"X-Consul-Index": fmt.Sprint(s.Store.Index()), "X-Consul-Default-Acl-Policy": "allow",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
	}
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "id: ") {
		t.Errorf("the first line: got %q, %v; want an id", lines.Text(), lines.Err())
	}
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), `data: [{"LockIndex":0`) {
		t.Errorf("the second line: got %.80q, %v; want the answer", lines.Text(), lines.Err())
	}
}

// takenOver is a response whose connection is taken over.
type takenOver struct {
	*httptest.ResponseRecorder
	take func() net.Conn
}

// Hijack implements http.Hijacker.
func (o *takenOver) Hijack() (net.Conn, *bufio.ReadWriter, error) { return o.take(), nil, nil }

// TestWaitForConnection takes over a connection while the handler ends: a server no
// longer waits for it then, and somebody must.
func TestWaitForConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := httpapi.New(httpapi.Config{}, &script{steps: []func(context.Context) uint64{at(5)}}, slog.New(slog.DiscardHandler))
		here, there := net.Pipe()
		ended := make(chan struct{})
		w := &takenOver{httptest.NewRecorder(), func() net.Conn {
			h.Drain()
			go func() {
				h.Wait()
				close(ended)
			}()
			synctest.Wait()
			return there
		}}
		r := httptest.NewRequest("GET", "/v1/kv/a", nil)
		r.Header.Set("Accept", ndjson)
		h.ServeHTTP(w, r)
		select {
		case <-ended:
			t.Error("nobody waits for the stream")
		default:
		}
		if _, err := io.Copy(io.Discard, here); err != nil {
			t.Error(err)
		}
		<-ended
	})
}
