package gossip

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"curia/api"
)

// site is a datacenter as a WAN pool sees it.
type site struct {
	name    string
	servers []*api.NodeCoordinate // those whose place is known, by name
}

// sites lists the datacenters of the members that have not left, by name. A
// server is named without its datacenter.
func (p *Pool) sites() []site {
	found := map[string]*site{}
	for _, m := range p.Members() {
		dc := m.Tags[tagDatacenter]
		if m.Status == api.MemberLeft || dc == "" {
			continue
		}
		if found[dc] == nil {
			found[dc] = &site{name: dc, servers: []*api.NodeCoordinate{}}
		}
		if c, ok := p.CachedCoordinate(m.Name); ok {
			name := strings.TrimSuffix(m.Name, "."+dc)
			found[dc].servers = append(found[dc].servers, &api.NodeCoordinate{Node: name, Coord: c})
		}
	}
	out := make([]site, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		out = append(out, *found[name])
	}
	return out
}

// Datacenters tells where the servers of each datacenter are, as far as it is
// known, both by name ("coordinate/datacenters"). It is for a WAN pool.
func (p *Pool) Datacenters() []*api.DatacenterCoordinates {
	out := []*api.DatacenterCoordinates{}
	for _, s := range p.sites() {
		out = append(out, &api.DatacenterCoordinates{Datacenter: s.name, AreaID: api.AreaWAN, Coordinates: s.servers})
	}
	return out
}

// Nearest lists the datacenters by the median of the estimated round-trip times
// to their servers: this agent's own first, and last, by name, those of which
// nothing is known ("catalog/datacenters"). It is for a WAN pool.
func (p *Pool) Nearest() []string {
	return nearest(p.cfg.Tags[tagDatacenter], p.Coordinate(), p.sites())
}

// nearest sorts sites by their distance from a place, which may be nil.
func nearest(own string, from *api.Coordinate, sites []site) []string {
	far := map[string]time.Duration{}
	names := make([]string, 0, len(sites))
	for _, s := range sites {
		names = append(names, s.name)
		if far[s.name] = median(from, s.servers); s.name == own {
			far[s.name] = -1
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(far[a], far[b]), strings.Compare(a, b)) })
	return names
}

// median is the one in the middle of the distances to some servers, the greater
// of two; the greatest duration when nothing is known.
func median(from *api.Coordinate, servers []*api.NodeCoordinate) time.Duration {
	if from == nil || len(servers) == 0 {
		return math.MaxInt64
	}
	var all []time.Duration
	for _, s := range servers {
		all = append(all, from.DistanceTo(s.Coord))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
