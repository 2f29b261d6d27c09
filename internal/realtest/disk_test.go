package realtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// disk is a small file system that can be filled and freed.
type disk struct {
	t   *testing.T
	dir string
}

// smallDisk mounts a file system of its own, of some MiB. That takes the rights
// of root, or of a user who may make name spaces.
func smallDisk(t *testing.T, mib int) *disk {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatalf("mount a small disk: %v; this test needs to run as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return &disk{t, dir}
}

// fill takes all the space that is left but some MiB. It may be called again
// when there is more.
func (d *disk) fill(spare int) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(d.t, err)
	defer f.Close()
	for {
		var s syscall.Statfs_t
		check(d.t, syscall.Statfs(d.dir, &s))
		surplus := int64(s.Bavail)*s.Bsize - int64(spare)<<20
		if surplus <= 0 {
			return
		}
		if _, err := f.Write(make([]byte, min(surplus, 1<<20))); err != nil && !errors.Is(err, syscall.ENOSPC) {
			d.t.Fatal(err)
		}
	}
}

// free gives the space back that fill took.
func (d *disk) free() {
	d.t.Helper()
	check(d.t, os.Remove(filepath.Join(d.dir, "filler")))
}

// slowest remembers the longest time that an answer took.
type slowest struct {
	mu   sync.Mutex
	took time.Duration
	what string
}

func (s *slowest) ask(a *agent, method, path, body string) (int, string, error) {
	began := time.Now()
	status, _, text, err := a.ask(method, path, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if took := time.Since(began); took > s.took {
		s.took, s.what = took, method+" "+path
	}
	return status, text, err
}

// TestFullDisk fills the disk of an agent under load: writes fail, nothing
// hangs, the agent lives; with space again it writes again, and nothing that it
// acknowledged is lost. The disk is filled when the log needs a new segment,
// when it does not, and while snapshots are made.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	d := smallDisk(t, 240)
	a := start(t, option{dir: filepath.Join(d.dir, "data"), config: map[string]any{
		"raft_snapshot_threshold": 100, "raft_snapshot_interval": "1s", "raft_trailing_logs": 50,
		"performance": map[string]any{"raft_multiplier": 1, "rpc_hold_timeout": "2s"},
	}})
	l := newLoad(t, 3, 400<<10)
	// 20 MiB hold what finishes a segment of the log, but not the next segment.
	for _, spare := range []int{20, 0, 20}[:scale(1, 3)] {
		full(t, a, d, l, spare)
		if t.Failed() {
			t.Fatalf("with %d MiB left on the disk", spare)
		}
	}
	// A start on a full disk keeps what is there, whether it succeeds or not.
	d.fill(0)
	a.kill()
	a.launch()
	eventually(t, thingWait, func() error {
		if !a.running() {
			return nil
		}
		_, _, _, err := a.ask("GET", "/v1/status/leader", "")
		return err
	})
	d.free()
	if a.running() {
		a.awaitLeader()
	} else {
		a.restart()
	}
	l.verify(a)
}

// full is one time of a disk that is full but for some MiB.
func full(t *testing.T, a *agent, d *disk, l *load, spare int) {
	t.Helper()
	before := l.acked()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	failed := make(chan string, 1)
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		l.run(ctx, a.addr, func(status int, text string) {
			select {
			case failed <- fmt.Sprint(status, " ", text):
			default:
			}
		})
	}()
	eventually(t, thingWait, func() error {
		if n := l.acked() - before; n < 300 {
			return fmt.Errorf("%d writes", n)
		}
		return nil
	})
	// The rest of the segment is there already: the load goes on until it is used
	// up. A snapshot lets old segments go, whose space is taken, too.
	eventually(t, thingWait, func() error {
		d.fill(spare)
		select {
		case first := <-failed:
			t.Logf("the first error: %s", first)
			return nil
		default:
			return errors.New("writes do not fail")
		}
	})
	var slow slowest
	for end := time.Now().Add(time.Duration(scale(1, 3)) * time.Second); time.Now().Before(end); {
		status, text, err := slow.ask(a, "PUT", "/v1/kv/full", strings.Repeat("x", 300<<10))
		if err != nil || status < 500 && status != 200 {
			t.Errorf("a write on a full disk: got %d %q, %v", status, text, err)
		}
		if status, text, err = slow.ask(a, "GET", "/v1/kv/full?stale", ""); err != nil || status != 200 && status != 404 {
			t.Errorf("a stale read on a full disk: got %d %q, %v", status, text, err)
		}
		if status, text, err = slow.ask(a, "GET", "/v1/agent/self", ""); err != nil || status != 200 {
			t.Errorf("a read of the agent on a full disk: got %d %q, %v", status, text, err)
		}
		if _, _, err = slow.ask(a, "GET", "/v1/snapshot?stale", ""); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a snapshot on a full disk: %v", err)
		}
		if status, text, err = slow.ask(a, "PUT", "/v1/snapshot", string(bytes.Repeat([]byte{1}, 1<<20))); err != nil || status != 500 {
			t.Errorf("a restore on a full disk: got %d %q, %v", status, text, err)
		}
	}
	if slow.took > 10*time.Second {
		t.Errorf("%s took %v on a full disk", slow.what, slow.took)
	}
	if !a.running() {
		t.Fatalf("the agent exited with %v", a.cmd.ProcessState)
	}
	d.free()
	freed := time.Now()
	eventually(t, thingWait, func() error {
		status, _, text, err := a.ask("PUT", "/v1/kv/freed", "1")
		if err == nil && status != 200 {
			err = fmt.Errorf("%d %s", status, text)
		}
		return err
	})
	t.Logf("writes again %v after there was space; the slowest answer before was %s with %v", time.Since(freed), slow.what, slow.took)
	cancel()
	<-loaded
	l.verify(a)
	a.kill()
	a.restart()
	l.verify(a)
}
