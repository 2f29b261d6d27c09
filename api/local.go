package api

import (
	"reflect"
	"strconv"

	"curia/acl"
)

// IDs and names of the checks that put things into maintenance.
const (
	NodeMaintenance        = "_node_maintenance"
	ServiceMaintenance     = "_service_maintenance:" // followed by the ID of the service
	NodeMaintenanceName    = "Node Maintenance Mode"
	ServiceMaintenanceName = "Service Maintenance Mode"
)

// LocalService is a service as its own agent prints it ("agent/services").
type LocalService struct {
	Service
	Datacenter string
	// ServiceMeta repeats Meta under the name that some documents use.
	ServiceMeta map[string]string
	ContentHash string `json:",omitempty"`
}

// HashHeader gives the value of X-Consul-ContentHash; empty for a nil service.
func (s *LocalService) HashHeader() string {
	if s == nil {
		return ""
	}
	return s.ContentHash
}

// ServiceDefinition is a service as clients register it with their agent and as
// configuration files declare it.
type ServiceDefinition struct {
	ID                string                    `json:",omitempty"` // default: Name
	Name              string                    `json:",omitempty"`
	Kind              string                    `json:",omitempty"`
	Tags              []string                  `json:",omitempty"`
	Address           string                    `json:",omitempty"`
	TaggedAddresses   map[string]ServiceAddress `json:",omitempty"`
	Port              int                       `json:",omitempty"`
	SocketPath        string                    `json:",omitempty"`
	Meta              map[string]string         `json:",omitempty"`
	ServiceMeta       map[string]string         `json:",omitempty"` // another name of Meta
	Weights           *Weights                  `json:",omitempty"` // default: 1 and 1
	EnableTagOverride bool                      `json:",omitempty"`
	Check             *CheckRegistration        `json:",omitempty"`
	Checks            []*CheckRegistration      `json:",omitempty"`
	Token             string                    `json:",omitempty"`
	Proxy             Opaque                    `json:",omitempty"`
	Connect           Opaque                    `json:",omitempty"`
	Locality          Opaque                    `json:",omitempty"`
	Tenancy
}

// Limits of service metadata.
const (
	maxMetaPairs = 64
	maxMetaKey   = 128
	maxMetaValue = 512
)

// Validate checks a definition and gives it its ID, in the words of
// agent/service/register.
func (d *ServiceDefinition) Validate() error {
	if d.Name == "" {
		return Errorf(Invalid, "Missing service name")
	}
	if d.ID == "" {
		d.ID = d.Name
	}
	if err := d.Tenancy.Validate(); err != nil {
		return err
	}
	if d.Address == "0.0.0.0" || d.Address == "::" || d.Address == "[::]" {
		return Errorf(Invalid, "Invalid service address")
	}
	if d.Port < 0 || d.Port > 65535 {
		return Errorf(Invalid, "Invalid service port %d: must be between 0 and 65535", d.Port)
	}
	if w := d.Weights; w != nil && (w.Passing < 1 || w.Passing > 65535 || w.Warning < 0 || w.Warning > 65535) {
		return Errorf(Invalid, "Invalid Weights: Passing must be between 1 and 65535 and Warning between 0 and 65535, not %d and %d", w.Passing, w.Warning)
	}
	if d.Meta == nil {
		d.Meta = d.ServiceMeta
	}
	if err := validMeta(d.Meta); err != nil {
		return err
	}
	for _, c := range d.AllChecks() {
		if !ValidCheckStatus(c.Status) {
			return Errorf(Invalid, "Status for checks must be 'passing', 'warning' or 'critical', not %q", c.Status)
		}
		if err := c.ValidateProbe(); err != nil {
			return Errorf(Invalid, "Invalid check: %v", err)
		}
	}
	return nil
}

func validMeta(meta map[string]string) error {
	if len(meta) > maxMetaPairs {
		return Errorf(Invalid, "Invalid Service Meta: Node metadata cannot contain more than %d key/value pairs", maxMetaPairs)
	}
	for k, v := range meta {
		if k == "" || len(k) > maxMetaKey {
			return Errorf(Invalid, "Invalid Service Meta: key %q must have 1 to %d characters", k, maxMetaKey)
		}
		for _, c := range []byte(k) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return Errorf(Invalid, "Invalid Service Meta: key %q contains invalid characters, use letters, digits, - and _", k)
			}
		}
		if len(v) > maxMetaValue {
			return Errorf(Invalid, "Invalid Service Meta: value of %q is longer than %d characters", k, maxMetaValue)
		}
	}
	return nil
}

// AllChecks gives Check and then Checks, each with the ID and the name that it
// gets if it has none of its own.
func (d *ServiceDefinition) AllChecks() []*CheckRegistration {
	var all []*CheckRegistration
	if d.Check != nil && !reflect.ValueOf(d.Check).Elem().IsZero() {
		all = append(all, d.Check)
	}
	for _, c := range d.Checks {
		if c != nil {
			all = append(all, c)
		}
	}
	out := make([]*CheckRegistration, len(all))
	for i, c := range all {
		named := *c
		named.ServiceID = d.ID
		if named.ID == "" && named.CheckID == "" {
			named.ID = "service:" + d.ID
			if len(all) > 1 {
				named.ID += ":" + strconv.Itoa(i+1)
			}
		}
		if named.Name == "" {
			named.Name = "Service '" + d.Name + "' check"
		}
		if named.Token == "" {
			named.Token = d.Token
		}
		out[i] = &named
	}
	return out
}

// Instance gives the service that the definition describes.
func (d *ServiceDefinition) Instance() *Service {
	s := &Service{
		Kind: d.Kind, ID: d.ID, Service: d.Name, Tags: d.Tags, Address: d.Address, TaggedAddresses: d.TaggedAddresses,
		Meta: d.Meta, Port: d.Port, Weights: Weights{Passing: 1, Warning: 1}, EnableTagOverride: d.EnableTagOverride,
		Proxy: d.Proxy, Connect: d.Connect, SocketPath: d.SocketPath,
	}
	if d.Weights != nil {
		s.Weights = *d.Weights
	}
	if s.Tags == nil {
		s.Tags = []string{}
	}
	if s.Meta == nil {
		s.Meta = map[string]string{}
	}
	return s
}

// LocalServiceArgs reads one service of the agent, and waits until its hash is
// another one than Hash when that is given.
type LocalServiceArgs struct {
	ID   string `path:"id"`
	Hash string `query:"hash"`
	Wait string `query:"wait"`
}

// Replace is the parameter replace-existing-checks: present and empty, or a truth value.
type Replace bool

// ParseQuery takes a truth value; an empty one means true.
func (p *Replace) ParseQuery(v string) error {
	if v == "" {
		*p = true
		return nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return Errorf(Invalid, "Invalid value for ?replace-existing-checks: %q, use true or false", v)
	}
	*p = Replace(b)
	return nil
}

// QueryText leaves false out.
func (p *Replace) QueryText() (string, bool) { return "true", bool(*p) }

// ServiceRegisterArgs registers a service with the agent.
type ServiceRegisterArgs struct {
	Definition ServiceDefinition `body:"json,relaxed"`
	Replace    Replace           `query:"replace-existing-checks"`
}

// Validate checks the definition.
func (a *ServiceRegisterArgs) Validate() error { return a.Definition.Validate() }

// CheckRegisterArgs registers a check with the agent.
type CheckRegisterArgs struct {
	Definition CheckRegistration `body:"json,relaxed"`
}

// Validate checks the definition.
func (a *CheckRegisterArgs) Validate() error { return a.Definition.Validate() }

// LocalServiceID names a service of the agent.
type LocalServiceID struct {
	ID string `path:"id"`
}

// Validate wants an ID.
func (a *LocalServiceID) Validate() error {
	if a.ID == "" {
		return Errorf(Rejected, "ServiceID missing")
	}
	return nil
}

// LocalCheckID names a check of the agent.
type LocalCheckID struct {
	ID string `path:"id"`
}

// Validate wants an ID.
func (a *LocalCheckID) Validate() error {
	if a.ID == "" {
		return Errorf(Rejected, "CheckID missing")
	}
	return nil
}

// CheckNoteArgs sets the status of a TTL check.
type CheckNoteArgs struct {
	ID   string `path:"id"`
	Note string `query:"note"`
}

// CheckUpdate is the body of agent/check/update.
type CheckUpdate struct {
	Status string
	Output string
}

// CheckUpdateArgs sets the status and output of a TTL check.
type CheckUpdateArgs struct {
	ID     string      `path:"id"`
	Update CheckUpdate `body:"json"`
}

// Validate wants a status.
func (a *CheckUpdateArgs) Validate() error {
	switch a.Update.Status {
	case Passing, Warning, Critical:
		return nil
	}
	return Errorf(Invalid, "Invalid check status: '%s'", a.Update.Status)
}

// MaintenanceArgs switches the maintenance of the node on or off.
type MaintenanceArgs struct {
	Enable *string `query:"enable"`
	Reason string  `query:"reason"`
}

// Validate wants a truth value.
func (a *MaintenanceArgs) Validate() error {
	if a.Enable == nil {
		return Errorf(Invalid, "Missing value for enable")
	}
	if _, err := strconv.ParseBool(*a.Enable); err != nil {
		return Errorf(Invalid, "Invalid value for enable: %q", *a.Enable)
	}
	return nil
}

// On reports what Enable says; it may be called after Validate.
func (a *MaintenanceArgs) On() bool {
	on, _ := strconv.ParseBool(*a.Enable)
	return on
}

// ServiceMaintenanceArgs switches the maintenance of a service on or off.
type ServiceMaintenanceArgs struct {
	ID string `path:"id"`
	MaintenanceArgs
}

// Validate wants an ID and a truth value.
func (a *ServiceMaintenanceArgs) Validate() error {
	if a.ID == "" {
		return Errorf(Invalid, "Missing service ID")
	}
	return a.MaintenanceArgs.Validate()
}

// LocalHealthArgs asks for the state of a service of the agent, by ID or name.
type LocalHealthArgs struct {
	Service string `path:"service"`
	Format  string `query:"format"` // "text" answers with the word alone
	Accept  string `header:"Accept"`
}

// LocalHealth sums up a service of the agent and the checks that concern it.
type LocalHealth struct {
	AggregatedStatus string
	Service          *LocalService
	Checks           []*Check
}

func serviceWrite(name string) acl.Need {
	return acl.Need{Resource: acl.Service, Access: acl.Write, Name: name}
}

// The verbs of the agent's own services and checks.
var (
	LocalServices = Local[None, map[string]*LocalService]("GET /v1/agent/services", "agent.services",
		"Lists the services of the agent.")
	LocalServiceGet = Local[LocalServiceArgs, *LocalService]("GET /v1/agent/service/{id}", "agent.service",
		"Reads one service of the agent.")
	LocalServiceRegister = Local[ServiceRegisterArgs, Nothing]("PUT /v1/agent/service/register", "agent.service-register",
		"Registers a service with the agent.",
		Needs(func(a *ServiceRegisterArgs) acl.Need { return serviceWrite(a.Definition.Name) }))
	LocalServiceDeregister = Local[LocalServiceID, Nothing]("PUT /v1/agent/service/deregister/{id}", "agent.service-deregister",
		"Removes a service from the agent.")
	LocalChecks = Local[None, map[string]*Check]("GET /v1/agent/checks", "agent.checks",
		"Lists the checks of the agent.")
	LocalCheckRegister = Local[CheckRegisterArgs, Nothing]("PUT /v1/agent/check/register", "agent.check-register",
		"Registers a check with the agent.")
	LocalCheckDeregister = Local[LocalCheckID, Nothing]("PUT /v1/agent/check/deregister/{id}", "agent.check-deregister",
		"Removes a check from the agent.")
	LocalCheckPass = Local[CheckNoteArgs, Nothing]("PUT /v1/agent/check/pass/{id}", "agent.check-pass",
		"Sets a TTL check to passing.", Also[CheckNoteArgs]("GET"))
	LocalCheckWarn = Local[CheckNoteArgs, Nothing]("PUT /v1/agent/check/warn/{id}", "agent.check-warn",
		"Sets a TTL check to warning.", Also[CheckNoteArgs]("GET"))
	LocalCheckFail = Local[CheckNoteArgs, Nothing]("PUT /v1/agent/check/fail/{id}", "agent.check-fail",
		"Sets a TTL check to critical.", Also[CheckNoteArgs]("GET"))
	LocalCheckUpdate = Local[CheckUpdateArgs, Nothing]("PUT /v1/agent/check/update/{id}", "agent.check-update",
		"Sets the status and output of a TTL check.")
	LocalMaintenance = Local[MaintenanceArgs, Nothing]("PUT /v1/agent/maintenance", "agent.maintenance",
		"Takes the node out of service, or puts it back.")
	LocalServiceMaintenance = Local[ServiceMaintenanceArgs, Nothing]("PUT /v1/agent/service/maintenance/{id}", "agent.service-maintenance",
		"Takes a service of the agent out of service, or puts it back.")
	AgentReload = Local[None, Nothing]("PUT /v1/agent/reload", "agent.reload",
		"Reads the configuration again.",
		Needs(func(*None) acl.Need { return acl.Need{Resource: acl.Agent, Access: acl.Write} }))
	LocalHealthByID = Local[LocalHealthArgs, *LocalHealth]("GET /v1/agent/health/service/id/{service}", "agent.health-by-id",
		"Sums up the state of a service of the agent.")
	LocalHealthByName = Local[LocalHealthArgs, []*LocalHealth]("GET /v1/agent/health/service/name/{service}", "agent.health-by-name",
		"Sums up the state of the services of the agent that have a name.")
)
