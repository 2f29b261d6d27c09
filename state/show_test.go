package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"curia/api"
)

func show[T any](rows []*T, f func(*T) string) []string {
	var out []string
	for _, r := range rows {
		out = append(out, f(r))
	}
	return out
}

// line joins what is not empty.
func line(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// maybe gives name=value, or nothing for a zero value.
func maybe[T comparable](name string, value T) string {
	var zero T
	if value == zero {
		return ""
	}
	return fmt.Sprintf("%s=%v", name, value)
}

func since(created, modified uint64) string {
	if created == modified {
		return fmt.Sprintf("@%d", created)
	}
	return fmt.Sprintf("@%d..%d", created, modified)
}

func showKV(p *api.KVPair) string {
	value := ""
	if p.Value != nil {
		value = fmt.Sprintf("%q", p.Value)
	}
	return line(p.Key+"="+value, maybe("flags", p.Flags), maybe("lock", p.LockIndex), maybe("session", p.Session),
		since(p.CreateIndex, p.ModifyIndex))
}

func showSession(s *api.Session) string {
	var service []string
	for _, c := range s.ServiceChecks {
		service = append(service, c.ID)
	}
	return line(s.ID, "node="+s.Node, maybe("checks", strings.Join(s.NodeChecks, ",")),
		maybe("servicechecks", strings.Join(service, ",")), s.Behavior,
		maybe("lockdelay", time.Duration(s.LockDelay)), maybe("ttl", s.TTL), since(s.CreateIndex, s.ModifyIndex))
}

func showQuery(q *api.PreparedQuery) string {
	kind := ""
	if q.IsTemplate() {
		kind = "template"
	}
	return line(q.ID, kind, maybe("name", q.Name), "service="+q.Service.Service, maybe("tags", strings.Join(q.Service.Tags, ",")),
		maybe("session", q.Session), since(q.CreateIndex, q.ModifyIndex))
}

// showMaybe gives the line of a row, none when there is no row.
func showMaybe[T any](row *T, f func(*T) string) []string {
	if row == nil {
		return nil
	}
	return []string{f(row)}
}

func showMap(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+":"+m[k])
	}
	return strings.Join(out, ",")
}

func showNode(n *api.Node) string {
	return line(n.Node, n.Address, maybe("id", n.ID), maybe("meta", showMap(n.Meta)), since(n.CreateIndex, n.ModifyIndex))
}

func showService(s *api.Service) string {
	return line(s.ID, "service="+s.Service, maybe("tags", strings.Join(s.Tags, ",")), maybe("port", s.Port),
		since(s.CreateIndex, s.ModifyIndex))
}

func showServiceNode(s *api.ServiceNode) string {
	return line(s.ServiceName, s.ServiceID, "on "+s.Node, s.Address, maybe("nodeid", s.ID), maybe("meta", showMap(s.NodeMeta)),
		maybe("tags", strings.Join(s.ServiceTags, ",")), maybe("port", s.ServicePort), since(s.CreateIndex, s.ModifyIndex))
}

func showNames(m map[string][]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, line(k, maybe("tags", strings.Join(m[k], ","))))
	}
	return out
}

func showCheck(c *api.Check) string {
	service := ""
	if c.ServiceID != "" {
		service = fmt.Sprintf("service=%s(%s)", c.ServiceID, c.ServiceName)
	}
	return line(c.Node+"/"+c.CheckID, c.Status, service, maybe("tags", strings.Join(c.ServiceTags, ",")),
		maybe("output", c.Output), since(c.CreateIndex, c.ModifyIndex))
}

func indented[T any](rows []*T, f func(*T) string) []string {
	return show(rows, func(row *T) string { return "  " + f(row) })
}

func showHealth(rows []*api.ServiceHealth) []string {
	var out []string
	for _, h := range rows {
		out = append(out, showService(h.Service)+" on "+showNode(h.Node))
		out = append(out, indented(h.Checks, showCheck)...)
	}
	return out
}

// showOutcome tells what a command answered, on one line or, for a
// transaction, one per result.
func showOutcome(o Outcome) []string {
	var e *api.Error
	if errors.As(o.Err, &e) {
		out := []string{"error: " + e.Msg}
		if resp, ok := e.Detail.(*api.TxnResponse); ok {
			for _, f := range resp.Errors {
				out = append(out, fmt.Sprintf("  op %d: %s", f.OpIndex, f.What))
			}
		}
		return out
	}
	switch v := o.Value.(type) {
	case nil:
		return []string{"nothing"}
	case *api.ACLToken:
		return []string{showToken(v)}
	case *api.ACLPolicy:
		return []string{showPolicy(v)}
	case *api.ACLRole:
		return []string{showRole(v)}
	case *api.ACLAuthMethod:
		return []string{showMethod(v)}
	case *api.ACLBindingRule:
		return []string{showRule(v)}
	case api.LegacyID:
		return []string{v.ID}
	case api.SessionID:
		return []string{v.ID}
	case api.QueryID:
		return []string{v.ID}
	case api.Nothing:
		return []string{"done"}
	case *api.TxnResponse:
		out := []string{"done"}
		for _, r := range v.Results {
			switch {
			case r.KV != nil:
				out = append(out, "  "+showKV(r.KV))
			case r.Node != nil:
				out = append(out, "  "+showNode(r.Node))
			case r.Service != nil:
				out = append(out, "  "+showService(r.Service))
			case r.Check != nil:
				out = append(out, "  "+showCheck(r.Check))
			}
		}
		return out
	}
	return []string{fmt.Sprint(o.Value)}
}
