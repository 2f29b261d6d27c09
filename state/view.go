package state

// View is the state at one moment, and a memory of what was looked at in it.
// Its primitive reads record the channel that closes when what they saw changes,
// and raise the index of the answer; the methods named after nouns are made of
// them. A View belongs to one goroutine.
type View struct {
	root *root
	seen Watch
	idx  uint64
	// missing says that what the query asked for does not exist. A wait that
	// begins with it goes on until it does.
	missing bool
}

// Watch is what a view looked at. The zero Watch never fires.
type Watch struct {
	// Replaced closes when the whole state is replaced.
	Replaced <-chan struct{}
	// Changed holds the channels of everything that was read.
	Changed []<-chan struct{}
}

// View looks at the current state.
func (s *Store) View() *View { return &View{root: s.root.Load()} }

// Index is the index of the answer: the greatest of everything that was read,
// and at least 1.
func (v *View) Index() uint64 { return max(v.idx, v.root.floor, 1) }

// Applied is the index of the last command in this view.
func (v *View) Applied() uint64 { return v.root.index }

// Missing reports whether the query asked for something that does not exist.
func (v *View) Missing() bool { return v.missing }

// Watch gives the channels of everything that was read.
func (v *View) Watch() Watch {
	v.seen.Replaced = v.root.replaced
	return v.seen
}

// Fired reports whether something that was looked at has changed since.
func (w *Watch) Fired() bool {
	if closed(w.Replaced) {
		return true
	}
	for _, ch := range w.Changed {
		if closed(ch) {
			return true
		}
	}
	return false
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func (v *View) at(id int) *node { return v.root.trees[id].root }

func (v *View) watch(ch <-chan struct{}) {
	if v.seen.Changed == nil {
		v.seen.Changed = make([]<-chan struct{}, 0, 1)
	}
	v.seen.Changed = append(v.seen.Changed, ch)
}

func (v *View) raise(index uint64) { v.idx = max(v.idx, index) }

// one reads the row with a primary key and watches it. The caller raises the
// index, which depends on whether there is a row.
func one[T any](v *View, t *table[T], key []byte) *T {
	row, ch := v.at(t.id).getWatch(key)
	v.watch(ch)
	r, _ := row.(*T)
	return r
}

// under reads the rows of a tree whose keys begin with a prefix and watches
// them all with one channel.
func under[T any](v *View, t *table[T], id int, prefix []byte) []*T {
	top, watch := v.at(id).below(prefix)
	v.watch(watch.watch.channel())
	out := []*T{}
	if top != nil {
		top.walk(func(row any) bool {
			out = append(out, row.(*T))
			return true
		})
	}
	return out
}

// all reads a whole table; the index is that of the table's last change.
func all[T any](v *View, t *table[T]) []*T {
	v.raise(v.root.changed[t.id])
	return under(v, t, t.id, nil)
}

// about watches a topic and raises the index to its. When there is no such
// topic it raises it to fallback and reports false.
func (v *View) about(name string, fallback uint64) bool {
	if t := one(v, topics, []byte(name)); t != nil {
		v.raise(t.Index)
		return true
	}
	v.raise(fallback)
	return false
}

// tableIndex is the index of the last change of a table, without watching it.
func (v *View) tableIndex(id int) uint64 { return v.root.changed[id] }
