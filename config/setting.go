package config

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
)

// Setting is one row of the table: everything the program knows about one key
// of the configuration.
type Setting struct {
	Key  string // dotted, as in files: "ports.http"
	Flag string // of `curia agent`, without its dash; "" = files only
	Kind Kind   // may be left out in a row that has a field: it follows from the field's type

	Default any    // of the field's Go type; nil = its zero value
	Doc     string // one line for docs/config.md and -help
	Aliases []string
	// FlagAliases are older spellings of Flag.
	FlagAliases []string

	Reload bool   // SIGHUP and PUT /v1/agent/reload apply a change
	Status Status // the zero value is Effective
	Secret bool   // shown as "hidden" wherever the configuration is printed

	// field points at the value in a Config; nil = nobody reads it yet, and
	// Config keeps the value by key.
	field func(*Config) any
}

// Status says what giving a setting does today.
type Status int

const (
	// Effective settings do what they say.
	Effective Status = iota
	// Accepted settings are decoded and checked, but the feature does not exist yet: a warning
	// says so when the value is not the default.
	Accepted
	// Removed settings belong to older versions; they are decoded, ignored, and warned about.
	Removed
)

func (s Status) String() string { return [...]string{"effective", "accepted", "removed"}[s] }

// Kind is the shape of a setting's value in files and on the command line.
type Kind int

// Scalars replace what an earlier source has set, lists append to it, maps
// merge with it key by key.
const (
	String      Kind = iota + 1
	Bool             // a flag without a value means true
	Int              // whole number
	Float            // any number
	Duration         // string with a unit, such as "10s"; 0 needs none
	AddressList      // space-separated string or a list; go-sockaddr templates; replaces as a whole
	StringList       // list, or one string; a flag may be repeated
	StringMap        // object of strings; a flag takes key:value and may be repeated
	DurationMap      // object of durations
	Object           // object of anything, not looked into
	Blocks           // list of objects, or one object
)

// kinds gives for each Kind its name in the documentation and the Go type
// of the fields that hold it.
var kinds = map[Kind]struct {
	name string
	typ  reflect.Type
}{
	String:      {"string", reflect.TypeFor[string]()},
	Bool:        {"bool", reflect.TypeFor[bool]()},
	Int:         {"int", reflect.TypeFor[int]()},
	Float:       {"float", reflect.TypeFor[float64]()},
	Duration:    {"duration", reflect.TypeFor[time.Duration]()},
	AddressList: {"addresses", reflect.TypeFor[Addrs]()},
	StringList:  {"list", reflect.TypeFor[[]string]()},
	StringMap:   {"map", reflect.TypeFor[map[string]string]()},
	DurationMap: {"map of durations", reflect.TypeFor[map[string]time.Duration]()},
	Object:      {"object", reflect.TypeFor[map[string]any]()},
	Blocks:      {"blocks", reflect.TypeFor[[]map[string]any]()},
}

func (k Kind) String() string { return kinds[k].name }

// in returns a pointer to the setting's value in c.
func (s *Setting) in(c *Config) any {
	if s.field != nil {
		return s.field(c)
	}
	if c.rest[s.Key] == nil {
		c.rest[s.Key] = reflect.New(kinds[s.Kind].typ).Interface()
	}
	return c.rest[s.Key]
}

// value returns the setting's value in c without changing c, so that
// goroutines that share a Config may ask.
func (s *Setting) value(c *Config) any {
	switch {
	case s.field != nil:
		return reflect.ValueOf(s.field(c)).Elem().Interface()
	case c.rest[s.Key] != nil:
		return reflect.ValueOf(c.rest[s.Key]).Elem().Interface()
	}
	return s.zero()
}

// zero is the value of the setting when nothing is configured.
func (s *Setting) zero() any {
	if s.Default != nil {
		return s.Default
	}
	return reflect.Zero(kinds[s.Kind].typ).Interface()
}

// Settings returns the whole table, in the order of the documentation.
// Sources of configuration (-dev, -hcl, -config-file, -config-dir,
// -config-format) are not settings.
func Settings() []Setting {
	var out []Setting
	for _, s := range index().rows {
		out = append(out, *s)
	}
	return out
}

// Flags returns the settings that have a flag.
func Flags() []Setting {
	var out []Setting
	for _, s := range index().rows {
		if s.Flag != "" {
			out = append(out, *s)
		}
	}
	return out
}

// table is the rows with the ways to look them up.
type table struct {
	rows   []*Setting
	byKey  map[string][]*Setting // by key and by alias; an alias may stand for several rows
	byFlag map[string]*Setting
	groups map[string]bool // objects whose members are settings: "ports", "acl.tokens"
}

var index = sync.OnceValue(func() *table {
	t := &table{byKey: map[string][]*Setting{}, byFlag: map[string]*Setting{}, groups: map[string]bool{}}
	for _, theme := range themes {
		for _, s := range theme.rows() {
			t.add(&s)
		}
	}
	return t
})

// add panics on a row that contradicts itself or another one: a mistake in
// the table must not survive the first start.
func (t *table) add(s *Setting) {
	if s.field != nil {
		s.Kind = kindOf(s.field(&Config{}))
	}
	if _, ok := kinds[s.Kind]; !ok || len(t.byKey[s.Key]) > 0 {
		panic(fmt.Sprintf("config: row %q has no kind, or its key is taken", s.Key))
	}
	if s.Default != nil && reflect.TypeOf(s.Default) != kinds[s.Kind].typ {
		panic(fmt.Sprintf("config: row %q is a %s, its default a %T", s.Key, s.Kind, s.Default))
	}
	t.rows = append(t.rows, s)
	for _, key := range append([]string{s.Key}, s.Aliases...) {
		t.byKey[key] = append(t.byKey[key], s)
		for i, r := range key {
			if r == '.' {
				t.groups[key[:i]] = true
			}
		}
	}
	if s.Flag == "" {
		return
	}
	for _, name := range append([]string{s.Flag}, s.FlagAliases...) {
		if t.byFlag[name] != nil {
			panic(fmt.Sprintf("config: flag -%s belongs to %q and %q", name, t.byFlag[name].Key, s.Key))
		}
		t.byFlag[name] = s
	}
}

// suggest finds the key that was probably meant by one that does not exist:
// the same letters in another spelling.
func (t *table) suggest(key string) string {
	squash := strings.NewReplacer("_", "", "-", "").Replace
	alike := func(k string) bool { return strings.EqualFold(squash(k), squash(key)) }
	for _, s := range t.rows {
		if alike(s.Key) {
			return s.Key
		}
	}
	for group := range t.groups {
		if alike(group) {
			return group
		}
	}
	return ""
}

func kindOf(field any) Kind {
	for k, d := range kinds {
		if d.typ == reflect.TypeOf(field).Elem() {
			return k
		}
	}
	return 0
}
