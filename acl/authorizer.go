package acl

import (
	"fmt"
	"slices"
	"strconv"
)

// An Authorizer answers whether its holder has a permission. Implementations
// are immutable and safe for concurrent use.
type Authorizer interface {
	// Allows reports whether the need is granted.
	Allows(Need) bool
	// ID names the set of permissions: two authorizers with the same ID give
	// the same answers, so results computed for one may be handed to the other.
	ID() string
}

// Resolver finds out what the holder of a token may do. It returns an error for
// tokens that nobody has.
type Resolver func(token string) (Authorizer, error)

// Resource is the kind of thing that a rule speaks of, by its name in the rule
// language. The empty Resource needs no permission.
type Resource string

// The resources of the rule language. Intention has no rules of its own: a
// rule about a service may speak of its intentions.
const (
	Key       Resource = "key"
	Node      Resource = "node"
	Service   Resource = "service"
	Session   Resource = "session"
	Agent     Resource = "agent"
	Operator  Resource = "operator"
	ACL       Resource = "acl"
	Query     Resource = "query"
	Event     Resource = "event"
	Keyring   Resource = "keyring"
	Mesh      Resource = "mesh"
	Peering   Resource = "peering"
	Intention Resource = "intention"
)

// Access is what somebody wants to do with a resource, or what a rule says
// about it.
type Access string

// The accesses of the rule language. Write implies List, and List Read. Deny is
// the word of a rule, nobody needs it. List is asked before keys are listed; it
// is granted to everybody, the result being filtered, unless listing is a
// permission of its own (Options.KeyList).
const (
	Deny  Access = "deny"
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

// Check wants the need to be about a known resource and an access that it has.
func (n Need) Check() error {
	r := n.Resource
	if !r.whole() && r != Intention && !slices.Contains(named, r) {
		return fmt.Errorf("unknown resource %q: use %v, %v or %s", string(r), named, wholes, Intention)
	}
	if n.Access != Read && n.Access != Write && (n.Access != List || r != Key) {
		return fmt.Errorf("unknown access %q to the resource %s: use read or write, or list for keys", string(n.Access), r)
	}
	return nil
}

// String gives the need as key:write on "foo".
func (n Need) String() string { return n.text("") }

// text puts something around the permission.
func (n Need) text(around string) string {
	s := around + string(n.Resource) + ":" + string(n.Access) + around
	if n.Name == "" {
		return s
	}
	return s + " on " + strconv.Quote(n.Name)
}

// AllowAll grants everything. It is what callers hold while ACLs are off, and
// holders of management tokens.
type AllowAll struct{}

// Allows grants every need.
func (AllowAll) Allows(Need) bool { return true }

// ID is the same for every AllowAll.
func (AllowAll) ID() string { return "allow" }

// DenyAll grants nothing.
type DenyAll struct{}

// Allows grants only needs that nobody lacks.
func (DenyAll) Allows(n Need) bool { return n.Resource == "" || n.Access == List }

// ID is the same for every DenyAll.
func (DenyAll) ID() string { return "deny" }

// All reports whether an authorizer is known to grant everything.
func All(a Authorizer) bool { return a.ID() == AllowAll{}.ID() }

// Anonymous is the accessor of the token of those who bring none.
const Anonymous = "00000000-0000-0000-0000-000000000002"

// Holder is an Authorizer that tells who holds it. Its ID is that of the
// permissions alone.
type Holder struct {
	Authorizer
	// Accessor names the token; it is no secret. Empty when there is none.
	Accessor string
}

// Nameless reports whether an authorizer is that of callers without a token.
func Nameless(a Authorizer) bool {
	h, ok := a.(*Holder)
	return ok && h.Accessor == Anonymous
}

// Refusal is the text of a 403: whose token lacks which permission. Who may not
// fire an event is told no more than that.
func Refusal(a Authorizer, n Need) string {
	if n.Resource == Event && n.Access == Write {
		return "Permission denied"
	}
	lacks := "lacks permission " + n.text("'")
	switch h, ok := a.(*Holder); {
	case ok && h.Accessor == Anonymous:
		return "Permission denied: anonymous token " + lacks +
			". The anonymous token is used implicitly when a request does not specify a token."
	case ok && h.Accessor != "":
		return "Permission denied: token with AccessorID '" + h.Accessor + "' " + lacks
	}
	return "Permission denied: token " + lacks
}
