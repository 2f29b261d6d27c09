package api

import (
	"encoding/json"
	"slices"
	"strings"

	"curia/acl"
)

// ConsulService is the name and ID of the service that the servers provide.
const ConsulService = "consul"

// Node is a machine in the catalog ("Catalog").
type Node struct {
	ID              string            `cbor:"1,keyasint,omitempty"` // UUID, or empty for nodes registered without one
	Node            string            `cbor:"2,keyasint"`
	Address         string            `cbor:"3,keyasint"`
	Datacenter      string            `cbor:"4,keyasint,omitempty"`
	TaggedAddresses map[string]string `cbor:"5,keyasint,omitempty"` // null when none were given
	Meta            map[string]string `cbor:"6,keyasint,omitempty"`
	CreateIndex     uint64            `cbor:"7,keyasint"`
	ModifyIndex     uint64            `cbor:"8,keyasint"`
}

// CanRead reports whether the holder of a may see the node.
func (n *Node) CanRead(a acl.Authorizer) bool {
	return a.Allows(acl.Need{Resource: acl.Node, Access: acl.Read, Name: n.Node})
}

// ServiceAddress is an address of a service under a tag such as lan or wan.
type ServiceAddress struct {
	Address string `cbor:"1,keyasint"`
	Port    int    `cbor:"2,keyasint"`
}

// Weights tells DNS clients how to spread load over instances.
type Weights struct {
	Passing int `cbor:"1,keyasint"`
	Warning int `cbor:"2,keyasint"`
}

// Opaque is a JSON object that Curia keeps for clients without looking into it.
// The zero value is printed as an empty object.
type Opaque json.RawMessage

// MarshalJSON prints the object as it came.
func (o Opaque) MarshalJSON() ([]byte, error) {
	if len(o) == 0 || string(o) == "null" {
		return []byte("{}"), nil
	}
	return o, nil
}

// UnmarshalJSON keeps the object.
func (o *Opaque) UnmarshalJSON(b []byte) error {
	if string(b) == "{}" || string(b) == "null" {
		*o = nil
		return nil
	}
	*o = append((*o)[:0:0], b...)
	return nil
}

// Service is one instance of a service on one node.
type Service struct {
	Kind              string                    `json:",omitempty" cbor:"1,keyasint,omitempty"`
	ID                string                    `cbor:"2,keyasint"` // unique on its node
	Service           string                    `cbor:"3,keyasint"` // name, shared by all instances
	Tags              []string                  `cbor:"4,keyasint"`
	Address           string                    `cbor:"5,keyasint,omitempty"` // empty: the node's address
	TaggedAddresses   map[string]ServiceAddress `json:",omitempty" cbor:"6,keyasint,omitempty"`
	Meta              map[string]string         `cbor:"7,keyasint,omitempty"`
	Port              int                       `cbor:"8,keyasint,omitempty"`
	Weights           Weights                   `cbor:"9,keyasint"`
	EnableTagOverride bool                      `cbor:"10,keyasint,omitempty"`
	Proxy             Opaque                    `cbor:"11,keyasint,omitempty"`
	Connect           Opaque                    `cbor:"12,keyasint,omitempty"`
	SocketPath        string                    `json:",omitempty" cbor:"13,keyasint,omitempty"`
	CreateIndex       uint64                    `cbor:"14,keyasint"`
	ModifyIndex       uint64                    `cbor:"15,keyasint"`
}

// CanRead reports whether the holder of a may see the instance.
func (s *Service) CanRead(a acl.Authorizer) bool { return canReadService(a, s.Service) }

func canReadService(a acl.Authorizer, name string) bool {
	return a.Allows(acl.Need{Resource: acl.Service, Access: acl.Read, Name: name})
}

// ServiceNode is an instance together with its node, as catalog/service prints it.
type ServiceNode struct {
	ID                       string
	Node                     string
	Address                  string
	Datacenter               string
	TaggedAddresses          map[string]string
	NodeMeta                 map[string]string
	ServiceKind              string
	ServiceID                string
	ServiceName              string
	ServiceTags              []string
	ServiceAddress           string
	ServiceTaggedAddresses   map[string]ServiceAddress `json:",omitempty"`
	ServiceWeights           Weights
	ServiceMeta              map[string]string
	ServicePort              int
	ServiceSocketPath        string
	ServiceEnableTagOverride bool
	ServiceProxy             Opaque
	ServiceConnect           Opaque
	CreateIndex              uint64
	ModifyIndex              uint64
}

// CanRead reports whether the holder of a may see the instance and its node.
func (s *ServiceNode) CanRead(a acl.Authorizer) bool {
	return canReadService(a, s.ServiceName) &&
		a.Allows(acl.Need{Resource: acl.Node, Access: acl.Read, Name: s.Node})
}

// NewServiceNode joins an instance with its node.
func NewServiceNode(n *Node, s *Service) *ServiceNode {
	return &ServiceNode{
		ID: n.ID, Node: n.Node, Address: n.Address, Datacenter: n.Datacenter,
		TaggedAddresses: n.TaggedAddresses, NodeMeta: n.Meta,
		ServiceKind: s.Kind, ServiceID: s.ID, ServiceName: s.Service, ServiceTags: s.Tags,
		ServiceAddress: s.Address, ServiceTaggedAddresses: s.TaggedAddresses,
		ServiceWeights: s.Weights, ServiceMeta: s.Meta, ServicePort: s.Port,
		ServiceSocketPath: s.SocketPath, ServiceEnableTagOverride: s.EnableTagOverride,
		ServiceProxy: s.Proxy, ServiceConnect: s.Connect,
		CreateIndex: s.CreateIndex, ModifyIndex: s.ModifyIndex,
	}
}

// NodeServices is a node with its instances by ID, as catalog/node prints it.
type NodeServices struct {
	Node     *Node
	Services map[string]*Service
}

// NodeServiceList is a node with its instances, as catalog/node-services prints it.
type NodeServiceList struct {
	Node     *Node
	Services []*Service
}

// Registration is the body of catalog/register: a node, and optionally a
// service and checks, written together or not at all.
type Registration struct {
	Datacenter      string
	ID              string
	Node            string
	Address         string
	TaggedAddresses map[string]string
	NodeMeta        map[string]string
	Service         *ServiceSpec
	Check           *CheckSpec
	Checks          []*CheckSpec
	SkipNodeUpdate  bool // leave the node as it is if it exists
	Locality        Opaque
	Tenancy
}

// ServiceSpec is a service as clients send it.
type ServiceSpec struct {
	Service
	// Weights is a pointer here so that a missing one can get the default.
	Weights     *Weights `cbor:"-"`
	Datacenter  string   `cbor:"-"`
	ContentHash string   `cbor:"-"`
	PeerName    string   `cbor:"-"`
	Locality    Opaque   `cbor:"-"`
	Tenancy     `cbor:"-"`
}

// CheckSpec is a check as clients send it.
type CheckSpec struct {
	Check
	PeerName string `cbor:"-"`
	Tenancy  `cbor:"-"`
}

// Tenancy holds the fields that divide other systems into namespaces and
// partitions. Here there is one of each, called default.
type Tenancy struct {
	Namespace string
	Partition string
}

// Validate refuses every namespace and partition but default.
func (t Tenancy) Validate() error {
	if t.Namespace != "" && t.Namespace != "default" {
		return Errorf(Invalid, "Invalid Namespace %q: namespaces are not supported, leave it out or use \"default\"", t.Namespace)
	}
	if t.Partition != "" && t.Partition != "default" {
		return Errorf(Invalid, "Invalid Partition %q: partitions are not supported, leave it out or use \"default\"", t.Partition)
	}
	return nil
}

// Deregistration is the body of catalog/deregister: a service with its checks,
// else a check, else the whole node.
type Deregistration struct {
	Datacenter string
	Node       string
	Address    string
	ServiceID  string
	CheckID    string
	Tenancy
}

// RegisterArgs registers with the catalog.
type RegisterArgs struct {
	Registration `body:"json,strict"`
}

// TargetDatacenter is where the body asks to be carried out.
func (a *RegisterArgs) TargetDatacenter() string { return a.Datacenter }

// DeregisterArgs removes from the catalog.
type DeregisterArgs struct {
	Deregistration `body:"json,strict"`
}

// TargetDatacenter is where the body asks to be carried out.
func (a *DeregisterArgs) TargetDatacenter() string { return a.Datacenter }

// Targeted is implemented by arguments whose body names the datacenter; it wins
// over ?dc.
type Targeted interface{ TargetDatacenter() string }

// NodeSelection narrows and orders lists by what is known of nodes.
type NodeSelection struct {
	// NodeMeta holds key:value pairs that the node must have, all of them.
	NodeMeta []string `query:"node-meta"`
	// Near names a node; results are sorted by their distance from it.
	Near string `query:"near"`
}

// ServiceArgs asks for the instances of a service.
type ServiceArgs struct {
	Service string   `path:"service"`
	Tags    []string `query:"tag"` // all of which the instance must have, compared without regard to case
	NodeSelection
}

// Validate wants a name.
func (a *ServiceArgs) Validate() error {
	if a.Service == "" {
		return Errorf(Invalid, "Missing service name")
	}
	return nil
}

// The verbs of the catalog.
var (
	CatalogRegister = Write[RegisterArgs, bool]("PUT /v1/catalog/register", "catalog.register",
		"Registers a node, a service and checks.")
	CatalogDeregister = Write[DeregisterArgs, bool]("PUT /v1/catalog/deregister", "catalog.deregister",
		"Removes a node, a service or a check.")
	CatalogDatacenters = Read[None, []string]("GET /v1/catalog/datacenters", "catalog.datacenters",
		"Lists the known datacenters, the nearest first.", Bare[None]())
	CatalogNodes = Read[NodeSelection, []*Node]("GET /v1/catalog/nodes", "catalog.nodes",
		"Lists the nodes.")
	CatalogServices = Read[NodeSelection, map[string][]string]("GET /v1/catalog/services", "catalog.services",
		"Lists the names of the services with all their tags.")
	CatalogService = Read[ServiceArgs, []*ServiceNode]("GET /v1/catalog/service/{service}", "catalog.service",
		"Lists the instances of a service.")
	CatalogConnect = Read[ServiceArgs, []*ServiceNode]("GET /v1/catalog/connect/{service}", "catalog.connect",
		"Lists the mesh-capable instances of a service; there is no mesh, so there are none.")
	CatalogNode = Read[NodeName, *NodeServices]("GET /v1/catalog/node/{node}", "catalog.node",
		"Reads a node with its services by ID.")
	CatalogNodeServices = Read[NodeName, *NodeServiceList]("GET /v1/catalog/node-services/{node}", "catalog.node-services",
		"Reads a node with the list of its services.")
)

// Selects reports whether a node has all the pairs of metadata.
func (q *NodeSelection) Selects(n *Node) bool { return q.SelectsMeta(n.Meta) }

// SelectsMeta reports whether metadata has all the pairs; a pair without a
// colon wants an empty value.
func (q *NodeSelection) SelectsMeta(meta map[string]string) bool {
	for _, pair := range q.NodeMeta {
		key, want, _ := strings.Cut(pair, ":")
		if got, ok := meta[key]; !ok || got != want {
			return false
		}
	}
	return true
}

// HasTags reports whether an instance has all the tags that are asked for.
func (a *ServiceArgs) HasTags(tags []string) bool {
	for _, want := range a.Tags {
		if !slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, want) }) {
			return false
		}
	}
	return true
}

// nearAgent stands in ?near for the node of the agent that is asked.
const nearAgent = "_agent"

// DefaultNode implements NodeDefaulter.
func (q *NodeSelection) DefaultNode(name string) {
	if q.Near == nearAgent {
		q.Near = name
	}
}
