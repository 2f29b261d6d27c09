package state

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"curia/api"
)

// sorted gives the rows of a map that are wanted, by key.
func sorted[V any](m map[string]V, want func(string, V) bool) []*V {
	var out []*V
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if v := m[k]; want(k, v) {
			out = append(out, &v)
		}
	}
	return out
}

// sortedOn gives the rows on nodes that are wanted, by node and ID.
func sortedOn[V any](m map[on]V, want func(on, V) bool) (keys []on, rows []*V) {
	keys = slices.SortedFunc(maps.Keys(m), func(a, b on) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.id, b.id))
	})
	keys = slices.DeleteFunc(keys, func(k on) bool { return !want(k, m[k]) })
	for _, k := range keys {
		v := m[k]
		rows = append(rows, &v)
	}
	return keys, rows
}

func (m *model) checksWhere(want func(on, api.Check) bool) []*api.Check {
	_, rows := sortedOn(m.checks, want)
	return rows
}

// query answers what the query of the same words should.
func (m *model) query(w words) []string {
	name := w.text("name")
	switch w.verb {
	case "kv get":
		return show(sorted(m.kv, func(k string, _ api.KVPair) bool { return k == w.text("key") }), showKV)
	case "kv list":
		return show(sorted(m.kv, func(k string, _ api.KVPair) bool { return strings.HasPrefix(k, w.text("prefix")) }), showKV)
	case "session get":
		return show(sorted(m.sessions, func(k string, _ api.Session) bool { return k == w.text("id") }), showSession)
	case "sessions":
		return show(sorted(m.sessions, func(_ string, s api.Session) bool {
			return !w.has("node") || s.Node == w.text("node")
		}), showSession)
	case "queries":
		return show(sorted(m.queries, func(string, api.PreparedQuery) bool { return true }), showQuery)
	case "query get":
		return show(sorted(m.queries, func(k string, _ api.PreparedQuery) bool { return k == w.text("id") }), showQuery)
	case "query find":
		return showMaybe(m.findQuery(name), showQuery)
	case "nodes":
		return show(sorted(m.nodes, func(string, api.Node) bool { return true }), showNode)
	case "node":
		return m.node(name)
	case "services":
		return m.names()
	case "service":
		return m.instances(name)
	case "health":
		return showHealth(m.health(name))
	}
	if w.has("service") {
		var out []*api.Check
		for _, h := range m.health(w.text("service")) {
			out = append(out, slices.DeleteFunc(h.Checks, func(c *api.Check) bool { return c.ServiceID == "" })...)
		}
		return show(out, showCheck)
	}
	return show(m.checksWhere(func(k on, c api.Check) bool {
		if w.has("node") {
			return k.node == w.text("node")
		}
		return w.text("state") == api.AnyState || c.Status == w.text("state")
	}), showCheck)
}

// findQuery finds what answers to a name: a query with that ID or name, or the
// template that fits best.
func (m *model) findQuery(name string) *api.PreparedQuery {
	var best *api.PreparedQuery
	for id, q := range m.queries {
		switch {
		case id == name, q.Name == name && name != "" && !q.IsTemplate():
			return &q
		case q.IsTemplate() && strings.HasPrefix(name, q.Name) && (best == nil || len(best.Name) < len(q.Name)):
			best = &q
		}
	}
	return best
}

func (m *model) node(name string) []string {
	found := sorted(m.nodes, func(k string, _ api.Node) bool { return k == name })
	if found == nil && len(name) >= 4 {
		found = sorted(m.nodes, func(_ string, n api.Node) bool { return strings.HasPrefix(n.ID, name) })
	}
	if len(found) != 1 {
		return nil
	}
	_, services := sortedOn(m.services, func(k on, _ api.Service) bool { return k.node == found[0].Node })
	return append(show(found, showNode), indented(services, showService)...)
}

func (m *model) names() []string {
	out := map[string][]string{}
	for _, s := range m.services {
		out[s.Service] = slices.Compact(slices.Sorted(slices.Values(append(out[s.Service], s.Tags...))))
	}
	return showNames(out)
}

func (m *model) instances(name string) []string {
	var out []string
	keys, rows := sortedOn(m.services, func(_ on, s api.Service) bool { return s.Service == name })
	for i, k := range keys {
		n := m.nodes[k.node]
		out = append(out, showServiceNode(api.NewServiceNode(&n, rows[i])))
	}
	return out
}

func (m *model) health(name string) []*api.ServiceHealth {
	var out []*api.ServiceHealth
	keys, rows := sortedOn(m.services, func(_ on, s api.Service) bool { return s.Service == name })
	for i, k := range keys {
		n := m.nodes[k.node]
		h := &api.ServiceHealth{Node: &n, Service: rows[i]}
		h.Checks = m.checksWhere(func(c on, check api.Check) bool { return c.node == k.node && check.ServiceID == "" })
		h.Checks = append(h.Checks, m.checksWhere(func(c on, check api.Check) bool {
			return c.node == k.node && check.ServiceID == k.id
		})...)
		out = append(out, h)
	}
	return out
}
