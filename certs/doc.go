// Package certs turns the TLS settings into *tls.Config values whose
// certificates can be replaced while connections live, and makes authorities
// and certificates.
//
// The server port accepts and dials with an Identity:
//
//	identity, warnings, err := certs.Load(settings)
//
//	// Accepting, after the first byte told TLS (0x16) from plain connections.
//	// Plain ones are allowed while identity.PlainRPC().
//	conn := tls.Server(raw, identity.ServerRPC("curia-rpc", "curia-raft"))
//	err = conn.HandshakeContext(ctx)
//	state := conn.ConnectionState()
//	err = identity.CheckServer(&state, datacenter) // raft: peers must be servers; nil for a plain connection
//
//	// Dialing. Ask anew for each connection: a reload may turn TLS on or off.
//	if c := identity.ClientRPC(datacenter, "curia-raft"); c != nil {
//		conn := tls.Client(raw, c)
//		err = conn.HandshakeContext(ctx)
//	}
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
