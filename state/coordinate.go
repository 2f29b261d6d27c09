package state

import (
	"slices"
	"time"

	"curia/api"
)

var coordinates = newTable("coordinates", func(b []byte, c *api.NodeCoordinate) []byte {
	return append(b, join(fold(c.Node), c.Segment)...)
})

// Coordinates reads where all nodes are, by node and segment.
func (v *View) Coordinates() []*api.NodeCoordinate { return all(v, coordinates) }

// CoordinatesOf reads where a node is, by segment.
func (v *View) CoordinatesOf(node string) []*api.NodeCoordinate {
	found := under(v, coordinates, coordinates.id, join(fold(node), ""))
	v.missing = len(found) == 0
	if v.missing {
		v.raise(v.tableIndex(coordinates.id))
	}
	for _, c := range found {
		v.raise(c.ModifyIndex)
	}
	return found
}

// Distances gives the estimated round-trip times from a node to others, and
// false for those of which nothing is known; nil when nothing is known of the
// node itself. Watches wake when any node moves, but the index of the answer
// does not tell: an order by distance is no reason to return early.
func (v *View) Distances(from string) func(node string) (time.Duration, bool) {
	_, watch := v.at(coordinates.id).below(nil)
	v.watch(watch.watch.channel())
	origin := placesOf(v, from)
	if len(origin) == 0 {
		return nil
	}
	return func(node string) (time.Duration, bool) { return distance(origin, placesOf(v, node)) }
}

func placesOf(src source, node string) []*api.NodeCoordinate {
	return coordinates.collect(src, coordinates.id, join(fold(node), ""))
}

// distance is the least one in a segment that both are in.
func distance(a, b []*api.NodeCoordinate) (least time.Duration, known bool) {
	for _, x := range a {
		for _, y := range b {
			if x.Segment != y.Segment {
				continue
			}
			if d := x.Coord.DistanceTo(y.Coord); !known || d < least {
				least, known = d, true
			}
		}
	}
	return least, known
}

// CoordinateBatch takes note of where nodes are. Nodes that are not in the
// catalog are passed over. It answers true.
type CoordinateBatch struct {
	Updates []*api.NodeCoordinate `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *CoordinateBatch) Apply(tx *Tx) (any, error) {
	for _, u := range c.Updates {
		n := nodes.get(tx, []byte(fold(u.Node)))
		if n == nil || u.Coord == nil {
			continue
		}
		u.Node, u.ModifyIndex = n.Node, tx.index
		old := coordinates.get(tx, join(fold(u.Node), u.Segment))
		if old == nil || !sameCoordinate(old.Coord, u.Coord) {
			coordinates.put(tx, u)
		}
	}
	return true, nil
}

func sameCoordinate(a, b *api.Coordinate) bool {
	return a.Error == b.Error && a.Adjustment == b.Adjustment && a.Height == b.Height && slices.Equal(a.Vec, b.Vec)
}

// forgetCoordinates removes where a node was that goes away.
func forgetCoordinates(tx *Tx, node string) {
	for _, c := range placesOf(tx, node) {
		coordinates.remove(tx, c)
	}
}
