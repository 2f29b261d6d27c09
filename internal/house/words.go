package house

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// place is a pattern for a path that exists where the software was written
// and nowhere else. The brackets keep a pattern from matching itself.
type place struct {
	pattern *regexp.Regexp
	except  string // beginning of the files that may speak of it; empty: none
}

var places = []place{
	{regexp.MustCompile(`(^|[^A-Za-z0-9_./-])/[w]ork/`), ""},
	{regexp.MustCompile(`/tmp/[b]rief`), ""},
	{regexp.MustCompile(`\.\./[s]hared`), ".ci/"},
}

// Places finds lines that speak of the machine where the software is written
// instead of the software.
func Places(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		for _, p := range places {
			if p.except != "" && strings.HasPrefix(f.Path, p.except) || !p.pattern.Match(f.Text) {
				continue
			}
			for i, line := range bytes.Split(f.Text, []byte("\n")) {
				if hit := p.pattern.Find(line); hit != nil {
					out = append(out, Finding{fmt.Sprintf("%s:%d", f.Path, i+1),
						fmt.Sprintf("%q is a path of one machine", bytes.TrimSpace(hit)), "Say it without the path, or make it relative to the repository"})
				}
			}
		}
	}
	return out
}
