package api

import "curia/acl"

// Nothing is the result of verbs whose answer has no body.
type Nothing struct{}

// JoinArgs name an agent of the pool to join, by address and, if it is not the
// usual one, port.
type JoinArgs struct {
	Address string `path:"address"`
	WAN     string `query:"wan"` // any value but the empty one means the WAN pool
}

// Validate wants an address.
func (a *JoinArgs) Validate() error {
	if a.Address == "" {
		return Errorf(Invalid, "Missing address")
	}
	return nil
}

// ForceLeaveArgs name a member that has failed and will not come back.
type ForceLeaveArgs struct {
	NodeName
	// Prune forgets the member at once, rather than list it as having left.
	Prune bool `query:"prune"`
	// WAN, unless empty, is about the WAN pool alone.
	WAN string `query:"wan"`
}

func agentWrite[Q any](*Q) acl.Need { return acl.Need{Resource: acl.Agent, Access: acl.Write} }

// The verbs of an agent's place among the others.
var (
	AgentJoin = Local[JoinArgs, Nothing]("PUT /v1/agent/join/{address}", "agent.join",
		"Joins the pool of another agent.", Also[JoinArgs]("GET"), Needs(agentWrite[JoinArgs]))
	AgentForceLeave = Local[ForceLeaveArgs, Nothing]("PUT /v1/agent/force-leave/{node}", "agent.force-leave",
		"Makes a member that has failed one that has left.", Also[ForceLeaveArgs]("GET"),
		Needs(func(*ForceLeaveArgs) acl.Need { return acl.Need{Resource: acl.Operator, Access: acl.Write} }))
	AgentLeave = Local[None, Nothing]("PUT /v1/agent/leave", "agent.leave",
		"Begins to leave the cluster, and to end.", Needs(agentWrite[None]))
)
