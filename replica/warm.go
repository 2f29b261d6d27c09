package replica

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// warmLog holds the entries of the log in memory that stands for its files.
// Raft reads every entry twice when it starts, and the library reads 64 KiB for
// each, which was most of the time of a restart.
type warmLog struct {
	first   uint64   // index of entries[0]
	entries [][]byte // encoded, in memory of files
	files   [][]byte
}

// warmSegment is where the entries of a file are.
type warmSegment struct {
	path  string
	first uint64
	end   int64 // of the last whole batch
	most  int   // entries that count: what was truncated stays in the file
}

// warm maps segments that follow each other. What cannot be mapped is left to
// the library, with all that comes before it.
func warm(segments []warmSegment) *warmLog {
	w := &warmLog{}
	for _, s := range segments {
		b, err := mapFile(s.path, s.end)
		if err != nil || len(w.entries) > 0 && s.first != w.first+uint64(len(w.entries)) {
			w.close()
			w = &warmLog{}
			if err != nil {
				continue
			}
		}
		if len(w.entries) == 0 {
			w.first = s.first
		}
		w.files = append(w.files, b)
		had := len(w.entries)
		w.entries = appendEntries(w.entries, b)
		w.entries = w.entries[:min(len(w.entries), had+s.most)]
	}
	return w
}

func mapFile(path string, end int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || end <= segmentHeader || info.Size() < end {
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	return syscall.Mmap(int(f.Fd()), 0, int(end), syscall.PROT_READ, syscall.MAP_SHARED)
}

// appendEntries finds the entries in the whole batches of a segment, which were
// checked before.
func appendEntries(out [][]byte, b []byte) [][]byte {
	for at := int64(segmentHeader); at+frameHeader <= int64(len(b)); {
		n := int64(binary.LittleEndian.Uint32(b[at+4:]))
		from := at + frameHeader
		switch b[at] {
		case entryFrame:
			out = append(out, b[from:from+n])
		case commitFrame:
			n = 0
		}
		at = from + (n+frameHeader-1)/frameHeader*frameHeader
	}
	return out
}

// get reads an entry; it reports false when it does not hold it.
func (w *warmLog) get(index uint64, l *raft.Log) (found bool) {
	if w == nil || index < w.first || index >= w.first+uint64(len(w.entries)) {
		return false
	}
	var err error
	func() {
		defer catchFault("the log", &err)()
		err = (&wal.BinaryCodec{}).Decode(w.entries[index-w.first], l)
	}()
	return err == nil && l.Index == index
}

func (w *warmLog) close() {
	for _, b := range w.files {
		_ = syscall.Munmap(b)
	}
}
