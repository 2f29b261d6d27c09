package server

import (
	"curia/api"
	"curia/state"
)

func (s *Server) healthVerbs() []binding {
	none := func(*state.View, *api.HealthServiceArgs) ([]*api.ServiceHealth, error) { return nil, nil }
	return []binding{
		list(api.HealthNode, func(v *state.View, q *api.NodeName) ([]*api.Check, error) { return v.ChecksOfNode(q.Node), nil }),
		list(api.HealthChecks, healthChecks),
		list(api.HealthService, healthService),
		list(api.HealthConnect, none),
		list(api.HealthIngress, none),
		list(api.HealthState, healthState),
	}
}

func healthChecks(v *state.View, q *api.ServiceArgs) ([]*api.Check, error) {
	return onNodes(v, v.ChecksOfService(q.Service), &q.NodeSelection), nil
}

func healthService(v *state.View, q *api.HealthServiceArgs) ([]*api.ServiceHealth, error) {
	found := keep(v.ServiceHealth(q.Service), func(h *api.ServiceHealth) bool {
		return q.HasTags(h.Service.Tags) && q.Selects(h.Node) && (!bool(q.Passing) || h.AllPassing())
	})
	return nearest(v, q.Near, found, func(h *api.ServiceHealth) string { return h.Node.Node }), nil
}

func healthState(v *state.View, q *api.StateArgs) ([]*api.Check, error) {
	return onNodes(v, v.ChecksInState(q.State), &q.NodeSelection), nil
}

// onNodes keeps the checks of the nodes that are selected, the nearest first.
func onNodes(v *state.View, checks []*api.Check, q *api.NodeSelection) []*api.Check {
	node := func(c *api.Check) string { return c.Node }
	if len(q.NodeMeta) == 0 {
		return nearest(v, q.Near, checks, node)
	}
	selected := map[string]bool{}
	for _, n := range v.Nodes() {
		selected[n.Node] = q.Selects(n)
	}
	return nearest(v, q.Near, keep(checks, func(c *api.Check) bool { return selected[c.Node] }), node)
}
