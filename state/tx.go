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
	// it returns an error, all that it wrote is undone. It must depend on
	// nothing but the transaction and its own fields.
	Apply(tx *Tx) (any, error)
}

// Tx is the transaction in which commands run. It belongs to Apply.
type Tx struct {
	base    *root
	txns    []*txn // opened on first write; nil: unchanged
	changed []uint64
	undo    []write

	index uint64    // of the running command
	now   time.Time // the leader's clock when it proposed the command
}

// write is an entry of the undo log: what a key held before.
type write struct {
	tree int
	key  []byte
	old  any // nil: nothing
}

func newTx(base *root) *Tx {
	return &Tx{base: base, txns: make([]*txn, len(base.trees)), changed: slices.Clone(base.changed), index: base.index}
}

// run carries out one entry, or undoes it if it fails.
func (tx *Tx) run(e Entry) Outcome {
	tx.index, tx.now = e.Index, e.Now
	if e.Command == nil {
		return Outcome{}
	}
	tx.undo = tx.undo[:0]
	var before [32]uint64
	changed := append(before[:0], tx.changed...)
	v, err := e.Command.Apply(tx)
	if err == nil {
		return Outcome{Value: v}
	}
	copy(tx.changed, changed)
	for i := len(tx.undo) - 1; i >= 0; i-- {
		if w := tx.undo[i]; w.old == nil {
			tx.txns[w.tree].Delete(w.key)
		} else {
			tx.txns[w.tree].Insert(w.key, w.old)
		}
	}
	return Outcome{Err: err}
}

// at gives a tree as this transaction sees it.
func (tx *Tx) at(id int) *node {
	if t := tx.txns[id]; t != nil {
		return t.Root()
	}
	return tx.base.trees[id].Root()
}

// write sets a key of a tree, or deletes it when row is nil, and returns what
// it held. The key is kept: the caller must not reuse it.
func (tx *Tx) write(id int, key []byte, row any) (old any, had bool) {
	t := tx.txns[id]
	if t == nil {
		t = tx.base.trees[id].Txn()
		t.TrackMutate(true)
		tx.txns[id] = t
	}
	if row == nil {
		old, had = t.Delete(key)
	} else {
		old, had = t.Insert(key, row)
	}
	tx.undo = append(tx.undo, write{id, key, old})
	return old, had
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

// dropTopic removes a topic whose subject is gone, so that topics do not pile
// up. Readers then fall back to an index that is at least as great.
func (tx *Tx) dropTopic(name string) {
	if t := topics.get(tx, []byte(name)); t != nil {
		topics.remove(tx, t)
	}
}

// rejected is an error for a command that the state refuses, documented as 500.
func rejected(format string, args ...any) error { return api.Errorf(api.Rejected, format, args...) }
