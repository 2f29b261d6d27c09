package replica

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"curia/api"
)

// The files of an archive.
const (
	archiveMeta  = "meta.json"
	archiveState = "state.bin"
	archiveSums  = "SHA256SUMS"
)

const (
	// maxArchiveText bounds meta.json and SHA256SUMS, in bytes. Both are held
	// in memory; a configuration of a thousand servers needs a tenth of it.
	maxArchiveText = 1 << 20

	// maxArchivePadding bounds the zeros after the end of the tar stream, in
	// bytes. Archivers fill up their last record, of 10 KiB as a rule.
	maxArchivePadding = 1 << 20

	// tarEnd is the length in bytes of the two empty blocks that end a tar
	// stream.
	tarEnd = 2 * tarBlock

	tarBlock = 512
)

// WriteArchive writes a snapshot to w in the documented form: a gzipped tar of
// meta.json, state.bin and SHA256SUMS. What write gives becomes state.bin. It
// goes through a temporary file in dir, because a tar says the size of a file
// before the file; the temporary directory of the system serves for "". The
// file is gone when WriteArchive returns.
//
// A meta.Size of zero stands for whatever write gives; any other size has to be
// met, so that a snapshot that lost its end is not archived as a good one.
// After an error, w may hold the beginning of an archive.
func WriteArchive(w io.Writer, dir string, meta raft.SnapshotMeta, write func(io.Writer) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write snapshot archive: %w", err)
		}
	}()
	state, err := newSpool(dir)
	if err != nil {
		return err
	}
	defer state.Close()
	if err := write(state); err != nil {
		return err
	}
	if err := state.flush(); err != nil {
		return err
	}
	if meta.Size != 0 && meta.Size != state.size {
		return fmt.Errorf("%s has %d bytes instead of %d", archiveState, state.size, meta.Size)
	}
	meta.Size = state.size
	text, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("encode %s: %w", archiveMeta, err)
	}
	metaSum := sha256.Sum256(text)
	sums := fmt.Sprintf("%x  %s\n%x  %s\n", metaSum, archiveMeta, state.sum(), archiveState)

	// A leader that is saved has better uses for its processor than the last
	// tenth of the size.
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	a := archiver{tar.NewWriter(zip), time.Now()}
	if err := a.add(archiveMeta, int64(len(text)), bytes.NewReader(text)); err != nil {
		return err
	}
	if err := a.add(archiveState, state.size, state.reader()); err != nil {
		return err
	}
	if err := a.add(archiveSums, int64(len(sums)), strings.NewReader(sums)); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return err
	}
	return zip.Close()
}

// archiver appends files of one age to a tar stream.
type archiver struct {
	tar *tar.Writer
	now time.Time
}

func (a archiver) add(name string, size int64, r io.Reader) error {
	head := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: a.now}
	if err := a.tar.WriteHeader(head); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, err := io.Copy(a.tar, r); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Archive is a snapshot archive that was read to its end and found whole. Its
// methods may be called concurrently, except Close.
type Archive struct {
	// Meta is what meta.json says; Meta.Size is the size of the state.
	Meta raft.SnapshotMeta

	state  *spool
	closed bool
}

// OpenArchive reads an archive to its end and checks all of it: the sums, the
// sizes, the trailers of tar and gzip, and that there is nothing besides. The
// state waits in a temporary file in dir (the temporary directory of the system
// for ""), which is gone after Close, and after an error too.
//
// A bad archive is an *api.Error of the kind Rejected, with the documented
// texts `hash check failed for "x"` and `file missing for "x"`. Other errors
// are those of r and of the temporary file. The size of the state has no limit
// but that of the disk: who may send an archive is for the caller to decide.
func OpenArchive(r io.Reader, dir string) (*Archive, error) {
	u := &unarchiver{src: &source{r: r}, dir: dir}
	a, err := u.open()
	if err == nil {
		return a, nil
	}
	if u.state != nil {
		u.state.Close()
	}
	if fault := u.fault(); fault != nil {
		return nil, fmt.Errorf("read snapshot archive: %w", fault)
	}
	return nil, api.Errorf(api.Rejected, "read snapshot archive: %v", err)
}

// State gives a reader over the whole state, from its beginning. Readers are
// independent of each other and end with Close.
func (a *Archive) State() (io.Reader, error) {
	if a.closed {
		return nil, fmt.Errorf("read snapshot archive: %s: %w", archiveState, os.ErrClosed)
	}
	return a.state.reader(), nil
}

// Size is the size of the state in bytes.
func (a *Archive) Size() int64 { return a.state.size }

// Close gives up the state and its temporary file. A second Close does nothing.
func (a *Archive) Close() error {
	if a.closed {
		return nil
	}
	a.closed = true
	return a.state.Close()
}

// unarchiver reads one archive. The errors of its methods speak of the archive;
// those of the disk and the network are found by fault.
type unarchiver struct {
	src  *source
	dir  string
	disk error // from creating state

	meta, sums []byte // nil until read
	state      *spool // nil until read
}

// fault is what failed beneath the archive, nil when the archive itself is bad.
func (u *unarchiver) fault() error {
	switch {
	case u.src.err != nil:
		return u.src.err
	case u.disk != nil:
		return u.disk
	case u.state != nil:
		return u.state.err
	}
	return nil
}

func (u *unarchiver) open() (*Archive, error) {
	src := bufio.NewReaderSize(u.src, 64<<10)
	zip, err := gzip.NewReader(src)
	if err != nil {
		return nil, noEnd(err)
	}
	// One member holds it all; a second one would be trailing garbage.
	zip.Multistream(false)
	if err := u.files(zip); err != nil {
		return nil, err
	}
	switch _, err := src.ReadByte(); err {
	case io.EOF:
	case nil:
		return nil, errors.New("unexpected data after the archive")
	default:
		return nil, err
	}
	return u.check()
}

// files reads the tar stream and whatever follows it, up to the checksum of
// the gzip stream.
func (u *unarchiver) files(zip io.Reader) error {
	in := &countReader{r: zip}
	files := tar.NewReader(in)
	var end int64 // where the last file ends
	for {
		head, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := u.file(head, files); err != nil {
			return err
		}
		end = (in.n + tarBlock - 1) / tarBlock * tarBlock
	}
	if _, err := io.Copy(&padding{left: maxArchivePadding}, in); err != nil {
		return err
	}
	// A reader of tar takes a missing end for an end.
	if in.n-end < tarEnd {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// file reads one file of the archive.
func (u *unarchiver) file(head *tar.Header, r io.Reader) error {
	if head.Typeflag != tar.TypeReg {
		return fmt.Errorf("unexpected file %q: it is no regular file", head.Name)
	}
	for key := range head.PAXRecords {
		// A sparse file swells from nothing to any size.
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("unexpected file %q: it is sparse", head.Name)
		}
	}
	switch head.Name {
	case archiveMeta:
		return readText(&u.meta, head, r)
	case archiveSums:
		return readText(&u.sums, head, r)
	case archiveState:
		return u.readState(head, r)
	}
	// An exact comparison: "./state.bin" and "../state.bin" end here, too.
	return fmt.Errorf("unexpected file %q", head.Name)
}

func readText(to *[]byte, head *tar.Header, r io.Reader) error {
	if *to != nil {
		return fmt.Errorf("unexpected second file %q", head.Name)
	}
	if head.Size > maxArchiveText {
		return fmt.Errorf("file %q has %d bytes, the limit is %d", head.Name, head.Size, maxArchiveText)
	}
	text := make([]byte, head.Size)
	if _, err := io.ReadFull(r, text); err != nil {
		return fmt.Errorf("file %q: %w", head.Name, noEnd(err))
	}
	*to = text
	return nil
}

func (u *unarchiver) readState(head *tar.Header, r io.Reader) error {
	if u.state != nil {
		return fmt.Errorf("unexpected second file %q", head.Name)
	}
	if u.state, u.disk = newSpool(u.dir); u.disk != nil {
		return u.disk
	}
	if _, err := io.Copy(u.state, r); err != nil {
		return fmt.Errorf("file %q: %w", head.Name, noEnd(err))
	}
	if err := u.state.flush(); err != nil {
		return err
	}
	if u.state.size != head.Size {
		return fmt.Errorf("file %q has %d bytes instead of %d", head.Name, u.state.size, head.Size)
	}
	return nil
}

// check compares the files with each other.
func (u *unarchiver) check() (*Archive, error) {
	missing := ""
	switch {
	case u.meta == nil:
		missing = archiveMeta
	case u.state == nil:
		missing = archiveState
	case u.sums == nil:
		missing = archiveSums
	}
	if missing != "" {
		return nil, fmt.Errorf("file missing for %q", missing)
	}
	metaSum := sha256.Sum256(u.meta)
	if err := checkSums(string(u.sums), map[string][]byte{
		archiveMeta:  metaSum[:],
		archiveState: u.state.sum(),
	}); err != nil {
		return nil, err
	}
	a := &Archive{state: u.state}
	if err := json.Unmarshal(u.meta, &a.Meta); err != nil {
		return nil, fmt.Errorf("decode %s: %w", archiveMeta, err)
	}
	if a.Meta.Size != u.state.size {
		return nil, fmt.Errorf("%s has %d bytes instead of %d", archiveState, u.state.size, a.Meta.Size)
	}
	return a, nil
}

// checkSums holds the lines of SHA256SUMS against the sums that were computed.
// Each file needs exactly one line.
func checkSums(lines string, computed map[string][]byte) error {
	for line := range strings.Lines(lines) {
		text, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		said, err := hex.DecodeString(text)
		if !ok || err != nil || len(said) != sha256.Size {
			return fmt.Errorf("%s: %q is no line of the form \"hash  file\"", archiveSums, line)
		}
		sum, known := computed[name]
		if !known {
			// No such file, or a second line about one.
			return fmt.Errorf("file missing for %q", name)
		}
		if !bytes.Equal(sum, said) {
			return fmt.Errorf("hash check failed for %q", name)
		}
		delete(computed, name)
	}
	for _, name := range []string{archiveMeta, archiveState} {
		if _, left := computed[name]; left {
			return fmt.Errorf("hash missing for %q", name)
		}
	}
	return nil
}

// noEnd keeps the end of an archive that was cut off from looking like its end.
func noEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// spool is a temporary file that knows the sum of what was written to it.
type spool struct {
	file    *os.File
	buf     *bufio.Writer
	hash    hash.Hash
	size    int64
	removed bool
	err     error // the first error of the disk
}

func newSpool(dir string) (*spool, error) {
	f, err := os.CreateTemp(dir, "snapshot-*.tmp")
	if err != nil {
		return nil, err
	}
	// Where the system allows it the file loses its name at once, so that a
	// process that is killed leaves nothing behind.
	removed := os.Remove(f.Name()) == nil
	return &spool{file: f, buf: bufio.NewWriterSize(f, 64<<10), hash: sha256.New(), removed: removed}, nil
}

// Write appends to the file.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.buf.Write(p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	return n, s.note(err)
}

// flush makes what was written readable.
func (s *spool) flush() error { return s.note(s.buf.Flush()) }

func (s *spool) note(err error) error {
	if s.err == nil {
		s.err = err
	}
	return err
}

func (s *spool) sum() []byte { return s.hash.Sum(nil) }

// reader reads the file from its beginning.
func (s *spool) reader() io.Reader { return io.NewSectionReader(s.file, 0, s.size) }

// Close removes the file.
func (s *spool) Close() error {
	err := s.file.Close()
	if !s.removed {
		err = errors.Join(err, os.Remove(s.file.Name()))
	}
	return err
}

// source remembers what went wrong with r, which tells a network that failed
// from an archive that is bad.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// countReader counts the bytes that went through.
type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// padding accepts zeros, as many as are left.
type padding struct{ left int }

func (p *padding) Write(b []byte) (int, error) {
	if len(b) > p.left || len(bytes.Trim(b, "\x00")) > 0 {
		return 0, errors.New("unexpected data after the last file")
	}
	p.left -= len(b)
	return len(b), nil
}
