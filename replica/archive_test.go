package replica

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"curia/api"
)

// goodMeta fills every field of meta.json.
func goodMeta(size int64) raft.SnapshotMeta {
	return raft.SnapshotMeta{
		Version: 1, ID: "2-9-1520000000000", Index: 9, Term: 2, Peers: []byte{0x91, 0xa2, 'n', '1'},
		Configuration: raft.Configuration{Servers: []raft.Server{
			{Suffrage: raft.Voter, ID: "b9f3", Address: "10.0.0.1:8300"},
			{Suffrage: raft.Nonvoter, ID: "c0aa", Address: "10.0.0.2:8300"},
		}},
		ConfigurationIndex: 3, Size: size,
	}
}

// randomState is a state of n bytes that does not compress.
func randomState(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b)
	return b
}

func writeArchive(t testing.TB, meta raft.SnapshotMeta, state []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	err := WriteArchive(&out, t.TempDir(), meta, func(w io.Writer) error {
		_, err := w.Write(state)
		return err
	})
	if err != nil {
		t.Fatalf("WriteArchive of %d bytes: %v", len(state), err)
	}
	return out.Bytes()
}

func readState(t testing.TB, a *Archive) []byte {
	t.Helper()
	r, err := a.State()
	if err != nil {
		t.Fatalf("State: %v", err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read State: %v", err)
	}
	return b
}

func wantEmpty(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files: got %v, %v, wanted none", left, err)
	}
}

func TestArchiveRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 511, 512, 513, 65536, 300_000} {
		state, dir := randomState(n), t.TempDir()
		packed := writeArchive(t, goodMeta(int64(n)), state)
		a, err := OpenArchive(iotest.OneByteReader(bytes.NewReader(packed)), dir)
		if err != nil {
			t.Fatalf("OpenArchive of %d bytes: %v", n, err)
		}
		if diff := cmp.Diff(goodMeta(int64(n)), a.Meta); diff != "" {
			t.Errorf("Meta (-wanted +got):\n%s", diff)
		}
		if got := a.Size(); got != int64(n) {
			t.Errorf("Size: got %d, wanted %d", got, n)
		}
		for _, reading := range []string{"first", "second"} {
			if got := readState(t, a); !bytes.Equal(got, state) {
				t.Errorf("%s State of %d bytes: got %d other bytes", reading, n, len(got))
			}
		}
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := a.State(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("State after Close: got %v, wanted %v", err, os.ErrClosed)
		}
		wantEmpty(t, dir)
	}
}

// The layout is documented; what is inside is for other tools to read.
func TestArchiveLayout(t *testing.T) {
	packed := writeArchive(t, goodMeta(0), []byte("hello"))
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for files := tar.NewReader(zip); ; {
		head, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		got[head.Name] = string(b)
	}
	meta := `{"Version":1,"ID":"2-9-1520000000000","Index":9,"Term":2,"Peers":"kaJuMQ==",` +
		`"Configuration":{"Servers":[{"Suffrage":0,"ID":"b9f3","Address":"10.0.0.1:8300"},` +
		`{"Suffrage":1,"ID":"c0aa","Address":"10.0.0.2:8300"}]},"ConfigurationIndex":3,"Size":5}`
	want := map[string]string{
		"meta.json":  meta,
		"state.bin":  "hello",
		"SHA256SUMS": fmt.Sprintf("%x  meta.json\n%x  state.bin\n", sha256.Sum256([]byte(meta)), sha256.Sum256([]byte("hello"))),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-wanted +got):\n%s", diff)
	}
}

func TestWriteArchiveFails(t *testing.T) {
	boom := errors.New("boom")
	five := func(w io.Writer) error { _, err := w.Write([]byte("hello")); return err }
	tests := []struct {
		name  string
		dir   string
		size  int64
		out   io.Writer
		write func(io.Writer) error
		want  error  // nil when want text says it all
		text  string // part of the error
	}{
		{"write fails", "", 0, io.Discard, func(io.Writer) error { return boom }, boom, "write snapshot archive: boom"},
		{"out fails", "", 0, failingWriter{boom}, five, boom, "boom"},
		{"fewer bytes than said", "", 6, io.Discard, five, nil, "state.bin has 5 bytes instead of 6"},
		{"more bytes than said", "", 4, io.Discard, five, nil, "state.bin has 5 bytes instead of 4"},
		{"no directory", "none", 0, io.Discard, five, os.ErrNotExist, "write snapshot archive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			err := WriteArchive(tt.out, filepath.Join(dir, tt.dir), goodMeta(tt.size), tt.write)
			if err == nil || !strings.Contains(err.Error(), tt.text) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, wanted %q (%v)", err, tt.text, tt.want)
			}
			wantEmpty(t, dir)
		})
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// entry is a file of an archive that a test makes by hand.
type entry struct {
	name, text string
	kind       byte // tar's type; 0 is a regular file
}

// goodEntries are the files of a good archive whose state is text.
func goodEntries(text string) []entry {
	meta, err := json.Marshal(goodMeta(int64(len(text))))
	if err != nil {
		panic(err)
	}
	return signed(entry{name: "meta.json", text: string(meta)}, entry{name: "state.bin", text: text})
}

// signed appends the right SHA256SUMS to files.
func signed(files ...entry) []entry {
	sums := ""
	for _, e := range files {
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(e.text)), e.name)
	}
	return append(files, entry{name: "SHA256SUMS", text: sums})
}

func pack(t testing.TB, files ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range files {
		head := &tar.Header{Name: e.name, Size: int64(len(e.text)), Mode: 0o600, Typeflag: e.kind}
		if e.kind == 0 {
			head.Typeflag = tar.TypeReg
		}
		if e.kind == tar.TypeSymlink {
			head.Linkname, head.Size = "/etc/passwd", 0
		}
		if err := w.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestOpenArchiveAccepts(t *testing.T) {
	good := goodEntries("hello")
	tests := []struct {
		name    string
		archive []byte
	}{
		{"by hand", zipped(t, pack(t, good...))},
		{"another order", zipped(t, pack(t, good[2], good[1], good[0]))},
		{"a record filled up", zipped(t, append(pack(t, good...), make([]byte, 10<<10)...))},
		{"sums without a last newline", zipped(t, pack(t, good[0], good[1],
			entry{name: "SHA256SUMS", text: strings.TrimSuffix(good[2].text, "\n")}))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := OpenArchive(bytes.NewReader(tt.archive), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if got := readState(t, a); string(got) != "hello" {
				t.Errorf("State: got %q, wanted %q", got, "hello")
			}
		})
	}
}

func TestOpenArchiveRefuses(t *testing.T) {
	good := goodEntries("hello")
	meta, state, sums := good[0], good[1], good[2]
	packed := pack(t, good...)
	whole := zipped(t, packed)
	metaLine, stateLine, _ := strings.Cut(sums.text, "\n")
	withSums := func(text string) []byte {
		return zipped(t, pack(t, meta, state, entry{name: "SHA256SUMS", text: text}))
	}
	shortMeta := entry{name: "meta.json", text: strings.Replace(meta.text, `"Size":5`, `"Size":4`, 1)}
	tests := []struct {
		name    string
		archive []byte
		want    string
	}{
		{"nothing", nil, "unexpected EOF"},
		{"no gzip", []byte("hello, here is no archive"), "gzip: invalid header"},
		{"no tar", zipped(t, bytes.Repeat([]byte("x"), 2048)), "archive/tar: invalid tar header"},
		{"empty tar", zipped(t, pack(t)), `file missing for "meta.json"`},
		{"no meta", zipped(t, pack(t, state, sums)), `file missing for "meta.json"`},
		{"no state", zipped(t, pack(t, meta, sums)), `file missing for "state.bin"`},
		{"no sums", zipped(t, pack(t, meta, state)), `file missing for "SHA256SUMS"`},
		{"second meta", zipped(t, pack(t, meta, meta, state, sums)), `unexpected second file "meta.json"`},
		{"second state", zipped(t, pack(t, meta, state, state, sums)), `unexpected second file "state.bin"`},
		{"second sums", zipped(t, pack(t, meta, state, sums, sums)), `unexpected second file "SHA256SUMS"`},
		{"second empty meta", zipped(t, pack(t, entry{name: "meta.json"}, meta, state, sums)), `unexpected second file "meta.json"`},
		{"other file", zipped(t, pack(t, append(good, entry{name: "x", text: "y"})...)), `unexpected file "x"`},
		{"other signed file", zipped(t, pack(t, signed(meta, state, entry{name: "x", text: "y"})...)), `unexpected file "x"`},
		{"path upwards", zipped(t, pack(t, meta, entry{name: "../state.bin", text: "hello"}, sums)), `unexpected file "../state.bin"`},
		{"path from the root", zipped(t, pack(t, meta, entry{name: "/state.bin", text: "hello"}, sums)), `unexpected file "/state.bin"`},
		{"path with a dot", zipped(t, pack(t, meta, entry{name: "./state.bin", text: "hello"}, sums)), `unexpected file "./state.bin"`},
		{"directory", zipped(t, pack(t, append(good, entry{name: "dir/", kind: tar.TypeDir})...)), `unexpected file "dir/"`},
		{"link", zipped(t, pack(t, meta, entry{name: "state.bin", kind: tar.TypeSymlink}, sums)), `unexpected file "state.bin"`},
		{"sparse", zipped(t, sparse(t)), `unexpected file "state.bin": it is sparse`},
		{"changed state", zipped(t, pack(t, meta, entry{name: "state.bin", text: "hullo"}, sums)), `hash check failed for "state.bin"`},
		{"changed meta", zipped(t, pack(t, shortMeta, state, sums)), `hash check failed for "meta.json"`},
		{"other size in meta", zipped(t, pack(t, signed(shortMeta, state)...)), "state.bin has 5 bytes instead of 4"},
		{"meta is no JSON", zipped(t, pack(t, signed(entry{name: "meta.json", text: "{"}, state)...)), "decode meta.json"},
		{"meta twice", zipped(t, pack(t, signed(entry{name: "meta.json", text: meta.text + meta.text}, state)...)), "decode meta.json"},
		{"oversized meta", zipped(t, pack(t, signed(entry{name: "meta.json", text: meta.text + strings.Repeat(" ", 1<<20)}, state)...)), "the limit is 1048576"},
		{"no line for the state", withSums(metaLine + "\n"), `hash missing for "state.bin"`},
		{"no lines", withSums(""), `hash missing for "meta.json"`},
		{"line for another file", withSums(sums.text + strings.Replace(stateLine, "state.bin", "x", 1)), `file missing for "x"`},
		{"second line for the state", withSums(sums.text + stateLine), `file missing for "state.bin"`},
		{"half a hash", withSums(metaLine + "\n" + stateLine[2:]), "no line of the form"},
		{"no hash", withSums("state.bin\n"), "no line of the form"},
		{"empty line", withSums("\n" + sums.text), "no line of the form"},
		{"tar without an end", zipped(t, packed[:len(packed)-1024]), "unexpected EOF"},
		{"tar with half an end", zipped(t, packed[:len(packed)-512]), "unexpected EOF"},
		{"tar cut in a file", zipped(t, packed[:512+10]), "unexpected EOF"},
		{"data after the tar", zipped(t, append(bytes.Clone(packed), "x"...)), "unexpected data after the last file"},
		{"files after the tar", zipped(t, append(bytes.Clone(packed), packed...)), "unexpected data after the last file"},
		{"endless zeros", zipped(t, append(bytes.Clone(packed), make([]byte, 2<<20)...)), "unexpected data after the last file"},
		{"data after the gzip", append(bytes.Clone(whole), 0), "unexpected data after the archive"},
		{"second gzip", append(bytes.Clone(whole), whole...), "unexpected data after the archive"},
		{"no gzip checksum", whole[:len(whole)-8], "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			a, err := OpenArchive(bytes.NewReader(tt.archive), dir)
			if err == nil {
				a.Close()
			}
			if api.KindOf(err) != api.Rejected || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (kind %v), wanted %q (kind %v)", err, api.KindOf(err), tt.want, api.Rejected)
			}
			wantEmpty(t, dir)
		})
	}
}

// sparse is a tar whose state.bin says that it is a gigabyte of nothing. The
// writer of tar refuses to make one, so a record of the same length becomes it.
func sparse(t testing.TB) []byte {
	t.Helper()
	good := goodEntries("hello")
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range good {
		head := &tar.Header{Name: e.name, Size: int64(len(e.text)), Mode: 0o600, Typeflag: tar.TypeReg}
		if e.name == "state.bin" {
			head.Size = 0
			head.PAXRecords = map[string]string{"XXX.aaaaaa.size": "1073741824", "XXX.aaaaaa.numblocks": "1", "XXX.aaaaaa.map": "0,0"}
		}
		if err := w.WriteHeader(head); err != nil {
			t.Fatal(err)
		}
		if head.Size > 0 {
			if _, err := io.WriteString(w, e.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(out.Bytes(), []byte("XXX.aaaaaa."), []byte("GNU.sparse."))
}

func TestOpenArchivePassesOnFaults(t *testing.T) {
	boom := errors.New("boom")
	whole := zipped(t, pack(t, goodEntries("hello")...))
	for n := range whole {
		dir := t.TempDir()
		_, err := OpenArchive(io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(boom)), dir)
		if !errors.Is(err, boom) {
			t.Fatalf("network fails after %d of %d bytes: got %v, wanted %v", n, len(whole), err, boom)
		}
		wantEmpty(t, dir)
	}
	_, err := OpenArchive(bytes.NewReader(whole), filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: got %v, wanted %v", err, os.ErrNotExist)
	}
}

func TestOpenArchiveFindsEveryDamage(t *testing.T) {
	state := randomState(100)
	whole := writeArchive(t, goodMeta(0), state)
	dir := t.TempDir()
	for n := range whole {
		if a, err := OpenArchive(bytes.NewReader(whole[:n]), dir); err == nil {
			a.Close()
			t.Errorf("cut off after %d of %d bytes: got no error", n, len(whole))
		}
	}
	// Some bits may be anything, such as the time in the header of gzip: what
	// counts is that nothing that is accepted differs.
	for bit := range 8 * len(whole) {
		damaged := bytes.Clone(whole)
		damaged[bit/8] ^= 1 << (bit % 8)
		a, err := OpenArchive(bytes.NewReader(damaged), dir)
		if err != nil {
			continue
		}
		if got := readState(t, a); !bytes.Equal(got, state) {
			t.Errorf("bit %d: got state %x without an error, wanted %x", bit, got, state)
		}
		if diff := cmp.Diff(goodMeta(int64(len(state))), a.Meta); diff != "" {
			t.Errorf("bit %d: got another Meta without an error (-wanted +got):\n%s", bit, diff)
		}
		a.Close()
	}
	wantEmpty(t, dir)
}

func FuzzOpenArchive(f *testing.F) {
	const text = "the state of the seeds"
	good := goodEntries(text)
	packed := pack(f, good...)
	whole := writeArchive(f, goodMeta(0), []byte(text))
	f.Add(whole, false)
	f.Add(whole[:len(whole)/2], false)
	f.Add(zipped(f, pack(f, good[2], good[1], good[0])), false)
	f.Add(packed, true)
	f.Add(append(bytes.Clone(packed), make([]byte, 512)...), true)
	f.Add(packed[:len(packed)-1024], true)
	f.Add(sparse(f), true)
	dir := f.TempDir()
	// Behind the checksum of gzip nothing would be reached: with inner, data is
	// the tar.
	f.Fuzz(func(t *testing.T, data []byte, inner bool) {
		if inner {
			data = zipped(t, data)
		}
		a, err := OpenArchive(bytes.NewReader(data), dir)
		defer wantEmpty(t, dir)
		if err != nil {
			if api.KindOf(err) != api.Rejected {
				t.Errorf("got %v of kind %v, wanted kind %v", err, api.KindOf(err), api.Rejected)
			}
			return
		}
		defer a.Close()
		if got := readState(t, a); string(got) != text {
			t.Errorf("got state %q without an error, wanted %q", got, text)
		}
		if diff := cmp.Diff(goodMeta(int64(len(text))), a.Meta); diff != "" {
			t.Errorf("got another Meta without an error (-wanted +got):\n%s", diff)
		}
	})
}
