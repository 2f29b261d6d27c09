package server

import (
	"cmp"
	"maps"

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
	known := v.Node(cmd.Node.Node)
	if changesNode(known, cmd) {
		if err := permit(who, nodeWrite(cmd.Node.Node)); err != nil {
			return err
		}
		for _, n := range v.Nodes() {
			if cmd.Node.ID != "" && n.ID == cmd.Node.ID {
				if err := permit(who, nodeWrite(n.Node)); err != nil {
					return err
				}
			}
		}
	}
	if s := cmd.Service; s != nil {
		for _, need := range serviceNeeds(v, acl.Write, cmd.Node.Node, s.ID, []string{s.Service}) {
			if err := permit(who, need); err != nil {
				return err
			}
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
	return !cmd.SkipNodeUpdate && (cmp.Or(n.ID, known.ID) != known.ID || n.Address != known.Address ||
		!maps.Equal(n.TaggedAddresses, known.TaggedAddresses) || !maps.Equal(n.Meta, known.Meta))
}

// mayWriteCheck looks at what a check is about, and at what it was about.
func mayWriteCheck(v *state.View, who acl.Authorizer, cmd *state.Register, c *api.Check) error {
	needs := checkNeeds(v, cmd.Node.Node, c.CheckID)
	switch {
	case c.ServiceID == "":
		needs = append(needs, nodeWrite(cmd.Node.Node))
	case cmd.Service != nil && cmd.Service.ID == c.ServiceID: // it was looked at
	default:
		needs = append(needs, serviceNeeds(v, acl.Write, cmd.Node.Node, c.ServiceID, nil)...)
	}
	for _, need := range needs {
		if err := permit(who, need); err != nil {
			return err
		}
	}
	return nil
}

// checkNeeds gives what writing the check with an ID needs, as it is now.
func checkNeeds(v *state.View, node, id string) []acl.Need {
	for _, c := range v.ChecksOfNode(node) {
		if c.CheckID != id {
			continue
		}
		if c.ServiceID == "" {
			return []acl.Need{nodeWrite(node)}
		}
		return []acl.Need{{Resource: acl.Service, Access: acl.Write, Name: c.ServiceName}}
	}
	return nil
}

func nodeWrite(name string) acl.Need {
	return acl.Need{Resource: acl.Node, Access: acl.Write, Name: name}
}

// mayDeregister refuses callers who may not remove something. Who may write the
// node may remove all that is on it.
func mayDeregister(v *state.View, who acl.Authorizer, q *api.DeregisterArgs) error {
	onNode := nodeWrite(q.Node)
	if who.Allows(onNode) {
		return nil
	}
	needs := []acl.Need{onNode}
	switch {
	case q.ServiceID != "":
		if of := serviceNeeds(v, acl.Write, q.Node, q.ServiceID, nil); len(of) > 0 {
			needs = of
		}
	case q.CheckID != "":
		if of := checkNeeds(v, q.Node, q.CheckID); len(of) > 0 {
			needs = of
		}
	}
	for _, need := range needs {
		if err := permit(who, need); err != nil {
			return err
		}
	}
	return nil
}
