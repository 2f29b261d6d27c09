// Package certs turns the TLS settings into *tls.Config values whose
// certificates can be replaced while connections live, and makes authorities
// and certificates.
//
// The server port and the connections to it ask an Identity each time, so that
// a reload reaches the next connection:
//
//	identity, warnings, err := certs.Load(settings)
//	security := wire.Security{
//		Accept: func() *tls.Config { return identity.ServerRPC() },
//		Demand: func() bool { return !identity.PlainRPC() },
//		Dial:   func(dc string) *tls.Config { return identity.ClientRPC(dc) },
//		Server: func(s tls.ConnectionState) error { return identity.CheckServer(&s, ownDatacenter) },
//	}
//
// Whoever accepts makes tls.Server(conn, identity.ServerRPC()), shakes hands, and
// asks CheckServer before it lets the peer replicate the log. Whoever dials makes
// tls.Client(conn, identity.ClientRPC(dc)), or speaks plainly if that is nil.
//
// # Owns
//
// Reading PEM files, the rules of verify_incoming, verify_outgoing and
// verify_server_hostname, the names that certificates of a role carry, and
// what `curia tls` issues.
//
// # Never
//
// It never opens a socket, writes a file or logs: warnings are returned. It
// believes no certificate but those of the authorities that are configured:
// the system's are not asked.
//
// # Goroutines
//
// None. An Identity and the configs that it gave may be used concurrently,
// also while Reload runs.
//
// # Promises
//
// A handshake uses the files of one successful Load or Reload, never parts of
// two. A Reload that fails changes nothing. Connections outlive a Reload.
// Every error names the setting, the file and the remedy; all that is wrong is
// in one error. Keys never appear in an error.
package certs
