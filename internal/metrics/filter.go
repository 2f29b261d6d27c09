package metrics

import (
	"errors"
	"fmt"
	"strings"
)

// Filter chooses metrics by the beginnings of their names
// (telemetry.prefix_filter). The zero Filter holds everything back.
type Filter struct {
	rules []rule
	rest  bool
}

type rule struct {
	prefix string
	allow  bool
}

// Default is what happens to a metric that no rule names (telemetry.filter_default).
type Default bool

// The two defaults.
const (
	HoldBack   Default = false
	LetThrough Default = true
)

// ParseFilter reads rules like "+consul.raft" and "-consul.http". The Filter is
// good even with an error, which names the rules that it goes without.
func ParseFilter(rules []string, rest Default) (Filter, error) {
	f := Filter{rest: bool(rest)}
	var errs []error
	for _, r := range rules {
		if len(r) < 2 || r[0] != '+' && r[0] != '-' {
			errs = append(errs, fmt.Errorf("telemetry.prefix_filter: rule %q does not begin with + or - and a name, ignored", r))
			continue
		}
		f.rules = append(f.rules, rule{prefix: r[1:], allow: r[0] == '+'})
	}
	return f, errors.Join(errs...)
}

// Allows reports whether a metric is told. The longest rule decides; of two
// equal ones that which holds back.
func (f *Filter) Allows(name string) bool {
	allow, length := f.rest, -1
	for _, r := range f.rules {
		if !strings.HasPrefix(name, r.prefix) || len(r.prefix) < length {
			continue
		}
		if len(r.prefix) > length || !r.allow {
			allow, length = r.allow, len(r.prefix)
		}
	}
	return allow
}
