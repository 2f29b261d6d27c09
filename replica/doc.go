// Package replica keeps the state the same on all servers of a datacenter.
//
// Owns. The replicated log (hashicorp/raft on raft-wal), its snapshots on disk,
// the archive format of snapshots, who leads.
//
// Never. It knows no verbs, no HTTP and no permissions. Nothing outside this
// package mentions raft.
//
// Goroutines. Those of raft, which Open starts and Run ends; one that asks for
// a quorum while readers wait for it. All methods may be called concurrently.
//
// Promises. A command whose Propose returned without error is on disk on a
// quorum and applied here. A server that leads has applied everything that any
// leader before it acknowledged before Lead calls its duties.
// A log whose acknowledged entries have become unreadable is refused by Open; a
// full disk makes writes fail, and they succeed again when there is space.
package replica
