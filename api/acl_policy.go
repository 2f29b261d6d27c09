package api

// ACLPolicy is a named set of rules ("Policies").
type ACLPolicy struct {
	ID          string   `cbor:"1,keyasint"`
	Name        string   `cbor:"2,keyasint"`
	Description string   `cbor:"3,keyasint,omitempty"`
	Rules       string   `cbor:"4,keyasint,omitempty"`
	Datacenters []string `json:",omitempty" cbor:"5,keyasint,omitempty"` // where it holds; empty: everywhere
	Hash        []byte   `cbor:"6,keyasint,omitempty"`
	CreateIndex uint64   `cbor:"7,keyasint"`
	ModifyIndex uint64   `cbor:"8,keyasint"`
}

// ACLPolicyEntry is a policy in a list, without its rules.
type ACLPolicyEntry struct {
	ID          string
	Name        string
	Description string
	Datacenters []string
	Hash        []byte
	CreateIndex uint64
	ModifyIndex uint64
}

// ACLRole is a named set of policies and identities that tokens link to ("Roles").
type ACLRole struct {
	ID          string `cbor:"1,keyasint"`
	Name        string `cbor:"2,keyasint"`
	Description string `cbor:"3,keyasint,omitempty"`
	ACLGrants
	Hash        []byte `cbor:"4,keyasint,omitempty"`
	CreateIndex uint64 `cbor:"5,keyasint"`
	ModifyIndex uint64 `cbor:"6,keyasint"`
}

// ACLPolicyArgs creates a policy.
type ACLPolicyArgs struct {
	Policy ACLPolicy `body:"json"`
}

// ACLPolicyID names a policy by its ID.
type ACLPolicyID struct {
	ID string `path:"id"`
}

// Validate wants an ID.
func (a *ACLPolicyID) Validate() error {
	if a.ID == "" {
		return Errorf(Invalid, "Missing policy ID")
	}
	return nil
}

// ACLPolicyUpdateArgs changes a policy.
type ACLPolicyUpdateArgs struct {
	ACLPolicyID
	Policy ACLPolicy `body:"json"`
}

// ACLName names a policy, a role or a template.
type ACLName struct {
	Name string `path:"name"`
}

// Validate wants a name.
func (a *ACLName) Validate() error {
	if a.Name == "" {
		return Errorf(Invalid, "Missing name")
	}
	return nil
}

// ACLRoleArgs creates a role.
type ACLRoleArgs struct {
	Role ACLRole `body:"json"`
}

// ACLRoleID names a role by its ID.
type ACLRoleID struct {
	ID string `path:"id"`
}

// Validate wants an ID.
func (a *ACLRoleID) Validate() error {
	if a.ID == "" {
		return Errorf(Invalid, "Missing role ID")
	}
	return nil
}

// ACLRoleUpdateArgs changes a role.
type ACLRoleUpdateArgs struct {
	ACLRoleID
	Role ACLRole `body:"json"`
}

// ACLRolesArgs narrows the list of roles to those with a policy; empty: all.
type ACLRolesArgs struct {
	Policy string `query:"policy"`
}

// ACLTemplate is a builtin template of policies.
type ACLTemplate struct {
	TemplateName string
	Schema       string
	Template     string
	Description  string
}

// ACLPreviewArgs fills in a template to see the policy.
type ACLPreviewArgs struct {
	ACLName
	Variables TemplateVariables `body:"json,optional"`
}

// The verbs of policies, roles and templates.
var (
	ACLPolicyCreate = Write[ACLPolicyArgs, *ACLPolicy]("PUT /v1/acl/policy", "acl.policy-create",
		"Creates a policy.", Needs(aclWrite[ACLPolicyArgs]))
	ACLPolicyRead = Read[ACLPolicyID, *ACLPolicy]("GET /v1/acl/policy/{id}", "acl.policy-read",
		"Reads a policy.", Needs(aclRead[ACLPolicyID]))
	ACLPolicyReadName = Read[ACLName, *ACLPolicy]("GET /v1/acl/policy/name/{name}", "acl.policy-read-name",
		"Reads the policy with a name.", Needs(aclRead[ACLName]))
	ACLPolicyUpdate = Write[ACLPolicyUpdateArgs, *ACLPolicy]("PUT /v1/acl/policy/{id}", "acl.policy-update",
		"Changes a policy.", Needs(aclWrite[ACLPolicyUpdateArgs]))
	ACLPolicyDelete = Write[ACLPolicyID, bool]("DELETE /v1/acl/policy/{id}", "acl.policy-delete",
		"Deletes a policy and every link to it.", Needs(aclWrite[ACLPolicyID]))
	ACLPolicies = Read[None, []*ACLPolicyEntry]("GET /v1/acl/policies", "acl.policies",
		"Lists the policies without their rules.", Needs(aclRead[None]))
	ACLRoleCreate = Write[ACLRoleArgs, *ACLRole]("PUT /v1/acl/role", "acl.role-create",
		"Creates a role.", Needs(aclWrite[ACLRoleArgs]))
	ACLRoleRead = Read[ACLRoleID, *ACLRole]("GET /v1/acl/role/{id}", "acl.role-read",
		"Reads a role.", Needs(aclRead[ACLRoleID]))
	ACLRoleReadName = Read[ACLName, *ACLRole]("GET /v1/acl/role/name/{name}", "acl.role-read-name",
		"Reads the role with a name.", Needs(aclRead[ACLName]))
	ACLRoleUpdate = Write[ACLRoleUpdateArgs, *ACLRole]("PUT /v1/acl/role/{id}", "acl.role-update",
		"Changes a role.", Needs(aclWrite[ACLRoleUpdateArgs]))
	ACLRoleDelete = Write[ACLRoleID, bool]("DELETE /v1/acl/role/{id}", "acl.role-delete",
		"Deletes a role and every link to it.", Needs(aclWrite[ACLRoleID]))
	ACLRoles = Read[ACLRolesArgs, []*ACLRole]("GET /v1/acl/roles", "acl.roles",
		"Lists the roles.", Needs(aclRead[ACLRolesArgs]))
	ACLTemplates = Read[None, map[string]*ACLTemplate]("GET /v1/acl/templated-policies", "acl.templates",
		"Lists the templates of policies.", Bare[None](), Needs(aclRead[None]))
	ACLTemplateRead = Read[ACLName, *ACLTemplate]("GET /v1/acl/templated-policy/name/{name}", "acl.template-read",
		"Reads a template of policies.", Bare[ACLName](), Needs(aclRead[ACLName]))
	ACLTemplatePreview = Leader[ACLPreviewArgs, *ACLPolicy]("POST /v1/acl/templated-policy/preview/{name}", "acl.template-preview",
		"Fills in a template, to see the policy.", Needs(aclRead[ACLPreviewArgs]))
)
