package state

import (
	"maps"
	"slices"
	"strings"

	"curia/api"
)

var (
	nodes      = newTable("nodes", func(b []byte, n *api.Node) []byte { return append(b, fold(n.Node)...) })
	_, nodesID = nodes.by(func(out [][]byte, n *api.Node) [][]byte {
		if n.ID == "" {
			return out
		}
		return append(out, []byte(fold(n.ID)))
	})
	services = newTable("services", func(b []byte, s *instance) []byte {
		return append(b, join(fold(s.Node), s.Service.ID)...)
	})
	_, servicesName = services.by(func(out [][]byte, s *instance) [][]byte {
		return append(out, join(fold(s.Service.Service), fold(s.Node), s.Service.ID))
	})
	// names holds what catalog/services answers: a row for each service name,
	// written only when the name or a tag comes or goes.
	names = newTable("service-names", func(b []byte, n *serviceName) []byte { return append(b, n.Name...) })
	// counts tells when that is, so that a registration costs the same however
	// many instances there are.
	counts = newTable("service-counts", func(b []byte, n *serviceCount) []byte { return append(b, n.Name...) })
)

// instance is a service on a node.
type instance struct {
	Node    string       `cbor:"1,keyasint"`
	Service *api.Service `cbor:"2,keyasint"`
}

// serviceName is a service with all its tags in order.
type serviceName struct {
	Name string   `cbor:"1,keyasint"`
	Tags []string `cbor:"2,keyasint"`
}

// serviceCount counts the instances of a service, all in all and by tag.
type serviceCount struct {
	Name      string         `cbor:"1,keyasint"`
	Instances int            `cbor:"2,keyasint"`
	Tags      map[string]int `cbor:"3,keyasint,omitempty"`
}

// Topics of a node and of a service: see topic.
func nodeTopic(node string) string       { return "node/" + fold(node) }       // the node and its services
func nodeChecksTopic(n string) string    { return "node-checks/" + fold(n) }   // the checks on it
func catalogTopic(service string) string { return "catalog/" + fold(service) } // instances and their nodes
func healthTopic(service string) string  { return "health/" + fold(service) }  // the same with all checks
func checksTopic(service string) string  { return "checks/" + fold(service) }  // checks of the service alone

// servicesIndex is the index of queries about services that have no instance:
// that of the last registration or removal of any.
func (v *View) servicesIndex() uint64 { return v.tableIndex(services.id) }

// Nodes reads all nodes by name.
func (v *View) Nodes() []*api.Node { return all(v, nodes) }

// Node reads a node by name, or by ID or a unique beginning of it of at least
// four characters; nil when there is none. Watches of it wake when the node or
// its services change.
func (v *View) Node(name string) *api.Node {
	n := nodes.get(v, []byte(fold(name)))
	if n == nil && len(name) >= 4 {
		found := under(v, nodes, nodesID, []byte(fold(name)))
		if len(found) == 1 {
			one(v, topics, []byte(nodeTopic(name))) // a node of that name would come first
			v.raise(v.tableIndex(nodes.id))         // the name of another node may have been as good
			n = found[0]
			name = n.Node
		}
	}
	v.missing = !v.about(nodeTopic(name), max(v.tableIndex(nodes.id), v.servicesIndex()))
	return n
}

// ServicesOf reads the services of a node, by ID. It watches nothing: Node does.
func (v *View) ServicesOf(node string) []*api.Service {
	out := []*api.Service{}
	services.prefix(v, services.id, join(fold(node), ""), func(s *instance) bool {
		out = append(out, s.Service)
		return true
	})
	return out
}

// ServiceNames reads the names of all services with their tags in order.
func (v *View) ServiceNames() map[string][]string {
	rows := all(v, names)
	out := make(map[string][]string, len(rows))
	for _, n := range rows {
		out[n.Name] = n.Tags
	}
	return out
}

// ServiceNodes reads the instances of a service with their nodes, by node and ID.
func (v *View) ServiceNodes(service string) []*api.ServiceNode {
	v.missing = !v.about(catalogTopic(service), v.servicesIndex())
	out := []*api.ServiceNode{}
	services.prefix(v, servicesName, join(fold(service), ""), func(s *instance) bool {
		if n := nodes.get(v, []byte(fold(s.Node))); n != nil {
			out = append(out, api.NewServiceNode(n, s.Service))
		}
		return true
	})
	return out
}

// Register writes a node and, with it or not at all, a service and checks.
type Register struct {
	Node *api.Node `cbor:"1,keyasint"`
	// SkipNodeUpdate leaves a node that exists as it is.
	SkipNodeUpdate bool         `cbor:"2,keyasint,omitempty"`
	Service        *api.Service `cbor:"3,keyasint,omitempty"`
	Checks         []*api.Check `cbor:"4,keyasint,omitempty"`
}

// Apply implements Command. It answers true.
func (c *Register) Apply(tx *Tx) (any, error) {
	n := nodes.get(tx, []byte(fold(c.Node.Node)))
	var renamed *api.Node
	if n == nil || !c.SkipNodeUpdate {
		var err error
		if renamed, err = admitNode(tx, c.Node, n); err != nil {
			return nil, err
		}
	}
	if c.Service != nil {
		if err := admitNames(c.Service.ID, c.Service.Service); err != nil {
			return nil, err
		}
	}
	for _, check := range c.Checks {
		if err := admitNames(check.CheckID); err != nil {
			return nil, err
		}
		if c.Service != nil && check.ServiceID == c.Service.ID {
			continue
		}
		if err := admitCheck(tx, c.Node.Node, check); err != nil {
			return nil, err
		}
	}
	if n == nil || !c.SkipNodeUpdate {
		n = putNode(tx, c.Node, n, renamed)
	}
	if c.Service != nil {
		putService(tx, n.Node, c.Service)
	}
	for _, check := range c.Checks {
		putCheck(tx, n.Node, check)
	}
	return true, nil
}

// admitNames refuses names with a zero byte: it separates the parts of keys, so
// that one node would be taken for the service of another.
func admitNames(names ...string) error {
	for _, name := range names {
		if strings.IndexByte(name, 0) >= 0 {
			return api.Errorf(api.Invalid, "invalid name %q: it holds a zero byte", name)
		}
	}
	return nil
}

// admitNode decides whether n may be written in place of old (nil: new). It
// returns the node that this renames, if any.
func admitNode(tx *Tx, n, old *api.Node) (renamed *api.Node, err error) {
	if err := admitNames(n.Node, n.ID); err != nil {
		return nil, err
	}
	if n.Address == "" {
		return nil, rejected("Must provide address if SkipNodeUpdate is not set")
	}
	if n.ID == "" {
		return nil, nil
	}
	return claimNodeID(tx, n, old)
}

// putNode writes n in place of old (nil: new) and of the node that it renames
// (nil: none), unless it is there already in the same form, and returns what is
// there then.
func putNode(tx *Tx, n, old, renamed *api.Node) *api.Node {
	if n.ID == "" && old != nil {
		n.ID = old.ID
	}
	if old != nil {
		n.CreateIndex, n.ModifyIndex = old.CreateIndex, old.ModifyIndex
		if sameNode(n, old) {
			return old
		}
	} else {
		n.CreateIndex = tx.index
		tx.bump(nodeChecksTopic(n.Node))
		tx.bump(sessionsTopic(n.Node))
	}
	n.ModifyIndex = tx.index
	if renamed != nil {
		n.CreateIndex = renamed.CreateIndex
		removeNode(tx, renamed)
	}
	nodes.put(tx, n)
	touchNode(tx, n.Node)
	return n
}

// claimNodeID decides whether a node may have its ID: nobody else's, and not
// under the name of a healthy node with another ID. It returns the node that is
// renamed by this registration, if any.
func claimNodeID(tx *Tx, n, old *api.Node) (renamed *api.Node, err error) {
	var holder *api.Node
	if row, ok := tx.at(nodesID).get([]byte(fold(n.ID))).(*api.Node); ok {
		holder = row
	}
	if old != nil && old.ID != "" && fold(old.ID) != fold(n.ID) && !nodeIsDead(tx, old.Node) {
		return nil, rejected("failed inserting node: Error while renaming Node ID: %q (%s): Node name %s is reserved by node %s with name %s (%s)",
			n.ID, n.Address, n.Node, old.ID, old.Node, old.Address)
	}
	if holder != nil && fold(holder.Node) != fold(n.Node) {
		return holder, nil
	}
	return nil, nil
}

// nodeIsDead reports whether another machine may take over a node's name.
func nodeIsDead(tx *Tx, node string) bool {
	c := checks.get(tx, join(fold(node), api.SerfHealth))
	return c == nil || c.Status == api.Critical
}

func sameNode(a, b *api.Node) bool {
	return a.ID == b.ID && a.Node == b.Node && a.Address == b.Address && a.Datacenter == b.Datacenter &&
		maps.Equal(a.TaggedAddresses, b.TaggedAddresses) && maps.Equal(a.Meta, b.Meta)
}

// touchNode wakes what shows the node: itself and all services on it.
func touchNode(tx *Tx, node string) {
	tx.bump(nodeTopic(node))
	for _, s := range services.collect(tx, services.id, join(fold(node), "")) {
		tx.bump(catalogTopic(s.Service.Service))
		tx.bump(healthTopic(s.Service.Service))
	}
}

// putService writes a service of a node unless it is there already in the same
// form.
func putService(tx *Tx, node string, s *api.Service) {
	old := services.get(tx, join(fold(node), s.ID))
	s.CreateIndex, s.ModifyIndex = tx.index, tx.index
	if old != nil {
		s.CreateIndex = old.Service.CreateIndex
		if sameService(s, old.Service) {
			return
		}
	}
	services.put(tx, &instance{Node: node, Service: s})
	tx.bump(nodeTopic(node))
	if old == nil {
		count(tx, s, 1)
	} else if old.Service.Service != s.Service || !slices.Equal(old.Service.Tags, s.Tags) {
		count(tx, s, 1)
		count(tx, old.Service, -1)
		relabelChecks(tx, node, s)
		if fold(old.Service.Service) != fold(s.Service) {
			touchService(tx, old.Service.Service)
		}
	}
	touchService(tx, s.Service)
}

// touchService wakes what shows a service, or forgets its topics when it has
// no instance left.
func touchService(tx *Tx, name string) {
	provided := false
	services.prefix(tx, servicesName, join(fold(name), ""), func(*instance) bool {
		provided = true
		return false
	})
	if !provided {
		tx.dropTopic(catalogTopic(name))
		tx.dropTopic(healthTopic(name))
		tx.dropTopic(checksTopic(name))
		return
	}
	tx.bump(catalogTopic(name))
	tx.bump(healthTopic(name))
	tx.beginTopic(checksTopic(name))
}

func sameService(a, b *api.Service) bool {
	return a.Kind == b.Kind && a.Service == b.Service && slices.Equal(a.Tags, b.Tags) && a.Address == b.Address &&
		maps.Equal(a.TaggedAddresses, b.TaggedAddresses) && maps.Equal(a.Meta, b.Meta) && a.Port == b.Port &&
		a.Weights == b.Weights && a.EnableTagOverride == b.EnableTagOverride &&
		string(a.Proxy) == string(b.Proxy) && string(a.Connect) == string(b.Connect) && a.SocketPath == b.SocketPath
}

// count adds an instance to the counts of its name, or takes it away (by is -1),
// and writes the listing of names when that changes.
func count(tx *Tx, s *api.Service, by int) {
	old := counts.get(tx, []byte(s.Service))
	row := &serviceCount{Name: s.Service, Tags: map[string]int{}}
	if old != nil {
		row.Instances = old.Instances
		maps.Copy(row.Tags, old.Tags)
	}
	row.Instances += by
	for _, t := range uniq(s.Tags) {
		if row.Tags[t] += by; row.Tags[t] == 0 {
			delete(row.Tags, t)
		}
	}
	listed := names.get(tx, []byte(s.Service))
	if row.Instances == 0 {
		counts.remove(tx, old)
		names.remove(tx, listed)
		return
	}
	counts.put(tx, row)
	if tags := slices.Sorted(maps.Keys(row.Tags)); listed == nil || !slices.Equal(tags, listed.Tags) {
		if tags == nil {
			tags = []string{}
		}
		names.put(tx, &serviceName{Name: s.Service, Tags: tags})
	}
}

func uniq(tags []string) []string {
	if len(tags) < 2 {
		return tags
	}
	out := slices.Clone(tags)
	slices.Sort(out)
	return slices.Compact(out)
}

// Deregister removes a service with its checks when ServiceID is set, else a
// check when CheckID is set, else the whole node. It answers true, also when
// there was nothing to remove.
type Deregister struct {
	Node      string `cbor:"1,keyasint"`
	ServiceID string `cbor:"2,keyasint,omitempty"`
	CheckID   string `cbor:"3,keyasint,omitempty"`
}

// Apply implements Command.
func (c *Deregister) Apply(tx *Tx) (any, error) {
	n := nodes.get(tx, []byte(fold(c.Node)))
	switch {
	case n == nil:
	case c.ServiceID != "":
		if s := services.get(tx, join(fold(c.Node), c.ServiceID)); s != nil {
			removeService(tx, s)
		}
	case c.CheckID != "":
		if check := checks.get(tx, join(fold(c.Node), c.CheckID)); check != nil {
			removeCheck(tx, check)
		}
	default:
		removeNode(tx, n)
	}
	return true, nil
}

func removeService(tx *Tx, s *instance) {
	for _, c := range checks.collect(tx, checksService, join(fold(s.Node), s.Service.ID, "")) {
		removeCheck(tx, c)
	}
	services.remove(tx, s)
	count(tx, s.Service, -1)
	tx.bump(nodeTopic(s.Node))
	touchService(tx, s.Service.Service)
}

func removeNode(tx *Tx, n *api.Node) {
	for _, s := range services.collect(tx, services.id, join(fold(n.Node), "")) {
		removeService(tx, s)
	}
	for _, c := range checks.collect(tx, checks.id, join(fold(n.Node), "")) {
		removeCheck(tx, c)
	}
	endSessionsOfNode(tx, n.Node)
	forgetCoordinates(tx, n.Node)
	nodes.remove(tx, n)
	tx.dropTopic(nodeTopic(n.Node))
	tx.dropTopic(nodeChecksTopic(n.Node))
}
