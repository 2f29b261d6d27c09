package api

import (
	"time"

	"curia/acl"
)

// CopyKind is a kind of rows that other datacenters copy from the primary one.
type CopyKind uint8

// The kinds of rows.
const (
	CopiedPolicies CopyKind = iota
	CopiedRoles
	CopiedTokens // those that are not local
	CopyKinds    = 3
)

// CopyBuckets is how many parts the rows of a kind are summed up in.
const CopyBuckets = 256

// ACLDigestArgs asks what there is to copy.
type ACLDigestArgs struct {
	// Tokens asks about tokens, too.
	Tokens bool
	// Seen is ACLDigest.Indexes of an earlier answer: while nothing has changed
	// since, the answer is held back, for Wait at most. Zeros: there was none.
	Seen [CopyKinds]uint64
	Wait time.Duration
}

// ACLDigest sums up policies, roles and tokens, so that two datacenters can tell
// where they differ.
type ACLDigest struct {
	// Indexes are those of the last change, by kind.
	Indexes [CopyKinds]uint64
	// Sums has 8 bytes for each bucket, by kind; nil for what was not asked for.
	Sums [CopyKinds][]byte
	// Waited is for how long the answer was held back: it is that much younger
	// than the question.
	Waited time.Duration
}

// ACLRowsArgs asks for the rows of some buckets, a page at a time.
type ACLRowsArgs struct {
	Kind    CopyKind
	Buckets []byte // the numbers of those that are wanted
	After   string // the ID of the last row of the page before; empty: from the first
}

// ACLRows are rows in the order of their IDs, as they are kept.
type ACLRows struct {
	Policies []ACLPolicy `json:",omitempty"`
	Roles    []ACLRole   `json:",omitempty"`
	Tokens   []ACLToken  `json:",omitempty"` // with their secrets
	More     bool        // there are more after the last one
}

// Last is the ID of the last row; empty when there is none.
func (r *ACLRows) Last() string {
	switch {
	case len(r.Tokens) > 0:
		return r.Tokens[len(r.Tokens)-1].AccessorID
	case len(r.Roles) > 0:
		return r.Roles[len(r.Roles)-1].ID
	case len(r.Policies) > 0:
		return r.Policies[len(r.Policies)-1].ID
	}
	return ""
}

// copying is the permission to copy: secrets are for those alone who could
// change them.
func copying(secrets bool) acl.Need {
	if secrets {
		return acl.Need{Resource: acl.ACL, Access: acl.Write}
	}
	return acl.Need{Resource: acl.ACL, Access: acl.Read}
}

// The verbs by which servers of other datacenters copy ACLs. The leader of the
// primary answers them.
var (
	ACLDigestGet = Inner[ACLDigestArgs, *ACLDigest]("acl.copy-digest", "Sums up what there is to copy.",
		Needs(func(q *ACLDigestArgs) acl.Need { return copying(q.Tokens) }))
	ACLRowsGet = Inner[ACLRowsArgs, *ACLRows]("acl.copy-rows", "Gives rows to copy.",
		Needs(func(q *ACLRowsArgs) acl.Need { return copying(q.Kind == CopiedTokens) }))
)
