package api

import (
	"math"
	"time"

	"curia/acl"
)

// Dimensions of the network model ("Network Coordinates").
const coordinateDimensions = 8

// Coordinate is a position in the network model from which distances follow,
// in seconds.
type Coordinate struct {
	Vec        []float64 `cbor:"1,keyasint"`
	Error      float64   `cbor:"2,keyasint,omitempty"`
	Adjustment float64   `cbor:"3,keyasint,omitempty"`
	Height     float64   `cbor:"4,keyasint,omitempty"`
}

// NewCoordinate is where everybody begins: at the origin, and sure of nothing.
func NewCoordinate() *Coordinate {
	return &Coordinate{Vec: make([]float64, coordinateDimensions), Error: 1.5, Height: 1e-5}
}

// Validate wants finite numbers in the dimensions of the model.
func (c *Coordinate) Validate() error {
	if c == nil || len(c.Vec) != coordinateDimensions {
		return Errorf(Invalid, "incompatible coordinate: Vec must have %d numbers", coordinateDimensions)
	}
	for _, x := range append([]float64{c.Error, c.Adjustment, c.Height}, c.Vec...) {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return Errorf(Invalid, "invalid coordinate: %v is not a finite number", x)
		}
	}
	return nil
}

// DistanceTo estimates the round-trip time between two places of the same
// dimensions.
func (c *Coordinate) DistanceTo(o *Coordinate) time.Duration {
	sum := 0.0
	for i := range min(len(c.Vec), len(o.Vec)) {
		d := c.Vec[i] - o.Vec[i]
		sum += d * d
	}
	seconds := math.Sqrt(sum) + c.Height + o.Height
	if adjusted := seconds + c.Adjustment + o.Adjustment; adjusted > 0 {
		seconds = adjusted
	}
	return time.Duration(seconds * float64(time.Second))
}

// NodeCoordinate is where a node is, in a segment of the network.
type NodeCoordinate struct {
	Node        string      `cbor:"1,keyasint"`
	Segment     string      `cbor:"2,keyasint,omitempty"`
	Coord       *Coordinate `cbor:"3,keyasint"`
	ModifyIndex uint64      `json:"-" cbor:"4,keyasint,omitempty"`
}

// CanRead reports whether the holder of a may see the node.
func (c *NodeCoordinate) CanRead(a acl.Authorizer) bool {
	return a.Allows(acl.Need{Resource: acl.Node, Access: acl.Read, Name: c.Node})
}

// DatacenterCoordinates are the servers of a datacenter in a WAN area.
type DatacenterCoordinates struct {
	Datacenter  string
	AreaID      string
	Coordinates []*NodeCoordinate
}

// AreaWAN is the area of all datacenters.
const AreaWAN = "WAN"

// SegmentArgs narrows coordinates to a segment; nil means all.
type SegmentArgs struct {
	Segment *string `query:"segment"`
}

// Selects reports whether a coordinate is in the segment.
func (a *SegmentArgs) Selects(c *NodeCoordinate) bool {
	return a.Segment == nil || *a.Segment == c.Segment
}

// CoordinateNodeArgs asks where a node is.
type CoordinateNodeArgs struct {
	NodeName
	SegmentArgs
}

// CoordinateUpdateArgs says where a node is.
type CoordinateUpdateArgs struct {
	Update CoordinateUpdate `body:"json"`
}

// CoordinateUpdate is the body of coordinate/update.
type CoordinateUpdate struct {
	Datacenter string `json:",omitempty"`
	Node       string
	Segment    string
	Coord      *Coordinate
}

// TargetDatacenter is where the body asks to be carried out.
func (a *CoordinateUpdateArgs) TargetDatacenter() string { return a.Update.Datacenter }

// The verbs of coordinates.
var (
	CoordinateDatacenterList = Read[None, []*DatacenterCoordinates]("GET /v1/coordinate/datacenters", "coordinate.datacenters",
		"Tells where the servers of all datacenters are.", Bare[None]())
	CoordinateNodes = Read[SegmentArgs, []*NodeCoordinate]("GET /v1/coordinate/nodes", "coordinate.nodes",
		"Tells where the nodes are.")
	CoordinateNode = Read[CoordinateNodeArgs, []*NodeCoordinate]("GET /v1/coordinate/node/{node}", "coordinate.node",
		"Tells where a node is, in each of its segments.",
		Needs(func(a *CoordinateNodeArgs) acl.Need {
			return acl.Need{Resource: acl.Node, Access: acl.Read, Name: a.Node}
		}))
	CoordinateSet = Leader[CoordinateUpdateArgs, Nothing]("PUT /v1/coordinate/update", "coordinate.update",
		"Takes note of where a node is; it is shown some seconds later.",
		Needs(func(a *CoordinateUpdateArgs) acl.Need {
			return acl.Need{Resource: acl.Node, Access: acl.Write, Name: a.Update.Node}
		}))
)
