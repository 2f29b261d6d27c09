package realtest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// guide is a page of the documentation whose commands are run, all of them in the
// order of the page, in one shell and an empty directory:
//
//   - fenced blocks of sh, which must succeed; where a line begins with "! " the
//     command must fail;
//   - indented lines that begin with "$ ", whose output must be what follows them;
//   - fenced blocks of text are for after to find: messages that the page shows;
//   - fenced blocks of hcl are put into the directory settings, and must be valid.
//
// Addresses of the loopback network that the page names are replaced by others,
// that no other test uses.
type guide struct {
	// edits are old and new texts in turn: what a test cannot do as the page
	// says. Each must be there.
	edits []string
	// before are commands that run before the first block with a text.
	before map[string]string
	// flags are given to every agent, to make it faster.
	flags []string
	// most is how long the whole may take.
	most time.Duration
	// long are headings of sections that take long: with -short they are left out.
	long []string
	// after looks at the end state.
	after func(*walk)
}

// step is a block of a page: commands, and what they print (nil: anything).
type step struct {
	script string
	prints []string
}

// steps finds the blocks of a page, and the messages that it shows.
func steps(text string) (out []step, shown []string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "    $ ") {
			s, rest := session(lines[i:])
			out = append(out, s)
			i = len(lines) - len(rest) - 1
			continue
		}
		language, isFence := strings.CutPrefix(lines[i], "```")
		if !isFence {
			continue
		}
		body := lines[i+1:][:slices.Index(lines[i+1:], "```")]
		i += len(body) + 1
		switch language {
		case "sh":
			out = append(out, step{script: strings.Join(body, "\n")})
		case "hcl":
			out = append(out, step{script: fmt.Sprintf(validate, len(out), strings.Join(body, "\n"))})
		case "text":
			for _, line := range body {
				shown = append(shown, "…"+line+"…")
			}
		}
	}
	return out, shown
}

// validate puts settings into a file with a number.
const validate = `mkdir -p settings
echo 'data_dir = "data" bind_addr = "127.0.0.1"' >settings/all.hcl
cat >settings/%d.hcl <<'END'
%s
END
curia validate settings`

// session takes a command and what it prints from the beginning of lines.
func session(lines []string) (s step, rest []string) {
	s.script = strings.TrimPrefix(lines[0], "    $ ")
	lines = lines[1:]
	for strings.Count(s.script, "'")%2 == 1 || strings.HasSuffix(s.script, "\\") {
		s.script += "\n" + strings.TrimPrefix(lines[0], "    ")
		lines = lines[1:]
	}
	for len(lines) > 0 && (lines[0] == "" || strings.HasPrefix(lines[0], "    ")) && !strings.HasPrefix(lines[0], "    $ ") {
		if line := strings.TrimSpace(lines[0]); line != "" {
			s.prints = append(s.prints, line)
		}
		lines = lines[1:]
	}
	return s, lines
}

// loopback are the addresses that a page may name, but for 127.0.0.1.
var loopback = regexp.MustCompile(`127\.0\.[1-9]\.`)

// read gives the page with its edits.
func (g guide) read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + file)
	check(t, err)
	text := string(b)
	for i := 0; i < len(g.edits); i += 2 {
		if !strings.Contains(text, g.edits[i]) {
			t.Errorf("%s has no %q any more, which the test replaces", file, g.edits[i])
		}
		text = strings.ReplaceAll(text, g.edits[i], g.edits[i+1])
	}
	for _, heading := range g.long {
		before, rest, found := strings.Cut(text, "\n## "+heading+"\n")
		if !found {
			t.Errorf("%s has no section %q any more, which -short leaves out", file, heading)
		}
		if _, next, _ := strings.Cut(rest, "\n## "); testing.Short() {
			text = before + "\n## " + next
		}
	}
	return text
}

// walk is a guide that is run.
type walk struct {
	*testing.T
	dir   string   // where its commands run
	block string   // of its addresses, up to the last dot
	shown []string // messages that the page shows

	commands io.Writer
	deadline <-chan time.Time
	ended    chan struct{} // closed when the shell is gone

	mu     sync.Mutex
	output []byte
	grew   chan struct{} // closed when there is more

	known map[string]string // indexes and IDs of the page → those of this run
}

// prelude makes a shell stop at failures, also where one is missing, and curl
// print whole lines.
const prelude = `set -eux
trap 'kill -9 $(jobs -p) 2>/dev/null' EXIT
curl() {
  case " $* " in *" -N "*) command curl -sS "$@"; return; esac
  local out
  out=$(command curl -sS "$@")
  printf '%s\n' "$out"
}
refused() { if "$@"; then echo "not refused: $*"; exit 1; fi; }
`

// follow runs the guide that is a file.
func (g guide) follow(t *testing.T, file string) {
	t.Parallel()
	text := g.read(t, file)
	w := &walk{T: t, dir: t.TempDir(), block: freeBlock(t), grew: make(chan struct{}), ended: make(chan struct{}), known: map[string]string{}}
	w.shell(g)
	w.deadline = time.After(g.most)
	steps, shown := steps(text)
	w.shown = shown
	if len(steps) == 0 {
		t.Fatalf("%s has no commands", file)
	}
	before := maps.Clone(g.before)
	for n, s := range steps {
		for with, script := range before {
			if strings.Contains(s.script, with) {
				w.run(step{script: script}, fmt.Sprintf("before %d", n))
				delete(before, with)
			}
		}
		w.run(s, fmt.Sprint(n))
	}
	for with := range before {
		t.Errorf("%s has no commands with %q any more", file, with)
	}
	if g.after != nil {
		g.after(w)
	}
}

// shell starts the shell, and ends it and all that it has started with the test.
func (w *walk) shell(g guide) {
	bin := w.TempDir()
	script := "#!/bin/sh\nif [ \"$1\" = agent ]; then shift; exec " + program + " agent \"$@\" " + strings.Join(g.flags, " ") + "; fi\nexec " + program + " \"$@\"\n"
	check(w.T, os.WriteFile(filepath.Join(bin, "curia"), []byte(script), 0o755))
	self, err := os.Executable()
	check(w.T, err)
	repository, err := filepath.Abs("../..")
	check(w.T, err)
	check(w.T, os.Symlink(self, filepath.Join(bin, "dig")))
	cmd := exec.Command("timeout", "-s", "KILL", fmt.Sprint((g.most + time.Minute).Seconds()), "bash", "-s") // even if this process dies
	cmd.Dir = w.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "CURIA_") || strings.HasPrefix(v, "CONSUL_") }),
		"PATH="+bin+":"+os.Getenv("PATH"), "REPOSITORY="+repository)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	commands, err := cmd.StdinPipe()
	check(w.T, err)
	r, out, err := os.Pipe()
	check(w.T, err)
	cmd.Stdout, cmd.Stderr = out, out
	check(w.T, cmd.Start())
	_ = out.Close()
	var all sync.WaitGroup
	all.Go(func() { _, _ = io.Copy(w, r) })
	all.Go(func() { _ = cmd.Wait(); close(w.ended) })
	w.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		all.Wait()
		_ = r.Close()
		if w.Failed() {
			w.Logf("what the commands printed:\n%s", tail(w.printed(0), 200))
		}
	})
	w.commands = commands
	w.send(prelude)
}

func (w *walk) send(text string) {
	if _, err := io.WriteString(w.commands, text); err != nil {
		w.Logf("the shell takes no commands: %v", err) // run finds that it has ended
	}
}

// Write takes what the shell prints.
func (w *walk) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.output = append(w.output, p...)
	close(w.grew)
	w.grew = make(chan struct{})
	return len(p), nil
}

// printed is what was printed since a place.
func (w *walk) printed(from int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.output[from:])
}

// run carries out a step and waits until it is done, and for what it has to print:
// commands in the background may do so later.
func (w *walk) run(s step, name string) {
	w.Helper()
	script := strings.ReplaceAll("\n"+w.now(s.script), "\n! ", "\nrefused ")
	mark := "done: " + name
	from, began := len(w.printed(0)), time.Now()
	w.send("{" + script + "\n} </dev/null\n{ echo; echo '" + mark + "'; } 2>/dev/null\n")
	for {
		w.mu.Lock()
		grew := w.grew
		w.mu.Unlock()
		text := w.printed(from)
		missing := w.missing(s.prints, text)
		if missing == "" && strings.Contains(text, "\n"+mark+"\n") {
			if took := time.Since(began); took > 3*time.Second {
				w.Logf("%.1f s: %s", took.Seconds(), s.script)
			}
			return
		}
		select {
		case <-grew:
		case <-w.ended:
			w.Fatalf("the shell ended in\n%s", s.script)
		case <-w.deadline:
			w.Fatalf("too late in\n%s\nIt printed\n%s\nmissing is %q", s.script, text, missing)
		}
	}
}

// Texts of a page that are others in each run.
var (
	shortID  = regexp.MustCompile(`\b[0-9a-f]{8}-…`)
	anIndex  = regexp.MustCompile(`(Index":|^id: )(\d+)`)
	askIndex = regexp.MustCompile(`\bindex=(\d+)`)
)

// missing gives the first line that a text does not have, or "" and remembers what
// the indexes and IDs of the page are in this run.
func (w *walk) missing(lines []string, text string) string {
	for _, line := range lines {
		var names []string
		pattern := loopback.ReplaceAllLiteralString(line, w.block)
		pattern = shortID.ReplaceAllStringFunc(pattern, func(id string) string { names = append(names, id); return "\x01" })
		pattern = anIndex.ReplaceAllStringFunc(pattern, func(index string) string {
			parts := anIndex.FindStringSubmatch(index)
			names = append(names, parts[2])
			return parts[1] + "\x02"
		})
		pattern = regexp.QuoteMeta(pattern)
		pattern = strings.NewReplacer("\x01", "([0-9a-f-]{36})", "\x02", `(\d+)`, "…", ".*").Replace(pattern)
		pattern = regexp.MustCompile(` +`).ReplaceAllString(pattern, " +")
		found := regexp.MustCompile(`(?m)^\s*` + pattern + `\s*$`).FindStringSubmatch(text)
		if found == nil {
			return line
		}
		for i, name := range names {
			w.known[name] = found[i+1]
		}
	}
	return ""
}

// now puts the addresses, indexes and IDs of this run in the place of those of
// the page.
func (w *walk) now(script string) string {
	script = loopback.ReplaceAllLiteralString(script, w.block)
	script = shortID.ReplaceAllStringFunc(script, func(id string) string { return w.known[id] })
	return askIndex.ReplaceAllStringFunc(script, func(text string) string {
		index := strings.TrimPrefix(text, "index=")
		return "index=" + cmp.Or(w.known[index], index)
	})
}
