package api

import "curia/acl"

// RaftServer is a server in the configuration of the replicated log.
type RaftServer struct {
	ID              string
	Node            string
	Address         string
	Leader          bool
	ProtocolVersion string
	Voter           bool
	LastIndex       uint64
}

// RaftConfiguration lists the servers of the replicated log; Index is that of
// the entry that made it so.
type RaftConfiguration struct {
	Servers []*RaftServer
	Index   uint64
}

func operatorRead[Q any](*Q) acl.Need {
	return acl.Need{Resource: acl.Operator, Access: acl.Read}
}

// StaleArgs is for verbs that any server may answer when the caller says so.
type StaleArgs struct {
	Stale bool `query:"stale"`
}

// The verbs of the state of the cluster.
var (
	StatusLeader = Read[None, string]("GET /v1/status/leader", "status.leader",
		"Tells the address of the leader; empty when there is none.", Bare[None]())
	StatusPeers = Read[None, []string]("GET /v1/status/peers", "status.peers",
		"Lists the addresses of the servers.", Bare[None]())
	OperatorRaftConfiguration = Read[StaleArgs, *RaftConfiguration]("GET /v1/operator/raft/configuration", "operator.raft-configuration",
		"Lists the servers of the replicated log.", Bare[StaleArgs](), Needs(operatorRead[StaleArgs]))
	SnapshotSave = Raw("GET /v1/snapshot", "snapshot.save",
		"Writes the whole state as an archive.", Needs(snapshotNeed[StaleArgs]))
	SnapshotRestore = Raw("PUT /v1/snapshot", "snapshot.restore",
		"Replaces the whole state by an archive.", Needs(snapshotNeed[None]))
)

func snapshotNeed[Q any](*Q) acl.Need { return acl.Need{Resource: acl.ACL, Access: acl.Write} }
