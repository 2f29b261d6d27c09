package realtest

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// patients are servers that checks look at, by the name of their kind.
func patients(t *testing.T) map[string]string {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.URL.Path == "/away":
			http.Redirect(w, r, "/", http.StatusFound)
		case r.URL.Path == "/busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case r.URL.Path == "/picky" && (r.Method != "POST" || r.Host != "web.example" || r.Header.Get("X-Key") != "k" || string(body) != "ping"):
			w.WriteHeader(http.StatusBadRequest)
		default:
			_, _ = fmt.Fprintf(w, "%s well", r.UserAgent())
		}
	}))
	t.Cleanup(web.Close)
	secure := httptest.NewUnstartedServer(web.Config.Handler)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // some are to refuse its certificate
	secure.StartTLS()
	t.Cleanup(secure.Close)
	echo, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = echo.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := echo.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(buf[:n], from)
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	rpc, states := grpc.NewServer(), health.NewServer()
	states.SetServingStatus("down", healthpb.HealthCheckResponse_NOT_SERVING)
	healthpb.RegisterHealthServer(rpc, states)
	go func() { _ = rpc.Serve(l) }()
	t.Cleanup(rpc.Stop)
	return map[string]string{
		"@WEB": web.Listener.Addr().String(), "@TLS": secure.Listener.Addr().String(),
		"@UDP": echo.LocalAddr().String(), "@RPC": l.Addr().String(),
	}
}

// TestCheckKinds lets an agent run checks of all kinds from a configuration
// file, with the names that such a file has for their settings.
func TestCheckKinds(t *testing.T) {
	t.Parallel()
	kinds := []struct{ name, probe, status, output string }{
		{"script", `args = ["echo", "fine"]`, "passing", "fine\n"},
		{"script-warning", `script = "echo hm; exit 1"`, "warning", "hm\n"},
		{"script-slow", `args = ["sleep", "100"] | timeout = "100ms"`, "critical", "Timed out (100ms) running check"},
		{"http", `http = "http://@WEB/"`, "passing", "HTTP GET http://@WEB/: 200 OK Output: Consul Health Check well"},
		{"http-busy", `http = "http://@WEB/busy"`, "warning", "HTTP GET http://@WEB/busy: 429 Too Many Requests Output: "},
		{"http-picky", `http = "http://@WEB/picky" | method = "POST" | body = "ping" | header { X-Key = ["k"] | Host = ["web.example"] | }`, "passing", "HTTP POST http://@WEB/picky: 200 OK Output: Consul Health Check well"},
		{"http-redirected", `http = "http://@WEB/away"`, "passing", "HTTP GET http://@WEB/away: 200 OK Output: Consul Health Check well"},
		{"http-stays", `http = "http://@WEB/away" | disable_redirects = true | output_max_size = 4`, "critical", "HTTP GET http://@WEB/away: 302 Found Output: >.\n\n"},
		{"https", `http = "https://@TLS/" | tls_skip_verify = true`, "passing", "HTTP GET https://@TLS/: 200 OK Output: Consul Health Check well"},
		{"https-unknown", `http = "https://@TLS/"`, "critical", `Get "https://@TLS/": tls: failed to verify certificate: x509: certificate signed by unknown authority`},
		{"tcp", `tcp = "@WEB"`, "passing", "TCP connect @WEB: Success"},
		{"tcp-tls", `tcp = "@TLS" | tcp_use_tls = true | tls_skip_verify = true`, "passing", "TCP+TLS connect @TLS: Success"},
		{"udp", `udp = "@UDP"`, "passing", "UDP connect @UDP: Success"},
		{"grpc", `grpc = "@RPC"`, "passing", "gRPC check @RPC: success"},
		{"grpc-down", `grpc = "@RPC/down"`, "critical", "gRPC @RPC/down serving status: NOT_SERVING"},
		{"h2ping", `h2ping = "@TLS" | tls_skip_verify = true`, "passing", "HTTP2 ping was successful"},
		{"h2ping-clear", `h2ping = "@RPC" | h2ping_use_tls = false`, "passing", "HTTP2 ping was successful"},
	}
	at := patients(t)
	place := func(s string) string {
		for name, addr := range at {
			s = strings.ReplaceAll(s, name, addr)
		}
		return s
	}
	var file strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&file, "check {\n  name = %q\n  interval = \"1s\"\n  %s\n}\n", k.name, strings.ReplaceAll(place(k.probe), " | ", "\n  "))
	}
	file.WriteString(`service {
  name = "web"
  check {
    ttl    = "1h"
    status = "warning"
    deregister_critical_service_after = "1h"
  }
}
check {
  name          = "alias"
  alias_service = "web"
}
`)
	path := filepath.Join(t.TempDir(), "checks.hcl")
	check(t, os.WriteFile(path, []byte(file.String()), 0o644))
	a := start(t, option{config: map[string]any{"enable_local_script_checks": true}, flags: []string{"-config-file=" + path}})
	eventually(t, thingWait, func() error {
		_, body := a.must("GET", "/v1/agent/checks", "")
		var got map[string]struct{ Status, Output string }
		check(t, json.Unmarshal([]byte(body), &got))
		for _, k := range kinds {
			c, output := got[k.name], place(k.output)
			if c.Status != k.status || c.Output != output {
				return fmt.Errorf("check %s: got %+v, wanted %s %q", k.name, c, k.status, output)
			}
		}
		if c := got["alias"]; c.Status != "critical" || !strings.HasPrefix(c.Output, `Aliased check "`) {
			return fmt.Errorf("check alias: got %+v, wanted critical: checks of the node are", c)
		}
		return nil
	})
}
