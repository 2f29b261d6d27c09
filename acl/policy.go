package acl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Syntax is a generation of the rule language.
type Syntax uint8

const (
	// Exact has a word for a name ("key") and another for a prefix ("key_prefix").
	Exact Syntax = iota
	// Legacy has prefixes only, under the word without an ending. Names of
	// resources that it does not know are passed over.
	Legacy
)

// Rule gives an access to what a selector selects.
type Rule struct {
	Resource Resource
	// Name selects, together with Prefix; both are zero for resources without names.
	Name   string
	Prefix bool
	Access Access // Deny, Read, List or Write
}

// String gives the rule as a line: key "foo" write, or key "foo/"* read.
func (r Rule) String() string {
	s := string(r.Resource)
	if !r.Resource.whole() {
		s += " " + strconv.Quote(r.Name)
		if r.Prefix {
			s += "*"
		}
	}
	return s + " " + string(r.Access)
}

// Policy is a set of rules. It is immutable.
type Policy struct{ Rules []Rule }

// whole reports whether rules speak of the resource as a whole, without names.
func (r Resource) whole() bool {
	switch r {
	case ACL, Keyring, Operator, Mesh, Peering:
		return true
	}
	return false
}

// named are the resources whose rules have names.
var named = []Resource{Agent, Event, Key, Node, Query, Service, Session}

// wholes are the resources whose rules have none.
var wholes = []Resource{ACL, Keyring, Mesh, Operator, Peering}

// badRules is the documented beginning of an error about rules as a whole.
const badRules = "Failed to parse ACL rules"

// Parse reads rules, in HCL or JSON. Errors name the line and the field.
func Parse(text string, syntax Syntax) (*Policy, error) {
	doc, err := document(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", badRules, err)
	}
	p := &Policy{}
	for _, e := range doc {
		if err := p.add(e, syntax); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// add reads the rules of one name at the top of a document.
func (p *Policy) add(e entry, syntax Syntax) error {
	word, prefix := strings.CutSuffix(e.name, "_prefix")
	r := Resource(word)
	switch {
	case slices.Contains(wholes, r) && !prefix:
		if !e.isWord {
			return invalid(r, e, "a word is wanted, such as %s = \"read\"", r)
		}
		if e.word == "" { // as if it were left out
			return nil
		}
		return p.grant(r, e, Rule{Resource: r}, e.word)
	case slices.Contains(named, r) && (syntax == Exact || !prefix):
		if e.isWord {
			return invalid(r, e, "a name and an object are wanted, such as %s \"name\" { policy = \"read\" }", e.name)
		}
		for _, selector := range e.body {
			if err := p.block(Rule{Resource: r, Name: selector.name, Prefix: prefix || syntax == Legacy}, selector); err != nil {
				return err
			}
		}
		return nil
	case syntax == Legacy:
		return nil
	}
	return fmt.Errorf("%s: line %d: %q is no resource that rules speak of", badRules, e.line, e.name)
}

// block reads what stands between the braces of a rule with a name.
func (p *Policy) block(rule Rule, selector entry) error {
	if selector.isWord {
		return invalid(rule.Resource, selector, "an object is wanted, such as { policy = \"read\" }")
	}
	given := false
	for _, field := range selector.body {
		if !field.isWord {
			return invalid(rule.Resource, field, "%s of %q is no word", field.name, rule.Name)
		}
		switch {
		case field.name == "policy":
			given = true
			if err := p.grant(rule.Resource, field, rule, field.word); err != nil {
				return err
			}
		case field.name == "intentions" && rule.Resource == Service && field.word == "": // as if it were left out
		case field.name == "intentions" && rule.Resource == Service:
			if err := p.grant(rule.Resource, field, Rule{Resource: Intention, Name: rule.Name, Prefix: rule.Prefix}, field.word); err != nil {
				return err
			}
		default:
			return invalid(rule.Resource, field, "%q is no field of a rule about %q", field.name, rule.Name)
		}
	}
	if !given {
		return invalid(rule.Resource, selector, "%q has no policy", rule.Name)
	}
	return nil
}

// grant adds a rule with the access that a word names.
func (p *Policy) grant(r Resource, at entry, rule Rule, word string) error {
	switch access := Access(word); access {
	case Deny, Read, Write:
		rule.Access = access
	case List:
		if rule.Resource != Key {
			return invalid(r, at, "only keys can be listed, %q must be deny, read or write", word)
		}
		rule.Access = access
	default:
		words := "deny, read or write"
		if rule.Resource == Key {
			words = "deny, read, list or write"
		}
		return invalid(r, at, "%s = %q must be %s", at.name, word, words)
	}
	p.Rules = append(p.Rules, rule)
	return nil
}

// invalid names the resource, the line, and what is wrong there.
func invalid(r Resource, at entry, format string, args ...any) error {
	return fmt.Errorf("%s: line %d: %w", "Invalid "+string(r)+" policy", at.line, fmt.Errorf(format, args...))
}

// Translate rewrites rules of the Legacy syntax in the Exact one: what was a
// prefix becomes one in name. Rules that Parse passes over are dropped.
func Translate(text string) (string, error) {
	p, err := Parse(text, Legacy)
	if err != nil {
		return "", err
	}
	return p.String(), nil
}

// String gives the policy as HCL of the Exact syntax.
func (p *Policy) String() string {
	var b strings.Builder
	for i, r := range p.Rules {
		switch {
		case r.Resource == Intention: // with the service before it
		case r.Resource.whole():
			fmt.Fprintf(&b, "%s = %q\n", r.Resource, r.Access)
		default:
			word := string(r.Resource)
			if r.Prefix {
				word += "_prefix"
			}
			fmt.Fprintf(&b, "%s %q {\n  policy = %q\n", word, r.Name, r.Access)
			for _, j := range []int{i - 1, i + 1} {
				if j >= 0 && j < len(p.Rules) && p.Rules[j].Resource == Intention && p.Rules[j].Name == r.Name {
					fmt.Fprintf(&b, "  intentions = %q\n", p.Rules[j].Access)
					break
				}
			}
			b.WriteString("}\n")
		}
	}
	return b.String()
}
