// Package state holds what the servers of a datacenter know.
//
// Owns. The tables (KV, sessions, nodes, services, checks…), the Store with its
// MVCC roots, Views that remember what they looked at, Commands that change it,
// their encoding in the log, snapshots of it all.
//
// Never. No goroutine, clock, randomness, network or log: time enters as the
// leader's stamp, IDs are made before the log, Apply returns what happened.
//
// Goroutines. One goroutine at a time applies commands or restores; any number
// take Views. A View belongs to one goroutine, what it returns is immutable.
//
// Promises. The same commands in the same order give the same state. Indexes
// never go back and are never 0 once read through a View. A write that does not
// change the result of a query does not wake its watchers. Restore wakes all.
package state
