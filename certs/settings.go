package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Settings say what TLS is to be. The zero value is none at all.
type Settings struct {
	Datacenter string // of this agent
	Domain     string // "consul"; a dot at its end does not matter
	// ServerName is the name that this agent's certificates should carry; ""
	// is any. A certificate without it gets a warning.
	ServerName string
	Server     bool // this agent is a server: others connect to it
	RPC        Files
	// HTTPS is read only if ServesHTTPS, and must have a certificate then.
	HTTPS       Files
	ServesHTTPS bool
}

// Files are the settings of one side of TLS, tls.internal_rpc or tls.https.
// Files are PEM, "" = none.
type Files struct {
	CAFile, CAPath       string // authorities that are trusted: both together
	CertFile, KeyFile    string
	MinVersion           string // TLSv1_0 to TLSv1_3; "" = TLSv1_2
	CipherSuites         string // separated by commas; "" = the library's choice
	VerifyIncoming       bool   // who connects must show a certificate of the authorities
	VerifyOutgoing       bool   // use TLS, and check the certificate of whom we connect to
	VerifyServerHostname bool   // servers must have a certificate for server.<datacenter>.<domain>
}

var versions = map[string]uint16{
	"": tls.VersionTLS12, "TLSv1_0": tls.VersionTLS10, "TLSv1_1": tls.VersionTLS11, "TLSv1_2": tls.VersionTLS12, "TLSv1_3": tls.VersionTLS13,
}

// Check finds settings that contradict each other, without reading files.
func (s Settings) Check() error {
	errs := s.RPC.check("tls.internal_rpc")
	if s.RPC.VerifyIncoming && s.Server && s.RPC.CertFile == "" {
		errs = append(errs, errors.New("tls.internal_rpc.verify_incoming needs tls.internal_rpc.cert_file and key_file: without a certificate no agent could connect to this server"))
	}
	if s.ServesHTTPS {
		errs = append(errs, s.HTTPS.check("tls.https")...)
		if s.HTTPS.CertFile == "" && s.HTTPS.KeyFile == "" {
			errs = append(errs, errors.New("ports.https needs tls.https.cert_file and tls.https.key_file (or those of tls.defaults): name a certificate and its key, or turn the port off with -1"))
		}
	}
	return errors.Join(errs...)
}

func (f Files) check(group string) (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if f.CertFile != "" && f.KeyFile == "" {
		fail("%s.key_file is missing: the certificate of %s.cert_file %q is of no use without its private key", group, group, f.CertFile)
	}
	if f.KeyFile != "" && f.CertFile == "" {
		fail("%s.cert_file is missing: the private key of %s.key_file %q is of no use without its certificate", group, group, f.KeyFile)
	}
	for _, demand := range []struct {
		key string
		on  bool
	}{{"verify_incoming", f.VerifyIncoming}, {"verify_outgoing", f.VerifyOutgoing}} {
		if demand.on && f.CAFile == "" && f.CAPath == "" {
			fail("%s.%s needs %s.ca_file or %s.ca_path: name the authorities whose certificates are to be believed", group, demand.key, group, group)
		}
	}
	if _, ok := versions[f.MinVersion]; !ok {
		fail("%s.tls_min_version %q must be TLSv1_0, TLSv1_1, TLSv1_2 or TLSv1_3", group, f.MinVersion)
	}
	if _, err := suites(f.CipherSuites); err != nil {
		fail("%s.tls_cipher_suites: %w", group, err)
	}
	return errs
}

// suites finds the numbers of cipher suites.
func suites(names string) ([]uint16, error) {
	var out []uint16
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		all := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
		i := slices.IndexFunc(all, func(c *tls.CipherSuite) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown cipher suite %q: known are %s", name, strings.Join(suiteNames(), ", "))
		}
		if !slices.ContainsFunc(all[i].SupportedVersions, func(v uint16) bool { return v <= tls.VersionTLS12 }) {
			return nil, fmt.Errorf("%s is of TLS 1.3, whose suites are always on: leave it out", name)
		}
		out = append(out, all[i].ID)
	}
	return out, nil
}

// suiteNames are those to recommend.
func suiteNames() (out []string) {
	for _, c := range tls.CipherSuites() {
		if slices.Contains(c.SupportedVersions, tls.VersionTLS12) {
			out = append(out, c.Name)
		}
	}
	return out
}
