package certs

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRefusals holds the errors of Load against what they should say. DIR
// stands for the directory.
func TestRefusals(t *testing.T) {
	p := newPlace(t)
	ca := p.authority("ca")
	p.issue("a", ca, ForServer, "dc1")
	p.issue("b", ca, ForServer, "dc1")
	p.write("junk.pem", []byte("hello"))
	p.write("junk-key.pem", []byte("hello"))
	for _, dir := range []string{"empty", "mixed", "mixed/below"} {
		if err := os.Mkdir(p.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.write("mixed/readme", []byte("hello"))
	with := func(ca, cert string, set func(*Files)) Settings {
		return Settings{Domain: "consul", Datacenter: "dc1", Server: true, RPC: p.files(ca, cert, set)}
	}
	for _, c := range []struct {
		name string
		s    Settings
		want string
	}{
		{"no key", with("", "a", func(f *Files) { f.KeyFile = "" }),
			`tls.internal_rpc.key_file is missing: the certificate of tls.internal_rpc.cert_file "DIR/a.pem" is of no use without its private key`},
		{"no certificate", with("", "a", func(f *Files) { f.CertFile = "" }),
			`tls.internal_rpc.cert_file is missing: the private key of tls.internal_rpc.key_file "DIR/a-key.pem" is of no use without its certificate`},
		{"no authority to check who comes", with("", "a", incoming),
			"tls.internal_rpc.verify_incoming needs tls.internal_rpc.ca_file or tls.internal_rpc.ca_path: name the authorities whose certificates are to be believed"},
		{"no authority to check whom we reach", with("", "", outgoing),
			"tls.internal_rpc.verify_outgoing needs tls.internal_rpc.ca_file or tls.internal_rpc.ca_path: name the authorities whose certificates are to be believed"},
		{"incoming without a certificate", with("ca", "", incoming),
			"tls.internal_rpc.verify_incoming needs tls.internal_rpc.cert_file and key_file: without a certificate no agent could connect to this server"},
		{"missing files", with("none", "gone", outgoing),
			`tls.internal_rpc.ca_file: open DIR/none.pem: no such file or directory; name a PEM file that this agent may read
tls.internal_rpc.cert_file: open DIR/gone.pem: no such file or directory; name a PEM file that this agent may read
tls.internal_rpc.key_file: open DIR/gone-key.pem: no such file or directory; name a PEM file that this agent may read`},
		{"another key", with("", "a", func(f *Files) { f.KeyFile = p.path("b-key.pem") }),
			`tls.internal_rpc.cert_file "DIR/a.pem" and tls.internal_rpc.key_file "DIR/b-key.pem" are of no use together: tls: private key does not match public key; the certificate must be the first in its file, and the key be its own, in PEM without a passphrase`},
		{"junk", with("", "junk", outgoing), "tls.internal_rpc.verify_outgoing needs tls.internal_rpc.ca_file or tls.internal_rpc.ca_path: name the authorities whose certificates are to be believed"},
		{"junk as certificate", with("", "junk", func(*Files) {}),
			`tls.internal_rpc.cert_file "DIR/junk.pem" and tls.internal_rpc.key_file "DIR/junk-key.pem" are of no use together: tls: failed to find any PEM data in certificate input; the certificate must be the first in its file, and the key be its own, in PEM without a passphrase`},
		{"junk as authority", with("junk", "", outgoing),
			"tls.internal_rpc.ca_file: there is no PEM certificate in DIR/junk.pem; put certificates of authorities there, and nothing else"},
		{"an empty directory", with("", "", func(f *Files) { f.CAPath, f.VerifyOutgoing = p.path("empty"), true }),
			"tls.internal_rpc.ca_path: there is no file in DIR/empty; put PEM files of authorities there"},
		{"a directory with something else", with("", "", func(f *Files) { f.CAPath, f.VerifyOutgoing = p.path("mixed"), true }),
			"tls.internal_rpc.ca_path: there is no PEM certificate in DIR/mixed/readme; put certificates of authorities there, and nothing else"},
		{"no directory", with("", "", func(f *Files) { f.CAPath, f.VerifyOutgoing = p.path("none"), true }),
			"tls.internal_rpc.ca_path: open DIR/none: no such file or directory; name a directory of PEM files that this agent may read"},
		{"a suite of TLS 1.3", with("", "a", func(f *Files) { f.CipherSuites = "TLS_AES_128_GCM_SHA256" }),
			"tls.internal_rpc.tls_cipher_suites: TLS_AES_128_GCM_SHA256 is of TLS 1.3, whose suites are always on: leave it out"},
		{"HTTPS without anything", Settings{ServesHTTPS: true},
			"ports.https needs tls.https.cert_file and tls.https.key_file (or those of tls.defaults): name a certificate and its key, or turn the port off with -1"},
		{"HTTPS demands certificates", Settings{ServesHTTPS: true, HTTPS: p.files("", "a", incoming)},
			"tls.https.verify_incoming needs tls.https.ca_file or tls.https.ca_path: name the authorities whose certificates are to be believed"},
		{"both sides", Settings{ServesHTTPS: true, HTTPS: p.files("", "gone"), RPC: p.files("junk", "")},
			`tls.internal_rpc.ca_file: there is no PEM certificate in DIR/junk.pem; put certificates of authorities there, and nothing else
tls.https.cert_file: open DIR/gone.pem: no such file or directory; name a PEM file that this agent may read
tls.https.key_file: open DIR/gone-key.pem: no such file or directory; name a PEM file that this agent may read`},
	} {
		i, _, err := Load(c.s)
		if err == nil || i != nil {
			t.Errorf("%s: loaded, want %s", c.name, c.want)
			continue
		}
		if diff := cmp.Diff(c.want, strings.ReplaceAll(err.Error(), p.dir, "DIR")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	_, _, err := Load(with("", "a", func(f *Files) { f.CipherSuites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, RC4" }))
	if err == nil || !strings.Contains(err.Error(), `unknown cipher suite "RC4": known are TLS_ECDHE_`) {
		t.Errorf("an unknown suite: got %v", err)
	}
}

// TestNotServed leaves the files of HTTPS alone while nothing listens there.
func TestNotServed(t *testing.T) {
	if _, _, err := Load(Settings{HTTPS: Files{CertFile: "gone", KeyFile: "gone"}}); err != nil {
		t.Errorf("load: %v, want nothing to be read", err)
	}
}

// TestDirectory takes the authorities of a directory and of a file together.
func TestDirectory(t *testing.T) {
	p := newPlace(t)
	one, two := p.authority("one"), p.authority("two")
	if err := os.MkdirAll(p.path("ca/below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(p.path("one.pem"), p.path("ca/link")); err != nil {
		t.Fatal(err)
	}
	p.issue("of-one", one, ForServer, "dc1")
	p.issue("of-two", two, ForServer, "dc1")
	both := rpc(t, p.files("two", "", outgoing, func(f *Files) { f.CAPath = p.path("ca") }))
	for _, name := range []string{"of-one", "of-two"} {
		if _, _, serverErr, clientErr := shake(t, rpc(t, p.files("", name)).ServerRPC(), both.ClientRPC("dc1")); serverErr != nil || clientErr != nil {
			t.Errorf("%s: %v, %v", name, serverErr, clientErr)
		}
	}
}

// TestWarnings looks at certificates that can be loaded and will not do.
func TestWarnings(t *testing.T) {
	p := newPlace(t)
	ca := p.authority("ca")
	p.authority("other")
	p.issue("server", ca, ForServer, "dc1")
	p.issue("client", ca, ForClient, "dc1")
	p.issue("cli", ca, ForCLI, "dc1")
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	pair, err := ca.Issue(Request{Role: ForServer, Datacenter: "dc1", Domain: "consul", Lifetime: time.Hour}, time.Now().Add(-2*time.Hour))
	p.pair("expired", pair, err)
	for _, c := range []struct {
		name string
		s    Settings
		now  time.Time
		want string // part of the one warning; "" = none
	}{
		{"fine", Settings{Server: true, RPC: p.files("ca", "server", hostname)}, time.Now(), ""},
		{"fine for a client", Settings{RPC: p.files("ca", "client", hostname), ServerName: "client.dc1.consul"}, time.Now(), ""},
		{"expired", Settings{Server: true, RPC: p.files("ca", "server")}, now,
			"tls.internal_rpc.cert_file DIR/server.pem: the certificate has expired on "},
		{"too early", Settings{Server: true, RPC: p.files("ca", "server")}, now.AddDate(-20, 0, 0),
			"tls.internal_rpc.cert_file DIR/server.pem: the certificate is not valid before "},
		{"expired for HTTPS", Settings{ServesHTTPS: true, HTTPS: p.files("", "expired")}, time.Now(),
			"tls.https.cert_file DIR/expired.pem: the certificate has expired on "},
		{"of another authority", Settings{RPC: p.files("other", "client")}, time.Now(),
			"will be refused by those it connects to: x509: certificate signed by unknown authority"},
		{"of the CLI", Settings{Server: true, RPC: p.files("ca", "cli")}, time.Now(),
			"will be refused by those who connect: x509: certificate specifies an incompatible key usage"},
		{"no server", Settings{Server: true, RPC: p.files("ca", "client", hostname)}, time.Now(),
			`is not for "server.dc1.consul", as verify_server_hostname demands of servers, but for client.dc1.consul, localhost, 127.0.0.1.`},
		{"another name", Settings{Server: true, RPC: p.files("ca", "server"), ServerName: "web"}, time.Now(),
			`is not for "web", the server_name, but for server.dc1.consul, localhost, 127.0.0.1.`},
	} {
		c.s.Domain, c.s.Datacenter = "consul.", "dc1"
		_, warnings, err := read(c.s, c.now)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := strings.ReplaceAll(strings.Join(warnings, "\n"), p.dir, "DIR")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || len(warnings) > 1 {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
