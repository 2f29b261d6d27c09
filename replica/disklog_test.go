package replica

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// logEntry is an entry of the log for tests.
func logEntry(index uint64, text string) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: []byte(text)}
}

// contents gives all entries of a log.
func contents(t *testing.T, l raft.LogStore) (out []string) {
	t.Helper()
	first, err := l.FirstIndex()
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	for i := max(first, 1); i <= last; i++ {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil {
			t.Fatalf("entry %d of %d to %d: %v", i, first, last, err)
		}
		out = append(out, fmt.Sprint(e.Index, " ", string(e.Data)))
	}
	return out
}

func openTestLog(t *testing.T, dir string) *diskLog {
	t.Helper()
	d, err := openDiskLog(dir, 0, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func store(t *testing.T, l raft.LogStore, entries ...*raft.Log) {
	t.Helper()
	if err := l.StoreLogs(entries); err != nil {
		t.Fatalf("store entry %d: %v", entries[0].Index, err)
	}
}

// TestDiskLogFullSegment opens a log that was killed when a segment was full and
// the next one not begun: the list of segments is that from before.
func TestDiskLogFullSegment(t *testing.T) {
	for name, orphan := range map[string]string{"without a file": "", "with a file that is not in the list": "?"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := wal.Open(dir, wal.WithSegmentSize(4<<10), wal.WithLogger(hclog.NewNullLogger()))
			if err != nil {
				t.Fatal(err)
			}
			list := filepath.Join(dir, "wal-meta.db")
			before, err := os.ReadFile(list)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			next := filepath.Join(dir, "*-0000000000000001.wal")
			for i := uint64(1); ; i++ {
				if full, _ := filepath.Glob(next); len(full) > 0 {
					break
				}
				// What the library writes when it begins the next segment comes
				// with the next entry; that one is not in the full segment.
				e := logEntry(i, string(bytes.Repeat([]byte{'a' + byte(i%26)}, 100)))
				store(t, w, e)
				if s, err := readSegment(filepath.Join(dir, "00000000000000000001-0000000000000000.wal")); err != nil || s.entries == int(i) {
					want = append(want, fmt.Sprint(e.Index, " ", string(e.Data)))
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(list, before, 0o600); err != nil {
				t.Fatal(err)
			}
			full, _ := filepath.Glob(next)
			if orphan == "" {
				err = os.Remove(full[0])
			} else {
				err = os.WriteFile(full[0], []byte(orphan), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}

			d := openTestLog(t, dir)
			if diff := cmp.Diff(want, contents(t, d)); diff != "" {
				t.Errorf("entries of the full segment, wanted (-), got (+):\n%s", diff)
			}
			n := uint64(len(want)) + 1
			store(t, d, logEntry(n, "more"))
			store(t, d, logEntry(n+1, "and more"))
			want = append(want, fmt.Sprint(n, " more"), fmt.Sprint(n+1, " and more"))
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, contents(t, openTestLog(t, dir))); diff != "" {
				t.Errorf("entries after another start, wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestDiskLogAfterFailure covers the write after one that failed.
func TestDiskLogAfterFailure(t *testing.T) {
	dir := t.TempDir()
	d := openTestLog(t, dir)
	for i := range uint64(5) {
		store(t, d, logEntry(i+1, "old"))
	}
	// The failed write reached the file nevertheless, all of it.
	if err := d.wal.StoreLogs([]*raft.Log{logEntry(6, "failed"), logEntry(7, "failed")}); err != nil {
		t.Fatal(err)
	}
	d.failed = errors.New("sync: input/output error")
	store(t, d, logEntry(6, "new"))
	want := []string{"1 old", "2 old", "3 old", "4 old", "5 old", "6 new"}
	if diff := cmp.Diff(want, contents(t, d)); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
	if err := d.SetUint64([]byte("k"), 7); err != nil {
		t.Errorf("set after the log was opened again: %v", err)
	}
	if err := d.DeleteRange(6, 6); err != nil {
		t.Errorf("delete the last entry: %v", err)
	}
	store(t, d, logEntry(6, "newer"))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openTestLog(t, dir)
	want[5] = "6 newer"
	if diff := cmp.Diff(want, contents(t, d)); diff != "" {
		t.Errorf("after a start, wanted (-), got (+):\n%s", diff)
	}
	if got, err := d.GetUint64([]byte("k")); got != 7 || err != nil {
		t.Errorf("get: got %d, %v, wanted 7", got, err)
	}
}

// TestDiskLogGap covers that entries behind a restored snapshot are taken also
// when those before it could not be deleted.
func TestDiskLogGap(t *testing.T) {
	d := openTestLog(t, t.TempDir())
	store(t, d, logEntry(1, "a"), logEntry(2, "b"))
	store(t, d, logEntry(10, "behind the snapshot"))
	if diff := cmp.Diff([]string{"10 behind the snapshot"}, contents(t, d)); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
	if err := d.StoreLogs([]*raft.Log{logEntry(9, "from the past")}); err == nil {
		t.Error("an entry from the past: got no error")
	}
	store(t, d, logEntry(11, "next"))
}

// TestScanSegment reads files that were never segments: whatever they hold, they
// are read to some end, and what is left behind it is cleared.
func TestScanSegment(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, r.IntN(400))
		for i := range b {
			// Many small numbers make many frames.
			if b[i] = byte(r.IntN(5)); r.IntN(20) == 0 {
				b[i] = byte(r.Uint32())
			}
		}
		if len(b) >= segmentHeader {
			s := scanSegment(b)
			if s.end > s.used || s.used > int64(len(b)) {
				t.Fatalf("%x: got %+v", b, s)
			}
			wholeBatch(b[:s.used], s.end)
		}
		path := filepath.Join(t.TempDir(), "segment")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readSegment(path)
		if err != nil {
			continue
		}
		if err := s.clearEnd(path); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || len(got) != len(b) || len(bytes.Trim(got[s.end:], "\x00")) > 0 && len(b) >= segmentHeader {
			t.Fatalf("%x: after clearing the end: got %x, %v", b, got, err)
		}
	}
}

// stubbornStable fails to write a few times.
type stubbornStable struct {
	raft.StableStore
	fails int
}

func (s *stubbornStable) SetUint64(key []byte, val uint64) error {
	if s.fails > 0 {
		s.fails--
		return errors.New("no space left on device")
	}
	return s.StableStore.SetUint64(key, val)
}

// TestPatientStable covers that what raft panics without is written in the end.
func TestPatientStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &stubbornStable{StableStore: raft.NewInmemStore(), fails: 3}
		p := &patientStable{StableStore: disk, log: slog.New(slog.DiscardHandler)}
		began := time.Now()
		if err := p.SetUint64([]byte("CurrentTerm"), 4); err != nil {
			t.Fatal(err)
		}
		if got, err := p.GetUint64([]byte("CurrentTerm")); got != 4 || err != nil {
			t.Errorf("term: got %d, %v, wanted 4", got, err)
		}
		if took := time.Since(began); took != 3*stableRetry {
			t.Errorf("writing took %v, wanted three pauses of %v", took, stableRetry)
		}
		disk.fails = 1
		if err := p.SetUint64([]byte("CurrentTerm"), 4); err != nil || disk.fails != 1 {
			t.Errorf("writing the same again: got %v, wanted nothing written", err)
		}
	})
}
