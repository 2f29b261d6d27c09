package api

import (
	"time"

	"curia/acl"
)

// ACLLink names a policy or a role. Requests may give either; answers give both.
type ACLLink struct {
	ID   string `cbor:"1,keyasint"`
	Name string `cbor:"2,keyasint,omitempty"`
}

// ServiceIdentity stands for the policy that an instance of a service needs.
type ServiceIdentity struct {
	ServiceName string   `cbor:"1,keyasint"`
	Datacenters []string `json:",omitempty" cbor:"2,keyasint,omitempty"` // empty: all
}

// NodeIdentity stands for the policy that the agent of a node needs.
type NodeIdentity struct {
	NodeName   string `cbor:"1,keyasint"`
	Datacenter string `cbor:"2,keyasint"`
}

// TemplatedPolicy is a builtin template with a name filled in.
type TemplatedPolicy struct {
	TemplateName      string             `cbor:"1,keyasint"`
	TemplateVariables *TemplateVariables `json:",omitempty" cbor:"2,keyasint,omitempty"`
	Datacenters       []string           `json:",omitempty" cbor:"3,keyasint,omitempty"` // empty: all
}

// TemplateVariables fill the gaps of a template.
type TemplateVariables struct {
	Name string `cbor:"1,keyasint"`
}

// ACLGrants are the permissions that tokens and roles have in the same way.
type ACLGrants struct {
	Policies          []ACLLink         `json:",omitempty" cbor:"20,keyasint,omitempty"`
	TemplatedPolicies []TemplatedPolicy `json:",omitempty" cbor:"21,keyasint,omitempty"`
	ServiceIdentities []ServiceIdentity `json:",omitempty" cbor:"22,keyasint,omitempty"`
	NodeIdentities    []NodeIdentity    `json:",omitempty" cbor:"23,keyasint,omitempty"`
	ACLTenant
}

// ACLToken is a secret and what its holder may do ("Tokens").
type ACLToken struct {
	AccessorID  string `cbor:"1,keyasint"` // names the token; no secret
	SecretID    string `cbor:"2,keyasint"`
	Description string `cbor:"3,keyasint,omitempty"`
	ACLGrants
	Roles []ACLLink `json:",omitempty" cbor:"4,keyasint,omitempty"`
	Local bool      `cbor:"5,keyasint,omitempty"`
	// ExpirationTTL is what a request may give in place of ExpirationTime.
	ExpirationTTL  ReadableDuration `json:",omitzero" cbor:"-"`
	ExpirationTime *time.Time       `json:",omitempty" cbor:"6,keyasint,omitempty"` // nil: never
	CreateTime     time.Time        `cbor:"7,keyasint"`
	Hash           []byte           `cbor:"8,keyasint,omitempty"` // of everything that can change
	// Legacy tokens were made by acl/create; Rules is their text in the older syntax.
	Legacy      bool   `json:",omitempty" cbor:"9,keyasint,omitempty"`
	Rules       string `json:",omitempty" cbor:"10,keyasint,omitempty"`
	CreateIndex uint64 `cbor:"11,keyasint"`
	ModifyIndex uint64 `cbor:"12,keyasint"`
	AuthMethod  string `json:",omitempty" cbor:"13,keyasint,omitempty"` // that gave the token; empty: none
}

// HiddenSecret stands where a secret is not shown.
const HiddenSecret = "<hidden>"

// The builtin policies and what is reserved for such.
const (
	ManagementPolicy = "00000000-0000-0000-0000-000000000001"
	ReadOnlyPolicy   = "00000000-0000-0000-0000-000000000002"
	AnonymousSecret  = "anonymous"
)

// Management reports whether the token has all permissions.
func (t *ACLToken) Management() bool {
	for _, p := range t.Policies {
		if p.ID == ManagementPolicy {
			return true
		}
	}
	return false
}

// Expired reports whether the token's time is over.
func (t *ACLToken) Expired(now time.Time) bool {
	return t.ExpirationTime != nil && !t.ExpirationTime.After(now)
}

// Redacted is the token without its secret, unless the holder of a may change
// ACLs and so could see it anyway.
func (t *ACLToken) Redacted(a acl.Authorizer) *ACLToken {
	if a.Allows(acl.Need{Resource: acl.ACL, Access: acl.Write}) {
		return t
	}
	hidden := *t
	hidden.SecretID = HiddenSecret
	return &hidden
}

// ACLTokenReadArgs reads a token; Expanded adds the policies and roles themselves.
type ACLTokenReadArgs struct {
	ACLID[ACLToken]
	Expanded bool `query:"expanded"`
}

// ACLTokenArgs creates a token.
type ACLTokenArgs struct {
	Token ACLToken `body:"json,optional,strict"`
}

// ACLTokenCloneArgs copies a token.
type ACLTokenCloneArgs struct {
	ACLID[ACLToken]
	Spec struct{ Description string } `body:"json,optional"`
}

// ACLTokensArgs narrows the list of tokens. Empty fields select all.
type ACLTokensArgs struct {
	Policy      string `query:"policy"`
	Role        string `query:"role"`
	AuthMethod  string `query:"authmethod"`
	ServiceName string `query:"servicename"`
}

// ACLSelfArgs asks about the token that it is asked with.
type ACLSelfArgs struct {
	// Accessor is filled in by the server; empty when ACLs are off.
	Accessor string
}

// SetCaller implements AboutCaller.
func (a *ACLSelfArgs) SetCaller(accessor string) { a.Accessor = accessor }

// AboutCaller is implemented by arguments of verbs that are about whoever asks.
type AboutCaller interface{ SetCaller(accessor string) }

// ACLTokenExpanded is a token with everything that it links to.
type ACLTokenExpanded struct {
	ACLToken
	ExpandedPolicies      []*ACLPolicy `json:",omitempty"`
	ExpandedRoles         []*ACLRole   `json:",omitempty"`
	AgentACLDefaultPolicy string       `json:",omitempty"`
	AgentACLDownPolicy    string       `json:",omitempty"`
	ResolvedByAgent       string       `json:",omitempty"`
}

// ACLBootstrapArgs makes the first management token. BootstrapSecret is its
// secret; empty makes one.
type ACLBootstrapArgs struct {
	Spec struct{ BootstrapSecret string } `body:"json,optional"`
}

// ACLReplicationStatus tells how ACLs are copied from the primary datacenter.
type ACLReplicationStatus struct {
	Enabled, Running     bool
	SourceDatacenter     string
	ReplicationType      string
	ReplicatedIndex      uint64
	ReplicatedRoleIndex  uint64
	ReplicatedTokenIndex uint64
	LastSuccess          time.Time
	LastError            time.Time
	LastErrorMessage     string
}

// AgentTokenArgs set a token that an agent works with; empty goes back to that
// of the configuration.
type AgentTokenArgs struct {
	Kind string                 `path:"kind"`
	Spec struct{ Token string } `body:"json"`
}

func aclRead[Q any](*Q) acl.Need  { return acl.Need{Resource: acl.ACL, Access: acl.Read} }
func aclWrite[Q any](*Q) acl.Need { return acl.Need{Resource: acl.ACL, Access: acl.Write} }

// The verbs of tokens.
var (
	ACLBootstrap = Write[ACLBootstrapArgs, *ACLToken]("PUT /v1/acl/bootstrap", "acl.bootstrap",
		"Makes the first management token, once.")
	ACLReplication = Read[None, *ACLReplicationStatus]("GET /v1/acl/replication", "acl.replication",
		"Tells how ACLs are copied from the primary datacenter.", Bare[None]())
	ACLTokenCreate = Write[ACLTokenArgs, *ACLToken]("PUT /v1/acl/token", "acl.token-create",
		"Creates a token.", Needs(aclWrite[ACLTokenArgs]))
	ACLTokenRead = Read[ACLTokenReadArgs, *ACLTokenExpanded]("GET /v1/acl/token/{id}", "acl.token-read",
		"Reads a token.", Needs(aclRead[ACLTokenReadArgs]))
	ACLTokenSelf = Read[ACLSelfArgs, *ACLToken]("GET /v1/acl/token/self", "acl.token-self",
		"Reads the token that the request is made with.")
	ACLTokenUpdate = Write[ACLUpdate[ACLToken], *ACLToken]("PUT /v1/acl/token/{id}", "acl.token-update",
		"Changes a token.", Needs(aclWrite[ACLUpdate[ACLToken]]))
	ACLTokenClone = Write[ACLTokenCloneArgs, *ACLToken]("PUT /v1/acl/token/{id}/clone", "acl.token-clone",
		"Creates a token with the permissions of another.", Needs(aclWrite[ACLTokenCloneArgs]))
	ACLTokenDelete = Write[ACLID[ACLToken], bool]("DELETE /v1/acl/token/{id}", "acl.token-delete",
		"Deletes a token.", Needs(aclWrite[ACLID[ACLToken]]))
	ACLTokens = Read[ACLTokensArgs, []*ACLToken]("GET /v1/acl/tokens", "acl.tokens",
		"Lists the tokens.", Needs(aclRead[ACLTokensArgs]))
	AgentToken = Local[AgentTokenArgs, Nothing]("PUT /v1/agent/token/{kind}", "agent.token",
		"Sets a token that the agent works with.",
		Needs(func(*AgentTokenArgs) acl.Need { return acl.Need{Resource: acl.Agent, Access: acl.Write} }))
)
