package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	walsegment "github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// diskLog is the log on disk. It adds three things to the library that writes
// it: acknowledged entries that have become unreadable are found before
// anything is answered; what a crash left behind is cleared away; and after a
// write that failed, on a full disk say, the log is opened again before the next
// one, because the library cannot go on from there.
//
// Entries may be read concurrently with one that writes; writes wait for each
// other.
type diskLog struct {
	dir  string
	meta *metadb.BoltMetaDB
	log  hclog.Logger

	writing sync.Mutex
	failed  error  // of the last write; nil: the log takes writes
	last    uint64 // index of the last entry that was written

	mu   sync.RWMutex // held for writing while wal or warm is exchanged
	wal  *wal.WAL
	warm *warmLog // nil once raft has caught up
}

var (
	_ raft.LogStore          = (*diskLog)(nil)
	_ raft.StableStore       = (*diskLog)(nil)
	_ raft.MonotonicLogStore = (*diskLog)(nil)
)

// sharedMeta outlives the logs that use it: two cannot have the file open.
type sharedMeta struct{ *metadb.BoltMetaDB }

// Close implements types.MetaStore.
func (sharedMeta) Close() error { return nil }

// openDiskLog opens or creates the log in dir. Entries up to the index needed
// are not checked: there is a snapshot of them.
func openDiskLog(dir string, needed uint64, log hclog.Logger) (*diskLog, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d := &diskLog{dir: dir, meta: &metadb.BoltMetaDB{}, log: log}
	err := d.check(needed)
	if err == nil {
		d.wal, err = d.open()
	}
	if err == nil {
		d.last, err = d.wal.LastIndex()
	}
	if err == nil {
		err = d.warmUp(needed)
	}
	if err != nil {
		_ = d.meta.Close()
		return nil, err
	}
	return d, nil
}

// warmUp maps the segments that raft will read.
func (d *diskLog) warmUp(needed uint64) error {
	state, err := d.meta.Load(d.dir)
	if err != nil {
		return err
	}
	var segments []warmSegment
	for _, info := range state.Segments {
		if !info.SealTime.IsZero() && info.MaxIndex <= needed {
			continue
		}
		s, err := readSegment(d.path(info))
		if err != nil {
			return err
		}
		most := s.entries
		if !info.SealTime.IsZero() {
			most = min(most, int(info.MaxIndex-info.BaseIndex+1))
		}
		segments = append(segments, warmSegment{d.path(info), info.BaseIndex, s.end, most})
	}
	d.warm = warm(segments)
	return nil
}

// cool gives up the memory that was for the start.
func (d *diskLog) cool() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.warm != nil {
		d.warm.close()
		d.warm = nil
	}
}

// check looks at all segments before they are used.
func (d *diskLog) check(needed uint64) error {
	file := filepath.Join(d.dir, metadb.FileName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		// The library would begin a new log and delete the old one.
		if left, err := filepath.Glob(filepath.Join(d.dir, "*.wal")); err != nil || len(left) > 0 {
			return fmt.Errorf("%w: %s is missing, but there are %d segments", errDamaged, file, len(left))
		}
	}
	state, err := d.load(file)
	if err != nil {
		return err
	}
	for _, info := range state.Segments {
		if info.SealTime.IsZero() || info.MaxIndex <= needed {
			continue
		}
		path := d.path(info)
		s, err := readSegment(path)
		if err != nil {
			return err
		}
		if want := int(info.MaxIndex - info.BaseIndex + 1); s.entries < want {
			return fmt.Errorf("%w: %s: %d of %d entries are readable", errDamaged, path, s.entries, want)
		}
	}
	return nil
}

// load reads the list of the segments.
func (d *diskLog) load(file string) (state types.PersistentState, err error) {
	defer catchFault(file, &err)()
	return d.meta.Load(d.dir)
}

func (d *diskLog) path(info types.SegmentInfo) string {
	return filepath.Join(d.dir, walsegment.FileName(info))
}

// open opens the log after mending its last segment.
func (d *diskLog) open() (*wal.WAL, error) {
	if err := d.mend(); err != nil {
		return nil, err
	}
	return wal.Open(d.dir, wal.WithMetaStore(sharedMeta{d.meta}), wal.WithLogger(d.log))
}

// mend clears the end of the last segment. If that segment is full and the next
// one was not begun, by a crash or for lack of space, it is closed: the library
// refuses to write to it, and begins the next one only when it has filled one
// itself.
func (d *diskLog) mend() error {
	state, err := d.meta.Load(d.dir)
	if err != nil || len(state.Segments) == 0 {
		return err
	}
	tail := &state.Segments[len(state.Segments)-1]
	if !tail.SealTime.IsZero() {
		return nil
	}
	path := d.path(*tail)
	s, err := readSegment(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a crash came between the list and the file
	}
	if err != nil {
		return err
	}
	if err := s.clearEnd(path); err != nil {
		return fmt.Errorf("clear the end of %s: %w", path, err)
	}
	if s.index == 0 || s.entries == 0 {
		return nil
	}
	tail.SealTime = time.Now()
	tail.MaxIndex = tail.BaseIndex + uint64(s.entries) - 1
	tail.IndexStart = s.index
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: tail.MaxIndex + 1, MinIndex: tail.MaxIndex + 1,
		SizeLimit: tail.SizeLimit, Codec: tail.Codec, CreateTime: time.Now(),
	})
	// What a failed attempt has left under the name of the new one is not in the
	// list, so it holds nothing.
	next := state.Segments[len(state.Segments)-1]
	if err := os.Remove(d.path(next)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	state.NextSegmentID++
	return d.meta.CommitState(state)
}

// write carries out one change, after opening the log again if the last one
// failed.
func (d *diskLog) write(change func(*wal.WAL) error) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	if d.failed != nil {
		if err := d.reopen(); err != nil {
			return fmt.Errorf("the log was closed by an error (%w) and cannot be opened again: %w", d.failed, err)
		}
		d.failed = nil
	}
	d.failed = change(d.wal)
	return d.failed
}

// reopen exchanges the log for a new one on the same files. The old one goes on
// answering reads until then, and if it fails.
func (d *diskLog) reopen() error {
	next, err := d.open()
	if err != nil {
		return err
	}
	last, err := next.LastIndex()
	if err == nil && last > d.last {
		// A write that failed may be there nevertheless. Raft does not know of it.
		first, ferr := next.FirstIndex()
		err = errors.Join(ferr, next.DeleteRange(max(first, d.last+1), last))
	}
	if err != nil {
		_ = next.Close()
		return err
	}
	d.last = min(last, d.last)
	d.mu.Lock()
	old := d.wal
	d.wal = next
	d.mu.Unlock()
	return old.Close()
}

// StoreLog implements raft.LogStore.
func (d *diskLog) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (d *diskLog) StoreLogs(logs []*raft.Log) error {
	return d.write(func(w *wal.WAL) error {
		if d.last > 0 && logs[0].Index > d.last+1 {
			// Raft leaves a gap behind a snapshot that was restored. It has tried
			// to delete what is before it.
			first, err := w.FirstIndex()
			if err == nil {
				err = w.DeleteRange(first, d.last)
			}
			if err != nil {
				return err
			}
		}
		if err := w.StoreLogs(logs); err != nil {
			return err
		}
		d.last = logs[len(logs)-1].Index
		return nil
	})
}

// DeleteRange implements raft.LogStore.
func (d *diskLog) DeleteRange(from, to uint64) error {
	d.cool() // what is written in the place of entries must not be hidden
	return d.write(func(w *wal.WAL) error {
		if err := w.DeleteRange(from, to); err != nil {
			return err
		}
		last, err := w.LastIndex()
		d.last = last
		return err
	})
}

// IsMonotonic implements raft.MonotonicLogStore.
func (d *diskLog) IsMonotonic() bool { return true }

// reading gives the log to read from; done ends that.
func (d *diskLog) reading() (w *wal.WAL, done func()) {
	d.mu.RLock()
	return d.wal, d.mu.RUnlock
}

// FirstIndex implements raft.LogStore.
func (d *diskLog) FirstIndex() (uint64, error) {
	w, done := d.reading()
	defer done()
	return w.FirstIndex()
}

// LastIndex implements raft.LogStore.
func (d *diskLog) LastIndex() (uint64, error) {
	w, done := d.reading()
	defer done()
	return w.LastIndex()
}

// GetLog implements raft.LogStore.
func (d *diskLog) GetLog(index uint64, l *raft.Log) error {
	w, done := d.reading()
	defer done()
	if d.warm.get(index, l) {
		return nil
	}
	return w.GetLog(index, l)
}

// Set implements raft.StableStore.
func (d *diskLog) Set(key, val []byte) error {
	w, done := d.reading()
	defer done()
	return w.Set(key, val)
}

// Get implements raft.StableStore.
func (d *diskLog) Get(key []byte) ([]byte, error) {
	w, done := d.reading()
	defer done()
	return w.Get(key)
}

// SetUint64 implements raft.StableStore.
func (d *diskLog) SetUint64(key []byte, val uint64) error {
	w, done := d.reading()
	defer done()
	return w.SetUint64(key, val)
}

// GetUint64 implements raft.StableStore.
func (d *diskLog) GetUint64(key []byte) (uint64, error) {
	w, done := d.reading()
	defer done()
	return w.GetUint64(key)
}

// Close closes the log. Reads and writes fail from then on.
func (d *diskLog) Close() error {
	d.cool()
	d.writing.Lock()
	defer d.writing.Unlock()
	return errors.Join(d.wal.Close(), d.meta.Close())
}

// sweep deletes what a crash has left of snapshots and archives in dir that were
// being written.
func sweep(dir string, log hclog.Logger) {
	for _, pattern := range []string{"snapshots/*.tmp", "snapshot-*.tmp", "restore-*.tmp"} {
		left, err := filepath.Glob(filepath.Join(dir, pattern))
		for _, path := range left {
			err = errors.Join(err, os.RemoveAll(path))
		}
		if err != nil {
			log.Warn("could not delete what is left of a snapshot", "pattern", strings.TrimSuffix(pattern, ".tmp"), "err", err)
		}
	}
}
