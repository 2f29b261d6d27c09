package state

import "bytes"

// table is a typed table with a primary key and any number of secondary
// indexes. Key functions append to b. Every tree has a position in a root.
type table[T any] struct {
	name    string
	id      int // position of its rows, and of its last index in root.changed
	key     func(b []byte, row *T) []byte
	indexes []index[T]
	// share, when not nil, lets a row take over what rows that are there have.
	share func(src source, row *T)
}

// index is a secondary index. Its keys append the keys of a row to out; they
// must be unique, so they usually end in the primary key.
type index[T any] struct {
	id   int
	keys func(out [][]byte, row *T) [][]byte
}

// anyTable is what snapshots need to know of a table.
type anyTable interface {
	tableName() string
	position() int
	newRow() any
	load(tx *Tx, row any)
}

var (
	trees  int        // number of trees of a root
	tables []anyTable // in the order of snapshots
)

func newTable[T any](name string, key func([]byte, *T) []byte) *table[T] {
	t := &table[T]{name: name, id: trees, key: key}
	trees++
	tables = append(tables, t)
	return t
}

// by adds a secondary index during package initialisation.
func (t *table[T]) by(keys func(out [][]byte, row *T) [][]byte) (*table[T], int) {
	id := trees
	t.indexes = append(t.indexes, index[T]{id: id, keys: keys})
	trees++
	return t, id
}

func (t *table[T]) tableName() string    { return t.name }
func (t *table[T]) position() int        { return t.id }
func (t *table[T]) newRow() any          { return new(T) }
func (t *table[T]) load(tx *Tx, row any) { t.put(tx, row.(*T)) }

// source is where trees are read: a View or a Tx.
type source interface{ at(id int) *node }

// get finds the row with a primary key, nil if there is none. It watches nothing.
func (t *table[T]) get(src source, key []byte) *T {
	row, _ := src.at(t.id).get(key).(*T)
	return row
}

// prefix calls f for the rows of a tree of this table whose keys begin with a
// prefix, in byte order, until f returns false. It watches nothing. f must not
// write.
func (t *table[T]) prefix(src source, id int, prefix []byte, f func(row *T) bool) {
	if top, _ := src.at(id).below(prefix); top != nil {
		top.walk(func(row any) bool { return f(row.(*T)) })
	}
}

// collect gathers the rows that prefix would visit, so that they can be changed.
func (t *table[T]) collect(src source, id int, prefix []byte) []*T {
	var out []*T
	t.prefix(src, id, prefix, func(row *T) bool {
		out = append(out, row)
		return true
	})
	return out
}

// put inserts or replaces a row and returns the one it replaced.
func (t *table[T]) put(tx *Tx, row *T) *T {
	if t.share != nil {
		t.share(tx, row)
	}
	key := t.key(nil, row)
	old, _ := tx.write(t.id, key, row).(*T)
	for _, x := range t.indexes {
		var was [][]byte
		if old != nil {
			was = x.keys(nil, old)
		}
		now := x.keys(nil, row)
		for _, k := range was {
			if !contains(now, k) {
				tx.write(x.id, k, nil)
			}
		}
		for _, k := range now {
			tx.write(x.id, k, row)
		}
	}
	tx.touch(t.id)
	return old
}

// remove deletes a row that is in the table.
func (t *table[T]) remove(tx *Tx, row *T) {
	tx.write(t.id, t.key(nil, row), nil)
	for _, x := range t.indexes {
		for _, k := range x.keys(nil, row) {
			tx.write(x.id, k, nil)
		}
	}
	tx.touch(t.id)
}

func contains(keys [][]byte, k []byte) bool {
	for _, x := range keys {
		if bytes.Equal(x, k) {
			return true
		}
	}
	return false
}
