package server

import (
	"maps"
	"strconv"
	"strings"

	"curia/api"
	"curia/state"
)

// The texts of serfHealth.
const (
	serfHealthName = "Serf Health Status"
	aliveOutput    = "Agent alive and reachable"
	failedOutput   = "Agent not live or unreachable"
)

// reconcile gives the commands that bring the catalog in step with what gossip
// knows of a name; m is nil when it knows nothing, and the node of that name
// came from gossip. The server's own node is never taken away here: if it is
// seen to go, its successor does that.
func reconcile(v *state.View, cfg Config, name string, m *api.Member) []state.Command {
	self := strings.EqualFold(name, cfg.Self.Node)
	known := v.Node(name)
	if known != nil && !strings.EqualFold(known.Node, name) {
		known = nil // found by an ID that looks like the name
	}
	switch {
	case m == nil && !self && known != nil && serfHealth(v, name) != nil:
		return []state.Command{&state.Deregister{Node: known.Node}}
	case m == nil:
		return nil
	case m.Status == api.MemberAlive:
		return reconcileAlive(v, cfg, m, known)
	case self || known == nil:
		return nil
	case m.Status == api.MemberFailed:
		return fail(v, m, known)
	case m.Status == api.MemberLeft && (serfHealth(v, name) != nil || known.ID != "" && known.ID == m.Tags[tagID]):
		return []state.Command{&state.Deregister{Node: known.Node}}
	}
	return nil
}

// reconcileAlive registers a member that is alive, unless all of it is there.
func reconcileAlive(v *state.View, cfg Config, m *api.Member, known *api.Node) []state.Command {
	other := known != nil && known.ID != "" && m.Tags[tagID] != "" && !strings.EqualFold(known.ID, m.Tags[tagID])
	node := nodeOf(cfg, m, known)
	if other {
		node = nodeOf(cfg, m, nil)
	}
	check := serfHealthOf(m, api.Passing, aliveOutput)
	var out []state.Command
	var service *api.Service
	if isServer(m, cfg.Datacenter) {
		service = serviceOf(m)
	} else if known != nil && provided(v, m.Name) != nil {
		// It was a server under this name before.
		out = append(out, &state.Deregister{Node: known.Node, ServiceID: api.ConsulService})
	}
	if sameNode(known, node) && shows(serfHealth(v, m.Name), check) && (service == nil || provides(provided(v, m.Name), service)) {
		return out
	}
	if other {
		// Another machine has the name now: what depended on the old one ends.
		out = append(out, fail(v, m, known)...)
	}
	return append(out, &state.Register{Node: node, Service: service, Checks: []*api.Check{check}})
}

// fail makes the health of a known node critical.
func fail(v *state.View, m *api.Member, known *api.Node) []state.Command {
	check := serfHealthOf(m, api.Critical, failedOutput)
	if shows(serfHealth(v, m.Name), check) {
		return nil
	}
	// Without its ID, so that a node which is renamed meanwhile stays what it is.
	node := &api.Node{Node: known.Node, Address: known.Address, Datacenter: known.Datacenter}
	return []state.Command{&state.Register{Node: node, SkipNodeUpdate: true, Checks: []*api.Check{check}}}
}

// strays names the nodes that came from gossip and that it knows no longer.
// Nodes without serfHealth were registered by somebody else, and are theirs.
func strays(v *state.View, members []*api.Member) []string {
	there := make(map[string]bool, len(members))
	for _, m := range members {
		there[strings.ToLower(m.Name)] = true
	}
	var out []string
	for _, n := range v.Nodes() {
		if !there[strings.ToLower(n.Node)] && serfHealth(v, n.Node) != nil {
			out = append(out, n.Node)
		}
	}
	return out
}

// nodeOf is the entry that a member should have. What it does not tell by gossip
// stays as it is: its agent writes that itself.
func nodeOf(cfg Config, m *api.Member, known *api.Node) *api.Node {
	if strings.EqualFold(m.Name, cfg.Self.Node) {
		self := cfg.Self
		if known != nil {
			self.Meta = known.Meta // a reload may have changed it
		}
		return &self
	}
	n := &api.Node{ID: m.Tags[tagID], Node: m.Name, Address: m.Addr, Datacenter: cfg.Datacenter}
	if known != nil {
		n.TaggedAddresses, n.Meta = known.TaggedAddresses, known.Meta
	} else if v := version(m); v != "" {
		n.Meta = map[string]string{"consul-version": v}
	}
	return n
}

// serviceOf is the consul service of a server.
func serviceOf(m *api.Member) *api.Service {
	return &api.Service{
		ID: api.ConsulService, Service: api.ConsulService, Tags: []string{}, Port: serverPort(m),
		Weights: api.Weights{Passing: 1, Warning: 1}, Meta: serviceMeta(m),
	}
}

// serviceMeta is what the consul service tells about a server. Every leader
// makes the same of its tags, so that a new one changes nothing.
func serviceMeta(m *api.Member) map[string]string {
	_, replica := m.Tags[tagReadReplica]
	meta := map[string]string{
		"version": version(m), "raft_version": m.Tags["raft_vsn"],
		"serf_protocol_current": strconv.Itoa(int(m.ProtocolCur)), "serf_protocol_min": strconv.Itoa(int(m.ProtocolMin)),
		"serf_protocol_max": strconv.Itoa(int(m.ProtocolMax)),
		"non_voter":         strconv.FormatBool(neverVotes(m)), "read_replica": strconv.FormatBool(replica),
	}
	for _, port := range []string{"grpc_port", "grpc_tls_port"} {
		if p := m.Tags[port]; p != "" {
			meta[port] = p
		}
	}
	return meta
}

func serfHealthOf(m *api.Member, status, output string) *api.Check {
	return &api.Check{
		Node: m.Name, CheckID: api.SerfHealth, Name: serfHealthName, Status: status, Output: output, ServiceTags: []string{},
	}
}

// serfHealth is the check that came from gossip, nil when there is none.
func serfHealth(v *state.View, node string) *api.Check {
	for _, c := range v.ChecksOfNode(node) {
		if c.CheckID == api.SerfHealth {
			return c
		}
	}
	return nil
}

// provided is the consul service of a node, nil when there is none.
func provided(v *state.View, node string) *api.Service {
	for _, s := range v.ServicesOf(node) {
		if s.ID == api.ConsulService {
			return s
		}
	}
	return nil
}

func sameNode(known, want *api.Node) bool {
	return known != nil && (known.ID == want.ID || want.ID == "") && known.Node == want.Node && known.Address == want.Address &&
		maps.Equal(known.Meta, want.Meta) && maps.Equal(known.TaggedAddresses, want.TaggedAddresses)
}

func shows(known, want *api.Check) bool { return known != nil && known.Status == want.Status }

func provides(known, want *api.Service) bool {
	return known != nil && known.Port == want.Port && maps.Equal(known.Meta, want.Meta)
}
