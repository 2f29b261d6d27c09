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

// ACLMarksArgs asks for the marks of the rows of some buckets, a page at a time.
type ACLMarksArgs struct {
	Kind    CopyKind
	Buckets []byte // the numbers of those that are wanted
	After   string // the last ID of the page before; empty: from the first
}

// ACLMarks are rows in the order of their IDs, without what they say.
type ACLMarks struct {
	IDs   []string
	Marks []byte // 8 for each ID, which differ when the rows do
	More  bool   // there are more after the last one
}

// ACLRowsArgs asks for rows by ID.
type ACLRowsArgs struct {
	Kind CopyKind
	IDs  []string
}

// ACLRows are rows as they are kept, in the order in which they were asked for.
// Those that are not there are left out.
type ACLRows struct {
	Policies []ACLPolicy `json:",omitempty"`
	Roles    []ACLRole   `json:",omitempty"`
	Tokens   []ACLToken  `json:",omitempty"` // with their secrets
	// Taken is how many of the IDs were looked for: all, or as many as fit into an
	// answer.
	Taken int
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
	ACLMarksGet = Inner[ACLMarksArgs, *ACLMarks]("acl.copy-marks", "Tells which rows there are to copy.",
		Needs(func(q *ACLMarksArgs) acl.Need { return copying(q.Kind == CopiedTokens) }))
	ACLRowsGet = Inner[ACLRowsArgs, *ACLRows]("acl.copy-rows", "Gives rows to copy.",
		Needs(func(q *ACLRowsArgs) acl.Need { return copying(q.Kind == CopiedTokens) }))
)
