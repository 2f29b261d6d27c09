package state

import (
	"bytes"
	"time"

	"curia/api"
)

var (
	kvs = newTable("kv", func(b []byte, p *api.KVPair) []byte { return append(b, p.Key...) })
	// held finds the keys that a session holds.
	_, kvsHeld = kvs.by(func(out [][]byte, p *api.KVPair) [][]byte {
		if p.Session == "" {
			return out
		}
		return append(out, join(p.Session, p.Key))
	})
	tombstones = newTable("tombstones", func(b []byte, t *tombstone) []byte { return append(b, t.Key...) })
	lockDelays = newTable("lock-delays", func(b []byte, d *lockDelay) []byte { return append(b, d.Key...) })
	floors     = newTable("floors", func(b []byte, f *floor) []byte { return append(b, f.Name...) })
)

// tombstone remembers that a key, or all keys with a prefix, were deleted, so
// that the index of a listing does not go back.
type tombstone struct {
	Key   string    `cbor:"1,keyasint"`
	Index uint64    `cbor:"2,keyasint"` // of the last deletion
	At    time.Time `cbor:"3,keyasint"`
	// Tree is the index of the last deletion of all keys that begin with Key: it
	// concerns listings of longer prefixes too. 0: only the key itself was.
	Tree uint64 `cbor:"4,keyasint,omitempty"`
}

// floor keeps the greatest index of the tombstones that were reaped. Listings
// never answer less.
type floor struct {
	Name  string `cbor:"1,keyasint"`
	Index uint64 `cbor:"2,keyasint"`
}

// lockDelay keeps a key from being acquired until a time of the leader's clock.
type lockDelay struct {
	Key   string    `cbor:"1,keyasint"`
	Until time.Time `cbor:"2,keyasint"`
}

const (
	maxLockDelay = time.Minute // the longest lock delay that takes effect
	maxClockLag  = time.Minute // by which a leader may be behind the one before it, and delays go on
)

// over reports whether the delay has passed. One that would go on for longer than
// any can was begun by a leader whose clock was far ahead of now: it must not bar
// the key until now gets there.
func (d *lockDelay) over(now time.Time) bool {
	return !now.Before(d.Until) || d.Until.Sub(now) > maxLockDelay+maxClockLag
}

// join makes a key of parts that are separated by a zero byte.
func join(parts ...string) []byte {
	n := len(parts) - 1
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n)
	for i, p := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, p...)
	}
	return b
}

// KV reads one key; nil when it does not exist.
func (v *View) KV(key string) *api.KVPair {
	var buf [128]byte
	p := one(v, kvs, append(buf[:0], key...))
	if p == nil {
		v.missing = true
		v.raise(v.kvIndex())
		return nil
	}
	v.raise(p.ModifyIndex)
	return p
}

// KVList reads all keys that begin with a prefix, in byte order.
func (v *View) KVList(prefix string) []*api.KVPair {
	pairs := under(v, kvs, kvs.id, []byte(prefix))
	v.missing = len(pairs) == 0
	if prefix == "" {
		v.raise(v.kvIndex())
		return pairs
	}
	v.raise(v.listIndex(prefix, pairs))
	return pairs
}

// listIndex is the index of a listing: that of the last write or deletion below
// its prefix, or of any key if there is no trace of one.
func (v *View) listIndex(prefix string, pairs []*api.KVPair) uint64 {
	var last uint64
	for _, p := range pairs {
		last = max(last, p.ModifyIndex)
	}
	tombstones.prefix(v, tombstones.id, []byte(prefix), func(t *tombstone) bool {
		last = max(last, t.Index)
		return true
	})
	if last == 0 {
		return v.kvIndex()
	}
	v.at(tombstones.id).walkPath([]byte(prefix), func(row any) { last = max(last, row.(*tombstone).Tree) })
	if f := floors.get(v, []byte("kv")); f != nil {
		last = max(last, f.Index)
	}
	return last
}

// kvIndex is the index of the last write or delete of any key.
func (v *View) kvIndex() uint64 { return v.tableIndex(kvs.id) }

// KVPut writes a key. At most one of CAS, Acquire and Release is set. It
// answers whether the write took place.
type KVPut struct {
	Key     string  `cbor:"1,keyasint"`
	Value   []byte  `cbor:"2,keyasint,omitempty"`
	Flags   uint64  `cbor:"3,keyasint,omitempty"`
	CAS     *uint64 `cbor:"4,keyasint,omitempty"`
	Acquire *string `cbor:"5,keyasint,omitempty"`
	Release *string `cbor:"6,keyasint,omitempty"`
}

// Apply implements Command.
func (c *KVPut) Apply(tx *Tx) (any, error) {
	old := kvs.get(tx, []byte(c.Key))
	p := &api.KVPair{Key: c.Key, Flags: c.Flags}
	if len(c.Value) > 0 {
		p.Value = c.Value
	}
	if old != nil {
		p.Session, p.LockIndex = old.Session, old.LockIndex
	}
	switch {
	case c.CAS != nil:
		if !casHolds(old, *c.CAS) {
			return false, nil
		}
	case c.Acquire != nil:
		ok, err := acquire(tx, p, old, *c.Acquire)
		if !ok || err != nil {
			return false, err
		}
	case c.Release != nil:
		if *c.Release == "" {
			return false, rejected("missing session")
		}
		if old == nil || old.Session != *c.Release {
			return false, nil
		}
		p.Session = ""
	}
	putKV(tx, p, old)
	return true, nil
}

// casHolds reports whether a check-and-set with an index may go on.
func casHolds(old *api.KVPair, index uint64) bool {
	if old == nil {
		return index == 0
	}
	return old.ModifyIndex == index
}

// acquire makes p held by a session, unless another one holds it or a lock
// delay stands against it.
func acquire(tx *Tx, p, old *api.KVPair, session string) (bool, error) {
	if session == "" {
		return false, rejected("missing session")
	}
	if sessions.get(tx, []byte(session)) == nil {
		return false, rejected("invalid session %q", session)
	}
	if p.Session == session {
		return true, nil
	}
	if p.Session != "" || lockDelayed(tx, p.Key) {
		return false, nil
	}
	p.Session = session
	p.LockIndex++
	return true, nil
}

// lockDelayed reports whether a lock delay keeps the key from being acquired.
func lockDelayed(tx *Tx, key string) bool {
	d := lockDelays.get(tx, []byte(key))
	return d != nil && !d.over(tx.now)
}

// putKV writes p in place of old (nil: new), unless nothing would change.
func putKV(tx *Tx, p, old *api.KVPair) {
	p.CreateIndex, p.ModifyIndex = tx.index, tx.index
	if old != nil {
		if old.Flags == p.Flags && old.Session == p.Session && old.LockIndex == p.LockIndex && bytes.Equal(old.Value, p.Value) {
			p.CreateIndex, p.ModifyIndex = old.CreateIndex, old.ModifyIndex
			return
		}
		p.CreateIndex = old.CreateIndex
	}
	kvs.put(tx, p)
}

// KVDelete deletes a key, or with Recurse all that begin with it. It answers
// false only when CAS names another index than the key's.
type KVDelete struct {
	Key     string  `cbor:"1,keyasint"`
	Recurse bool    `cbor:"2,keyasint,omitempty"`
	CAS     *uint64 `cbor:"3,keyasint,omitempty"`
}

// Apply implements Command.
func (c *KVDelete) Apply(tx *Tx) (any, error) {
	if c.Recurse {
		deleteTree(tx, c.Key)
		return true, nil
	}
	old := kvs.get(tx, []byte(c.Key))
	if old == nil {
		return true, nil
	}
	if c.CAS != nil && *c.CAS != old.ModifyIndex {
		return false, nil
	}
	deleteKV(tx, old)
	return true, nil
}

func deleteKV(tx *Tx, p *api.KVPair) {
	kvs.remove(tx, p)
	bury(tx, p.Key)
}

// deleteTree deletes all keys with a prefix and leaves one tombstone for them.
func deleteTree(tx *Tx, prefix string) {
	rows := kvs.collect(tx, kvs.id, []byte(prefix))
	for _, p := range rows {
		kvs.remove(tx, p)
	}
	if len(rows) > 0 {
		tombstones.put(tx, &tombstone{Key: prefix, Index: tx.index, At: tx.now, Tree: tx.index})
	}
}

// bury leaves a tombstone for one key.
func bury(tx *Tx, key string) {
	t := &tombstone{Key: key, Index: tx.index, At: tx.now}
	if old := tombstones.get(tx, []byte(key)); old != nil {
		t.Tree = old.Tree
	}
	tombstones.put(tx, t)
}

// Reap forgets what time has made useless: tombstones older than a moment and
// lock delays that are over. It changes no result.
type Reap struct {
	Before time.Time `cbor:"1,keyasint"`
}

// maxReaped bounds the work of one Reap; the leader proposes another.
const maxReaped = 1000

// Apply implements Command. It answers whether there is more to reap.
func (c *Reap) Apply(tx *Tx) (any, error) {
	var old []*tombstone
	tombstones.prefix(tx, tombstones.id, nil, func(t *tombstone) bool {
		if t.At.Before(c.Before) {
			old = append(old, t)
		}
		return len(old) < maxReaped
	})
	var over []*lockDelay
	lockDelays.prefix(tx, lockDelays.id, nil, func(d *lockDelay) bool {
		if d.over(tx.now) {
			over = append(over, d)
		}
		return len(over) < maxReaped
	})
	var top uint64
	if f := floors.get(tx, []byte("kv")); f != nil {
		top = f.Index
	}
	for _, t := range old {
		tombstones.remove(tx, t)
		top = max(top, t.Index)
	}
	if len(old) > 0 {
		floors.put(tx, &floor{Name: "kv", Index: top})
	}
	for _, d := range over {
		lockDelays.remove(tx, d)
	}
	return len(old) == maxReaped || len(over) == maxReaped, nil
}

// Reapable reports whether a Reap with this moment, at the time now, would
// forget anything.
func (v *View) Reapable(before, now time.Time) bool {
	found := false
	tombstones.prefix(v, tombstones.id, nil, func(t *tombstone) bool {
		found = t.At.Before(before)
		return !found
	})
	if !found {
		lockDelays.prefix(v, lockDelays.id, nil, func(d *lockDelay) bool {
			found = d.over(now)
			return !found
		})
	}
	return found
}
