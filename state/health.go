package state

import (
	"reflect"
	"slices"

	"curia/api"
)

var (
	checks = newTable("checks", func(b []byte, c *api.Check) []byte {
		return append(b, join(fold(c.Node), c.CheckID)...)
	})
	// checksService finds the checks of one instance; with an empty service ID
	// those of the node itself.
	_, checksService = checks.by(func(out [][]byte, c *api.Check) [][]byte {
		return append(out, join(fold(c.Node), c.ServiceID, c.CheckID))
	})
)

func stateTopic(status string) string { return "state/" + status }

// ChecksOfNode reads the checks on a node, its services' included.
func (v *View) ChecksOfNode(node string) []*api.Check {
	v.missing = !v.about(nodeChecksTopic(node), max(v.tableIndex(checks.id), v.tableIndex(nodes.id)))
	return checksUnder(v, nil, checks.id, join(fold(node), ""))
}

// ChecksOfService reads the checks of all instances of a service.
func (v *View) ChecksOfService(service string) []*api.Check {
	v.missing = !v.about(checksTopic(service), max(v.tableIndex(checks.id), v.servicesIndex()))
	out := []*api.Check{}
	services.prefix(v, servicesName, join(fold(service), ""), func(s *instance) bool {
		out = checksUnder(v, out, checksService, join(fold(s.Node), s.Service.ID, ""))
		return true
	})
	return out
}

// ChecksInState reads the checks in a state; api.AnyState means all.
func (v *View) ChecksInState(state string) []*api.Check {
	if state == api.AnyState {
		return all(v, checks)
	}
	v.about(stateTopic(state), 0) // there is a topic from the start, unless it is no state
	out := []*api.Check{}
	checks.prefix(v, checks.id, nil, func(c *api.Check) bool {
		if c.Status == state {
			out = append(out, c)
		}
		return true
	})
	return out
}

// ServiceHealth reads the instances of a service, each with its node and the
// checks of the node before its own, by node and ID.
func (v *View) ServiceHealth(service string) []*api.ServiceHealth {
	v.missing = !v.about(healthTopic(service), max(v.tableIndex(checks.id), v.servicesIndex()))
	out := []*api.ServiceHealth{}
	services.prefix(v, servicesName, join(fold(service), ""), func(s *instance) bool {
		n := nodes.get(v, []byte(fold(s.Node)))
		if n == nil {
			return true
		}
		found := checksUnder(v, []*api.Check{}, checksService, join(fold(s.Node), "", ""))
		found = checksUnder(v, found, checksService, join(fold(s.Node), s.Service.ID, ""))
		out = append(out, &api.ServiceHealth{Node: n, Service: s.Service, Checks: found})
		return true
	})
	return out
}

// checksUnder appends the checks below a prefix of a tree. It watches nothing.
func checksUnder(v *View, out []*api.Check, id int, prefix []byte) []*api.Check {
	if out == nil {
		out = []*api.Check{}
	}
	checks.prefix(v, id, prefix, func(c *api.Check) bool {
		out = append(out, c)
		return true
	})
	return out
}

// admitCheck refuses a check of a service that is not on the node.
func admitCheck(tx *Tx, node string, c *api.Check) error {
	if c.ServiceID != "" && services.get(tx, join(fold(node), c.ServiceID)) == nil {
		return rejected("failed inserting check on node %q: Unknown service ID '%s' for check ID '%s'", node, c.ServiceID, c.CheckID)
	}
	return nil
}

// putCheck writes a check of a node that was admitted, unless it is there
// already in the same form. A check that is critical ends the sessions that
// depend on it.
func putCheck(tx *Tx, node string, c *api.Check) {
	c.Node = node
	if c.Definition == nil {
		c.Definition = noDefinition
	}
	if c.ServiceID != "" {
		s := services.get(tx, join(fold(node), c.ServiceID))
		c.ServiceName, c.ServiceTags = s.Service.Service, s.Service.Tags
	}
	old := checks.get(tx, join(fold(node), c.CheckID))
	c.CreateIndex, c.ModifyIndex = tx.index, tx.index
	if old != nil {
		c.CreateIndex = old.CreateIndex
		if sameCheck(c, old) {
			return
		}
		if old.ServiceID != c.ServiceID {
			touchCheck(tx, old)
		}
	}
	checks.put(tx, c)
	touchCheck(tx, c)
	if old != nil && old.Status != c.Status {
		tx.bump(stateTopic(old.Status))
	}
	if c.Status == api.Critical {
		endSessionsOfCheck(tx, node, c.CheckID)
	}
}

func sameCheck(a, b *api.Check) bool {
	return a.Name == b.Name && a.Status == b.Status && a.Notes == b.Notes && a.Output == b.Output &&
		a.ServiceID == b.ServiceID && a.ServiceName == b.ServiceName && slices.Equal(a.ServiceTags, b.ServiceTags) &&
		a.Type == b.Type && a.Interval == b.Interval && a.Timeout == b.Timeout && a.ExposedPort == b.ExposedPort &&
		reflect.DeepEqual(a.Definition, b.Definition)
}

// touchCheck wakes what shows a check.
func touchCheck(tx *Tx, c *api.Check) {
	tx.bump(nodeChecksTopic(c.Node))
	tx.bump(stateTopic(c.Status))
	if c.ServiceID != "" {
		tx.bump(checksTopic(c.ServiceName))
		tx.bump(healthTopic(c.ServiceName))
		return
	}
	for _, s := range services.collect(tx, services.id, join(fold(c.Node), "")) {
		tx.bump(healthTopic(s.Service.Service))
	}
}

// relabelChecks writes the name and tags of a service that changed into its
// checks.
func relabelChecks(tx *Tx, node string, s *api.Service) {
	for _, c := range checks.collect(tx, checksService, join(fold(node), s.ID, "")) {
		if c.ServiceName == s.Service && slices.Equal(c.ServiceTags, s.Tags) {
			continue
		}
		touchCheck(tx, c)
		next := *c
		next.ServiceName, next.ServiceTags, next.ModifyIndex = s.Service, s.Tags, tx.index
		checks.put(tx, &next)
		touchCheck(tx, &next)
	}
}

func removeCheck(tx *Tx, c *api.Check) {
	checks.remove(tx, c)
	touchCheck(tx, c)
	endSessionsOfCheck(tx, c.Node, c.CheckID)
}
