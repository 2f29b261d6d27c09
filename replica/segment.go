package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"runtime/debug"
	"syscall"
)

// A segment of the log is a header of 32 bytes and frames. A frame has a header
// of 8 bytes: its type, three zeros, and in little endian the length of what
// follows, which is filled up to a multiple of 8. A batch of entries ends with
// a commit frame; instead of a length it has the CRC-32C of everything since the
// commit before it, or since the beginning of the file. The last batch of a
// sealed segment has an index of its entries. Behind the last batch are zeros.
const (
	segmentHeader = 32
	frameHeader   = 8

	entryFrame  = 1
	indexFrame  = 2
	commitFrame = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is what a file of the log holds.
type segment struct {
	entries int    // in whole batches
	index   uint64 // where the index begins; 0 if the segment is not sealed
	end     int64  // of the last whole batch
	used    int64  // behind the last byte that is not zero
}

// errDamaged is damage that a crash cannot do.
var errDamaged = errors.New("the log is damaged")

// readSegment checks a file of the log. A batch that is not whole is what a
// crash leaves at the end, it was never acknowledged; but a batch that is not
// whole and has whole ones behind it is damage, and so is a file that cannot be
// read. The last batch of all is taken for the one that a crash left behind,
// because nothing tells the difference.
func readSegment(path string) (s segment, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < segmentHeader {
		return s, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return s, fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = syscall.Munmap(b) }()
	defer catchFault(path, &err)()
	s = scanSegment(b)
	if at := wholeBatch(b[:s.used], s.end); at > 0 {
		return s, fmt.Errorf("%w: %s: the entries from byte %d on are unreadable, but there are more from byte %d on", errDamaged, path, s.end, at)
	}
	return s, nil
}

// catchFault makes errors of memory that stands for a file, which are those of
// the disk, and other panics out of damaged data, errors about path. What it
// returns is deferred.
func catchFault(path string, err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			*err = fmt.Errorf("%w: read %s: %v", errDamaged, path, p)
		}
	}
}

// scanSegment follows the frames of a segment as far as batches are whole.
func scanSegment(b []byte) (s segment) {
	s.used = used(b)
	for {
		batch := nextBatch(b[:s.used], s.end)
		if batch.end == 0 {
			return s
		}
		s.end = batch.end
		s.entries += batch.entries
		if batch.index > 0 {
			s.index = batch.index
		}
	}
}

// used is the length of b without the zeros at its end.
func used(b []byte) int64 {
	const block = 64 << 10
	most := int64(len(b))
	zeros := make([]byte, block)
	for len(b) >= block && bytes.Equal(b[len(b)-block:], zeros) {
		b = b[:len(b)-block]
	}
	b = bytes.TrimRight(b, "\x00")
	// The last frame may end with zeros of its own.
	return min(int64(len(b)+frameHeader-1)/frameHeader*frameHeader, most)
}

// batch is one batch of entries.
type batch struct {
	entries int
	index   uint64 // where its index begins, 0 if it has none
	end     int64  // 0 if the batch is not whole
}

// nextBatch reads the batch that begins at from; the first one of a file begins
// with the header of the file.
func nextBatch(b []byte, from int64) (out batch) {
	at := max(from, segmentHeader)
	for at+frameHeader <= int64(len(b)) {
		kind, word := b[at], binary.LittleEndian.Uint32(b[at+4:])
		if b[at+1]|b[at+2]|b[at+3] != 0 {
			return batch{}
		}
		switch kind {
		case entryFrame:
			out.entries++
		case indexFrame:
			out.index = uint64(at + frameHeader)
		case commitFrame:
			if crc32.Checksum(b[from:at], castagnoli) != word {
				return batch{}
			}
			out.end = at + frameHeader
			return out
		default:
			return batch{}
		}
		at += frameHeader + (int64(word)+frameHeader-1)/frameHeader*frameHeader
	}
	return batch{}
}

// wholeBatch finds a whole batch somewhere behind from, and 0 if there is none.
// A batch begins where the one before it was committed.
func wholeBatch(b []byte, from int64) int64 {
	commit := []byte{commitFrame, 0, 0, 0}
	for at := from; at+frameHeader <= int64(len(b)); at += frameHeader {
		if bytes.Equal(b[at:at+4], commit) {
			if next := nextBatch(b, at+frameHeader); next.entries > 0 {
				return at + frameHeader
			}
		}
	}
	return 0
}

// clearEnd overwrites what a crash or a failed write has left behind the last
// whole batch, lest it be taken for entries when shorter ones are written there.
func (s segment) clearEnd(path string) error {
	if s.used <= s.end {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, min(s.used, info.Size())-s.end)
	if _, err := f.WriteAt(zeros, s.end); err != nil {
		return err
	}
	return f.Sync()
}
