// Package server answers the verbs that concern the replicated state.
//
// Owns. The pipeline (forward, authorise, consistency, view, wait, filter),
// written once in pipeline.go; one small file per noun that binds verbs to
// functions; results shared by identical queries; the duties of the leader, copying
// another datacenter's ACLs among them.
//
// Never. It knows no HTTP, DNS or command line.
//
// Goroutines. The leader's duties, inside Lead, which returns when all of them
// have ended. Calls run on the goroutines of their callers.
//
// Promises. A read in default mode sees every write that was acknowledged
// before it. A blocking query returns when its result changes and at the latest
// after its wait; its index never goes back. Ten thousand waiters of one list
// cost one evaluation and one encoding per change. The catalog and the servers of
// the log follow gossip: at once where events tell of a member, within a minute
// where none does; dead servers are removed only while the rest is a healthy
// majority. Copies of the primary datacenter's ACLs are believed for as long as an
// answer of the primary would be, counted from when it knew what was copied; an
// entry of the log holds 256 KiB of them, or one row.
package server
