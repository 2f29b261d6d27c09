package state

import (
	"bytes"
	"slices"
	"sync/atomic"
)

// tree is a persistent radix tree from keys to rows. A tree is immutable; a txn
// makes the next one and shares with it everything that it does not touch.
//
// Readers can watch a row, or everything below a prefix: the channel closes when
// a txn that changes it is notified. Channels are made when somebody asks for
// one: of a million rows hardly any is ever watched.
type tree struct {
	root *node
	size int
}

// node is a point where keys part. Its prefix continues that of its parent.
type node struct {
	prefix []byte
	leaf   *leaf // the row whose key ends here; nil: none
	edges  []edge
	owner  uint64 // the txn that made the node and may change it in place
	watch  watchpoint
}

// edge leads to the child whose prefix begins with a byte. Edges are sorted.
type edge struct {
	label byte
	to    *node
}

// leaf is a row of the tree.
type leaf struct {
	row   any
	watch watchpoint
}

// watchpoint is something that can be watched until it is replaced. The zero
// watchpoint has no watcher.
type watchpoint struct{ ch atomic.Pointer[chan struct{}] }

// fired is the channel of everything that was replaced unwatched.
var fired = func() *chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return &ch
}()

// channel returns the channel that closes when the thing is replaced.
func (w *watchpoint) channel() <-chan struct{} {
	for {
		if ch := w.ch.Load(); ch != nil {
			return *ch
		}
		ch := make(chan struct{})
		if w.ch.CompareAndSwap(nil, &ch) {
			return ch
		}
	}
}

// fire closes the channel, also for those who will still ask for it.
func (w *watchpoint) fire() {
	if ch := w.ch.Swap(fired); ch != nil && ch != fired {
		close(*ch)
	}
}

func newTree() *tree { return &tree{root: &node{}} }

// child finds the edge for a byte, or where it would be.
func (n *node) child(label byte) (int, *node) {
	i, j := 0, len(n.edges)
	for i < j {
		if m := int(uint(i+j) >> 1); n.edges[m].label < label {
			i = m + 1
		} else {
			j = m
		}
	}
	if i < len(n.edges) && n.edges[i].label == label {
		return i, n.edges[i].to
	}
	return i, nil
}

// get returns the row of a key, nil if there is none.
func (n *node) get(key []byte) any {
	l, _ := n.find(key)
	if l == nil {
		return nil
	}
	return l.row
}

// find returns the leaf of a key, or nil and the deepest node on the way.
func (n *node) find(key []byte) (*leaf, *node) {
	for len(key) > 0 {
		_, c := n.child(key[0])
		if c == nil || !bytes.HasPrefix(key, c.prefix) {
			return nil, n
		}
		n, key = c, key[len(c.prefix):]
	}
	return n.leaf, n
}

// getWatch is get with the channel of the row. The channel of a row that does
// not exist may close for the sake of its neighbours.
func (n *node) getWatch(key []byte) (any, <-chan struct{}) {
	l, at := n.find(key)
	if l == nil {
		return nil, at.watch.channel()
	}
	return l.row, l.watch.channel()
}

// below returns the node that holds all keys with a prefix, nil if there are
// none, and the node to watch for them.
func (n *node) below(prefix []byte) (top, watch *node) {
	for len(prefix) > 0 {
		_, c := n.child(prefix[0])
		switch {
		case c == nil:
			return nil, n
		case bytes.HasPrefix(c.prefix, prefix):
			return c, c
		case !bytes.HasPrefix(prefix, c.prefix):
			return nil, c
		}
		n, prefix = c, prefix[len(c.prefix):]
	}
	return n, n
}

// walk calls f for all rows below a node, in the order of their keys, until f
// returns false; it reports whether f never did.
func (n *node) walk(f func(row any) bool) bool {
	if n.leaf != nil && !f(n.leaf.row) {
		return false
	}
	for i := range n.edges {
		if !n.edges[i].to.walk(f) {
			return false
		}
	}
	return true
}

// walkPath calls f for the rows whose keys are a beginning of key, the shortest
// first.
func (n *node) walkPath(key []byte, f func(row any)) {
	for {
		if n.leaf != nil {
			f(n.leaf.row)
		}
		if len(key) == 0 {
			return
		}
		_, c := n.child(key[0])
		if c == nil || !bytes.HasPrefix(key, c.prefix) {
			return
		}
		n, key = c, key[len(c.prefix):]
	}
}

// txns gives every txn a number of its own.
var txns atomic.Uint64

// txn makes the next tree. It belongs to one goroutine.
type txn struct {
	id       uint64
	root     *node
	size     int
	replaced []*watchpoint // of the nodes and rows of the old tree that changed
}

func (t *tree) begin() *txn { return &txn{id: txns.Add(1), root: t.root, size: t.size} }

// commit returns the tree that was made. The txn must not be used any more,
// except to notify.
func (t *txn) commit() *tree { return &tree{root: t.root, size: t.size} }

// notify wakes the watchers of everything that changed. It is called after
// readers can see the new tree.
func (t *txn) notify() {
	for _, w := range t.replaced {
		w.fire()
	}
}

// own returns a node that may be changed in place of n.
func (t *txn) own(n *node) *node {
	if n.owner == t.id {
		return n
	}
	t.replaced = append(t.replaced, &n.watch)
	return &node{prefix: n.prefix, leaf: n.leaf, edges: slices.Clone(n.edges), owner: t.id}
}

// insert sets the row of a key and returns the one before, nil if there was
// none. It keeps the key.
func (t *txn) insert(key []byte, row any) (old any) {
	t.root = t.put(t.root, key, &leaf{row: row}, &old)
	if old == nil {
		t.size++
	}
	return old
}

// put sets the leaf of the rest of a key below n.
func (t *txn) put(n *node, rest []byte, l *leaf, old *any) *node {
	n = t.own(n)
	if len(rest) == 0 {
		if n.leaf != nil {
			*old = n.leaf.row
			t.replaced = append(t.replaced, &n.leaf.watch)
		}
		n.leaf = l
		return n
	}
	i, c := n.child(rest[0])
	if c == nil {
		n.edges = slices.Insert(n.edges, i, edge{rest[0], &node{prefix: rest, leaf: l, owner: t.id}})
		return n
	}
	same := commonPrefix(rest, c.prefix)
	if same == len(c.prefix) {
		n.edges[i].to = t.put(c, rest[same:], l, old)
		return n
	}
	fork := &node{prefix: c.prefix[:same], owner: t.id}
	c = t.own(c)
	c.prefix = c.prefix[same:]
	fork.edges = []edge{{c.prefix[0], c}}
	n.edges[i].to = t.put(fork, rest[same:], l, old)
	return n
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// remove deletes a key and returns its row, nil if there was none.
func (t *txn) remove(key []byte) (old any) {
	l, _ := t.root.find(key)
	if l == nil {
		return nil
	}
	if root := t.cut(t.root, key); root != nil {
		t.root = root
	} else {
		t.root = &node{owner: t.id}
	}
	t.size--
	return l.row
}

// cut deletes the leaf of the rest of a key, which exists, below n. It returns
// nil when nothing is left of n.
func (t *txn) cut(n *node, rest []byte) *node {
	top := n == t.root
	n = t.own(n)
	if len(rest) == 0 {
		t.replaced = append(t.replaced, &n.leaf.watch)
		n.leaf = nil
	} else {
		i, c := n.child(rest[0])
		if c = t.cut(c, rest[len(c.prefix):]); c == nil {
			n.edges = slices.Delete(n.edges, i, i+1)
		} else {
			n.edges[i].to = c
		}
	}
	switch {
	case n.leaf != nil || top:
		return n
	case len(n.edges) == 0:
		return nil
	case len(n.edges) == 1:
		only := t.own(n.edges[0].to)
		only.prefix = slices.Concat(n.prefix, only.prefix)
		return only
	}
	return n
}
