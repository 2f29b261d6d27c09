package config

import (
	"fmt"
	"reflect"
	"slices"
)

// Config is the effective configuration of one agent. The embedded structs are
// themes, one per settings_*.go file; their fields are meant to be read
// through the promotion: c.Ports.HTTP, c.Node.Name.
//
// A Config made by Load is complete: defaults are filled in, templates are
// expanded, names have their canonical case. It must not be changed afterwards
// and may then be read by any number of goroutines.
type Config struct {
	Agent     // Node, Mode, UI, Log, Leave, Process, CheckRules, Definitions
	Network   // Addresses, Ports, UnixSockets, HTTP, Limits
	Consensus // Performance, Raft, Session, Query, Autopilot
	Cluster   // Join, Gossip
	Security  // TLS, ACL
	DNS       DNS
	Telemetry Telemetry

	// rest holds the values of settings that nobody reads yet, as pointers by key.
	rest map[string]any
	// given tells where each key was set last; keys left at their default are absent.
	given map[string]origin
}

// Default returns the value of every setting when nothing is configured,
// before anything that depends on the host or on other settings is filled in.
func Default() *Config {
	c := &Config{rest: map[string]any{}, given: map[string]origin{}}
	for _, s := range index().rows {
		v := s.Default
		if list, ok := v.(Addrs); ok {
			v = slices.Clone(list)
		}
		if v != nil {
			reflect.ValueOf(s.in(c)).Elem().Set(reflect.ValueOf(v))
		}
	}
	return c
}

// origin is where a value comes from.
type origin struct {
	source string // a file, or a flag with its dash
	key    string // as written: maybe an alias
}

func (o origin) String() string { return fmt.Sprintf("%s: %q", o.source, o.key) }

// isGiven reports whether any source, -dev included, has set the key.
func (c *Config) isGiven(key string) bool { return c.given[key] != origin{} }

// Diff lists the keys whose effective values differ, in the order of the
// table: those that a reload applies, and those that need a restart.
func Diff(from, to *Config) (reloadable, restart []string) {
	for _, s := range index().rows {
		switch {
		case reflect.DeepEqual(s.value(from), s.value(to)):
		case s.Reload:
			reloadable = append(reloadable, s.Key)
		default:
			restart = append(restart, s.Key)
		}
	}
	return reloadable, restart
}
