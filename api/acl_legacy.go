package api

// The types of legacy tokens.
const (
	LegacyClient     = "client"
	LegacyManagement = "management"
)

// LegacyToken is a token as the older endpoints show it ("ACL"): its ID is the
// secret, its rules are text in the older syntax.
type LegacyToken struct {
	CreateIndex uint64
	ModifyIndex uint64
	ID          string
	Name        string
	Type        string
	Rules       string
}

// LegacySpec is the body of acl/create and acl/update.
type LegacySpec struct {
	ID    string
	Name  string
	Type  string // LegacyClient unless given
	Rules string
}

// LegacyID names a token by its secret, in paths and as an answer.
type LegacyID struct {
	ID string `path:"id"`
}

// Validate wants an ID.
func (a *LegacyID) Validate() error {
	if a.ID == "" {
		return Errorf(Invalid, "Missing ACL")
	}
	return nil
}

// LegacyCreateArgs creates a token; an ID that is in use overwrites its token.
type LegacyCreateArgs struct {
	Spec LegacySpec `body:"json,optional"`
}

// LegacyUpdateArgs changes a token, or creates it.
type LegacyUpdateArgs struct {
	Spec LegacySpec `body:"json,optional"`
}

// Validate wants an ID.
func (a *LegacyUpdateArgs) Validate() error {
	if a.Spec.ID == "" {
		return Errorf(Invalid, "ACL ID must be set")
	}
	return nil
}

// ACLTranslateArgs holds rules in the older syntax.
type ACLTranslateArgs struct {
	Rules []byte `body:"raw"`
}

// The older verbs of ACLs.
var (
	LegacyCreate = Write[LegacyCreateArgs, LegacyID]("PUT /v1/acl/create", "acl.create",
		"Creates a token with rules of its own.", Needs(aclWrite[LegacyCreateArgs]))
	LegacyUpdate = Write[LegacyUpdateArgs, LegacyID]("PUT /v1/acl/update", "acl.update",
		"Changes a token with rules of its own.", Needs(aclWrite[LegacyUpdateArgs]))
	LegacyDestroy = Write[LegacyID, bool]("PUT /v1/acl/destroy/{id}", "acl.destroy",
		"Deletes a token.", Needs(aclWrite[LegacyID]))
	LegacyInfo = Read[LegacyID, []*LegacyToken]("GET /v1/acl/info/{id}", "acl.info",
		"Reads the token whose secret the caller knows.")
	LegacyClone = Write[LegacyID, LegacyID]("PUT /v1/acl/clone/{id}", "acl.clone",
		"Creates a token with the permissions of another.", Needs(aclWrite[LegacyID]))
	LegacyList = Read[None, []*LegacyToken]("GET /v1/acl/list", "acl.list",
		"Lists the tokens with their secrets.", Needs(aclWrite[None]))
	ACLTranslate = Leader[ACLTranslateArgs, RawValue]("POST /v1/acl/rules/translate", "acl.rules-translate",
		"Rewrites rules of the older syntax in the newer one.", Needs(aclRead[ACLTranslateArgs]))
	ACLTranslateToken = Read[ACLID[ACLToken], RawValue]("GET /v1/acl/rules/translate/{id}", "acl.rules-translate-token",
		"Rewrites the rules of a token in the newer syntax.", Needs(aclRead[ACLID[ACLToken]]))
)
