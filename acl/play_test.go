package acl

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the plays answer into testdata")

// TestPlays runs testdata/*.txt. A play is blocks of lines, a line of four
// dashes, what they answer, an empty line; lines with # are prose. Indented
// lines belong to the line above them.
//
//   - "policy NAME [legacy]" reads the indented rules and answers them.
//   - "holder [default=allow] [keylist] NAME…" makes an authorizer of policies.
//   - "can NEED…" asks it: key:write, then names; "key:write*" asks for trees.
//   - "translate" rewrites the indented rules; "same" compares two holders.
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
			got := perform(string(want))
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

// stage is where a play happens.
type stage struct {
	policies map[string]*Policy
	who      Authorizer
	before   Authorizer
}

func perform(text string) string {
	s := &stage{policies: map[string]*Policy{}, who: DenyAll{}}
	var out strings.Builder
	var block []string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if l != "----" {
			out.WriteString(l + "\n")
			if l != "" && !strings.HasPrefix(l, "#") {
				block = append(block, l)
			}
			continue
		}
		out.WriteString("----\n")
		for len(block) > 0 {
			n := 1
			for n < len(block) && strings.HasPrefix(block[n], "  ") {
				n++
			}
			if a := s.act(strings.Fields(block[0]), strings.Join(block[1:n], "\n")); a != "" {
				out.WriteString(a + "\n")
			}
			block = block[n:]
		}
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
		}
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

// act carries out one line.
func (s *stage) act(words []string, text string) string {
	switch verb, args := words[0], words[1:]; verb {
	case "policy":
		syntax := Exact
		if len(args) > 1 && args[1] == "legacy" {
			syntax = Legacy
		}
		p, err := Parse(text, syntax)
		if err != nil {
			return "error: " + err.Error()
		}
		s.policies[args[0]] = p
		var lines []string
		for _, r := range p.Rules {
			lines = append(lines, r.String())
		}
		return strings.Join(lines, "; ")
	case "holder":
		o := Options{Default: DenyAll{}}
		var all []*Policy
		for _, a := range args {
			switch a {
			case "default=allow":
				o.Default = AllowAll{}
			case "keylist":
				o.KeyList = true
			default:
				all = append(all, s.policies[a])
			}
		}
		s.before, s.who = s.who, Compile(o, all...)
	case "can":
		return s.can(args)
	case "same":
		return fmt.Sprint(s.before.ID() == s.who.ID())
	case "translate":
		got, err := Translate(text)
		if err != nil {
			return "error: " + err.Error()
		}
		return strings.TrimSuffix(got, "\n")
	default:
		return "unknown word " + verb
	}
	return ""
}

// can asks for an access to several names; one of "" stands for the empty name.
func (s *stage) can(args []string) string {
	what, tree := strings.CutSuffix(args[0], "*")
	resource, access, _ := strings.Cut(what, ":")
	names := args[1:]
	if len(names) == 0 {
		names = []string{`""`}
	}
	var out []string
	for _, name := range names {
		if name == `""` {
			name = ""
		}
		answer := "no"
		if s.who.Allows(Need{Resource: Resource(resource), Access: Access(access), Name: name, Prefix: tree}) {
			answer = "yes"
		}
		out = append(out, answer)
	}
	return args[0] + ": " + strings.Join(out, " ")
}
