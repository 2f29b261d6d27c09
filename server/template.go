package server

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"curia/api"
)

// longestFilled bounds a text that was filled in, in bytes: a name may stand in
// it many times.
const longestFilled = 64 << 10

// blanks are what may be filled into a template for one name.
type blanks struct {
	name, prefix, suffix string
	matches              []string // of the regular expression; nil when it does not match
}

// fillIn gives the query that a template stands for under a name: every text of
// its Service has ${…} replaced. Errors are of kind Invalid. See "Prepared Query
// Templates".
func fillIn(template *api.PreparedQuery, name string) (*api.PreparedQuery, error) {
	b := &blanks{name: name, prefix: template.Name, suffix: suffixOf(name, template.Name)}
	if template.Template.Regexp != "" {
		re, err := regexp.Compile(template.Template.Regexp)
		if err != nil {
			return nil, api.Errorf(api.Invalid, "Invalid Template.Regexp: %v", err)
		}
		b.matches = re.FindStringSubmatch(name)
	}
	q := *template
	s := &q.Service
	var err error
	fill := func(text string) string {
		filled, ferr := b.fill(text)
		if ferr != nil && err == nil {
			err = ferr
		}
		return filled
	}
	list := func(all []string) []string {
		out := make([]string, len(all))
		for i, text := range all {
			out[i] = fill(text)
		}
		return out
	}
	pairs := func(all map[string]string) map[string]string {
		out := make(map[string]string, len(all))
		for k, text := range all {
			out[k] = fill(text)
		}
		return out
	}
	s.Service, s.Near = fill(s.Service), fill(s.Near)
	s.Tags, s.IgnoreCheckIDs = list(s.Tags), list(s.IgnoreCheckIDs)
	s.NodeMeta, s.ServiceMeta = pairs(s.NodeMeta), pairs(s.ServiceMeta)
	s.Failover.Datacenters = list(s.Failover.Datacenters)
	s.Failover.Targets = slices.Clone(s.Failover.Targets)
	for i := range s.Failover.Targets {
		s.Failover.Targets[i].Datacenter = fill(s.Failover.Targets[i].Datacenter)
	}
	if q.Template.RemoveEmptyTags {
		s.Tags = keep(s.Tags, func(tag string) bool { return tag != "" })
	}
	if err != nil {
		return nil, err
	}
	return &q, nil
}

// suffixOf is what remains of a name that begins with prefix, whatever the case.
func suffixOf(name, prefix string) string {
	if n := len(prefix); n <= len(name) && strings.EqualFold(name[:n], prefix) {
		return name[n:]
	}
	return strings.TrimPrefix(strings.ToLower(name), strings.ToLower(prefix))
}

// fill replaces every ${…} of a text.
func (b *blanks) fill(text string) (string, error) {
	return interpolate(text, func(expr string) (string, error) {
		if value, ok := b.value(expr); ok {
			return value, nil
		}
		return "", api.Errorf(api.Invalid, "Invalid template %q: there is no ${%s}, only ${name.full}, ${name.prefix}, ${name.suffix}, ${match(N)} and ${agent.segment}", text, expr)
	})
}

// interpolate replaces every ${…} of a text by what the expression in it stands
// for; $${ stands for ${ itself.
func interpolate(text string, value func(expr string) (string, error)) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var out strings.Builder
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			out.WriteString(rest)
			break
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			out.WriteString(literal + "${")
			rest = after
			continue
		}
		out.WriteString(before)
		expr, next, closed := strings.Cut(after, "}")
		if !closed {
			return "", api.Errorf(api.Invalid, "Invalid template %q: ${ without }", text)
		}
		filled, err := value(strings.TrimSpace(expr))
		if err != nil {
			return "", err
		}
		if out.Len()+len(filled) > longestFilled {
			return "", api.Errorf(api.Invalid, "Invalid template: filled in, a text is longer than %d bytes", longestFilled)
		}
		out.WriteString(filled)
		rest = next
	}
	return out.String(), nil
}

// value is what an expression stands for.
func (b *blanks) value(expr string) (string, bool) {
	switch expr {
	case "name.full":
		return b.name, true
	case "name.prefix":
		return b.prefix, true
	case "name.suffix":
		return b.suffix, true
	case "agent.segment":
		return "", true // there is one segment, which has no name
	}
	call, isMatch := strings.CutPrefix(expr, "match")
	call = strings.TrimSpace(call)
	if !isMatch || !strings.HasPrefix(call, "(") || !strings.HasSuffix(call, ")") {
		return "", false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(call[1:len(call)-1]), 10, 31)
	if err != nil {
		return "", false
	}
	if n >= uint64(len(b.matches)) {
		return "", true
	}
	return b.matches[n], true
}
