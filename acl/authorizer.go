package acl

import "strconv"

// An Authorizer answers whether its holder has a permission. Implementations
// are immutable and safe for concurrent use.
type Authorizer interface {
	// Allows reports whether the need is granted.
	Allows(Need) bool
	// ID names the set of permissions: two authorizers with the same ID give
	// the same answers, so results computed for one may be handed to the other.
	ID() string
}

// Resource is the kind of thing that a rule speaks of, by its name in the rule
// language. The empty Resource needs no permission.
type Resource string

// The resources of the rule language.
const (
	Key      Resource = "key"
	Node     Resource = "node"
	Service  Resource = "service"
	Session  Resource = "session"
	Agent    Resource = "agent"
	Operator Resource = "operator"
	ACL      Resource = "acl"
	Query    Resource = "query"
	Event    Resource = "event"
	Keyring  Resource = "keyring"
)

// Access is what somebody wants to do with a resource.
type Access string

// The accesses of the rule language.
const (
	Read  Access = "read"
	List  Access = "list"
	Write Access = "write"
)

// Need is one permission: an access to the resource with a name. The zero Need
// is granted to everybody.
type Need struct {
	Resource Resource
	Access   Access
	Name     string
	// Prefix asks for the access to everything whose name begins with Name.
	Prefix bool
}

// String gives the need as it stands in a 403: key:write on "foo".
func (n Need) String() string {
	s := string(n.Resource) + ":" + string(n.Access)
	if n.Name == "" {
		return s
	}
	return s + " on " + strconv.Quote(n.Name)
}

// AllowAll grants everything. It is what callers hold while ACLs are off.
type AllowAll struct{}

// Allows grants every need.
func (AllowAll) Allows(Need) bool { return true }

// ID is the same for every AllowAll.
func (AllowAll) ID() string { return "allow" }
