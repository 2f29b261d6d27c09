package httpapi

import (
	"errors"
	"net/url"
	"strings"
)

// query is a parsed query string, in the order in which it came. It is small:
// looking through a handful of pairs is faster than building a map.
type query struct {
	pairs []pair
}

type pair struct{ name, value string }

// maxPairs bounds the parameters of a request.
const maxPairs = 1000

// parseQuery splits a query string and decodes it.
func parseQuery(raw string) (q query, err error) {
	if raw == "" {
		return q, nil
	}
	if strings.Contains(raw, ";") {
		return q, errors.New("a semicolon must be percent-encoded in a query")
	}
	q.pairs = make([]pair, 0, 4)
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		if len(q.pairs) == maxPairs {
			return q, errors.New("too many parameters")
		}
		name, value, _ := strings.Cut(part, "=")
		if name, err = unescape(name); err != nil {
			return q, err
		}
		if value, err = unescape(value); err != nil {
			return q, err
		}
		q.pairs = append(q.pairs, pair{name, value})
	}
	return q, nil
}

func unescape(s string) (string, error) {
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	return url.QueryUnescape(s)
}

// get returns the first value of a parameter and whether it is present.
func (q *query) get(name string) (string, bool) {
	for i := range q.pairs {
		if q.pairs[i].name == name {
			return q.pairs[i].value, true
		}
	}
	return "", false
}

func (q *query) has(name string) bool {
	_, ok := q.get(name)
	return ok
}

// all returns every value of a parameter; nil when it is absent.
func (q *query) all(name string) []string {
	var out []string
	for i := range q.pairs {
		if q.pairs[i].name == name {
			out = append(out, q.pairs[i].value)
		}
	}
	return out
}
