package server

import (
	"cmp"
	"maps"
	"strings"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// mayRegister refuses callers who may not make a change to the catalog: node
// write for a node that is new or changes and for its own checks, service write
// for services and theirs, under the name that they have and the one they get.
func mayRegister(v *state.View, who acl.Authorizer, cmd *state.Register) error {
	if acl.All(who) {
		return nil
	}
	if changesNode(nodeNamed(v, cmd.Node.Node), cmd) {
		if err := lacking(who, nodeChangeNeeds(v, cmd.Node.Node, cmd.Node.ID)); err != nil {
			return err
		}
	}
	if s := cmd.Service; s != nil {
		if err := lacking(who, serviceNeeds(v, acl.Write, cmd.Node.Node, s.ID, []string{s.Service})); err != nil {
			return err
		}
	}
	for _, c := range cmd.Checks {
		if err := mayWriteCheck(v, who, cmd, c); err != nil {
			return err
		}
	}
	return nil
}

// changesNode reports whether a registration makes a node or changes it.
func changesNode(known *api.Node, cmd *state.Register) bool {
	if known == nil {
		return true
	}
	n := cmd.Node
	return !cmd.SkipNodeUpdate && (n.Node != known.Node || cmp.Or(n.ID, known.ID) != known.ID || n.Address != known.Address ||
		!maps.Equal(n.TaggedAddresses, known.TaggedAddresses) || !maps.Equal(n.Meta, known.Meta))
}

// mayWriteCheck looks at what a check is about, and at what it was about.
func mayWriteCheck(v *state.View, who acl.Authorizer, cmd *state.Register, c *api.Check) error {
	service := c.ServiceID
	if cmd.Service != nil && cmd.Service.ID == service {
		service = "" // it was looked at
	}
	needs := checkNeeds(v, acl.Write, cmd.Node.Node, c.CheckID)
	if service != "" || c.ServiceID == "" {
		needs = append(needs, subjectNeeds(v, acl.Write, cmd.Node.Node, service, nil)...)
	}
	return lacking(who, needs)
}

// checkNeeds gives what an access to the check with an ID needs, as it is now;
// nothing when there is no such check.
func checkNeeds(v *state.View, access acl.Access, node, id string) []acl.Need {
	for _, c := range v.ChecksOfNode(node) {
		switch {
		case c.CheckID != id:
		case c.ServiceID == "":
			return nodeNeeds(v, access, node)
		default:
			return []acl.Need{{Resource: acl.Service, Access: access, Name: c.ServiceName}}
		}
	}
	return nil
}

// subjectNeeds gives what an access to the checks of a service of a node needs,
// which is about to have some names; or to those of the node itself when the ID is
// empty or no service has it.
func subjectNeeds(v *state.View, access acl.Access, node, service string, names []string) []acl.Need {
	if needs := serviceNeeds(v, access, node, service, names); service != "" && len(needs) > 0 {
		return needs
	}
	return nodeNeeds(v, access, node)
}

// nodeNeeds gives what an access to a node needs: rules know one case of a name,
// the catalog all of them, so that the name of a request may be another than the
// one that the node has.
func nodeNeeds(v *state.View, access acl.Access, name string) []acl.Need {
	needs := []acl.Need{{Resource: acl.Node, Access: access, Name: name}}
	if n := nodeNamed(v, name); n != nil && n.Node != name {
		needs = append(needs, acl.Need{Resource: acl.Node, Access: access, Name: n.Node})
	}
	return needs
}

// nodeChangeNeeds gives what writing a node needs: an ID that is another node's
// gives that one another name.
func nodeChangeNeeds(v *state.View, name, id string) []acl.Need {
	needs := nodeNeeds(v, acl.Write, name)
	if id == "" {
		return needs
	}
	for _, n := range v.Nodes() {
		if strings.EqualFold(n.ID, id) && n.Node != name {
			needs = append(needs, acl.Need{Resource: acl.Node, Access: acl.Write, Name: n.Node})
		}
	}
	return needs
}

// nodeNamed finds the node with a name, whatever the case; nil if there is none.
// Beginnings of IDs are no names here.
func nodeNamed(v *state.View, name string) *api.Node {
	if n := v.Node(name); n != nil && strings.EqualFold(n.Node, name) {
		return n
	}
	return nil
}

// mayDeregister refuses callers who may not remove something. Who may write the
// node may remove all that is on it.
func mayDeregister(v *state.View, who acl.Authorizer, q *api.DeregisterArgs) error {
	needs := nodeNeeds(v, acl.Write, q.Node)
	if lacking(who, needs) == nil {
		return nil
	}
	switch {
	case q.ServiceID != "":
		if of := serviceNeeds(v, acl.Write, q.Node, q.ServiceID, nil); len(of) > 0 {
			needs = of
		}
	case q.CheckID != "":
		if of := checkNeeds(v, acl.Write, q.Node, q.CheckID); len(of) > 0 {
			needs = of
		}
	}
	return lacking(who, needs)
}

// lacking refuses callers who lack one of several permissions.
func lacking(who acl.Authorizer, needs []acl.Need) error {
	for _, need := range needs {
		if err := permit(who, need); err != nil {
			return err
		}
	}
	return nil
}
