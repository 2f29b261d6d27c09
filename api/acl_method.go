package api

// AuthJWT is the type of auth methods that Curia has.
const AuthJWT = "jwt"

// Where the tokens of an auth method hold.
const (
	LocalTokens  = "local"
	GlobalTokens = "global"
)

// ACLAuthMethod is a way to trade what somebody else vouches for against a token
// ("Auth Methods").
type ACLAuthMethod struct {
	Name        string `cbor:"1,keyasint"`
	Type        string `cbor:"2,keyasint"`
	DisplayName string `json:",omitempty" cbor:"3,keyasint,omitempty"`
	Description string `cbor:"4,keyasint,omitempty"`
	// MaxTokenTTL is how long the tokens live; 0: until they are deleted.
	MaxTokenTTL   ReadableDuration `json:",omitzero" cbor:"5,keyasint,omitempty"`
	TokenLocality string           `json:",omitempty" cbor:"6,keyasint,omitempty"` // LocalTokens unless given
	Config        Opaque           `cbor:"7,keyasint,omitempty"`                   // what it means depends on Type
	CreateIndex   uint64           `cbor:"8,keyasint"`
	ModifyIndex   uint64           `cbor:"9,keyasint"`
	ACLTenant
}

// ACLAuthMethodEntry is an auth method in a list, without its Config.
type ACLAuthMethodEntry struct {
	Name          string
	Type          string
	DisplayName   string `json:",omitempty"`
	Description   string
	MaxTokenTTL   ReadableDuration `json:",omitzero"`
	TokenLocality string           `json:",omitempty"`
	CreateIndex   uint64
	ModifyIndex   uint64
}

// The bind types of rules: what BindName is the name of.
const (
	BindService  = "service" // a service identity
	BindNode     = "node"    // a node identity
	BindRole     = "role"
	BindPolicy   = "policy"
	BindTemplate = "templated-policy" // filled in with BindVars
)

// ACLBindingRule says what those may do who log in with an auth method
// ("Binding Rules").
type ACLBindingRule struct {
	ID          string `cbor:"1,keyasint"`
	Description string `cbor:"2,keyasint,omitempty"`
	AuthMethod  string `cbor:"3,keyasint"`
	Selector    string `cbor:"4,keyasint,omitempty"` // of those whom the rule is about; empty: all
	BindType    string `cbor:"5,keyasint"`
	// BindName and BindVars may have ${value.x} in them.
	BindName    string             `cbor:"6,keyasint"`
	BindVars    *TemplateVariables `json:",omitempty" cbor:"7,keyasint,omitempty"`
	CreateIndex uint64             `cbor:"8,keyasint"`
	ModifyIndex uint64             `cbor:"9,keyasint"`
	ACLTenant
}

func (ACLBindingRule) idName() string { return "binding rule ID" }

// ACLAuthMethodUpdateArgs changes an auth method.
type ACLAuthMethodUpdateArgs struct {
	ACLName
	New ACLAuthMethod `body:"json,strict"`
}

// ACLBindingRulesArgs narrows the list of rules to those of an auth method; empty: all.
type ACLBindingRulesArgs struct {
	AuthMethod string `query:"authmethod"`
}

// The verbs of auth methods and binding rules.
var (
	ACLAuthMethodCreate = Write[ACLCreate[ACLAuthMethod], *ACLAuthMethod]("PUT /v1/acl/auth-method", "acl.auth-method-create",
		"Creates an auth method.", Needs(aclWrite[ACLCreate[ACLAuthMethod]]))
	ACLAuthMethodRead = Read[ACLName, *ACLAuthMethod]("GET /v1/acl/auth-method/{name}", "acl.auth-method-read",
		"Reads an auth method.", Needs(aclRead[ACLName]))
	ACLAuthMethodUpdate = Write[ACLAuthMethodUpdateArgs, *ACLAuthMethod]("PUT /v1/acl/auth-method/{name}", "acl.auth-method-update",
		"Changes an auth method.", Needs(aclWrite[ACLAuthMethodUpdateArgs]))
	ACLAuthMethodDelete = Write[ACLName, bool]("DELETE /v1/acl/auth-method/{name}", "acl.auth-method-delete",
		"Deletes an auth method, its rules and the tokens that it gave.", Needs(aclWrite[ACLName]))
	ACLAuthMethods = Read[None, []*ACLAuthMethodEntry]("GET /v1/acl/auth-methods", "acl.auth-methods",
		"Lists the auth methods without their configuration.", Needs(aclRead[None]))
	ACLBindingRuleCreate = Write[ACLCreate[ACLBindingRule], *ACLBindingRule]("PUT /v1/acl/binding-rule", "acl.binding-rule-create",
		"Creates a binding rule.", Needs(aclWrite[ACLCreate[ACLBindingRule]]))
	ACLBindingRuleRead = Read[ACLID[ACLBindingRule], *ACLBindingRule]("GET /v1/acl/binding-rule/{id}", "acl.binding-rule-read",
		"Reads a binding rule.", Needs(aclRead[ACLID[ACLBindingRule]]))
	ACLBindingRuleUpdate = Write[ACLUpdate[ACLBindingRule], *ACLBindingRule]("PUT /v1/acl/binding-rule/{id}", "acl.binding-rule-update",
		"Changes a binding rule.", Needs(aclWrite[ACLUpdate[ACLBindingRule]]))
	ACLBindingRuleDelete = Write[ACLID[ACLBindingRule], bool]("DELETE /v1/acl/binding-rule/{id}", "acl.binding-rule-delete",
		"Deletes a binding rule.", Needs(aclWrite[ACLID[ACLBindingRule]]))
	ACLBindingRules = Read[ACLBindingRulesArgs, []*ACLBindingRule]("GET /v1/acl/binding-rules", "acl.binding-rules",
		"Lists the binding rules.", Needs(aclRead[ACLBindingRulesArgs]))
)
