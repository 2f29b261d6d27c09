package api

import (
	"strconv"

	"curia/acl"
)

// RaftPeerArgs names a server of the replicated log, by one of both.
type RaftPeerArgs struct {
	ID      string `query:"id"`
	Address string `query:"address"` // host:port
}

// Validate wants one of both.
func (a *RaftPeerArgs) Validate() error {
	switch {
	case a.ID == "" && a.Address == "":
		return Errorf(Invalid, "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove")
	case a.ID != "" && a.Address != "":
		return Errorf(Invalid, "Must specify only one of ?id or ?address")
	}
	return nil
}

// RaftTransferArgs names the next leader; without an ID the log chooses it.
type RaftTransferArgs struct {
	ID string `query:"id"`
}

// Transferred is the answer to a transfer of leadership.
type Transferred struct{ Success bool }

// ServiceUsage counts what a datacenter has.
type ServiceUsage struct {
	Nodes            int
	Services         int // names
	ServiceInstances int
	// ConnectServiceInstances counts the instances of the service mesh by kind.
	ConnectServiceInstances map[string]int
	// BillableServiceInstances leaves out the servers and the service mesh.
	BillableServiceInstances int
}

// ConnectNative is the kind in ConnectServiceInstances of those that speak the
// protocol of the mesh themselves.
const ConnectNative = "connect-native"

// ConnectKinds are the kinds of instances that belong to the service mesh.
func ConnectKinds() []string {
	return []string{"connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"}
}

// Usage counts what there is, by datacenter ("operator/usage").
type Usage struct {
	Usage map[string]*ServiceUsage
}

// UsageArgs asks for this datacenter, or with Global for all that are known.
type UsageArgs struct {
	Global bool `query:"global"`
}

// KeyringReport is what the members of a pool answered about their keys
// ("operator/keyring").
type KeyringReport struct {
	WAN        bool
	Datacenter string
	Segment    string
	// Messages are the errors of members, by their names.
	Messages map[string]string `json:",omitempty"`
	// Keys counts for each key the members that have it, PrimaryKeys those that
	// encrypt with it.
	Keys        map[string]int
	PrimaryKeys map[string]int
	NumNodes    int // members that were asked
}

// LocalOnly is the ?local-only parameter: true when present, unless its value
// says false.
type LocalOnly bool

// ParseQuery takes a truth value; an empty one means true.
func (l *LocalOnly) ParseQuery(v string) error {
	b, err := strconv.ParseBool(v)
	if err != nil && v != "" {
		return Errorf(Invalid, "Invalid value for local-only: %q", v)
	}
	*l = LocalOnly(b || v == "")
	return nil
}

// QueryText leaves false out.
func (l *LocalOnly) QueryText() (string, bool) { return "", bool(*l) }

// KeyringListArgs asks for the keys.
type KeyringListArgs struct {
	// RelayFactor is how many other members pass on each answer, from 0 to 5.
	RelayFactor uint64 `query:"relay-factor"`
	// LocalOnly asks nobody in other datacenters.
	LocalOnly LocalOnly `query:"local-only"`
}

// KeyringKey is the body of a change of keys.
type KeyringKey struct {
	Key string // 16, 24 or 32 bytes in base64
}

// KeyringChangeArgs installs, uses or removes a key.
type KeyringChangeArgs struct {
	RelayFactor uint64     `query:"relay-factor"` // as in KeyringListArgs
	Body        KeyringKey `body:"json"`
	// LocalOnly asks nobody in other datacenters. Faces leave it false: servers set
	// it when they pass a change on.
	LocalOnly bool
}

// Validate wants a key.
func (a *KeyringChangeArgs) Validate() error {
	if a.Body.Key == "" {
		return Errorf(Invalid, "Missing key")
	}
	return nil
}

func keyringNeed[Q any](access acl.Access) Option[Q] {
	return Needs(func(*Q) acl.Need { return acl.Need{Resource: acl.Keyring, Access: access} })
}

// The verbs for those who look after the cluster.
var (
	OperatorRaftRemove = Leader[RaftPeerArgs, Nothing]("DELETE /v1/operator/raft/peer", "operator.raft-remove-peer",
		"Removes a server from the replicated log.", Needs(operatorWrite[RaftPeerArgs]))
	OperatorRaftTransfer = Leader[RaftTransferArgs, Transferred]("POST /v1/operator/raft/transfer-leader", "operator.raft-transfer-leader",
		"Makes another server the leader.", Needs(operatorWrite[RaftTransferArgs]))
	OperatorUsage = Read[UsageArgs, *Usage]("GET /v1/operator/usage", "operator.usage",
		"Counts nodes, services and instances.", Needs(operatorRead[UsageArgs]))
	KeyringList = Leader[KeyringListArgs, []*KeyringReport]("GET /v1/operator/keyring", "operator.keyring-list",
		"Lists the keys of the encryption of gossip.", keyringNeed[KeyringListArgs](acl.Read))
	KeyringInstall = Leader[KeyringChangeArgs, Nothing]("POST /v1/operator/keyring", "operator.keyring-install",
		"Gives all members a key.", keyringNeed[KeyringChangeArgs](acl.Write))
	KeyringUse = Leader[KeyringChangeArgs, Nothing]("PUT /v1/operator/keyring", "operator.keyring-use",
		"Makes all members encrypt with a key that they have.", keyringNeed[KeyringChangeArgs](acl.Write))
	KeyringRemove = Leader[KeyringChangeArgs, Nothing]("DELETE /v1/operator/keyring", "operator.keyring-remove",
		"Takes a key from all members.", keyringNeed[KeyringChangeArgs](acl.Write))
)
