package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Identity is who this agent is to those it speaks TLS with, and whom it
// believes. It may be used concurrently.
type Identity struct {
	now atomic.Pointer[loaded]
}

// Load reads the files that the settings name. Warnings are complete
// sentences about certificates that work badly: expired, or refused by others.
func Load(s Settings) (*Identity, []string, error) {
	i := &Identity{}
	warnings, err := i.Reload(s)
	if err != nil {
		return nil, nil, err
	}
	return i, warnings, nil
}

// Reload reads the files again, maybe others. From then on new handshakes use
// them, also with configs given out before; connections that are open stay.
// With an error nothing has changed.
func (i *Identity) Reload(s Settings) (warnings []string, err error) {
	next, warnings, err := read(s, time.Now())
	if err != nil {
		return nil, err
	}
	i.now.Store(next)
	return warnings, nil
}

// ServerRPC is how the server port accepts TLS connections: with a client
// certificate of the authorities if verify_incoming is set, without otherwise.
// Protocols are those of ALPN. It is nil while this agent has no certificate:
// ask anew for each connection, as a reload may bring one.
func (i *Identity) ServerRPC(protocols ...string) *tls.Config {
	if i.now.Load().rpc.cert == nil {
		return nil
	}
	return i.accepting(protocols, func(l *loaded) *side { return &l.rpc })
}

// HTTPS is how the HTTPS listener accepts connections, over HTTP/2 or HTTP/1.1.
// The config stays current. Without ServesHTTPS its handshakes fail.
func (i *Identity) HTTPS() *tls.Config {
	return i.accepting([]string{"h2", "http/1.1"}, func(l *loaded) *side { return &l.https })
}

func (i *Identity) accepting(protocols []string, of func(*loaded) *side) *tls.Config {
	return &tls.Config{
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return of(i.now.Load()).serving(protocols)
		},
	}
}

var errNoCertificate = errors.New("this agent has no certificate to accept TLS with: set cert_file and key_file")

// serving is the config of one handshake.
func (s *side) serving(protocols []string) (*tls.Config, error) {
	if s.cert == nil {
		return nil, errNoCertificate
	}
	out := &tls.Config{
		Certificates: []tls.Certificate{*s.cert},
		MinVersion:   versions[s.MinVersion],
		CipherSuites: s.suites,
		NextProtos:   protocols,
	}
	if !s.allowsHTTP2() {
		out.NextProtos = slices.DeleteFunc(slices.Clone(protocols), func(p string) bool { return p == "h2" })
	}
	if s.VerifyIncoming {
		out.ClientAuth, out.ClientCAs = tls.RequireAndVerifyClientCert, s.roots
		// A resumed session would carry a client's certificate past a change of
		// the authorities.
		out.SessionTicketsDisabled = true
	}
	return out, nil
}

// allowsHTTP2 reports whether the cipher suites have one that HTTP/2 takes:
// with others, clients would agree on h2 and be sent away.
func (s *side) allowsHTTP2() bool {
	return len(s.suites) == 0 ||
		slices.Contains(s.suites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) || slices.Contains(s.suites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
}

// PlainRPC reports whether the server port takes connections without TLS:
// unless verify_incoming is set.
func (i *Identity) PlainRPC() bool { return !i.now.Load().rpc.VerifyIncoming }

// ClientRPC is how this agent connects to a server of a datacenter, or nil
// when verify_outgoing is off: then connections are plain. The server's
// certificate must be of the authorities, and, with verify_server_hostname, be
// for server.<datacenter>.<domain>; otherwise its names do not matter. This
// agent shows its own certificate, if it has one and is asked. Protocols are
// those of ALPN. Ask for a new config for each connection: certificates and
// authorities of a config stay current, verify_outgoing, versions and suites do not.
func (i *Identity) ClientRPC(datacenter string, protocols ...string) *tls.Config {
	l := i.now.Load()
	if !l.rpc.VerifyOutgoing {
		return nil
	}
	return &tls.Config{
		MinVersion:   versions[l.rpc.MinVersion],
		CipherSuites: l.rpc.suites,
		NextProtos:   protocols,
		ServerName:   l.serverName(datacenter),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert := i.now.Load().rpc.cert; cert != nil {
				return cert, nil
			}
			return &tls.Certificate{}, nil
		},
		// The library could only check a name as well. VerifyConnection does
		// the whole of it, with the authorities of this moment.
		InsecureSkipVerify: true,
		VerifyConnection:   func(state tls.ConnectionState) error { return i.now.Load().believe(state, datacenter) },
	}
}

// believe checks the certificate of a server that this agent connects to.
func (l *loaded) believe(state tls.ConnectionState, datacenter string) error {
	chain := state.PeerCertificates
	if len(chain) == 0 {
		return errors.New("the server has shown no certificate")
	}
	if l.rpc.roots == nil {
		return errors.New("there are no authorities to hold the server's certificate against: set tls.internal_rpc.ca_file or ca_path")
	}
	if _, err := chain[0].Verify(l.rpc.options(chain, x509.ExtKeyUsageServerAuth)); err != nil {
		return fmt.Errorf("check the server's certificate for %s: %w", names(chain[0]), err)
	}
	if want := l.serverName(datacenter); l.rpc.VerifyServerHostname && chain[0].VerifyHostname(want) != nil {
		return fmt.Errorf("the server's certificate is for %s and not for %q, as verify_server_hostname demands", names(chain[0]), want)
	}
	return nil
}

// CheckServer refuses a peer that is not a server of the datacenter, where
// only servers may speak: raft. State is that of an accepted connection after
// its handshake, nil if it is plain. Everybody passes unless
// verify_incoming and verify_server_hostname are both set: without the first,
// plain connections are taken, on which nobody shows anything.
func (i *Identity) CheckServer(state *tls.ConnectionState, datacenter string) error {
	l := i.now.Load()
	if !l.rpc.VerifyIncoming || !l.rpc.VerifyServerHostname {
		return nil
	}
	want := l.serverName(datacenter)
	switch {
	case state == nil:
		return fmt.Errorf("the peer speaks without TLS: a server has to show a certificate for %q; set verify_outgoing there", want)
	case len(state.VerifiedChains) == 0:
		return fmt.Errorf("the peer has shown no certificate: a server has to show one for %q", want)
	}
	leaf := state.VerifiedChains[0][0]
	if leaf.VerifyHostname(want) != nil {
		return fmt.Errorf("the peer is no server: its certificate is for %s and not for %q", names(leaf), want)
	}
	return nil
}
