package state

import (
	"encoding/json"
	"slices"

	"curia/api"
)

// Usage counts nodes, services and instances.
func (v *View) Usage() *api.ServiceUsage {
	kinds := api.ConnectKinds()
	u := &api.ServiceUsage{
		Nodes: len(all(v, nodes)), Services: v.root.trees[names.id].size,
		ConnectServiceInstances: map[string]int{api.ConnectNative: 0},
	}
	for _, kind := range kinds {
		u.ConnectServiceInstances[kind] = 0
	}
	for _, s := range all(v, services) {
		u.ServiceInstances++
		switch {
		case slices.Contains(kinds, s.Service.Kind):
			u.ConnectServiceInstances[s.Service.Kind]++
			continue
		case speaksConnect(s.Service):
			u.ConnectServiceInstances[api.ConnectNative]++
		}
		if s.Service.Service != api.ConsulService {
			u.BillableServiceInstances++
		}
	}
	return u
}

// speaksConnect reports whether an instance speaks the protocol of the mesh
// itself.
func speaksConnect(s *api.Service) bool {
	var connect struct{ Native bool }
	return len(s.Connect) > 0 && json.Unmarshal(s.Connect, &connect) == nil && connect.Native
}
