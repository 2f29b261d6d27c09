package realtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The log is a directory of segments. A segment is a header of 32 bytes and
// frames: a byte for the type (1 an entry, 2 an index, 3 a commit), three zeros,
// four bytes in little endian, and the data, filled up to a multiple of 8. The
// four bytes are the length of the data, or in a commit, which has none, the
// CRC-32C of the batch that it ends. Segments are made 64 MiB long at once; what
// is not written is zero.
const (
	headerLen = 32
	frameLen  = 8
)

// frame is one frame of a segment.
type frame struct {
	at   int // where it begins
	kind byte
	size int // of its data
}

// lastSegment gives the newest segment, and the frames in it.
func (a *agent) lastSegment() (path string, b []byte, frames []frame) {
	a.t.Helper()
	all, err := filepath.Glob(filepath.Join(a.dir, "raft", "wal", "*.wal"))
	check(a.t, err)
	if len(all) == 0 {
		a.t.Fatalf("no segments in %s", a.dir)
	}
	slices.Sort(all)
	path = all[len(all)-1]
	b, err = os.ReadFile(path)
	check(a.t, err)
	for at := headerLen; at+frameLen <= len(b) && b[at] != 0; {
		f := frame{at: at, kind: b[at]}
		if f.kind != 3 {
			f.size = int(binary.LittleEndian.Uint32(b[at+4:]))
		}
		frames = append(frames, f)
		at += frameLen + (f.size+7)/8*8
	}
	return path, b, frames
}

// end is where the last batch ends.
func end(frames []frame) int {
	for _, f := range slices.Backward(frames) {
		if f.kind == 3 {
			return f.at + frameLen
		}
	}
	return headerLen
}

// batch gives a batch of one entry as it is written: data and commit.
func wholeBatch(data []byte) []byte {
	out := append([]byte{1, 0, 0, 0}, binary.LittleEndian.AppendUint32(nil, uint32(len(data)))...)
	out = append(out, data...)
	out = append(out, make([]byte, (8-len(data)%8)%8)...)
	sum := crc32.Checksum(out, crc32.MakeTable(crc32.Castagnoli))
	return binary.LittleEndian.AppendUint32(append(out, 3, 0, 0, 0), sum)
}

// damaged is an agent that was killed after some acknowledged writes. It does
// not run.
func damaged(t *testing.T) *agent {
	t.Helper()
	a := start(t, option{})
	for i := range 60 {
		a.must("PUT", fmt.Sprint("/v1/kv/acked/", i), strings.Repeat(fmt.Sprint(i, " "), 20))
	}
	a.kill()
	return a
}

// keeps starts the agent and checks that all acknowledged writes are there, that
// it writes, and that it does so again after another kill.
func (a *agent) keeps() {
	a.t.Helper()
	for range scale(1, 2) {
		a.restart()
		for i := range 60 {
			if _, v := a.must("GET", fmt.Sprint("/v1/kv/acked/", i, "?raw"), ""); v != strings.Repeat(fmt.Sprint(i, " "), 20) {
				a.t.Errorf("acked/%d: got %q", i, v)
			}
		}
		a.must("PUT", "/v1/kv/more", "1")
		a.kill()
	}
}

// TestTornTail damages what is behind the last acknowledged write, as a crash
// can do: the agent starts and has lost nothing.
func TestTornTail(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(seed(t), 4))
	random := make([]byte, 3000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	entry := wholeBatch(bytes.Repeat([]byte{0x5a}, 500))
	badSum := bytes.Clone(entry)
	badSum[100] ^= 1
	torn := bytes.Clone(entry)
	clear(torn[:256])
	cases := map[string][]byte{
		"random bytes":                     random,
		"random bytes at an odd place":     append(make([]byte, 5), random...),
		"an entry without its commit":      entry[:len(entry)-frameLen],
		"half an entry":                    entry[:250],
		"the header of a frame":            entry[:4],
		"an entry that is longer than all": {1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3},
		"a batch with a flipped bit":       badSum,
		"a batch without its first page":   torn,
		"a commit alone":                   {3, 0, 0, 0, 1, 2, 3, 4},
		"half a seal":                      {2, 0, 0, 0, 16, 0, 0, 0, 32, 0, 0, 0},
	}
	for _, name := range some(cases) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := damaged(t)
			path, b, frames := a.lastSegment()
			copy(b[end(frames):], cases[name])
			check(t, os.WriteFile(path, b, 0o600))
			a.keeps()
		})
	}
	t.Run("cut off behind the last batch", func(t *testing.T) {
		t.Parallel()
		a := damaged(t)
		path, _, frames := a.lastSegment()
		check(t, os.Truncate(path, int64(end(frames))))
		a.keeps()
	})
	t.Run("cut off in a batch under way", func(t *testing.T) {
		t.Parallel()
		a := damaged(t)
		path, b, frames := a.lastSegment()
		check(t, os.WriteFile(path, append(b[:end(frames)], entry[:123]...), 0o600))
		a.keeps()
	})
}

// TestDamagedLog damages what was acknowledged: the agent does not start, and
// says which directory is damaged. The library that writes the log would start:
// it compares the checksum of the last batch alone, and takes a frame that it
// cannot read for the end of the log. What the agent cannot tell either is
// damage to the very last batch, which looks like a write that a crash
// interrupted, and a segment that was cut off between two batches.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	// change edits a segment in which entries are the frames of entries.
	type change func(b []byte, entries []frame)
	middle := func(entries []frame) frame { return entries[len(entries)/2] }
	cases := map[string]change{
		"a bit of an entry":          func(b []byte, e []frame) { b[middle(e).at+frameLen+middle(e).size/2] ^= 4 },
		"the type of a frame":        func(b []byte, e []frame) { b[middle(e).at] = 9 },
		"the length of a frame":      func(b []byte, e []frame) { b[middle(e).at+4] ^= 0x80 },
		"a frame cleared":            func(b []byte, e []frame) { clear(b[middle(e).at : middle(e).at+frameLen]) },
		"an entry cleared":           func(b []byte, e []frame) { clear(b[middle(e).at:][:frameLen+middle(e).size]) },
		"several entries cleared":    func(b []byte, e []frame) { clear(b[middle(e).at:e[len(e)-8].at]) },
		"the first entry":            func(b []byte, e []frame) { b[e[0].at+frameLen+3] ^= 1 },
		"the header of the segment":  func(b []byte, _ []frame) { b[1] ^= 1 },
		"the number of the segment":  func(b []byte, _ []frame) { b[16] ^= 1 },
		"the entry before the last":  func(b []byte, e []frame) { b[e[len(e)-2].at+frameLen+9] ^= 1 },
		"the checksum of one commit": func(b []byte, e []frame) { b[middle(e).at-frameLen+5] ^= 1 },
	}
	for _, name := range some(cases) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := damaged(t)
			path, b, frames := a.lastSegment()
			good := bytes.Clone(b)
			cases[name](b, slices.DeleteFunc(frames, func(f frame) bool { return f.kind != 1 }))
			check(t, os.WriteFile(path, b, 0o600))
			refused(t, a, a.dir, "damaged")
			// Nothing was mended on the way: the undamaged file is whole again.
			check(t, os.WriteFile(path, good, 0o600))
			a.keeps()
		})
	}
	for _, what := range []string{"missing", "overwritten"} {
		t.Run("the list of segments "+what, func(t *testing.T) {
			t.Parallel()
			a := damaged(t)
			path := filepath.Join(a.dir, "raft", "wal", "wal-meta.db")
			good, err := os.ReadFile(path)
			check(t, err)
			if what == "missing" {
				check(t, os.Remove(path))
			} else {
				check(t, os.WriteFile(path, bytes.Repeat([]byte{7}, len(good)), 0o600))
			}
			refused(t, a, a.dir)
			check(t, os.WriteFile(path, good, 0o600))
			a.keeps()
		})
	}
}

// TestDamagedStateOfSnapshot damages the snapshots beside the log. The log behind
// them is short, so that there is no other way to the data.
func TestDamagedStateOfSnapshot(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"raft_snapshot_threshold": 20, "raft_snapshot_interval": "1s", "raft_trailing_logs": 1}})
	for i := range 60 {
		a.must("PUT", fmt.Sprint("/v1/kv/acked/", i), strings.Repeat(fmt.Sprint(i, " "), 20))
	}
	a.awaitSnapshot()
	a.kill()
	states, err := filepath.Glob(filepath.Join(a.dir, "raft", "snapshots", "*", "state.bin"))
	check(t, err)
	good := map[string][]byte{}
	for _, path := range states {
		b, err := os.ReadFile(path)
		check(t, err)
		good[path] = bytes.Clone(b)
		b[len(b)/2] ^= 1
		check(t, os.WriteFile(path, b, 0o600))
	}
	refused(t, a, a.dir)
	for path, b := range good {
		check(t, os.WriteFile(path, b, 0o600))
	}
	a.keeps()
}

// awaitSnapshot waits until there is a snapshot on disk.
func (a *agent) awaitSnapshot() {
	a.t.Helper()
	eventually(a.t, thingWait, func() error { return a.said("snapshot complete") })
}
