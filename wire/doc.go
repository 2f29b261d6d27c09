// Package wire is what agents say to each other on the server port.
//
// Owns. The port: one TCP listener for the calls of other agents (gRPC) and the
// replicated log (a stream of bytes that is handed on), told apart by their first
// byte, with or without TLS. The encoding of requests and answers. The
// connections to other servers, and the choice of one (Router).
//
// Never. It knows no verb by name, no state and no raft; it does not decide who
// leads.
//
// Goroutines. Those of gRPC, one for each connection that is accepted until its
// kind is known, all ended by Port.Run and Conns.Close; two for each talk here,
// and there two more with one for each question, which end with its connection.
// Calls run on the goroutines of their callers.
//
// Promises. Kinds of errors arrive as kinds. An error of kind Unreached means
// that nothing was sent; one of kind Lost that something was, and that nobody
// knows what became of it. Who speaks garbage, too slowly or too often is cut
// off, and named in the log once.
package wire
