package replica

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// TestWarmLog opens a log again and wants every entry from the mapped files to
// be what the library reads, also where the end was cut off and written anew.
func TestWarmLog(t *testing.T) {
	dir := t.TempDir()
	open := func() *diskLog {
		d, err := openDiskLog(dir, 0, hclog.NewNullLogger())
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		return d
	}
	store := func(d *diskLog, from, to uint64, word string) {
		t.Helper()
		var logs []*raft.Log
		for i := from; i <= to; i++ {
			logs = append(logs, &raft.Log{Index: i, Term: 1, Data: fmt.Appendf(nil, "%s %d", word, i)})
		}
		if err := d.StoreLogs(logs); err != nil {
			t.Fatalf("store %d to %d: %v", from, to, err)
		}
	}
	d := open()
	store(d, 1, 100, "first")
	store(d, 101, 140, "first")
	if err := d.DeleteRange(121, 140); err != nil {
		t.Fatalf("cut the end off: %v", err)
	}
	store(d, 121, 150, "second")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = open()
	defer d.Close()
	for i := uint64(1); i <= 150; i++ {
		var warm, cold raft.Log
		if !d.warm.get(i, &warm) {
			t.Fatalf("entry %d is not in the mapped files", i)
		}
		if err := d.wal.GetLog(i, &cold); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if diff := cmp.Diff(cold, warm, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("entry %d: library (-), mapped (+):\n%s", i, diff)
		}
	}
	if d.warm.get(151, &raft.Log{}) || d.warm.get(0, &raft.Log{}) {
		t.Error("entries that do not exist are in the mapped files")
	}
	if err := d.DeleteRange(150, 150); err != nil {
		t.Fatal(err)
	}
	if d.warm != nil {
		t.Error("the mapped files outlive a deletion")
	}
}
