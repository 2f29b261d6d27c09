package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"curia/internal/testing/inproc"
)

// over sends a request over a socket.
func over(ctx context.Context, s *inproc.Server, method, target string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.Listen()+target, body)
	if err != nil {
		return nil, err
	}
	return s.Client().Do(r)
}

// TestOneConnection sends requests of all kinds over one connection: whatever
// is answered, the next one must find it in order.
func TestOneConnection(t *testing.T) {
	s := inproc.Start(t, inproc.Options{HTTP: httpConfigOfSmallValues})
	dials := 0
	for _, c := range []struct {
		method, target, body string
		code                 int
		want                 string
	}{
		{"PUT", "/v1/kv/a", "1", 200, "true"},
		{"HEAD", "/v1/kv/a", "", 405, ""},
		{"GET", "/v1/kv/a?raw", "", 200, "1"},
		{"PUT", "/v1/kv//a", "2", 200, "true"}, // by way of a 307, with the body
		{"GET", "/v1/kv/a?raw", "", 200, "2"},
		{"PUT", "/v1/kv/%2F%2Fa", "3", 200, "true"},
		{"GET", "/v1/kv/?keys", "", 200, `["//a","a"]`},
		{"GET", "/v1/kv?keys", "", 200, `["//a","a"]`}, // by way of a 301
		{"BREW", "/v1/kv/a", "tea", 405, "method BREW not allowed"},
		{"GET", "/v1/none", "", 404, "Invalid URL path: not a recognized HTTP API endpoint\n"},
		{"PUT", "/v1/kv/%2e%2e/x", "4", 200, "true"},
		{"DELETE", "/v1/kv/?recurse", "", 200, "true"},
		{"GET", "/v1/kv/?recurse", "", 404, ""},
	} {
		resp, err := over(reused(&dials), s, c.method, c.target, strings.NewReader(c.body))
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.target, err)
		}
		if got := readAll(t, resp); resp.StatusCode != c.code || got != c.want {
			t.Errorf("%s %s %s: got %d %q; want %d %q", c.method, c.target, c.body, resp.StatusCode, got, c.code, c.want)
		}
	}
	if dials != 1 {
		t.Errorf("the requests took %d connections; want one", dials)
	}
}

// TestTooLargeOverSocket sends more than is taken, with and without saying so.
func TestTooLargeOverSocket(t *testing.T) {
	s := inproc.Start(t, inproc.Options{HTTP: httpConfigOfSmallValues})
	big := strings.Repeat("x", 1<<20)
	for what, body := range map[string]io.Reader{"with its length": strings.NewReader(big), "in chunks": unknownLength{strings.NewReader(big)}} {
		resp, err := over(t.Context(), s, "PUT", "/v1/kv/a", body)
		if err != nil {
			t.Errorf("%s: %v; want an answer", what, err)
			continue
		}
		if got := readAll(t, resp); resp.StatusCode != 413 || !strings.Contains(got, "too large, max size: 1000 bytes") {
			t.Errorf("PUT of 1 MiB %s: got %d %q; want 413", what, resp.StatusCode, got)
		}
	}
	if w := s.Do("GET", "/v1/kv/a", ""); w.Code != 404 {
		t.Errorf("a value over the limit was written: %d %.100s", w.Code, w.Body)
	}
}

// TestWaitersDoNotHoldTheEnd stops a server while clients wait, and lets a
// client go while it waits: goleak sees what is left behind.
func TestWaitersDoNotHoldTheEnd(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	s.Must(t, "PUT", "/v1/kv/a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := make(chan error, 1), make(chan error, 1)
	ask := func(ctx context.Context, to chan error) {
		resp, err := over(ctx, s, "GET", "/v1/kv/a?index=1000000", http.NoBody)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		to <- err
	}
	s.Listen()
	go ask(ctx, gone)
	go ask(t.Context(), stays)
	s.Must(t, "PUT", "/v1/kv/other", "1")
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("a wait whose client goes: got %v; want it to end", err)
	}
	select {
	case err := <-stays:
		t.Errorf("the other wait ended too: %v", err)
	default:
	}
	began := time.Now()
	s.Stop()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end of the server took %v while a client waited", took)
	}
	<-stays // with its answer, or cut off before it was heard
}

// TestTooLargeForPatientClients answers a client that looks at the answer when it
// has sent all of its body, and no sooner.
func TestTooLargeForPatientClients(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	host := strings.TrimPrefix(s.Listen(), "http://")
	for _, path := range []string{"/v1/acl/token", "/v1/kv/a"} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const size = 20 << 20
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", path, host, size)
		if _, err := io.CopyN(conn, strings.NewReader(strings.Repeat("x", size)), size); err != nil {
			t.Errorf("PUT %s: sending failed: %v; want all of it to be taken", path, err)
			continue
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("PUT %s: %v; want an answer", path, err)
			continue
		}
		if got := readAll(t, resp); resp.StatusCode != 413 || !strings.Contains(got, "too large, max size") {
			t.Errorf("PUT %s: got %d %q; want 413", path, resp.StatusCode, got)
		}
	}
}
