package state

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the plays answer into testdata")

// TestPlays runs testdata/*.txt. A play is a head of prose in lines that begin
// with #, then blocks: commands and queries, a line of four dashes, what they
// answer, an empty line. Lines that are indented belong to the txn above them.
//
//   - A command answers its value and its index, then which watches it woke and
//     the indexes that their queries have now.
//   - A query answers its rows with the indexes that they carry, then its own
//     index, and whether what it asked for is missing.
//   - "now +15s" moves the clock, "watch NAME query" keeps an eye on a query,
//     "snapshot" writes the state down, "restore [floor=N]" takes it back.
func TestPlays(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no plays: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := perform(string(want))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s: the play (-) and what was answered (+):\n%s", file, diff)
			}
		})
	}
}

// perform runs a play and returns it with the answers that were given.
func perform(text string) (string, error) {
	s := newStage()
	var out strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if l != "----" {
			out.WriteString(l + "\n")
			if l == "" || strings.HasPrefix(l, "#") {
				continue
			}
			s.block = append(s.block, l)
			continue
		}
		answers, err := s.play()
		if err != nil {
			return "", fmt.Errorf("block that ends in line %d: %w", i+1, err)
		}
		out.WriteString("----\n")
		for _, a := range answers {
			out.WriteString(a + "\n")
		}
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
		}
	}
	if len(s.block) > 0 {
		return "", fmt.Errorf("commands without ---- at the end: %q", s.block)
	}
	return strings.TrimRight(out.String(), "\n") + "\n", nil
}

// stage is where a play happens.
type stage struct {
	store   *Store
	now     time.Time
	index   uint64
	watches []*watcher
	kept    []byte // snapshot
	block   []string
}

// watcher keeps an eye on a query.
type watcher struct {
	name  string
	query words
	index uint64
	watch Watch
}

func newStage() *stage { return &stage{store: NewStore(), now: time.Unix(1_000_000_000, 0).UTC()} }

// play runs the lines of a block and returns what they answer.
func (s *stage) play() ([]string, error) {
	lines := s.block
	s.block = nil
	var out []string
	for len(lines) > 0 {
		l := lines[0]
		n := 1
		for n < len(lines) && strings.HasPrefix(lines[n], " ") {
			n++
		}
		answer, err := s.line(l, lines[1:n])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", l, err)
		}
		out = append(out, answer...)
		lines = lines[n:]
	}
	return out, nil
}

func (s *stage) line(l string, below []string) ([]string, error) {
	if rest, ok := strings.CutPrefix(l, "watch "); ok {
		name, q, _ := strings.Cut(rest, " ")
		return s.watch(name, q)
	}
	if rest, ok := strings.CutPrefix(l, "now "); ok {
		d, err := time.ParseDuration(rest)
		s.now = s.now.Add(d)
		return nil, err
	}
	w, err := parseWords(l)
	if err != nil {
		return nil, err
	}
	switch w.verb {
	case "snapshot":
		var b bytes.Buffer
		snap := s.store.Snapshot()
		_, err := snap.WriteTo(&b)
		s.kept = b.Bytes()
		return []string{fmt.Sprintf("kept index=%d", snap.Index())}, err
	case "restore":
		return s.restore(w)
	}
	v := s.store.View()
	if rows, ok := query(v, w); ok {
		return append(rows, showIndex(v)), nil
	}
	return s.apply(w, below)
}

// showIndex tells the index of a query.
func showIndex(v *View) string {
	if v.Missing() {
		return fmt.Sprintf("missing index=%d", v.Index())
	}
	return fmt.Sprintf("index=%d", v.Index())
}

func (s *stage) watch(name, text string) ([]string, error) {
	q, err := parseWords(text)
	if err != nil {
		return nil, err
	}
	v := s.store.View()
	if _, ok := query(v, q); !ok {
		return nil, fmt.Errorf("%q is no query", text)
	}
	s.watches = append(s.watches, &watcher{name, q, v.Index(), v.Watch()})
	return nil, nil
}

func (s *stage) restore(w words) ([]string, error) {
	r := bytes.NewReader(s.kept)
	if !w.has("floor") {
		err := s.store.Restore(r)
		s.index = s.store.Index()
		return []string{line(fmt.Sprintf("restored index=%d", s.index), s.woken())}, err
	}
	raised, err := RaiseFloor(r, w.number("floor"))
	if err != nil {
		return nil, err
	}
	err = s.store.Restore(raised)
	s.index = w.number("floor")
	return []string{line(fmt.Sprintf("restored index=%d", s.store.Index()), s.woken())}, err
}

func (s *stage) apply(w words, below []string) ([]string, error) {
	var ops []words
	for _, l := range below {
		op, err := parseWords(l)
		if err != nil {
			return nil, err
		}
		ops = append(ops, op)
	}
	c, err := command(w, ops, s.now)
	if err != nil {
		return nil, err
	}
	s.index++
	e := Entry{Index: s.index, Now: s.now, Command: c}
	if c != nil {
		b, err := Encode(c, s.now)
		if err != nil {
			return nil, err
		}
		if e, err = Decode(b, s.index); err != nil {
			return nil, err
		}
	}
	out := showOutcome(s.store.Apply([]Entry{e})[0])
	out[0] = line(out[0], fmt.Sprintf("index=%d", s.index), s.woken())
	return out, nil
}

// woken tells which watches fired, with the indexes of their queries then and
// now, and sets them up again. A watch that fires although the index is the
// same woke for nothing.
func (s *stage) woken() string {
	var out []string
	for _, w := range s.watches {
		if !w.watch.Fired() {
			continue
		}
		v := s.store.View()
		query(v, w.query)
		if v.Index() == w.index {
			out = append(out, w.name+" for nothing")
		} else {
			out = append(out, fmt.Sprintf("%s %d→%d", w.name, w.index, v.Index()))
		}
		w.index, w.watch = v.Index(), v.Watch()
	}
	if out == nil {
		return ""
	}
	slices.Sort(out)
	return "woke: " + strings.Join(out, ", ")
}
