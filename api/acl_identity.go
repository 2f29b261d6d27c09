package api

import "curia/acl"

// IdentifyArgs asks who holds a token.
type IdentifyArgs struct {
	Secret string
	// Datacenter is where the holder wants to do something; empty: where the
	// question is answered.
	Datacenter string
}

// ACLIdentify tells an agent without a state of its own what the holder of a
// token may do. A token that nobody has is Denied; Disabled says that ACLs are
// off.
var ACLIdentify = Inner[IdentifyArgs, *acl.Identity]("acl.identify", "Tells what the holder of a token may do.")

// ErrUnknownToken is the documented answer to a secret that nobody has.
var ErrUnknownToken = &Error{Kind: Denied, Msg: "ACL not found"}
