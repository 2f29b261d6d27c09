package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"curia/certs"
	"curia/config"
	"curia/wire"
)

// web is the HTTP API of an agent.
type web struct {
	tls       *certs.Identity // also of the server port
	http      *httpFace
	listeners []listener
}

// tlsSettings are what the configuration says about TLS. Files of HTTPS
// matter while it is served, which a reload does not change.
func tlsSettings(cfg *config.Config, httpsPort int) certs.Settings {
	out := certs.Settings{
		Datacenter: cfg.Node.Datacenter, Domain: cfg.Node.Domain, ServerName: cfg.TLS.ServerName, Server: cfg.Mode.Server,
		RPC: tlsFiles(cfg.TLS.InternalRPC), HTTPS: tlsFiles(cfg.TLS.HTTPS), ServesHTTPS: httpsPort > 0,
	}
	out.HTTPS.VerifyOutgoing = false // nothing connects with the files of HTTPS
	return out
}

func tlsFiles(l config.TLSListener) certs.Files {
	return certs.Files{
		CAFile: l.CAFile, CAPath: l.CAPath, CertFile: l.CertFile, KeyFile: l.KeyFile,
		MinVersion: l.MinVersion, CipherSuites: l.CipherSuites,
		VerifyIncoming: l.VerifyIncoming, VerifyOutgoing: l.VerifyOutgoing, VerifyServerHostname: l.VerifyServerHostname,
	}
}

// loadTLS reads the certificates, and says which of them work badly.
func (n *node) loadTLS(cfg *config.Config) (warnings []string, err error) {
	n.tls, warnings, err = certs.Load(tlsSettings(cfg, cfg.Ports.HTTPS))
	return warnings, err
}

// reloadTLS reads the certificates again. With an error the old ones stay.
func (n *node) reloadTLS(old, next *config.Config) error {
	warnings, err := n.tls.Reload(tlsSettings(next, old.Ports.HTTPS))
	for _, w := range warnings {
		n.log.Warn(w)
	}
	return err
}

// security is how connections to server ports are protected. Certificates that
// are read again count from the next connection on.
func (n *node) security(cfg *config.Config) wire.Security {
	return wire.Security{
		Accept: func() *tls.Config { return n.tls.ServerRPC() },
		Demand: func() bool { return !n.tls.PlainRPC() },
		Dial:   func(datacenter string) *tls.Config { return n.tls.ClientRPC(datacenter) },
		Server: func(s tls.ConnectionState) error { return n.tls.CheckServer(&s, cfg.Node.Datacenter) },
	}
}

// listenHTTPS opens the sockets of the HTTP API with TLS, if ports.https is set.
func (n *node) listenHTTPS(cfg *config.Config) error {
	if cfg.Ports.HTTPS < 1 {
		return nil
	}
	for _, addr := range cfg.Addresses.HTTPS {
		l, name, err := listen(addr, cfg.Ports.HTTPS, cfg)
		if err != nil {
			return fmt.Errorf("cannot listen for HTTPS on %s: %w; choose another with -https-port, -client or addresses.https", name, err)
		}
		limited := limitConns(l, cfg.Limits.HTTPMaxConnsPerClient, "")
		patient := boundHandshakes(limited, cfg.Limits.HTTPSHandshakeTimeout)
		n.listeners = append(n.listeners, listener{tls.NewListener(patient, n.tls.HTTPS()), "https://" + name, limited})
	}
	return nil
}

// handshakeListener bounds the time of TLS handshakes.
type handshakeListener struct {
	net.Listener
	most time.Duration
}

// boundHandshakes bounds the time that clients have for the handshake (limits.https_handshake_timeout);
// with 0 they have as long as for the header of a request.
func boundHandshakes(l net.Listener, most time.Duration) net.Listener {
	if most <= 0 {
		return l
	}
	return &handshakeListener{l, most}
}

// Accept implements net.Listener.
func (l *handshakeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &handshakeConn{Conn: c, most: l.most}, nil
}

// handshakeConn replaces the first deadlines that are set on a connection.
// Those are what net/http grants the handshake: the time for a header.
type handshakeConn struct {
	net.Conn
	most        time.Duration
	read, wrote atomic.Bool // a deadline has been set
}

// SetReadDeadline implements net.Conn.
func (c *handshakeConn) SetReadDeadline(t time.Time) error {
	if !c.read.Swap(true) {
		t = time.Now().Add(c.most)
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *handshakeConn) SetWriteDeadline(t time.Time) error {
	if !c.wrote.Swap(true) {
		t = time.Now().Add(c.most)
	}
	return c.Conn.SetWriteDeadline(t)
}
