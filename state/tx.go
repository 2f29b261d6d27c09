package state

import (
	"slices"
	"time"

	"curia/api"
)

// Command is a change that goes through the log. Commands are declared with
// their number in the log in commands.
type Command interface {
	// Apply carries out the command and returns the answer for its caller. When
	// it returns an error it has written nothing, unless it is one that runs
	// alone. It must depend on nothing but the transaction and its own fields,
	// which it may change and keep: a command is applied once.
	Apply(tx *Tx) (any, error)
}

// alone is implemented by commands that may fail after they have written. Each
// gets a transaction of its own, which is thrown away when it fails: nothing
// would bring back the channels of what it touched.
type alone interface{ alone() }

// Tx is the transaction in which commands run. It belongs to Apply.
type Tx struct {
	base    *root
	txns    []*txn // opened on first write; nil: unchanged
	changed []uint64

	index uint64    // of the running command
	now   time.Time // the leader's clock when it proposed the command
}

func newTx(base *root) *Tx {
	return &Tx{base: base, txns: make([]*txn, len(base.trees)), changed: slices.Clone(base.changed), index: base.index}
}

// run carries out one entry.
func (tx *Tx) run(e Entry) Outcome {
	tx.index, tx.now = e.Index, e.Now
	if e.Command == nil {
		return Outcome{}
	}
	v, err := e.Command.Apply(tx)
	if err == nil {
		return Outcome{Value: v}
	}
	if _, ok := e.Command.(alone); ok {
		clear(tx.txns)
		copy(tx.changed, tx.base.changed)
	}
	return Outcome{Err: err}
}

// at gives a tree as this transaction sees it.
func (tx *Tx) at(id int) *node {
	if t := tx.txns[id]; t != nil {
		return t.root
	}
	return tx.base.trees[id].root
}

// write sets a key of a tree, or deletes it when row is nil, and returns what
// it held. The key is kept: the caller must not reuse it.
func (tx *Tx) write(id int, key []byte, row any) any {
	t := tx.txns[id]
	if t == nil {
		t = tx.base.trees[id].begin()
		tx.txns[id] = t
	}
	if row == nil {
		return t.remove(key)
	}
	return t.insert(key, row)
}

// touch notes that a table changed at the running command.
func (tx *Tx) touch(id int) { tx.changed[id] = tx.index }

// topic is a row that stands for the result of a query which looks at many
// rows: every write that affects the result bumps it, readers watch it.
type topic struct {
	Name  string `cbor:"1,keyasint"`
	Index uint64 `cbor:"2,keyasint"`
}

var topics = newTable("topics", func(b []byte, t *topic) []byte { return append(b, t.Name...) })

// bump marks the results of a topic as changed by the running command.
func (tx *Tx) bump(name string) { topics.put(tx, &topic{Name: name, Index: tx.index}) }

// beginTopic makes a topic for a subject that has none, so that its index does
// not follow that of unrelated things.
func (tx *Tx) beginTopic(name string) {
	if topics.get(tx, []byte(name)) == nil {
		tx.bump(name)
	}
}

// dropTopic removes a topic whose subject is gone, so that topics do not pile
// up. Readers then fall back to an index that is at least as great.
func (tx *Tx) dropTopic(name string) {
	if t := topics.get(tx, []byte(name)); t != nil {
		topics.remove(tx, t)
	}
}

// rejected is an error for a command that the state refuses, documented as 500.
func rejected(format string, args ...any) error { return api.Errorf(api.Rejected, format, args...) }
