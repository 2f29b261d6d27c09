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
	ACLTenant
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
	ACLPolicyCreate = Write[ACLCreate[ACLPolicy], *ACLPolicy]("PUT /v1/acl/policy", "acl.policy-create",
		"Creates a policy.", Needs(aclWrite[ACLCreate[ACLPolicy]]))
	ACLPolicyRead = Read[ACLID[ACLPolicy], *ACLPolicy]("GET /v1/acl/policy/{id}", "acl.policy-read",
		"Reads a policy.", Needs(aclRead[ACLID[ACLPolicy]]))
	ACLPolicyReadName = Read[ACLName, *ACLPolicy]("GET /v1/acl/policy/name/{name}", "acl.policy-read-name",
		"Reads the policy with a name.", Needs(aclRead[ACLName]))
	ACLPolicyUpdate = Write[ACLUpdate[ACLPolicy], *ACLPolicy]("PUT /v1/acl/policy/{id}", "acl.policy-update",
		"Changes a policy.", Needs(aclWrite[ACLUpdate[ACLPolicy]]))
	ACLPolicyDelete = Write[ACLID[ACLPolicy], bool]("DELETE /v1/acl/policy/{id}", "acl.policy-delete",
		"Deletes a policy and every link to it.", Needs(aclWrite[ACLID[ACLPolicy]]))
	ACLPolicies = Read[None, []*ACLPolicyEntry]("GET /v1/acl/policies", "acl.policies",
		"Lists the policies without their rules.", Needs(aclRead[None]))
	ACLRoleCreate = Write[ACLCreate[ACLRole], *ACLRole]("PUT /v1/acl/role", "acl.role-create",
		"Creates a role.", Needs(aclWrite[ACLCreate[ACLRole]]))
	ACLRoleRead = Read[ACLID[ACLRole], *ACLRole]("GET /v1/acl/role/{id}", "acl.role-read",
		"Reads a role.", Needs(aclRead[ACLID[ACLRole]]))
	ACLRoleReadName = Read[ACLName, *ACLRole]("GET /v1/acl/role/name/{name}", "acl.role-read-name",
		"Reads the role with a name.", Needs(aclRead[ACLName]))
	ACLRoleUpdate = Write[ACLUpdate[ACLRole], *ACLRole]("PUT /v1/acl/role/{id}", "acl.role-update",
		"Changes a role.", Needs(aclWrite[ACLUpdate[ACLRole]]))
	ACLRoleDelete = Write[ACLID[ACLRole], bool]("DELETE /v1/acl/role/{id}", "acl.role-delete",
		"Deletes a role and every link to it.", Needs(aclWrite[ACLID[ACLRole]]))
	ACLRoles = Read[ACLRolesArgs, []*ACLRole]("GET /v1/acl/roles", "acl.roles",
		"Lists the roles.", Needs(aclRead[ACLRolesArgs]))
	ACLTemplates = Read[None, map[string]*ACLTemplate]("GET /v1/acl/templated-policies", "acl.templates",
		"Lists the templates of policies.", Bare[None](), Needs(aclRead[None]))
	ACLTemplateRead = Read[ACLName, *ACLTemplate]("GET /v1/acl/templated-policy/name/{name}", "acl.template-read",
		"Reads a template of policies.", Bare[ACLName](), Needs(aclRead[ACLName]))
	ACLTemplatePreview = Leader[ACLPreviewArgs, *ACLPolicy]("POST /v1/acl/templated-policy/preview/{name}", "acl.template-preview",
		"Fills in a template, to see the policy.", Needs(aclRead[ACLPreviewArgs]))
)
