package state

import (
	"encoding/binary"
	"time"

	"curia/api"
)

// aclCopies has one row once this datacenter has copied ACLs from the primary.
var aclCopies = newTable("acl-copy", func(b []byte, _ *ACLCopied) []byte { return append(b, "copy"...) })

// ACLCopied says how new the copies of the primary's ACLs are.
type ACLCopied struct {
	From    string                `cbor:"1,keyasint"` // the primary datacenter
	Indexes [api.CopyKinds]uint64 `cbor:"2,keyasint"` // of the last changes that were copied, by kind; those of the primary
	Tokens  bool                  `cbor:"3,keyasint,omitempty"`
	// At is when the copies were known to be what the primary has, by the clock of
	// the leader that copied them.
	At time.Time `cbor:"4,keyasint"`
}

// ACLCopied reads how new the copies are; nil when there are none.
func (v *View) ACLCopied() *ACLCopied {
	v.raise(v.tableIndex(aclCopies.id))
	return one(v, aclCopies, []byte("copy"))
}

// sums sums up rows, in buckets by their IDs.
type sums [api.CopyBuckets]uint64

// FNV-1a, 64 bits.
const (
	hashBegin = 14695981039346656037
	hashPrime = 1099511628211
)

func mix[T string | []byte](h uint64, part T) uint64 {
	for i := range len(part) {
		h = (h ^ uint64(part[i])) * hashPrime
	}
	return (h ^ 0xff) * hashPrime // parts are told apart by an end
}

// bucketOf gives the number of the bucket of a row.
func bucketOf(id string) byte {
	h := mix(hashBegin, id)
	return byte(h ^ h>>32)
}

// markOf sums up all that can differ between a row and its copy: indexes do, but
// say nothing.
func markOf(id string, hash []byte, more ...string) uint64 {
	h := mix(mix(hashBegin, id), hash)
	for _, m := range more {
		h = mix(h, m)
	}
	return h
}

func policyMark(p *api.ACLPolicy) uint64 { return markOf(p.ID, p.Hash) }
func roleMark(r *api.ACLRole) uint64     { return markOf(r.ID, r.Hash) }
func tokenMark(t *api.ACLToken) uint64 {
	return markOf(t.AccessorID, t.Hash, t.SecretID, t.AuthMethod, lifeOf(t))
}

func (s *sums) bytes() []byte {
	b := make([]byte, 0, 8*len(s))
	for _, sum := range s {
		b = binary.BigEndian.AppendUint64(b, sum)
	}
	return b
}

// lifeOf is what identifies a token beside its accessor, and does not change.
func lifeOf(t *api.ACLToken) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 17), uint64(t.CreateTime.UnixNano()))
	if t.ExpirationTime != nil {
		b = binary.BigEndian.AppendUint64(b, uint64(t.ExpirationTime.UnixNano()))
	}
	if t.Legacy {
		b = append(b, 1)
	}
	return string(b)
}

// ACLIndexes gives the indexes of the last changes by kind, and watches the
// kinds.
func (v *View) ACLIndexes(tokens CopyTokens) (out [api.CopyKinds]uint64) {
	for kind, id := range [api.CopyKinds]int{aclPolicies.id, aclRoles.id, aclTokens.id} {
		if kind == int(api.CopiedTokens) && tokens == WithoutTokens {
			continue
		}
		_, watch := v.at(id).below(nil)
		v.watch(watch.watch.channel())
		out[kind] = v.tableIndex(id)
	}
	return out
}

// CopyTokens says whether tokens are copied beside policies and roles.
type CopyTokens bool

// Whether tokens are copied.
const (
	WithTokens    CopyTokens = true
	WithoutTokens CopyTokens = false
)

// ACLSums sums up the policies, roles and, if they are wanted, those tokens that
// are not local. It watches nothing.
func (v *View) ACLSums(tokens CopyTokens) (out [api.CopyKinds][]byte) {
	var policies, roles, others sums
	aclPolicies.prefix(v, aclPolicies.id, nil, func(p *api.ACLPolicy) bool {
		policies[bucketOf(p.ID)] += policyMark(p)
		return true
	})
	aclRoles.prefix(v, aclRoles.id, nil, func(r *api.ACLRole) bool {
		roles[bucketOf(r.ID)] += roleMark(r)
		return true
	})
	out[api.CopiedPolicies], out[api.CopiedRoles] = policies.bytes(), roles.bytes()
	if tokens == WithoutTokens {
		return out
	}
	aclTokens.prefix(v, aclTokens.id, nil, func(t *api.ACLToken) bool {
		if !t.Local {
			others[bucketOf(t.AccessorID)] += tokenMark(t)
		}
		return true
	})
	out[api.CopiedTokens] = others.bytes()
	return out
}

// ACLMarks gives a page of the marks of rows in some buckets, of so many at most.
// Local tokens are not among them. It watches nothing.
func (v *View) ACLMarks(q *api.ACLMarksArgs, most int) *api.ACLMarks {
	page := &api.ACLMarks{}
	v.marks(q, func(id string, mark uint64) bool {
		if len(page.IDs) >= most {
			page.More = true
			return false
		}
		page.IDs = append(page.IDs, id)
		page.Marks = binary.BigEndian.AppendUint64(page.Marks, mark)
		return true
	})
	return page
}

// ACLDiffer holds rows against a page of the primary's marks: it gives the IDs of
// those to copy, and of those to delete. It watches nothing.
func (v *View) ACLDiffer(q *api.ACLMarksArgs, page *api.ACLMarks) (changed, gone []string) {
	there := page.IDs
	marks := page.Marks
	next := func() {
		there, marks = there[1:], marks[8:]
	}
	v.marks(q, func(id string, mark uint64) bool {
		for len(there) > 0 && there[0] < id {
			changed = append(changed, there[0])
			next()
		}
		switch {
		case len(there) == 0:
			if page.More {
				return false // the next page tells of it
			}
			gone = append(gone, id)
		case there[0] > id:
			gone = append(gone, id)
		default:
			if binary.BigEndian.Uint64(marks) != mark {
				changed = append(changed, id)
			}
			next()
		}
		return true
	})
	return append(changed, there...), gone
}

// marks calls f for rows of some buckets in the order of their IDs, until it
// returns false.
func (v *View) marks(q *api.ACLMarksArgs, f func(id string, mark uint64) bool) {
	var wanted [api.CopyBuckets]bool
	for _, b := range q.Buckets {
		wanted[b] = true
	}
	skip := func(id string) bool { return id <= q.After || !wanted[bucketOf(id)] }
	switch q.Kind {
	case api.CopiedPolicies:
		aclPolicies.prefix(v, aclPolicies.id, nil, func(p *api.ACLPolicy) bool { return skip(p.ID) || f(p.ID, policyMark(p)) })
	case api.CopiedRoles:
		aclRoles.prefix(v, aclRoles.id, nil, func(r *api.ACLRole) bool { return skip(r.ID) || f(r.ID, roleMark(r)) })
	case api.CopiedTokens:
		aclTokens.prefix(v, aclTokens.id, nil, func(t *api.ACLToken) bool {
			return t.Local || skip(t.AccessorID) || f(t.AccessorID, tokenMark(t))
		})
	}
}

// ACLRows gives rows by ID, up to a size in bytes, and at least one. Local tokens
// are not given. It watches nothing.
func (v *View) ACLRows(q *api.ACLRowsArgs, size int) *api.ACLRows {
	page := &api.ACLRows{}
	for _, id := range q.IDs {
		if size <= 0 {
			break
		}
		page.Taken++
		switch q.Kind {
		case api.CopiedPolicies:
			if p := aclPolicies.get(v, []byte(id)); p != nil {
				page.Policies = append(page.Policies, *p)
				size -= rowSize + len(p.Rules) + len(p.Description)
			}
		case api.CopiedRoles:
			if r := aclRoles.get(v, []byte(id)); r != nil {
				page.Roles = append(page.Roles, *r)
				size -= rowSize + len(r.Description) + grantsSize(&r.ACLGrants)
			}
		case api.CopiedTokens:
			if t := aclTokens.get(v, []byte(id)); t != nil && !t.Local {
				page.Tokens = append(page.Tokens, *t)
				size -= rowSize + len(t.Description) + len(t.Rules) + grantsSize(&t.ACLGrants)
			}
		}
	}
	return page
}

// rowSize is about the size of a row beside its texts, in bytes.
const rowSize = 300

// grantsSize is about the size of what is granted, in bytes.
func grantsSize(g *api.ACLGrants) int {
	return 100 * (len(g.Policies) + len(g.TemplatedPolicies) + len(g.ServiceIdentities) + len(g.NodeIdentities))
}

// ACLCopy writes copies of the primary's rows, and deletes those that it has no
// more. What is in the way of a copy is older than it, and gives way: except for
// local tokens, which stay. It answers how many copies could not be written.
type ACLCopy struct {
	Policies []api.ACLPolicy `cbor:"1,keyasint,omitempty"`
	Roles    []api.ACLRole   `cbor:"2,keyasint,omitempty"`
	Tokens   []api.ACLToken  `cbor:"3,keyasint,omitempty"`
	// Kind is that of the rows to delete, by ID.
	Kind   api.CopyKind `cbor:"4,keyasint,omitempty"`
	Delete []string     `cbor:"5,keyasint,omitempty"`
}

// Apply implements Command.
func (c *ACLCopy) Apply(tx *Tx) (any, error) {
	refused := 0
	for _, id := range c.Delete {
		if err := deleteCopy(tx, c.Kind, id); err != nil {
			return nil, err
		}
	}
	for i := range c.Policies {
		refused += copyPolicy(tx, &c.Policies[i])
	}
	for i := range c.Roles {
		copyRole(tx, &c.Roles[i])
	}
	for i := range c.Tokens {
		refused += copyToken(tx, &c.Tokens[i])
	}
	return refused, nil
}

func deleteCopy(tx *Tx, kind api.CopyKind, id string) (err error) {
	switch kind {
	case api.CopiedPolicies:
		_, err = (&ACLPolicyDelete{ID: id}).Apply(tx)
	case api.CopiedRoles:
		_, err = (&ACLRoleDelete{ID: id}).Apply(tx)
	case api.CopiedTokens:
		if t := aclTokens.get(tx, []byte(id)); t != nil && !t.Local {
			aclTokens.remove(tx, t)
		}
	}
	return err
}

// placeholder is the name of a row whose own has gone to another: the primary has
// another name for it, or does not have it any more. Both come soon.
func placeholder(id string) string { return "renamed-" + id }

func copyPolicy(tx *Tx, p *api.ACLPolicy) (refused int) {
	same := policyByName(tx, p.Name)
	switch {
	case BuiltinPolicy(p.ID) != nil || same != nil && BuiltinPolicy(same.ID) != nil:
		return 1 // the primary is of a version without it
	case same != nil && same.ID != p.ID:
		moved := *same
		moved.Name, moved.Hash, moved.ModifyIndex = placeholder(same.ID), nil, tx.index
		aclPolicies.put(tx, &moved)
	}
	p.CreateIndex, p.ModifyIndex = tx.index, tx.index
	if old := aclPolicies.get(tx, []byte(p.ID)); old != nil {
		p.CreateIndex = old.CreateIndex
	}
	aclPolicies.put(tx, p)
	return 0
}

func copyRole(tx *Tx, r *api.ACLRole) {
	if same := roleByName(tx, r.Name); same != nil && same.ID != r.ID {
		moved := *same
		moved.Name, moved.Hash, moved.ModifyIndex = placeholder(same.ID), nil, tx.index
		aclRoles.put(tx, &moved)
	}
	r.CreateIndex, r.ModifyIndex = tx.index, tx.index
	if old := aclRoles.get(tx, []byte(r.ID)); old != nil {
		r.CreateIndex = old.CreateIndex
	}
	aclRoles.put(tx, r)
}

func copyToken(tx *Tx, t *api.ACLToken) (refused int) {
	old, holder := aclTokens.get(tx, []byte(t.AccessorID)), tokenBySecret(tx, t.SecretID)
	if t.Local || old != nil && old.Local || holder != nil && holder.Local {
		return 1
	}
	if holder != nil && holder.AccessorID != t.AccessorID {
		aclTokens.remove(tx, holder)
	}
	t.CreateIndex, t.ModifyIndex = tx.index, tx.index
	if old != nil {
		t.CreateIndex = old.CreateIndex
	}
	aclTokens.put(tx, t)
	return 0
}

// ACLCopyConfirm notes that the copies are what the primary has. With tokens among
// them bootstrapping is over here, too: should this datacenter become the primary,
// nobody may make himself the first to manage it. It answers true.
type ACLCopyConfirm struct {
	Copied ACLCopied `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *ACLCopyConfirm) Apply(tx *Tx) (any, error) {
	aclCopies.put(tx, &c.Copied)
	if c.Copied.Tokens && aclBoots.get(tx, []byte("bootstrap")) == nil {
		aclBoots.put(tx, &aclBoot{Index: tx.index})
	}
	return true, nil
}
