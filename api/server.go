package api

import "time"

// IndexArgs asks a leader how far its state is.
type IndexArgs struct {
	// Confirm lets the leader ask a quorum first whether it still leads.
	Confirm bool
}

// LeaderIndex asks the leader for an index: whoever has applied the log up to
// it may answer a read that began before the question.
var LeaderIndex = Inner[IndexArgs, uint64]("server.index", "Tells how far the leader's state is.")

// ServerReport is what a server tells the others about itself.
type ServerReport struct {
	// Formed says that it belongs to a cluster already.
	Formed bool
	// Servers are the IDs of those that its log is shared by, as far as it knows;
	// empty when it belongs to none.
	Servers     []string
	LastContact time.Duration // since it heard of the leader; 0 for the leader itself
	LastTerm    uint64        // of the last entry of its log
	LastIndex   uint64
}

// ServerStatus asks a server how far it is.
var ServerStatus = Inner[None, *ServerReport]("server.status", "Tells how far a server is.")
