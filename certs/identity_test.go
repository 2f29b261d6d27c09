package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// place is a directory with an authority and certificates that it issued.
type place struct {
	t   *testing.T
	dir string
}

func newPlace(t *testing.T) place { return place{t, t.TempDir()} }

func (p place) path(name string) string { return filepath.Join(p.dir, name) }

func (p place) write(name string, text []byte) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), text, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// pair writes name.pem and name-key.pem.
func (p place) pair(name string, pair Pair, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("make %s: %v", name, err)
	}
	p.write(name+".pem", pair.Cert)
	p.write(name+"-key.pem", pair.Key)
}

// authority makes one and writes it.
func (p place) authority(name string) *Authority {
	p.t.Helper()
	pair, err := NewAuthority(AuthorityRequest{Domain: "consul", Lifetime: 48 * time.Hour}, time.Now().Add(-24*time.Hour))
	p.pair(name, pair, err)
	out, err := ParseAuthority(pair)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (p place) issue(name string, by *Authority, role Role, dc string) {
	p.t.Helper()
	pair, err := by.Issue(Request{Role: role, Datacenter: dc, Domain: "consul", Lifetime: time.Hour}, time.Now())
	p.pair(name, pair, err)
}

// files are the settings that use what was written; "" = none.
func (p place) files(ca, cert string, with ...func(*Files)) Files {
	f := Files{}
	if ca != "" {
		f.CAFile = p.path(ca + ".pem")
	}
	if cert != "" {
		f.CertFile, f.KeyFile = p.path(cert+".pem"), p.path(cert+"-key.pem")
	}
	for _, set := range with {
		set(&f)
	}
	return f
}

func incoming(f *Files) { f.VerifyIncoming = true }
func outgoing(f *Files) { f.VerifyOutgoing = true }
func hostname(f *Files) { f.VerifyOutgoing, f.VerifyServerHostname = true, true }

// rpc loads an identity for the server port; nothing may be doubtful about it.
func rpc(t *testing.T, f Files) *Identity {
	t.Helper()
	i, warnings, err := Load(Settings{Datacenter: "dc1", Domain: "consul.", Server: f.CertFile != "", RPC: f})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("load %+v: %q, %v", f, warnings, err)
	}
	return i
}

// shake makes a connection between two configs.
func shake(t *testing.T, server, client *tls.Config) (serverState, clientState tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	a, b := sockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	sc, cc := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := sc.HandshakeContext(ctx)
		if err == nil {
			_, err = sc.Write([]byte{1})
		}
		done <- err
		_ = a.Close()
	}()
	clientErr = cc.HandshakeContext(ctx)
	if clientErr == nil { // TLS 1.3: a refused client learns it when it reads
		_, clientErr = cc.Read(make([]byte, 1))
	}
	_ = b.Close()
	serverErr = <-done
	return sc.ConnectionState(), cc.ConnectionState(), serverErr, clientErr
}

// sockets gives the two ends of a connection. It is no net.Pipe: there, two
// sides that both write an alert wait for each other.
func sockets(t *testing.T) (accepted, dialed net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if dialed, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return accepted, dialed
}

// TestRPC lets agents with all sorts of certificates connect to servers.
func TestRPC(t *testing.T) {
	p := newPlace(t)
	ca, other := p.authority("ca"), p.authority("other")
	p.issue("server", ca, ForServer, "dc1")
	p.issue("server2", ca, ForServer, "dc2")
	p.issue("client", ca, ForClient, "dc1")
	p.issue("cli", ca, ForCLI, "dc1")
	p.issue("stranger", other, ForServer, "dc1")
	for _, c := range []struct {
		name           string
		server, client Files
		dc             string // that the client wants to reach
		want           string // "" = fine, else part of an error of either
		raft           string // "" = CheckServer is content
	}{
		{name: "outgoing alone", server: p.files("", "server"), client: p.files("ca", "", outgoing)},
		{name: "outgoing takes any name", server: p.files("ca", "client"), client: p.files("ca", "", outgoing)},
		{name: "outgoing refuses another authority", server: p.files("", "stranger"), client: p.files("ca", "", outgoing), want: "signed by unknown authority"},
		{name: "outgoing refuses certificates that are not for accepting", server: p.files("", "cli"), client: p.files("ca", "", outgoing), want: "incompatible key usage"},
		{name: "incoming", server: p.files("ca", "server", incoming), client: p.files("ca", "client", outgoing)},
		{name: "incoming refuses nobody", server: p.files("ca", "server", incoming), client: p.files("ca", "", outgoing), want: "client didn't provide a certificate"},
		{name: "incoming refuses strangers", server: p.files("ca", "server", incoming), client: p.files("ca", "stranger", outgoing), want: "unknown authority"},
		{name: "without incoming strangers may come", server: p.files("ca", "server"), client: p.files("ca", "stranger", outgoing)},
		{name: "hostname", server: p.files("ca", "server", incoming, hostname), client: p.files("ca", "server", hostname)},
		{name: "hostname refuses a client as server", server: p.files("ca", "client"), client: p.files("ca", "client", hostname),
			want: `is for client.dc1.consul, localhost, 127.0.0.1 and not for "server.dc1.consul", as verify_server_hostname demands`},
		{name: "hostname refuses another datacenter", server: p.files("ca", "server"), client: p.files("ca", "client", hostname), dc: "dc2", want: `not for "server.dc2.consul"`},
		{name: "hostname of another datacenter", server: p.files("ca", "server2"), client: p.files("ca", "client", hostname), dc: "dc2"},
		{name: "raft of a client", server: p.files("ca", "server", incoming, hostname), client: p.files("ca", "client", hostname),
			raft: `the peer is no server: its certificate is for client.dc1.consul, localhost, 127.0.0.1 and not for "server.dc1.consul"`},
		{name: "raft of another datacenter", server: p.files("ca", "server", incoming, hostname), client: p.files("ca", "server2", hostname),
			raft: `the peer is no server: its certificate is for server.dc2.consul, localhost, 127.0.0.1 and not for "server.dc1.consul"`},
		{name: "raft without hostname", server: p.files("ca", "server", incoming), client: p.files("ca", "client", hostname)},
		{name: "version", server: p.files("", "server", func(f *Files) { f.MinVersion = "TLSv1_3" }), client: p.files("ca", "", outgoing)},
		{name: "suites", server: p.files("", "server", func(f *Files) { f.CipherSuites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" }), client: p.files("ca", "", outgoing)},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, _, err := Load(Settings{Datacenter: "dc1", Domain: "consul", RPC: c.server})
			if err != nil {
				t.Fatal(err)
			}
			dc := c.dc
			if dc == "" {
				dc = "dc1"
			}
			client, _, err := Load(Settings{Datacenter: "dc1", Domain: "consul", RPC: c.client})
			if err != nil {
				t.Fatal(err)
			}
			state, seen, serverErr, clientErr := shake(t, i.ServerRPC("a", "b"), client.ClientRPC(dc, "b"))
			got := fmt.Sprint(serverErr, " ", clientErr)
			if c.want == "" && got != "<nil> <nil>" || !strings.Contains(got, c.want) {
				t.Fatalf("got %s, want %q", got, c.want)
			}
			if c.want != "" {
				return
			}
			if seen.NegotiatedProtocol != "b" || state.NegotiatedProtocol != "b" {
				t.Errorf("protocol: got %q and %q, want b", seen.NegotiatedProtocol, state.NegotiatedProtocol)
			}
			got = ""
			if err := i.CheckServer(&state, "dc1"); err != nil {
				got = err.Error()
			}
			if got != c.raft {
				t.Errorf("CheckServer: got %q, want %q", got, c.raft)
			}
		})
	}
}

// TestPlain is about connections without TLS.
func TestPlain(t *testing.T) {
	p := newPlace(t)
	p.issue("server", p.authority("ca"), ForServer, "dc1")
	type answer struct {
		Dials, Accepts, AcceptsTLS bool
		Raft                       string
	}
	for _, c := range []struct {
		name string
		f    Files
		want answer
	}{
		{"nothing", Files{}, answer{true, true, false, ""}},
		{"a certificate", p.files("ca", "server"), answer{true, true, true, ""}},
		{"outgoing", p.files("ca", "server", outgoing), answer{false, true, true, ""}},
		{"incoming", p.files("ca", "server", incoming), answer{true, false, true, ""}},
		{"hostname", p.files("ca", "server", hostname), answer{false, true, true, ""}},
		{"all", p.files("ca", "server", incoming, hostname), answer{false, false, true,
			`the peer speaks without TLS: a server has to show a certificate for "server.dc1.consul"; set verify_outgoing there`}},
	} {
		i := rpc(t, c.f)
		got := answer{i.ClientRPC("dc1") == nil, i.PlainRPC(), i.ServerRPC() != nil, ""}
		if err := i.CheckServer(nil, "dc1"); err != nil {
			got.Raft = err.Error()
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestReload replaces everything under configs that were given out before.
func TestReload(t *testing.T) {
	p := newPlace(t)
	old, next := p.authority("old"), p.authority("next")
	p.issue("a", old, ForServer, "dc1")
	p.issue("b", next, ForServer, "dc1")
	s := Settings{Datacenter: "dc1", Domain: "consul", Server: true, RPC: p.files("old", "a", incoming, outgoing)}
	i, _, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	server, client := i.ServerRPC(), i.ClientRPC("dc1")
	serial := func() string {
		t.Helper()
		state, seen, serverErr, clientErr := shake(t, server, client)
		if serverErr != nil || clientErr != nil {
			t.Fatalf("handshake: %v, %v", serverErr, clientErr)
		}
		if state.DidResume || state.PeerCertificates[0].SerialNumber.Cmp(seen.PeerCertificates[0].SerialNumber) != 0 {
			t.Errorf("the two sides show different certificates")
		}
		return seen.PeerCertificates[0].SerialNumber.String()
	}
	first := serial()

	broken := s
	broken.RPC.CertFile = p.path("none.pem")
	_, err = i.Reload(broken)
	if err == nil || !strings.Contains(err.Error(), "tls.internal_rpc.cert_file: open ") {
		t.Errorf("reload of a missing file: got %v", err)
	}
	if again := serial(); again != first {
		t.Errorf("after a failed reload: got serial %s, want %s", again, first)
	}

	s.RPC = p.files("next", "b", incoming, outgoing)
	if warnings, err := i.Reload(s); err != nil || len(warnings) > 0 {
		t.Fatalf("reload: %q, %v", warnings, err)
	}
	if again := serial(); again == first {
		t.Errorf("after the reload: still serial %s", again)
	}
	stranger := rpc(t, p.files("old", "a", outgoing))
	if _, _, serverErr, clientErr := shake(t, server, stranger.ClientRPC("dc1")); serverErr == nil || clientErr == nil {
		t.Errorf("the old authority after the reload: got %v, %v, want errors", serverErr, clientErr)
	}
}

// TestHTTPS looks at what the HTTPS listener agrees on.
func TestHTTPS(t *testing.T) {
	p := newPlace(t)
	ca := p.authority("ca")
	p.issue("server", ca, ForServer, "dc1")
	p.issue("cli", ca, ForCLI, "dc1")
	roots := x509.NewCertPool()
	text, _ := os.ReadFile(p.path("ca.pem"))
	roots.AppendCertsFromPEM(text)
	cli, err := tls.LoadX509KeyPair(p.path("cli.pem"), p.path("cli-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		f        Files
		certs    []tls.Certificate
		max      uint16 // of the client
		want     string // part of an error
		protocol string
	}{
		{name: "open", f: p.files("", "server"), protocol: "h2"},
		{name: "demanded", f: p.files("ca", "server", incoming), want: "client didn't provide a certificate"},
		{name: "shown", f: p.files("ca", "server", incoming), certs: []tls.Certificate{cli}, protocol: "h2"},
		{name: "default version", f: p.files("", "server"), max: tls.VersionTLS11, want: "protocol version"},
		{name: "old version", f: p.files("", "server", func(f *Files) { f.MinVersion = "TLSv1_1" }), max: tls.VersionTLS11, protocol: "h2"},
		{name: "new version", f: p.files("", "server", func(f *Files) { f.MinVersion = "TLSv1_3" }), max: tls.VersionTLS12, want: "protocol version"},
		{name: "suites without HTTP/2", f: p.files("", "server", func(f *Files) { f.CipherSuites = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA" }), max: tls.VersionTLS12, protocol: "http/1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, _, err := Load(Settings{Datacenter: "dc1", Domain: "consul", ServesHTTPS: true, HTTPS: c.f})
			if err != nil {
				t.Fatal(err)
			}
			client := &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: c.certs, MinVersion: tls.VersionTLS10, MaxVersion: c.max, NextProtos: []string{"h2", "http/1.1"}}
			_, seen, serverErr, clientErr := shake(t, i.HTTPS(), client)
			got := fmt.Sprint(serverErr, " ", clientErr)
			if c.want == "" && got != "<nil> <nil>" || !strings.Contains(got, c.want) || c.want == "" && seen.NegotiatedProtocol != c.protocol {
				t.Errorf("got %s and %q, want %q and %q", got, seen.NegotiatedProtocol, c.want, c.protocol)
			}
		})
	}
}
