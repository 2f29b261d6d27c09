package api

import "curia/acl"

// ACLAuthorization is a permission that the caller may have or not.
type ACLAuthorization struct {
	Resource acl.Resource
	Access   acl.Access
	Segment  string `json:",omitempty"` // name of the resource
}

// ACLAuthorized is the answer to an ACLAuthorization.
type ACLAuthorized struct {
	ACLAuthorization
	Allow bool
}

// maxAuthorizations bounds what is asked at once.
const maxAuthorizations = 64

// ACLAuthorizeArgs ask about permissions.
type ACLAuthorizeArgs struct {
	Wanted []ACLAuthorization `body:"json"`
}

// Validate bounds the list, and wants to know every word in it.
func (a *ACLAuthorizeArgs) Validate() error {
	if len(a.Wanted) > maxAuthorizations {
		return Errorf(Invalid, "Refusing to process more than %d authorizations at once", maxAuthorizations)
	}
	for _, w := range a.Wanted {
		if err := (acl.Need{Resource: w.Resource, Access: w.Access}).Check(); err != nil {
			return Errorf(Invalid, "Invalid authorization request: %v", err)
		}
	}
	return nil
}

// ACLAuthorize is the verb of those who ask what they may do.
var ACLAuthorize = Leader[ACLAuthorizeArgs, []ACLAuthorized]("POST /v1/internal/acl/authorize", "acl.authorize",
	"Tells which permissions the caller has.")
