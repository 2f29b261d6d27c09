package api

// MaxTxnOps is how many operations a transaction may have.
const MaxTxnOps = 128

// TxnOp is one operation of a transaction: exactly one of its fields is set.
type TxnOp struct {
	KV      *TxnKVOp      `json:",omitempty" cbor:"1,keyasint,omitempty"`
	Node    *TxnNodeOp    `json:",omitempty" cbor:"2,keyasint,omitempty"`
	Service *TxnServiceOp `json:",omitempty" cbor:"3,keyasint,omitempty"`
	Check   *TxnCheckOp   `json:",omitempty" cbor:"4,keyasint,omitempty"`
	Session *TxnSessionOp `json:",omitempty" cbor:"5,keyasint,omitempty"`
}

// The verbs of operations on keys; nodes, services and checks have get, set,
// cas, delete and delete-cas of them, sessions delete alone.
const (
	TxnSet            = "set"
	TxnCAS            = "cas"
	TxnLock           = "lock"
	TxnUnlock         = "unlock"
	TxnGet            = "get"
	TxnGetOrEmpty     = "get-or-empty"
	TxnGetTree        = "get-tree"
	TxnCheckIndex     = "check-index"
	TxnCheckSession   = "check-session"
	TxnCheckNotExists = "check-not-exists"
	TxnDelete         = "delete"
	TxnDeleteTree     = "delete-tree"
	TxnDeleteCAS      = "delete-cas"
)

// TxnKVOp works on a key.
type TxnKVOp struct {
	Verb    string `cbor:"1,keyasint"`
	Key     string `cbor:"2,keyasint"`
	Value   []byte `cbor:"3,keyasint,omitempty"`
	Flags   uint64 `cbor:"4,keyasint,omitempty"`
	Index   uint64 `cbor:"5,keyasint,omitempty"`
	Session string `cbor:"6,keyasint,omitempty"`
	Tenancy `cbor:"-"`
}

// TxnNodeOp works on a node.
type TxnNodeOp struct {
	Verb string `cbor:"1,keyasint"`
	Node Node   `cbor:"2,keyasint"`
}

// TxnServiceOp works on a service of a node.
type TxnServiceOp struct {
	Verb    string      `cbor:"1,keyasint"`
	Node    string      `cbor:"2,keyasint"`
	Service ServiceSpec `cbor:"3,keyasint"`
}

// TxnCheckOp works on a check of a node.
type TxnCheckOp struct {
	Verb  string    `cbor:"1,keyasint"`
	Check CheckSpec `cbor:"2,keyasint"`
}

// TxnSessionOp ends a session.
type TxnSessionOp struct {
	Verb    string       `cbor:"1,keyasint"`
	Session TxnSessionID `cbor:"2,keyasint"`
}

// TxnSessionID names the session of an operation.
type TxnSessionID struct {
	ID string `cbor:"1,keyasint"`
}

// TxnResult is what one operation answers; one field is set.
type TxnResult struct {
	KV      *KVPair  `json:",omitempty"`
	Node    *Node    `json:",omitempty"`
	Service *Service `json:",omitempty"`
	Check   *Check   `json:",omitempty"`
}

// TxnError says why an operation failed.
type TxnError struct {
	OpIndex int // position in the transaction, from 0
	What    string
}

// TxnResponse is the answer to a transaction: results when every operation
// succeeded, else errors, and then nothing was written.
type TxnResponse struct {
	Results []*TxnResult
	Errors  []*TxnError
}

// TxnArgs carries out operations, all or none.
type TxnArgs struct {
	Ops []*TxnOp `body:"json"`
}

// Txn is the verb of transactions.
var Txn = Write[TxnArgs, *TxnResponse]("PUT /v1/txn", "txn.apply",
	"Carries out operations on keys, nodes, services, checks and sessions, all or none.")

// BodyError begins the answer to a body that is no list of operations.
func (*TxnArgs) BodyError() string { return "Failed to parse body: " }
