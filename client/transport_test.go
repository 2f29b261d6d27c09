package client

import (
	"bytes"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "http.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: ln, Config: &http.Server{Handler: answerWith(200, `"leader"`)}}
	srv.Start()
	t.Cleanup(srv.Close)
	c, err := New(Config{Address: "unix://" + path})
	if err != nil {
		t.Fatal(err)
	}
	got, err := api.Call(t.Context(), c, api.StatusLeader, api.None{})
	if err != nil || got != "leader" || c.Address() != "unix://"+path {
		t.Errorf("ask %s: got %q, %v", c.Address(), got, err)
	}
}

func TestBasePath(t *testing.T) {
	for base, want := range map[string]string{"": "/v1/kv/a/", "/": "/v1/kv/a/", "/proxy/": "/proxy/v1/kv/a/"} {
		c, last := serve(t, answerWith(200, "true"))
		c, err := New(Config{Address: c.Address() + base})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.Call(t.Context(), c, api.KVPut, api.KVPutArgs{Key: "a/"}); err != nil {
			t.Fatal(err)
		}
		if last.path != want {
			t.Errorf("base %q: asked for %s, want %s", base, last.path, want)
		}
	}
}

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(answerWith(200, `"leader"`))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes are meant to fail here
	srv.StartTLS()
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pemOf(srv.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(srv.URL, "https://")
	tests := []struct {
		name string
		cfg  Config
		ok   bool
	}{
		{"unknown authority", Config{Address: srv.URL}, false},
		{"file", Config{Address: srv.URL, TLS: TLS{CAFile: ca}}, true},
		{"directory", Config{Address: srv.URL, TLS: TLS{CAPath: dir}}, true},
		{"no verification", Config{Address: srv.URL, TLS: TLS{SkipVerify: true}}, true},
		{"enabled without a scheme", Config{Address: host, TLS: TLS{Enabled: true, CAFile: ca}}, true},
		{"enabled against the scheme", Config{Address: "http://" + host, TLS: TLS{Enabled: true, CAFile: ca}}, true},
		{"server name", Config{Address: srv.URL, TLS: TLS{CAFile: ca, ServerName: "example.com"}}, true},
		{"wrong server name", Config{Address: srv.URL, TLS: TLS{CAFile: ca, ServerName: "wrong.test"}}, false},
	}
	for _, tt := range tests {
		c, err := New(tt.cfg)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if _, err := api.Call(t.Context(), c, api.StatusLeader, api.None{}); (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want an error: %v", tt.name, err, !tt.ok)
		}
	}
}

func TestBadConfig(t *testing.T) {
	empty := t.TempDir()
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		cfg  Config
		want string
	}{
		{Config{Address: "ftp://host"}, `address "ftp://host": unknown scheme "ftp"`},
		{Config{Address: "http://"}, `address "http://" is not of the form`},
		{Config{Address: "http://h?x"}, "is not of the form"},
		{Config{Address: "h:1:2"}, `address "h:1:2"`},
		{Config{Address: "unix://"}, "has no path"},
		{Config{TLS: TLS{CAFile: "/missing"}}, "/missing"},
		{Config{TLS: TLS{CAFile: notPEM}}, "no PEM certificate"},
		{Config{TLS: TLS{CAPath: empty}}, "is empty"},
		{Config{TLS: TLS{CertFile: notPEM}}, "needs both"},
		{Config{TLS: TLS{CertFile: notPEM, KeyFile: notPEM}}, "read client certificate"},
	}
	for _, tt := range tests {
		_, err := New(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error with %q", tt.cfg, err, tt.want)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(" from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  map[string]string
		want Config
		err  string
	}{
		{name: "nothing"},
		{
			name: "everything",
			env: map[string]string{
				"CONSUL_HTTP_ADDR": "h:1", "CONSUL_HTTP_TOKEN": "t", "CONSUL_HTTP_AUTH": "u:p", "CONSUL_HTTP_SSL": "true",
				"CONSUL_HTTP_SSL_VERIFY": "false", "CONSUL_CACERT": "ca", "CONSUL_CAPATH": "cas", "CONSUL_CLIENT_CERT": "crt",
				"CONSUL_CLIENT_KEY": "key", "CONSUL_TLS_SERVER_NAME": "name", "CONSUL_DATACENTER": "dc",
			},
			want: Config{Address: "h:1", Token: "t", BasicAuth: "u:p", Datacenter: "dc", TLS: TLS{
				Enabled: true, SkipVerify: true, CAFile: "ca", CAPath: "cas", CertFile: "crt", KeyFile: "key", ServerName: "name"}},
		},
		{
			name: "own name wins, empty counts as missing",
			env:  map[string]string{"CONSUL_HTTP_ADDR": "h:1", "CURIA_HTTP_ADDR": "h:2", "CURIA_HTTP_TOKEN": "", "CONSUL_HTTP_TOKEN": "t"},
			want: Config{Address: "h:2", Token: "t"},
		},
		{
			name: "token file wins over token",
			env:  map[string]string{"CONSUL_HTTP_TOKEN": "t", "CURIA_HTTP_TOKEN_FILE": token},
			want: Config{Token: "from-file"},
		},
		{name: "missing token file", env: map[string]string{"CONSUL_HTTP_TOKEN_FILE": "/missing"}, err: "read token file: open /missing"},
		{name: "no truth", env: map[string]string{"CURIA_HTTP_SSL": "maybe"}, err: `environment variable CURIA_HTTP_SSL: "maybe" is neither true nor false`},
	}
	for _, tt := range tests {
		got, err := FromEnvironment(func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok })
		if tt.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

func pemOf(der []byte) []byte {
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		panic(err)
	}
	return b.Bytes()
}
