package acl

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asks are names that the fuzzed and the random rules are held against.
var asks = []string{"", "a", "ab", "a/", "a/b", "a/b/c", "b", "app", "app/x", "\xff"}

// naive answers as the documentation says it, by looking at every rule.
func naive(rules []Rule, n Need, byDefault bool) bool {
	answer := func(name string, tree bool) bool {
		var best *Rule
		for i := range rules {
			r := &rules[i]
			switch {
			case r.Resource != n.Resource || !r.Prefix && (r.Name != name || tree) || r.Prefix && !strings.HasPrefix(name, r.Name):
			case best == nil, !r.Prefix && best.Prefix, r.Prefix == best.Prefix && len(r.Name) > len(best.Name):
				best = r
			case r.Prefix == best.Prefix && len(r.Name) == len(best.Name):
				both := *best
				both.Access = merge(levels[best.Access], levels[r.Access]).access()
				best = &both
			}
		}
		if best == nil {
			return byDefault
		}
		return levels[best.Access].grants(n.Access)
	}
	if !n.Prefix {
		return answer(n.Name, false)
	}
	if !answer(n.Name, true) {
		return false
	}
	for _, r := range rules {
		if r.Resource == n.Resource && strings.HasPrefix(r.Name, n.Name) && !answer(r.Name, r.Prefix) {
			return false
		}
	}
	return true
}

// TestRandomRules holds authorizers against a reading of all rules.
func TestRandomRules(t *testing.T) {
	letters := []string{"a", "b", "/", "app", "\xff"}
	name := func(r *rand.Rand) string {
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteString(letters[r.IntN(len(letters))])
		}
		return b.String()
	}
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		var rules []Rule
		for range r.IntN(12) {
			rules = append(rules, Rule{Resource: Key, Name: name(r), Prefix: r.IntN(2) == 0, Access: []Access{Deny, Read, Write}[r.IntN(3)]})
		}
		o := Options{Default: DenyAll{}, KeyList: true}
		if r.IntN(2) == 0 {
			o.Default = AllowAll{}
		}
		a := Compile(o, &Policy{Rules: rules})
		for range 60 {
			n := Need{Resource: Key, Access: []Access{Read, Write}[r.IntN(2)], Name: name(r), Prefix: r.IntN(2) == 0}
			if got, want := a.Allows(n), naive(rules, n, All(o.Default)); got != want {
				t.Fatalf("seed %d: rules %v, default %s: %v (prefix %t): got %t, want %t", seed, rules, o.Default.ID(), n, n.Prefix, got, want)
			}
		}
	}
}

// FuzzParse wants no panic, and that rules survive being written and read.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`key "" { policy = "read" }`, `key_prefix "a/" { policy = "write" } operator = "read"`,
		`{"service":[{"web":{"policy":"read","intentions":"write"}}]}`, `key "" { policy = `, "key \"a\" { policy = <<E\nread\nE\n}",
		`a = [[{`, `{"key":{"a":{}}}`, "# nothing", "\xef\xbb\xbf{}",
	} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, legacy bool) {
		syntax := Exact
		if legacy {
			syntax = Legacy
		}
		p, err := Parse(text, syntax)
		if err != nil {
			if strings.ContainsAny(err.Error()[:1], " \n") || err.Error() == "" {
				t.Errorf("Parse(%q): an error without a text: %q", text, err)
			}
			return
		}
		a := Compile(Options{Default: DenyAll{}}, p)
		for _, name := range asks {
			a.Allows(Need{Resource: Key, Access: Write, Name: name, Prefix: legacy})
		}
		if strings.Contains(p.String(), "${") || strings.ContainsRune(p.String(), '\\') || strings.Contains(p.String(), "intentions") {
			return
		}
		again, err := Parse(p.String(), Exact)
		if err != nil {
			t.Fatalf("Parse(%q) was written as %q, which is refused: %v", text, p.String(), err)
		}
		if diff := cmp.Diff(p, again); diff != "" {
			t.Errorf("Parse(%q) was written as %q and read as (-want +got)\n%s", text, p.String(), diff)
		}
	})
}

// TestTemplates wants every template to be rules, and names to stay names.
func TestTemplates(t *testing.T) {
	for _, tmpl := range Templates() {
		text, err := tmpl.Text("web-1")
		if err != nil {
			t.Errorf("%s: %v", tmpl.Name, err)
		}
		if _, err := Parse(text, Exact); err != nil {
			t.Errorf("%s: %v", tmpl.Name, err)
		}
		if got := FindTemplate(tmpl.Name); got != tmpl {
			t.Errorf("FindTemplate(%q): got %v", tmpl.Name, got)
		}
	}
	for _, name := range []string{"", `a"`, "a b", "a\n", "${x}", strings.Repeat("a", 257)} {
		if text, err := ServiceTemplate.Text(name); err == nil {
			t.Errorf("service template with name %q: got %q, want an error", name, text)
		}
	}
}

// TestRefusal is the documented text of a 403.
func TestRefusal(t *testing.T) {
	n := Need{Resource: Key, Access: Read, Name: "foo"}
	for _, c := range []struct {
		who  Authorizer
		want string
	}{
		{DenyAll{}, `Permission denied: token lacks permission 'key:read' on "foo"`},
		{&Holder{DenyAll{}, "x"}, `Permission denied: token with AccessorID 'x' lacks permission 'key:read' on "foo"`},
		{&Holder{DenyAll{}, Anonymous}, `Permission denied: anonymous token lacks permission 'key:read' on "foo". ` +
			`The anonymous token is used implicitly when a request does not specify a token.`},
	} {
		if got := Refusal(c.who, n); got != c.want {
			t.Errorf("Refusal: got  %s\nwant %s", got, c.want)
		}
	}
}

func big(n int) Authorizer {
	p := &Policy{}
	for i := range n {
		p.Rules = append(p.Rules, Rule{Key, fmt.Sprintf("app/%d/", i), true, Write}, Rule{Key, fmt.Sprintf("app/%d/x", i), false, Read})
	}
	return Compile(Options{Default: DenyAll{}}, p)
}

// TestAllowsAllocatesNothing because it is asked for every row of a list.
func TestAllowsAllocatesNothing(t *testing.T) {
	a := &Holder{big(1000), "x"}
	if n := testing.AllocsPerRun(100, func() { a.Allows(Need{Resource: Key, Access: Write, Name: "app/500/some/key"}) }); n != 0 {
		t.Errorf("Allows: got %v allocations, want 0", n)
	}
}

func BenchmarkAllows(b *testing.B) {
	for _, rules := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint(rules), func(b *testing.B) {
			a := Authorizer(&Holder{big(rules), "x"})
			b.ReportAllocs()
			for b.Loop() {
				a.Allows(Need{Resource: Key, Access: Write, Name: "app/5/some/key"})
			}
		})
	}
}

// TestNeedCheck wants the words of the rule language, and no others.
func TestNeedCheck(t *testing.T) {
	for _, r := range []Resource{Key, Node, Service, Session, Agent, Operator, ACL, Query, Event, Keyring, Mesh, Peering, Intention} {
		for _, a := range []Access{Read, Write} {
			if err := (Need{Resource: r, Access: a}).Check(); err != nil {
				t.Errorf("%s:%s: got %v, want none", r, a, err)
			}
		}
	}
	for _, c := range []struct {
		need Need
		want string
	}{
		{Need{Resource: Key, Access: List}, ""},
		{Need{Resource: Node, Access: List}, `unknown access "list" to the resource node`},
		{Need{Resource: Key, Access: Deny}, `unknown access "deny"`},
		{Need{Resource: Key}, `unknown access ""`},
		{Need{Access: Read}, `unknown resource ""`},
		{Need{Resource: "key_prefix", Access: Read}, `unknown resource "key_prefix"`},
	} {
		if err := c.need.Check(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.need, err, c.want)
		}
	}
}
