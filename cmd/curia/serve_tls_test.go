package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"curia/certs"
	"curia/config"
)

// overHTTPS serves a handler as an agent would, and returns its address and a
// pool with its authority.
func overHTTPS(t *testing.T, set func(*config.Config)) (string, *x509.CertPool) {
	t.Helper()
	pair, err := certs.NewAuthority(certs.AuthorityRequest{Domain: "consul", Lifetime: time.Hour}, time.Now())
	must(t, err)
	ca, err := certs.ParseAuthority(pair)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pair.Cert)
	pair, err = ca.Issue(certs.Request{Role: certs.ForServer, Datacenter: "dc1", Domain: "consul", Lifetime: time.Hour}, time.Now())
	must(t, err)

	cfg := config.Default()
	cfg.TLS.HTTPS.CertFile, cfg.TLS.HTTPS.KeyFile = filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(cfg.TLS.HTTPS.CertFile, pair.Cert, 0o600))
	must(t, os.WriteFile(cfg.TLS.HTTPS.KeyFile, pair.Key, 0o600))
	port, err := freePort()
	must(t, err)
	cfg.Ports.HTTPS, err = strconv.Atoi(port)
	must(t, err)
	cfg.Addresses.HTTPS = config.Addrs{"127.0.0.1"}
	set(cfg)

	n := &node{}
	_, err = n.loadTLS(cfg)
	must(t, err)
	must(t, n.listenHTTPS(cfg))
	srv := &http.Server{ReadHeaderTimeout: headerWait, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(n.listeners[0])
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return "127.0.0.1:" + port, roots
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// awaitClosed waits until the other side has closed a connection on which
// nothing was said, and returns how long that took.
func awaitClosed(t *testing.T, addr string) time.Duration {
	t.Helper()
	began := time.Now()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(began.Add(headerWait-time.Second)))
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("a silent connection got %q, %v, want its end", b, err)
	}
	return time.Since(began)
}

// TestHandshakeTimeout wants the time of a handshake to be bounded, and not
// that of a connection after it.
func TestHandshakeTimeout(t *testing.T) {
	addr, roots := overHTTPS(t, func(c *config.Config) { c.Limits.HTTPSHandshakeTimeout = 200 * time.Millisecond })
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	for i := range 2 {
		reused := false
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", "https://"+addr, nil)
		must(t, err)
		resp, err := transport.RoundTrip(req)
		must(t, err)
		proto, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(proto) != "HTTP/2.0" || reused != (i > 0) {
			t.Errorf("request %d: got %q, %v, on an old connection: %v", i, proto, err, reused)
		}
		if took := awaitClosed(t, addr); took < 150*time.Millisecond || took > 5*time.Second {
			t.Errorf("a handshake that does not begin ended after %v, want 200ms", took)
		}
	}
}

// TestConnsPerClient refuses the third connection of a client without a word:
// it would not be understood.
func TestConnsPerClient(t *testing.T) {
	addr, roots := overHTTPS(t, func(c *config.Config) { c.Limits.HTTPMaxConnsPerClient = 2 })
	for range 2 {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots})
		must(t, err)
		defer c.Close()
	}
	if took := awaitClosed(t, addr); took > 4*time.Second {
		t.Errorf("the third connection ended after %v, want at once", took)
	}
}
