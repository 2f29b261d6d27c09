package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// loaded is what one Load or Reload has read. It is never changed.
type loaded struct {
	Settings
	rpc, https side
}

// side is Files with what is in them.
type side struct {
	Files
	roots  *x509.CertPool   // nil = none
	cert   *tls.Certificate // nil = none
	suites []uint16
}

// read reads every file that the settings name. Warnings are sentences about
// certificates that others will probably refuse.
func read(s Settings, now time.Time) (*loaded, []string, error) {
	if err := s.Check(); err != nil {
		return nil, nil, err
	}
	out := &loaded{Settings: s}
	var err, httpsErr error
	out.rpc, err = s.RPC.read("tls.internal_rpc")
	if s.ServesHTTPS {
		out.https, httpsErr = s.HTTPS.read("tls.https")
	}
	if err := errors.Join(err, httpsErr); err != nil {
		return nil, nil, err
	}
	warnings := out.rpc.doubts("tls.internal_rpc", s.ServerName, now)
	if len(warnings) == 0 {
		warnings = out.doubtRPC()
	}
	return out, append(warnings, out.https.doubts("tls.https", s.ServerName, now)...), nil
}

func (f Files) read(group string) (side, error) {
	out := side{Files: f}
	out.suites, _ = suites(f.CipherSuites) // check has seen them
	var errs []error
	if err := out.readAuthorities(group); err != nil {
		errs = append(errs, err)
	}
	if f.CertFile != "" {
		pair, err := readPair(group, f.CertFile, f.KeyFile)
		if err != nil {
			errs = append(errs, err)
		}
		out.cert = pair
	}
	return out, errors.Join(errs...)
}

func readPair(group, certFile, keyFile string) (*tls.Certificate, error) {
	cert, certErr := readPEM(group+".cert_file", certFile)
	key, keyErr := readPEM(group+".key_file", keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s.cert_file %q and %s.key_file %q are of no use together: %w; the certificate must be the first in its file, and the key be its own, in PEM without a passphrase",
			group, certFile, group, keyFile, err)
	}
	return &pair, nil
}

func readPEM(key, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; name a PEM file that this agent may read", key, err)
	}
	return text, nil
}

// readAuthorities reads ca_file, and the files in ca_path without descending.
func (s *side) readAuthorities(group string) error {
	type file struct{ key, path string }
	var files []file
	if s.CAFile != "" {
		files = append(files, file{group + ".ca_file", s.CAFile})
	}
	if s.CAPath != "" {
		key := group + ".ca_path"
		entries, err := os.ReadDir(s.CAPath)
		if err != nil {
			return fmt.Errorf("%s: %w; name a directory of PEM files that this agent may read", key, err)
		}
		for _, e := range entries {
			path := filepath.Join(s.CAPath, e.Name())
			// Stat, not the entry: mounted certificates are often symbolic links.
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				continue
			}
			files = append(files, file{key, path})
		}
		if len(files) == 0 {
			return fmt.Errorf("%s: there is no file in %s; put PEM files of authorities there", key, s.CAPath)
		}
	}
	for _, f := range files {
		text, err := readPEM(f.key, f.path)
		if err != nil {
			return err
		}
		if s.roots == nil {
			s.roots = x509.NewCertPool()
		}
		if !s.roots.AppendCertsFromPEM(text) {
			return fmt.Errorf("%s: there is no PEM certificate in %s; put certificates of authorities there, and nothing else", f.key, f.path)
		}
	}
	return nil
}

// doubts tells why a certificate will be refused by everybody.
func (s side) doubts(group, name string, now time.Time) (out []string) {
	if s.cert == nil {
		return nil
	}
	warn := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("%s.cert_file %s: the certificate %s", group, s.CertFile, fmt.Sprintf(format, args...)))
	}
	leaf := s.cert.Leaf
	switch {
	case now.After(leaf.NotAfter):
		warn("has expired on %s: others will refuse it; issue a new one and reload.", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		warn("is not valid before %s: others will refuse it until then; is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if name != "" && leaf.VerifyHostname(name) != nil {
		warn("is not for %q, the server_name, but for %s.", name, names(leaf))
	}
	return out
}

// doubtRPC tells why other agents of the cluster will refuse a certificate.
func (l *loaded) doubtRPC() []string {
	if l.rpc.cert == nil || l.rpc.roots == nil {
		return nil
	}
	leaf := l.rpc.cert.Leaf
	warn := func(format string, args ...any) []string {
		return []string{fmt.Sprintf("tls.internal_rpc.cert_file %s: the certificate %s", l.rpc.CertFile, fmt.Sprintf(format, args...))}
	}
	for _, use := range []struct {
		name  string
		usage x509.ExtKeyUsage
		of    bool
	}{{"those it connects to", x509.ExtKeyUsageClientAuth, true}, {"those who connect", x509.ExtKeyUsageServerAuth, l.Server}} {
		if !use.of {
			continue
		}
		if _, err := leaf.Verify(l.rpc.options(chainOf(l.rpc.cert), use.usage)); err != nil {
			return warn("will be refused by %s: %s.", use.name, err)
		}
	}
	if want := l.serverName(l.Datacenter); l.Server && l.rpc.VerifyServerHostname && leaf.VerifyHostname(want) != nil {
		return warn("is not for %q, as verify_server_hostname demands of servers, but for %s.", want, names(leaf))
	}
	return nil
}

// options are how a certificate that came with others is held against the
// authorities of this side.
func (s *side) options(chain []*x509.Certificate, usage x509.ExtKeyUsage) x509.VerifyOptions {
	out := x509.VerifyOptions{Roots: s.roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{usage}}
	if len(chain) > 0 {
		for _, c := range chain[1:] {
			out.Intermediates.AddCert(c)
		}
	}
	return out
}

// chainOf gives the certificate and the intermediate ones of its file.
func chainOf(pair *tls.Certificate) (out []*x509.Certificate) {
	for _, der := range pair.Certificate {
		if c, err := x509.ParseCertificate(der); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// serverName is the name that only certificates of servers carry.
func (l *loaded) serverName(datacenter string) string {
	return ServerName(datacenter, l.Domain)
}

// ServerName is the name that the certificate of every server of a datacenter
// carries, and no other: server.<datacenter>.<domain>.
func ServerName(datacenter, domain string) string {
	return "server." + datacenter + "." + strings.TrimSuffix(domain, ".")
}

// names lists what a certificate is for.
func names(c *x509.Certificate) string {
	out := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 {
		return "no name"
	}
	return strings.Join(out, ", ")
}
