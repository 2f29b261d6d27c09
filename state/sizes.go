package state

// Sizes counts what there is.
type Sizes struct {
	Nodes, Services, ServiceInstances, Checks, KVEntries, Sessions int
}

// Sizes counts rows without looking at them.
func (s *Store) Sizes() Sizes {
	r := s.root.Load()
	rows := func(id int) int { return r.trees[id].size }
	return Sizes{
		Nodes: rows(nodes.id), Services: rows(names.id), ServiceInstances: rows(services.id),
		Checks: rows(checks.id), KVEntries: rows(kvs.id), Sessions: rows(sessions.id),
	}
}
