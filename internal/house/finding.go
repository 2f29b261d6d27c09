package house

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Finding is one breach of a rule.
type Finding struct {
	Where string // path, path:line or path:name
	Found string // what is there
	Do    string // what to do about it
}

func (f Finding) String() string { return f.Where + ": " + f.Found + ". " + f.Do + "." }

// Rule names a rule that has a number as its limit, as it is written in
// allow.txt.
type Rule string

// The rules with a number.
const (
	FileLines    Rule = "file-lines"
	FuncLines    Rule = "func-lines"
	StructFields Rule = "struct-fields"
	DocLines     Rule = "doc-lines"
	TestSleeps   Rule = "test-sleeps"
	TestSkips    Rule = "test-skips"
)

type limit struct {
	max  int
	unit string
	do   string
}

var limits = map[Rule]limit{
	FileLines:    {600, "lines", "Look for the second subject in it and give that a file of its own"},
	FuncLines:    {80, "lines", "Name its steps and make them functions"},
	StructFields: {15, "fields", "Group the fields that change together into a struct of their own"},
	DocLines:     {60, "lines", "Keep doc.go to what a newcomer must know; the rest belongs beside the code"},
	TestSleeps:   {0, "calls of time.Sleep", "Wait for the thing itself: a channel, a blocking query, a synctest bubble"},
	TestSkips:    {0, "calls that skip the test", "Make the test run everywhere, smaller under testing.Short, or delete it"},
}

// Measure is the number that one file, function or struct has under a rule.
type Measure struct {
	Rule  Rule
	Where string // path for a file, path:Name for what is in it
	Value int
}

// Grant is one line of allow.txt: a higher limit for one place.
type Grant struct {
	Rule   Rule
	Where  string
	Limit  int
	Reason string
	Line   int
}

// ParseGrants reads allow.txt: lines of "rule where limit # reason"; empty
// lines and lines that begin with # say nothing. Every grant needs a reason.
func ParseGrants(text []byte) ([]Grant, error) {
	var out []Grant
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		body, reason, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(body)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("allow.txt:%d: %q: want: rule where limit # reason", n, lines.Text())
		}
		g := Grant{Rule: Rule(words[0]), Where: words[1], Reason: strings.TrimSpace(reason), Line: n}
		if _, ok := limits[g.Rule]; !ok {
			return nil, fmt.Errorf("allow.txt:%d: unknown rule %q", n, g.Rule)
		}
		var err error
		if g.Limit, err = strconv.Atoi(words[2]); err != nil {
			return nil, fmt.Errorf("allow.txt:%d: limit: %w", n, err)
		}
		if g.Reason == "" {
			return nil, fmt.Errorf("allow.txt:%d: %s %s has no reason", n, g.Rule, g.Where)
		}
		out = append(out, g)
	}
	return out, lines.Err()
}

// Judge compares measures with the limits and the grants. It finds what is
// over its limit, and grants that nothing needs any more. Measures of the
// same rule and place count as the largest of them.
func Judge(measures []Measure, grants []Grant) []Finding {
	type key struct {
		rule  Rule
		where string
	}
	granted := map[key]Grant{}
	for _, g := range grants {
		granted[key{g.Rule, g.Where}] = g
	}
	var out []Finding
	needed := map[key]bool{}
	for _, m := range measures {
		l, k := limits[m.Rule], key{m.Rule, m.Where}
		if m.Value <= l.max {
			continue
		}
		g, ok := granted[k]
		needed[k] = true
		if ok && m.Value <= g.Limit {
			continue
		}
		found := fmt.Sprintf("%d %s, the limit is %d", m.Value, l.unit, l.max)
		if ok {
			found = fmt.Sprintf("%d %s, allow.txt:%d grants %d", m.Value, l.unit, g.Line, g.Limit)
		}
		do := fmt.Sprintf("%s. If there is a good reason against it, add to internal/house/allow.txt: %s %s %d # the reason",
			l.do, m.Rule, m.Where, m.Value)
		out = append(out, Finding{Where: m.Where, Found: found, Do: do})
	}
	for _, g := range grants {
		if needed[key{g.Rule, g.Where}] {
			continue
		}
		out = append(out, Finding{
			Where: fmt.Sprintf("internal/house/allow.txt:%d", g.Line),
			Found: fmt.Sprintf("%s %s keeps to the limit of %d, or is gone", g.Rule, g.Where, limits[g.Rule].max),
			Do:    "Delete the line",
		})
	}
	return out
}
