package acl

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sort"
	"strings"
)

// Options say what holds for all authorizers of an agent.
type Options struct {
	// Default is the answer where no rule speaks: AllowAll or DenyAll. Even
	// AllowAll does not grant access to ACLs.
	Default Authorizer
	// KeyList makes listing keys a permission of its own.
	KeyList bool
}

// Compile merges policies into an Authorizer. Of several rules with the same
// selector the most restrictive holds: deny, else write, else list, else read.
func Compile(o Options, policies ...*Policy) Authorizer {
	merged := map[Rule]level{} // by selector; Access is empty
	for _, p := range policies {
		for _, r := range p.Rules {
			l := levels[r.Access]
			r.Access = ""
			merged[r] = merge(merged[r], l)
		}
	}
	c := &compiled{byDefault: All(o.Default), keyList: o.KeyList, of: map[Resource]*selectors{}}
	var rules []Rule
	for r, l := range merged {
		s := c.of[r.Resource]
		if s == nil {
			s = &selectors{exact: map[string]level{}}
			c.of[r.Resource] = s
		}
		switch {
		case r.Resource.whole():
			s.whole = l
		case r.Prefix:
			s.prefixes = append(s.prefixes, prefix{text: r.Name, level: l})
		default:
			s.exact[r.Name] = l
			s.names = append(s.names, r.Name)
		}
		r.Access = l.access()
		rules = append(rules, r)
	}
	for _, s := range c.of {
		s.link()
	}
	c.id = identify(c, rules)
	return c
}

// identify gives authorizers with the same answers the same ID.
func identify(c *compiled, rules []Rule) string {
	lines := make([]string, 0, len(rules)+1)
	for _, r := range rules {
		lines = append(lines, r.String())
	}
	slices.Sort(lines)
	h := sha256.New()
	h.Write([]byte{truth(c.byDefault), truth(c.keyList)})
	h.Write([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// level is an access that rules can be compared by; 0 when no rule speaks.
type level uint8

const (
	silent level = iota
	denied
	readable
	listable
	writable
)

var levels = map[Access]level{Deny: denied, Read: readable, List: listable, Write: writable}

func (l level) access() Access { return [...]Access{"", Deny, Read, List, Write}[l] }

// merge gives what holds when two policies speak of the same.
func merge(a, b level) level {
	if a == denied || b == denied {
		return denied
	}
	return max(a, b)
}

// grants reports whether a level that speaks includes an access.
func (l level) grants(a Access) bool {
	switch a {
	case Read:
		return l >= readable
	case List:
		return l >= listable
	}
	return l == writable
}

// compiled answers from merged rules.
type compiled struct {
	id                 string
	byDefault, keyList bool
	of                 map[Resource]*selectors
}

// selectors are the rules about one resource.
type selectors struct {
	whole    level // of a resource without names
	exact    map[string]level
	names    []string // of exact, sorted
	prefixes []prefix // sorted by text
}

// prefix is a rule about all names that begin with a text. within is the
// position of the longest other prefix that it begins with, or -1.
type prefix struct {
	text   string
	level  level
	within int
}

// link sorts the selectors and finds for each prefix the one around it.
func (s *selectors) link() {
	slices.Sort(s.names)
	slices.SortFunc(s.prefixes, func(a, b prefix) int { return cmp.Compare(a.text, b.text) })
	for i := range s.prefixes {
		at := i - 1
		for at >= 0 && !strings.HasPrefix(s.prefixes[i].text, s.prefixes[at].text) {
			at = s.prefixes[at].within
		}
		s.prefixes[i].within = at
	}
}

// ID implements Authorizer.
func (c *compiled) ID() string { return c.id }

// Allows implements Authorizer. It allocates nothing.
func (c *compiled) Allows(n Need) bool {
	if n.Resource == "" || n.Access == List && !c.keyList {
		return true
	}
	byDefault := c.byDefault && n.Resource != ACL
	s := c.of[n.Resource]
	if s == nil {
		if n.Resource == Intention {
			return c.intention(n, byDefault)
		}
		return byDefault
	}
	l := s.whole
	if !n.Resource.whole() {
		l = s.find(n.Name, n.Prefix)
	}
	switch {
	case l == silent && n.Resource == Intention:
		return c.intention(n, byDefault)
	case l == silent && !byDefault, l != silent && !l.grants(n.Access):
		return false
	}
	return !n.Prefix || n.Access == List || s.below(n.Name, n.Access)
}

// intention follows the rule about the service where none speaks of its
// intentions: who may read the service may read them.
func (c *compiled) intention(n Need, byDefault bool) bool {
	s := c.of[Service]
	if s == nil {
		return byDefault
	}
	switch l := s.find(n.Name, n.Prefix); l {
	case silent:
		return byDefault
	default:
		return n.Access == Read && l.grants(Read)
	}
}

// find gives the level of the rule for a name: the one about just this name,
// else the one about the longest prefix. A tree has no rule about just its name.
func (s *selectors) find(name string, tree bool) level {
	if !tree && len(s.exact) > 0 {
		if l, ok := s.exact[name]; ok {
			return l
		}
	}
	// The greatest prefix that is not behind the name is the wanted one, or it
	// lies within it: whatever sorts between a prefix and a name that begins
	// with it begins with it too.
	at := s.search(name)
	for at >= 0 && !strings.HasPrefix(name, s.prefixes[at].text) {
		at = s.prefixes[at].within
	}
	if at < 0 {
		return silent
	}
	return s.prefixes[at].level
}

// search gives the position of the last prefix that is not behind a name.
func (s *selectors) search(name string) int {
	low, high := 0, len(s.prefixes)
	for low < high {
		if mid := int(uint(low+high) >> 1); s.prefixes[mid].text <= name {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low - 1
}

// below reports whether all rules about what lies under a name grant an access.
func (s *selectors) below(name string, a Access) bool {
	for i := sort.SearchStrings(s.names, name); i < len(s.names) && strings.HasPrefix(s.names[i], name); i++ {
		if !s.exact[s.names[i]].grants(a) {
			return false
		}
	}
	for i := max(s.search(name), 0); i < len(s.prefixes); i++ {
		switch p := &s.prefixes[i]; {
		case strings.HasPrefix(p.text, name):
			if !p.level.grants(a) {
				return false
			}
		case p.text > name:
			return true
		}
	}
	return true
}
