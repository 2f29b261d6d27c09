package api

import (
	"encoding/json"
	"time"

	"curia/acl"
)

// The behaviours of a session: what happens to the keys that it holds when it
// ends.
const (
	BehaviorRelease = "release"
	BehaviorDelete  = "delete"
)

// SerfHealth is the check that tells whether the agent of a node is alive.
const SerfHealth = "serfHealth"

// DefaultLockDelay is the lock delay of a session that names none.
const DefaultLockDelay = 15 * time.Second

// Session ties locks to a node and its checks ("Session").
type Session struct {
	ID   string `cbor:"1,keyasint"`
	Name string `cbor:"2,keyasint,omitempty"`
	Node string `cbor:"3,keyasint"`
	// LockDelay keeps others from the session's keys after it was ended by
	// force; at most a minute takes effect.
	LockDelay LockDelay `cbor:"4,keyasint,omitempty"`
	Behavior  string    `cbor:"5,keyasint,omitempty"` // BehaviorRelease or BehaviorDelete
	// TTL is a Go duration; empty means that the session does not expire.
	TTL           string         `cbor:"6,keyasint,omitempty"`
	NodeChecks    []string       `cbor:"7,keyasint,omitempty"`
	ServiceChecks []ServiceCheck `cbor:"8,keyasint,omitempty"`
	CreateIndex   uint64         `cbor:"9,keyasint"`
	ModifyIndex   uint64         `cbor:"10,keyasint"`
}

// ServiceCheck names a check of a service that a session depends on.
type ServiceCheck struct {
	ID        string `cbor:"1,keyasint"`
	Namespace string `json:",omitempty" cbor:"2,keyasint,omitempty"`
}

// MarshalJSON adds Checks, the documented name of NodeChecks.
func (s *Session) MarshalJSON() ([]byte, error) {
	type plain Session
	checks := s.NodeChecks
	if checks == nil {
		checks = []string{}
	}
	return json.Marshal(struct {
		*plain
		NodeChecks []string
		Checks     []string
	}{(*plain)(s), checks, checks})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Session) UnmarshalJSON(b []byte) error {
	type plain Session
	return json.Unmarshal(b, (*plain)(s))
}

// CanRead reports whether the holder of a may see the session.
func (s *Session) CanRead(a acl.Authorizer) bool {
	return a.Allows(acl.Need{Resource: acl.Session, Access: acl.Read, Name: s.Node})
}

// TTLDuration gives the parsed TTL; 0 when the session does not expire.
func (s *Session) TTLDuration() time.Duration {
	d, err := time.ParseDuration(s.TTL)
	if err != nil || d < 0 {
		return 0
	}
	return d
}

// SessionSpec is the body of session/create. Every field may be left out.
type SessionSpec struct {
	Node          string
	Name          string
	LockDelay     *LockDelay
	Behavior      string
	TTL           string
	Checks        *[]string // the older name of NodeChecks; nil when the body has none
	NodeChecks    *[]string
	ServiceChecks []ServiceCheck
}

// AllNodeChecks gives the checks of the node that the session depends on:
// serfHealth unless the body says otherwise.
func (s *SessionSpec) AllNodeChecks() []string {
	switch {
	case s.NodeChecks != nil:
		return *s.NodeChecks
	case s.Checks != nil:
		return *s.Checks
	}
	return []string{SerfHealth}
}

// SessionCreateArgs creates a session.
type SessionCreateArgs struct {
	Spec SessionSpec `body:"json,optional"`
}

// SessionID names a session, in paths and as the answer to session/create.
type SessionID struct {
	ID string `path:"id"`
}

// Validate wants an ID.
func (a *SessionID) Validate() error {
	if a.ID == "" {
		return Errorf(Invalid, "Missing session")
	}
	return nil
}

// NodeName names a node in a path.
type NodeName struct {
	Node string `path:"node"`
}

// Validate wants a name.
func (a *NodeName) Validate() error {
	if a.Node == "" {
		return Errorf(Invalid, "Missing node name")
	}
	return nil
}

// The verbs of sessions.
var (
	SessionCreate = Write[SessionCreateArgs, SessionID]("PUT /v1/session/create", "session.create",
		"Creates a session.",
		Needs(func(a *SessionCreateArgs) acl.Need {
			return acl.Need{Resource: acl.Session, Access: acl.Write, Name: a.Spec.Node}
		}))
	SessionDestroy = Write[SessionID, bool]("PUT /v1/session/destroy/{id}", "session.destroy",
		"Ends a session and gives back what it holds.")
	SessionRenew = Leader[SessionID, []*Session]("PUT /v1/session/renew/{id}", "session.renew",
		"Restarts the TTL of a session.")
	SessionInfo = Read[SessionID, []*Session]("GET /v1/session/info/{id}", "session.info",
		"Reads one session.")
	SessionNode = Read[NodeName, []*Session]("GET /v1/session/node/{node}", "session.node",
		"Lists the sessions of a node.")
	SessionList = Read[None, []*Session]("GET /v1/session/list", "session.list",
		"Lists all sessions.")
)

// NodeDefaulter is implemented by arguments in which a node may be left out:
// the agent that is asked fills in its own.
type NodeDefaulter interface{ DefaultNode(name string) }

// DefaultNode implements NodeDefaulter.
func (a *SessionCreateArgs) DefaultNode(name string) {
	if a.Spec.Node == "" {
		a.Spec.Node = name
	}
}
