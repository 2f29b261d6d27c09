package server

import (
	"slices"
	"strings"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/state"
)

func (s *Server) catalogVerbs() []binding {
	return []binding{
		put(api.CatalogRegister, s.catalogRegister),
		put(api.CatalogDeregister, catalogDeregister),
		list(api.CatalogNodes, catalogNodes),
		list(api.CatalogServices, catalogServices),
		list(api.CatalogService, catalogService),
		list(api.CatalogConnect, func(*state.View, *api.ServiceArgs) ([]*api.ServiceNode, error) { return nil, nil }),
		list(api.CatalogNode, catalogNode),
		list(api.CatalogNodeServices, catalogNodeServices),
	}
}

// catalogRegister checks and completes a registration.
func (s *Server) catalogRegister(v *state.View, who acl.Authorizer, q *api.RegisterArgs) (state.Command, error) {
	if q.Node == "" {
		return nil, api.Errorf(api.Rejected, "Must provide node")
	}
	if q.Address == "" && !q.SkipNodeUpdate {
		return nil, api.Errorf(api.Rejected, "Must provide address if SkipNodeUpdate is not set")
	}
	if q.ID != "" {
		if _, err := uuid.Parse(q.ID); err != nil {
			return nil, api.Errorf(api.Rejected, "Bad node ID: %v", err)
		}
	}
	cmd := &state.Register{
		SkipNodeUpdate: q.SkipNodeUpdate,
		Node: &api.Node{
			ID: q.ID, Node: q.Node, Address: q.Address, Datacenter: s.cfg.Datacenter,
			TaggedAddresses: q.TaggedAddresses, Meta: q.NodeMeta,
		},
	}
	if q.Service != nil {
		service, err := completeService(q.Service)
		if err != nil {
			return nil, err
		}
		cmd.Service = service
	}
	specs := q.Checks
	if q.Check != nil {
		specs = append([]*api.CheckSpec{q.Check}, specs...)
	}
	for _, spec := range specs {
		check, err := completeCheck(spec, q.Node)
		if err != nil {
			return nil, err
		}
		cmd.Checks = append(cmd.Checks, check)
	}
	if err := mayRegister(v, who, cmd); err != nil {
		return nil, err
	}
	return cmd, nil
}

// completeService fills in what a service leaves out.
func completeService(spec *api.ServiceSpec) (*api.Service, error) {
	if err := spec.Tenancy.Validate(); err != nil {
		return nil, err
	}
	service := spec.Service
	if service.ID == "" {
		service.ID = service.Service
	}
	if service.Service == "" {
		return nil, api.Errorf(api.Rejected, "Must provide service name (Service.Service) when service ID is provided")
	}
	if service.Address == "0.0.0.0" || service.Address == "::" || service.Address == "[::]" {
		return nil, api.Errorf(api.Rejected, "Invalid service address")
	}
	service.Weights = api.Weights{Passing: 1, Warning: 1}
	if spec.Weights != nil && *spec.Weights != (api.Weights{}) { // clients send zeros when they mean none
		service.Weights = *spec.Weights
	}
	if service.Tags == nil {
		service.Tags = []string{}
	}
	return &service, nil
}

// completeCheck fills in what a check leaves out.
func completeCheck(spec *api.CheckSpec, node string) (*api.Check, error) {
	if spec == nil {
		return nil, api.Errorf(api.Invalid, "Invalid check: null is no check, leave it out")
	}
	if err := spec.Tenancy.Validate(); err != nil {
		return nil, err
	}
	check := spec.Check
	if check.CheckID == "" {
		check.CheckID = check.Name
	}
	if check.CheckID == "" {
		return nil, api.Errorf(api.Rejected, "Must provide check name (Name) or ID (CheckID)")
	}
	if check.Node != "" && !strings.EqualFold(check.Node, node) {
		return nil, api.Errorf(api.Rejected, "check node %q does not match node %q", check.Node, node)
	}
	check.Node = node
	switch check.Status {
	case "":
		check.Status = api.Critical
	case api.Passing, api.Warning, api.Critical, api.Unknown:
	default:
		return nil, api.Errorf(api.Invalid, "Invalid check status %q: must be passing, warning, critical or unknown", check.Status)
	}
	if check.ServiceTags == nil {
		check.ServiceTags = []string{}
	}
	return &check, nil
}

func catalogDeregister(v *state.View, who acl.Authorizer, q *api.DeregisterArgs) (state.Command, error) {
	if q.Node == "" {
		return nil, api.Errorf(api.Rejected, "Must provide node")
	}
	if err := mayDeregister(v, who, q); err != nil {
		return nil, err
	}
	return &state.Deregister{Node: q.Node, ServiceID: q.ServiceID, CheckID: q.CheckID}, nil
}

func catalogNodes(v *state.View, q *api.NodeSelection) ([]*api.Node, error) {
	found := keep(v.Nodes(), func(n *api.Node) bool { return q.Selects(n) })
	return nearest(v, q.Near, found, func(n *api.Node) string { return n.Node }), nil
}

func catalogServices(v *state.View, q *api.NodeSelection) (map[string][]string, error) {
	if len(q.NodeMeta) == 0 {
		return v.ServiceNames(), nil
	}
	out := map[string][]string{}
	v.ServiceNames()
	for _, n := range v.Nodes() {
		if !q.Selects(n) {
			continue
		}
		for _, s := range v.ServicesOf(n.Node) {
			tags := append(out[s.Service], s.Tags...)
			slices.Sort(tags)
			out[s.Service] = slices.Compact(tags)
		}
	}
	for name, tags := range out {
		if tags == nil {
			out[name] = []string{}
		}
	}
	return out, nil
}

func catalogService(v *state.View, q *api.ServiceArgs) ([]*api.ServiceNode, error) {
	found := keep(v.ServiceNodes(q.Service), func(n *api.ServiceNode) bool {
		return q.HasTags(n.ServiceTags) && q.SelectsMeta(n.NodeMeta)
	})
	return nearest(v, q.Near, found, func(n *api.ServiceNode) string { return n.Node }), nil
}

func catalogNode(v *state.View, q *api.NodeName) (*api.NodeServices, error) {
	n := v.Node(q.Node)
	if n == nil {
		return nil, nil
	}
	out := &api.NodeServices{Node: n, Services: map[string]*api.Service{}}
	for _, s := range v.ServicesOf(n.Node) {
		out.Services[s.ID] = s
	}
	return out, nil
}

func catalogNodeServices(v *state.View, q *api.NodeName) (*api.NodeServiceList, error) {
	n := v.Node(q.Node)
	if n == nil {
		return nil, nil
	}
	return &api.NodeServiceList{Node: n, Services: v.ServicesOf(n.Node)}, nil
}

// keep returns the elements for which f holds, in the same order.
func keep[T any](all []T, f func(T) bool) []T {
	out := make([]T, 0, len(all))
	for _, x := range all {
		if f(x) {
			out = append(out, x)
		}
	}
	return out
}
