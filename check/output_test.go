package check

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestTail(t *testing.T) {
	for _, c := range []struct {
		writes []string
		want   string
	}{
		{nil, ""},
		{[]string{"a", "b"}, "ab"},
		{[]string{"abcd"}, "abcd"},
		{[]string{"abcde"}, "Captured 4 of 5 bytes\n...\nbcde"},
		{[]string{"ab", "cd", "ef", "gh", "i"}, "Captured 4 of 9 bytes\n...\nfghi"},
		{[]string{"abc", "0123456789"}, "Captured 4 of 13 bytes\n...\n6789"},
		{[]string{"0123456789", "a"}, "Captured 4 of 11 bytes\n...\n789a"},
	} {
		out := &tail{limit: 4}
		for _, w := range c.writes {
			if n, err := out.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("write %q: got %d, %v", w, n, err)
			}
			if cap(out.buf) > 16 {
				t.Errorf("%q: the buffer has grown to %d bytes, limit 4", c.writes, cap(out.buf))
			}
		}
		if diff := gocmp.Diff(c.want, out.report()); diff != "" {
			t.Errorf("%q (-want +got)\n%s", c.writes, diff)
		}
	}
}

func TestTailReads(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		from io.Reader
		n    int64
		want string
		err  error
	}{
		{strings.NewReader(""), 0, "", nil},
		{strings.NewReader("abcd"), 4, "abcd", nil},
		{strings.NewReader(strings.Repeat("x", 5000) + "end"), 5003, "Captured 4 of 5003 bytes\n...\nxend", nil},
		{iotest.DataErrReader(strings.NewReader("abc")), 3, "abc", nil},
		{io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), 2, "ab", broken},
	} {
		out := &tail{limit: 4}
		n, err := out.ReadFrom(c.from)
		if n != c.n || err != c.err || out.report() != c.want {
			t.Errorf("got %d, %v, %q; want %d, %v, %q", n, err, out.report(), c.n, c.err, c.want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"", ""},
		{"abcd", "abcd"},
		{"abcde", "abcd ... (captured 4 of 5 bytes)"},
		{"abcé", "abc\uFFFD ... (captured 4 of 5 bytes)"},
		{"a\xff", "a\uFFFD"},
	} {
		if diff := gocmp.Diff(c.want, clip(c.given, 4)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", c.given, diff)
		}
	}
	if got, want := clip(strings.Repeat("x", 5000), 4096), strings.Repeat("x", 4096)+" ... (captured 4096 of 5000 bytes)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
