package check

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"curia/api"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// listen gives a TCP listener that accepts nothing by itself.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// deadAddr is an address where nobody listens.
func deadAddr(t *testing.T) string {
	l := listen(t)
	l.Close()
	return l.Addr().String()
}

// newTLSWeb serves HTTP/2 and HTTP/1 with TLS.
func newTLSWeb(t *testing.T) (addr string) {
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.EnableHTTP2 = true
	web.Config.ErrorLog = discardLog()
	web.StartTLS()
	t.Cleanup(web.Close)
	return web.Listener.Addr().String()
}

// newClearWeb serves HTTP/2 without TLS.
func newClearWeb(t *testing.T) (addr string) {
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.Protocols = new(http.Protocols)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	t.Cleanup(web.Close)
	return web.Listener.Addr().String()
}

// newSilent accepts connections and says nothing on them.
func newSilent(t *testing.T) (addr string) {
	return listen(t).Addr().String() // the kernel accepts for it
}

// probeCase replaces ADDR in the definition and the output.
type probeCase struct {
	name, addr, body string
	want             Result
}

func runProbes(t *testing.T, cases []probeCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			put := func(s string) string { return strings.ReplaceAll(s, "ADDR", c.addr) }
			wantResult(t, put(c.body), look(t, put(c.body), Options{}), Result{c.want.Status, put(c.want.Output)})
		})
	}
}

func TestTCP(t *testing.T) {
	open, silent, tlsWeb, dead := listen(t).Addr().String(), newSilent(t), newTLSWeb(t), deadAddr(t)
	_, port, _ := net.SplitHostPort(open)
	runProbes(t, []probeCase{
		{"open", open, `{"TCP":"ADDR"}`, Result{api.Passing, "TCP connect ADDR: Success"}},
		{"by name", "localhost:" + port, `{"TCP":"ADDR"}`, Result{api.Passing, "TCP connect ADDR: Success"}},
		{"closed", dead, `{"TCP":"ADDR"}`, Result{api.Critical, "dial tcp ADDR: connect: connection refused"}},
		{"without a port", "127.0.0.1", `{"TCP":"ADDR"}`, Result{api.Critical, "dial tcp: address ADDR: missing port in address"}},
		{"TLS", tlsWeb, `{"TCP":"ADDR","TCPUseTLS":true,"TLSSkipVerify":true}`, Result{api.Passing, "TCP+TLS connect ADDR: Success"}},
		{"TLS, unknown authority", tlsWeb, `{"TCP":"ADDR","TCPUseTLS":true}`, Result{api.Critical, "tls: failed to verify certificate: …"}},
		{"TLS, no answer", silent, `{"TCP":"ADDR","TCPUseTLS":true,"Timeout":"50ms"}`, Result{api.Critical, "context deadline exceeded"}},
	})
}

func TestUDP(t *testing.T) {
	echo := listenUDP(t, func(conn net.PacketConn) {
		var b [16]byte
		for {
			n, from, err := conn.ReadFrom(b[:])
			if err != nil {
				return
			}
			conn.WriteTo(b[:n], from)
		}
	})
	silent := listenUDP(t, func(net.PacketConn) {})
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	runProbes(t, []probeCase{
		{"reply", echo, `{"UDP":"ADDR"}`, Result{api.Passing, "UDP connect ADDR: Success"}},
		{"silence", silent, `{"UDP":"ADDR","Timeout":"50ms"}`, Result{api.Passing, "UDP connect ADDR: Success"}},
		{"refused", gone.LocalAddr().String(), `{"UDP":"ADDR"}`, Result{api.Critical, "read udp 127.0.0.1:…"}},
		{"without a port", "127.0.0.1", `{"UDP":"ADDR"}`, Result{api.Critical, "dial udp: address ADDR: missing port in address"}},
	})
}

func listenUDP(t *testing.T, serve func(net.PacketConn)) (addr string) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); serve(conn) }()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().String()
}

func TestGRPC(t *testing.T) {
	plain := newHealthServer(t)
	// Its certificate is that of httptest.
	donor := httptest.NewUnstartedServer(nil)
	donor.StartTLS()
	defer donor.Close()
	secure := newHealthServer(t, grpc.Creds(credentials.NewServerTLSFromCert(&donor.TLS.Certificates[0])))
	bare := serveGRPC(t, grpc.NewServer())
	runProbes(t, []probeCase{
		{"serving", plain, `{"GRPC":"ADDR"}`, Result{api.Passing, "gRPC check ADDR: success"}},
		{"service", plain + "/up", `{"GRPC":"ADDR"}`, Result{api.Passing, "gRPC check ADDR: success"}},
		{"not serving", plain + "/down", `{"GRPC":"ADDR"}`, Result{api.Critical, "gRPC ADDR serving status: NOT_SERVING"}},
		{"unknown service", plain + "/fluff", `{"GRPC":"ADDR"}`, Result{api.Critical, "rpc error: code = NotFound desc = unknown service"}},
		{"no health service", bare, `{"GRPC":"ADDR"}`, Result{api.Critical, "rpc error: code = Unimplemented desc = …"}},
		{"TLS", secure, `{"GRPC":"ADDR","GRPCUseTLS":true,"TLSSkipVerify":true}`, Result{api.Passing, "gRPC check ADDR: success"}},
		{"TLS, unknown authority", secure, `{"GRPC":"ADDR","GRPCUseTLS":true}`, Result{api.Critical, "rpc error: code = Unavailable desc = …"}},
		{"nobody there", deadAddr(t), `{"GRPC":"ADDR"}`, Result{api.Critical, "rpc error: code = Unavailable desc = …"}},
		{"no answer", newSilent(t), `{"GRPC":"ADDR","Timeout":"50ms"}`, Result{api.Critical, "rpc error: code = DeadlineExceeded desc = …"}},
	})
}

func newHealthServer(t *testing.T, opts ...grpc.ServerOption) (addr string) {
	h := health.NewServer()
	h.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	h.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	s := grpc.NewServer(opts...)
	grpc_health_v1.RegisterHealthServer(s, h)
	return serveGRPC(t, s)
}

func serveGRPC(t *testing.T, s *grpc.Server) (addr string) {
	l := listen(t)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

func TestH2Ping(t *testing.T) {
	tlsWeb, clear, dead, silent := newTLSWeb(t), newClearWeb(t), deadAddr(t), newSilent(t)
	old := httptest.NewServer(http.NotFoundHandler()) // speaks HTTP/1 alone
	defer old.Close()
	good := Result{api.Passing, "HTTP2 ping was successful"}
	t.Run("all", func(t *testing.T) {
		runProbes(t, []probeCase{
			{"TLS", tlsWeb, `{"H2PING":"ADDR","TLSSkipVerify":true}`, good},
			{"TLS, unknown authority", tlsWeb, `{"H2PING":"ADDR"}`, Result{api.Critical, "Failed to dial to ADDR: tls: failed to verify certificate: …"}},
			{"clear", clear, `{"H2PING":"ADDR","H2PingUseTLS":false}`, good},
			{"clear, but TLS is expected", clear, `{"H2PING":"ADDR"}`, Result{api.Critical, "Failed to dial to ADDR: …"}},
			{"HTTP/1", old.Listener.Addr().String(), `{"H2PING":"ADDR","H2PingUseTLS":false}`, Result{api.Critical, "HTTP2 ping failed: …"}},
			{"nobody there", dead, `{"H2PING":"ADDR"}`, Result{api.Critical, "Failed to dial to ADDR: dial tcp ADDR: connect: connection refused"}},
			{"no answer", silent, `{"H2PING":"ADDR","H2PingUseTLS":false,"Timeout":"50ms"}`, Result{api.Critical, "HTTP2 ping failed: context deadline exceeded"}},
		})
	})
}

// TestProbesEndWithTheCheck cancels probes that would wait for a long time.
func TestProbesEndWithTheCheck(t *testing.T) {
	silent := newSilent(t)
	for _, body := range []string{
		`{"HTTP":"http://` + silent + `/"}`,
		`{"TCP":"` + silent + `","TCPUseTLS":true}`,
		`{"UDP":"` + listenUDP(t, func(net.PacketConn) {}) + `"}`,
		`{"GRPC":"` + silent + `"}`,
		`{"H2PING":"` + silent + `","H2PingUseTLS":false}`,
		`{"Args":["sleep","1000"]}`,
	} {
		c, err := New(define(t, body), FromAPI, Options{Scripts: AllScripts})
		if err != nil {
			t.Fatal(err)
		}
		c.(*periodic).timeout = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		c.(*periodic).look(ctx)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: ended %v after the check did", body, took)
		}
		cancel()
	}
}
