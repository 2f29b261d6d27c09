package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// snapshotVersion is the version of the stream that Snapshot writes.
const snapshotVersion = 1

// snapshotHeader begins the stream.
type snapshotHeader struct {
	Version int    `cbor:"1,keyasint"`
	Index   uint64 `cbor:"2,keyasint"`
	Floor   uint64 `cbor:"3,keyasint,omitempty"`
}

// snapshotTable begins the rows of a table; a header without a name ends the
// stream.
type snapshotTable struct {
	Name    string `cbor:"1,keyasint"`
	Changed uint64 `cbor:"2,keyasint"`
	Rows    int    `cbor:"3,keyasint"`
}

// Snapshot is the state at one moment, to be written at leisure.
type Snapshot struct{ root *root }

// Snapshot takes the current state in O(1).
func (s *Store) Snapshot() *Snapshot { return &Snapshot{s.root.Load()} }

// Index is the index of the last command in the snapshot.
func (s *Snapshot) Index() uint64 { return s.root.index }

// Counts gives the number of rows by table.
func (s *Snapshot) Counts() map[string]int {
	out := map[string]int{}
	for _, t := range tables {
		out[t.tableName()] = s.root.trees[t.position()].size
	}
	return out
}

// WriteTo writes the state as a stream of CBOR values; the same state gives the
// same bytes. It implements io.WriterTo.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	count := &countWriter{w: w}
	buf := bufio.NewWriterSize(count, 64<<10)
	enc := encMode.NewEncoder(buf)
	err := enc.Encode(snapshotHeader{snapshotVersion, s.root.index, s.root.floor})
	for _, t := range tables {
		if err != nil {
			break
		}
		tr, changed := s.root.trees[t.position()], s.root.changed[t.position()]
		if tr.size == 0 && changed == 0 {
			continue // a version that does not know the table can read the rest
		}
		err = enc.Encode(snapshotTable{t.tableName(), changed, tr.size})
		tr.root.walk(func(row any) bool {
			if err == nil {
				err = enc.Encode(row)
			}
			return err == nil
		})
	}
	if err == nil {
		err = enc.Encode(snapshotTable{})
	}
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return count.n, fmt.Errorf("write snapshot: %w", err)
	}
	return count.n, nil
}

type countWriter struct {
	w io.Writer
	n int64
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Restore replaces the whole state by what WriteTo wrote, and wakes all
// watchers. When it returns an error the state is as it was.
func (s *Store) Restore(r io.Reader) error {
	next, err := read(r)
	if err != nil {
		return err
	}
	old := s.root.Load()
	s.root.Store(next)
	close(old.replaced)
	return nil
}

// RaiseFloor passes on a snapshot stream such that no answer from the restored
// state has an index below floor. A snapshot from the past is restored through
// it, so that no client sees an index go back.
func RaiseFloor(r io.Reader, floor uint64) (io.Reader, error) {
	dec := decMode.NewDecoder(r)
	var head snapshotHeader
	if err := dec.Decode(&head); err != nil {
		return nil, fmt.Errorf("read snapshot: header: %w", noEOF(err))
	}
	head.Floor = max(head.Floor, head.Index, floor)
	b, err := encMode.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("write snapshot: header: %w", err)
	}
	return io.MultiReader(bytes.NewReader(b), dec.Buffered(), r), nil
}

// CheckSnapshot reads a stream to its end without keeping anything, and returns
// its index and the number of rows by table.
func CheckSnapshot(r io.Reader) (index uint64, counts map[string]int, err error) {
	next, err := read(r)
	if err != nil {
		return 0, nil, err
	}
	snap := &Snapshot{next}
	return next.index, snap.Counts(), nil
}

// read builds a state from a stream. Rows that no state could hold, which only
// a forged stream has, are an error too.
func read(r io.Reader) (next *root, err error) {
	defer func() {
		if p := recover(); p != nil {
			next, err = nil, fmt.Errorf("read snapshot: impossible row: %v", p)
		}
	}()
	dec := decMode.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	var head snapshotHeader
	if err := dec.Decode(&head); err != nil {
		return nil, fmt.Errorf("read snapshot: header: %w", noEOF(err))
	}
	if head.Version != snapshotVersion {
		return nil, fmt.Errorf("read snapshot: version %d is not %d", head.Version, snapshotVersion)
	}
	byName := map[string]anyTable{}
	for _, t := range tables {
		byName[t.tableName()] = t
	}
	next = emptyRoot()
	tx := newTx(next)
	tx.index = head.Index
	changed := make([]uint64, trees)
	for {
		var h snapshotTable
		if err := dec.Decode(&h); err != nil {
			return nil, fmt.Errorf("read snapshot: table: %w", noEOF(err))
		}
		if h.Name == "" {
			break
		}
		t, ok := byName[h.Name]
		if !ok {
			return nil, fmt.Errorf("read snapshot: unknown table %q", h.Name)
		}
		for i := range h.Rows {
			row := t.newRow()
			if err := dec.Decode(row); err != nil {
				return nil, fmt.Errorf("read snapshot: table %s: row %d of %d: %w", h.Name, i+1, h.Rows, noEOF(err))
			}
			t.load(tx, row)
		}
		changed[t.position()] = h.Changed
	}
	for i, t := range tx.txns {
		if t != nil {
			next.trees[i] = t.commit()
		}
	}
	next.index, next.floor, next.changed = head.Index, head.Floor, changed
	return next, nil
}

// noEOF keeps the end of a stream that was cut off from looking like its end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
