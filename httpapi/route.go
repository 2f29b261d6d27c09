package httpapi

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"curia/api"
)

// routes finds the verbs of a path. Literal paths are looked up whole; paths
// with parameters by their beginning up to the first one.
type routes struct {
	literal map[string]*route
	prefix  map[string][]*route // those with a literal rest after the parameter first
	depth   int                 // most slashes of a prefix
}

// route is a path pattern with the verbs of each method.
type route struct {
	suffix  string // literal text after the parameter, empty if it takes all that remains
	methods map[string][]*boundOp
	allow   string
	param   string
	// second, if not empty, is a parameter behind a slash, which then ends the
	// first one and takes all that remains.
	second string
}

// boundOp is a verb with the plan to decode its arguments.
type boundOp struct {
	*api.Op
	args []arg
}

func newRoutes(ops []*api.Op) *routes {
	rs := &routes{literal: map[string]*route{}, prefix: map[string][]*route{}}
	for _, op := range ops {
		r := rs.at(op.Path)
		b := &boundOp{Op: op, args: planArgs(op)}
		for _, m := range append([]string{op.Method}, op.AlsoMethods...) {
			r.methods[m] = append(r.methods[m], b)
		}
	}
	for _, r := range rs.literal {
		r.finish()
	}
	for _, list := range rs.prefix {
		slices.SortStableFunc(list, func(a, b *route) int {
			return cmp.Or(len(b.suffix)-len(a.suffix), len(b.second)-len(a.second))
		})
		for _, r := range list {
			r.finish()
		}
	}
	return rs
}

// at returns the route of a pattern, making it if it is new.
func (rs *routes) at(pattern string) *route {
	before, rest, hasParam := strings.Cut(pattern, "{")
	if !hasParam {
		r := rs.literal[pattern]
		if r == nil {
			r = &route{methods: map[string][]*boundOp{}}
			rs.literal[pattern] = r
		}
		return r
	}
	param, suffix, _ := strings.Cut(rest, "}")
	second := ""
	if name, ok := strings.CutPrefix(suffix, "/{"); ok {
		second, suffix = strings.TrimSuffix(name, "}"), ""
	}
	for _, r := range rs.prefix[before] {
		if r.suffix == suffix && r.second == second {
			return r
		}
	}
	r := &route{suffix: suffix, param: param, second: second, methods: map[string][]*boundOp{}}
	rs.prefix[before] = append(rs.prefix[before], r)
	rs.depth = max(rs.depth, strings.Count(before, "/"))
	return r
}

// selectors are tried in this order when several verbs share a method: listing
// names beats listing entries, which beats everything about a single one.
var selectors = []string{"keys", "recurse", "raw", ""}

func (r *route) finish() {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		if list := r.methods[m]; list != nil {
			methods = append(methods, m)
			slices.SortStableFunc(list, func(a, b *boundOp) int {
				return slices.Index(selectors, a.When) - slices.Index(selectors, b.When)
			})
		}
	}
	r.allow = "OPTIONS," + strings.Join(methods, ",")
}

// find gives the route of an encoded path, and its decoded parameters as name,
// value, name, value.
func (rs *routes) find(path string) (*route, []string, bool) {
	if r, ok := rs.literal[path]; ok {
		return r, nil, true
	}
	var best *route
	var value string
	slashes := 0
	for i := 0; i < len(path) && slashes < rs.depth; i++ {
		if path[i] != '/' {
			continue
		}
		slashes++
		for _, r := range rs.prefix[path[:i+1]] {
			rest := path[i+1:]
			if r.suffix != "" {
				var ok bool
				if rest, ok = strings.CutSuffix(rest, r.suffix); !ok {
					continue
				}
			}
			if r.second != "" && strings.IndexByte(rest, '/') < 0 {
				continue
			}
			best, value = r, rest
			break
		}
	}
	if best == nil {
		return nil, nil, false
	}
	var params []string
	if best.second != "" {
		first, rest, _ := strings.Cut(value, "/")
		decoded, err := url.PathUnescape(rest)
		if err != nil {
			return nil, nil, false
		}
		params, value = append(params, best.second, decoded), first
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return nil, nil, false
	}
	return best, append(params, best.param, decoded), true
}

// has reports whether a path with parameters begins here.
func (rs *routes) has(path string) bool { return len(rs.prefix[path]) > 0 }

// choose picks the verb of a method by the query; nil when there is none.
func (r *route) choose(method string, q *query) *boundOp {
	for _, b := range r.methods[method] {
		if b.When == "" || q.has(b.When) {
			return b
		}
	}
	return nil
}
