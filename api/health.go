package api

import (
	"reflect"
	"strconv"

	"curia/acl"
)

// The states of a check.
const (
	Passing  = "passing"
	Warning  = "warning"
	Critical = "critical"
	Unknown  = "unknown"
	// AnyState asks for checks in every state.
	AnyState = "any"
)

// Check is the state of one health check ("Health").
type Check struct {
	Node        string   `cbor:"1,keyasint"`
	CheckID     string   `cbor:"2,keyasint"` // unique on its node
	Name        string   `cbor:"3,keyasint"`
	Status      string   `cbor:"4,keyasint"`
	Notes       string   `cbor:"5,keyasint,omitempty"` // for people
	Output      string   `cbor:"6,keyasint,omitempty"`
	ServiceID   string   `cbor:"7,keyasint,omitempty"` // empty for a check of the node
	ServiceName string   `cbor:"8,keyasint,omitempty"`
	ServiceTags []string `cbor:"9,keyasint"`
	Type        string   `cbor:"10,keyasint,omitempty"`
	Interval    string   `cbor:"11,keyasint,omitempty"`
	Timeout     string   `cbor:"12,keyasint,omitempty"`
	ExposedPort int      `cbor:"13,keyasint,omitempty"`
	// Definition is never nil in the state, so that it is printed as an object.
	Definition  *CheckDefinition `cbor:"14,keyasint,omitempty"`
	CreateIndex uint64           `cbor:"15,keyasint"`
	ModifyIndex uint64           `cbor:"16,keyasint"`
}

// CanRead reports whether the holder of a may see the check.
func (c *Check) CanRead(a acl.Authorizer) bool {
	if !a.Allows(acl.Need{Resource: acl.Node, Access: acl.Read, Name: c.Node}) {
		return false
	}
	return c.ServiceID == "" || canReadService(a, c.ServiceName)
}

// CheckDefinition tells others how a check was probed. Curia keeps it and does
// not act on it.
type CheckDefinition struct {
	HTTP                           string              `json:",omitempty" cbor:"1,keyasint,omitempty"`
	TLSServerName                  string              `json:",omitempty" cbor:"2,keyasint,omitempty"`
	TLSSkipVerify                  bool                `json:",omitempty" cbor:"3,keyasint,omitempty"`
	Header                         map[string][]string `json:",omitempty" cbor:"4,keyasint,omitempty"`
	Method                         string              `json:",omitempty" cbor:"5,keyasint,omitempty"`
	Body                           string              `json:",omitempty" cbor:"6,keyasint,omitempty"`
	DisableRedirects               bool                `json:",omitempty" cbor:"7,keyasint,omitempty"`
	TCP                            string              `json:",omitempty" cbor:"8,keyasint,omitempty"`
	TCPUseTLS                      bool                `json:",omitempty" cbor:"9,keyasint,omitempty"`
	UDP                            string              `json:",omitempty" cbor:"10,keyasint,omitempty"`
	GRPC                           string              `json:",omitempty" cbor:"11,keyasint,omitempty"`
	GRPCUseTLS                     bool                `json:",omitempty" cbor:"12,keyasint,omitempty"`
	H2PING                         string              `json:",omitempty" cbor:"13,keyasint,omitempty"`
	H2PingUseTLS                   bool                `json:",omitempty" cbor:"14,keyasint,omitempty"`
	OSService                      string              `json:",omitempty" cbor:"15,keyasint,omitempty"`
	AliasNode                      string              `json:",omitempty" cbor:"16,keyasint,omitempty"`
	AliasService                   string              `json:",omitempty" cbor:"17,keyasint,omitempty"`
	Interval                       *ReadableDuration   `json:",omitempty" cbor:"18,keyasint,omitempty"`
	Timeout                        *ReadableDuration   `json:",omitempty" cbor:"19,keyasint,omitempty"`
	TTL                            *ReadableDuration   `json:",omitempty" cbor:"20,keyasint,omitempty"`
	DeregisterCriticalServiceAfter *ReadableDuration   `json:",omitempty" cbor:"21,keyasint,omitempty"`
}

// IsZero reports whether the definition tells nothing.
func (d *CheckDefinition) IsZero() bool { return reflect.ValueOf(d).Elem().IsZero() }

// ServiceHealth is an instance with its node, the checks of the node and its
// own, as health/service prints it.
type ServiceHealth struct {
	Node    *Node
	Service *Service
	Checks  []*Check
}

// CanRead reports whether the holder of a may see the instance and its node.
func (h *ServiceHealth) CanRead(a acl.Authorizer) bool {
	return h.Service.CanRead(a) && h.Node.CanRead(a)
}

// AllPassing reports whether every check passes; true without checks.
func (h *ServiceHealth) AllPassing() bool {
	for _, c := range h.Checks {
		if c.Status != Passing {
			return false
		}
	}
	return true
}

// Passed is the ?passing parameter: true when present, unless its value says false.
type Passed bool

// ParseQuery takes a truth value; an empty one means true.
func (p *Passed) ParseQuery(v string) error {
	if v == "" {
		*p = true
		return nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return Errorf(Invalid, "Invalid value for ?passing")
	}
	*p = Passed(b)
	return nil
}

// QueryText leaves false out.
func (p *Passed) QueryText() (string, bool) { return "", bool(*p) }

// HealthServiceArgs asks for the health of a service.
type HealthServiceArgs struct {
	ServiceArgs
	Passing Passed `query:"passing"`
}

// StateArgs asks for the checks in a state; words that are no state match none.
type StateArgs struct {
	State string `path:"state"`
	NodeSelection
}

// Validate wants a state.
func (a *StateArgs) Validate() error {
	if a.State == "" {
		return Errorf(Invalid, "Missing check state")
	}
	return nil
}

// The verbs of health.
var (
	HealthNode = Read[NodeName, []*Check]("GET /v1/health/node/{node}", "health.node",
		"Lists the checks of a node and its services.")
	HealthChecks = Read[ServiceArgs, []*Check]("GET /v1/health/checks/{service}", "health.checks",
		"Lists the checks of a service.")
	HealthService = Read[HealthServiceArgs, []*ServiceHealth]("GET /v1/health/service/{service}", "health.service",
		"Lists the instances of a service with their checks.")
	HealthConnect = Read[HealthServiceArgs, []*ServiceHealth]("GET /v1/health/connect/{service}", "health.connect",
		"Lists the mesh-capable instances of a service; there is no mesh, so there are none.")
	HealthIngress = Read[HealthServiceArgs, []*ServiceHealth]("GET /v1/health/ingress/{service}", "health.ingress",
		"Lists the ingress gateways of a service; there is no mesh, so there are none.")
	HealthState = Read[StateArgs, []*Check]("GET /v1/health/state/{state}", "health.state",
		"Lists the checks in a state.")
)
