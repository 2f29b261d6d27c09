package server

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/pause"
	"curia/state"
)

// How often, and in how many commands of how many nodes, places are written.
// What comes when that many wait is dropped: it comes again.
const (
	coordinateEvery  = 5 * time.Second
	coordinateBatch  = 128
	coordinateRounds = 5
)

func (s *Server) coordinateVerbs() []binding {
	return []binding{
		bare(api.CoordinateDatacenterList, s.coordinateDatacenters),
		bare(api.CatalogDatacenters, s.datacenters),
		list(api.CoordinateNodes, s.coordinateNodes),
		list(api.CoordinateNode, s.coordinateNode),
		led(api.CoordinateSet, s.coordinateSet),
	}
}

var errNoCoordinates = &api.Error{Kind: api.Disabled, Msg: "Coordinate support disabled"}

// datacenters lists those that are known, the nearest first.
func (s *Server) datacenters(context.Context, *api.None) ([]string, error) {
	if s.cfg.Pools.Nearest != nil {
		return s.cfg.Pools.Nearest(), nil
	}
	return []string{s.cfg.Datacenter}, nil
}

// coordinateDatacenters tells where servers are. A server that knows no others
// is at the origin.
func (s *Server) coordinateDatacenters(context.Context, *api.None) ([]*api.DatacenterCoordinates, error) {
	switch {
	case s.cfg.NoCoordinates:
		return nil, errNoCoordinates
	case s.cfg.Pools.Datacenters != nil:
		return s.cfg.Pools.Datacenters(), nil
	}
	self := &api.NodeCoordinate{Node: s.cfg.Self.Node, Coord: api.NewCoordinate()}
	return []*api.DatacenterCoordinates{
		{Datacenter: s.cfg.Datacenter, AreaID: api.AreaWAN, Coordinates: []*api.NodeCoordinate{self}},
	}, nil
}

func (s *Server) coordinateNodes(v *state.View, q *api.SegmentArgs) ([]*api.NodeCoordinate, error) {
	if s.cfg.NoCoordinates {
		return nil, errNoCoordinates
	}
	return keep(v.Coordinates(), q.Selects), nil
}

func (s *Server) coordinateNode(v *state.View, q *api.CoordinateNodeArgs) ([]*api.NodeCoordinate, error) {
	if s.cfg.NoCoordinates {
		return nil, errNoCoordinates
	}
	found := keep(v.CoordinatesOf(q.Node), q.Selects)
	if len(found) == 0 {
		return nil, api.ErrNotFound
	}
	return found, nil
}

// coordinateSet takes note of where a node is, to be written with others.
func (s *Server) coordinateSet(_ context.Context, who acl.Authorizer, q *api.CoordinateUpdateArgs) (api.Nothing, error) {
	u := &q.Update
	switch {
	case s.cfg.NoCoordinates:
		return api.Nothing{}, errNoCoordinates
	case u.Node == "":
		return api.Nothing{}, api.Errorf(api.Invalid, "Missing node name")
	}
	if err := u.Coord.Validate(); err != nil {
		return api.Nothing{}, err
	}
	if err := lacking(who, nodeNeeds(s.store.View(), acl.Write, u.Node)); err != nil {
		return api.Nothing{}, err
	}
	if !s.places.note(&api.NodeCoordinate{Node: u.Node, Segment: u.Segment, Coord: u.Coord}) {
		s.log.Debug("too many coordinates at once, dropping one", "node", u.Node)
	}
	return api.Nothing{}, nil
}

// place is where a coordinate belongs.
type place struct{ node, segment string }

// placeKeeper holds the coordinates that are still to be written, the last one
// of each node. The zero value is empty. It may be used concurrently.
type placeKeeper struct {
	mu      sync.Mutex
	waiting map[place]*api.NodeCoordinate
}

// note keeps a coordinate, and reports whether there was room for it.
func (k *placeKeeper) note(c *api.NodeCoordinate) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := place{c.Node, c.Segment}
	if _, known := k.waiting[at]; !known && len(k.waiting) >= coordinateBatch*coordinateRounds {
		return false
	}
	if k.waiting == nil {
		k.waiting = map[place]*api.NodeCoordinate{}
	}
	k.waiting[at] = c
	return true
}

// take empties the keeper.
func (k *placeKeeper) take() []*api.NodeCoordinate {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Collect(maps.Values(k.waiting))
	k.waiting = nil
	return out
}

// writeCoordinates writes the coordinates that came, now and then, until ctx
// ends. What cannot be written is dropped: it comes again.
func (s *Server) writeCoordinates(ctx context.Context) error {
	s.places.take() // of an earlier term
	for pause.For(ctx, coordinateEvery) {
		for batch := range slices.Chunk(s.places.take(), coordinateBatch) {
			if _, err := s.replica.Propose(ctx, &state.CoordinateBatch{Updates: batch}); err != nil {
				s.log.Warn("cannot write coordinates", "nodes", len(batch), "err", err)
			}
		}
	}
	return ctx.Err()
}
