package api

import (
	"encoding/json"
	"fmt"
)

// OnlyDefault is the name of a namespace or of a partition, of which there is one
// each. Reading it refuses all others; it is never printed.
type OnlyDefault string

// UnmarshalJSON takes "default" or an empty text.
func (*OnlyDefault) UnmarshalJSON(b []byte) error {
	var name string
	if err := json.Unmarshal(b, &name); err != nil {
		return fmt.Errorf("read the name of a namespace or partition: %w", err)
	}
	if name != "" && name != "default" {
		return Errorf(Invalid, "Invalid Namespace or Partition %q: neither is supported, leave them out or use \"default\"", name)
	}
	return nil
}

// ACLTenant is what other systems divide tokens, policies and the like by.
type ACLTenant struct {
	Namespace OnlyDefault `json:",omitempty" cbor:"-"`
	Partition OnlyDefault `json:",omitempty" cbor:"-"`
}

// hasID is a noun of the ACLs that requests name by an ID. idName says what to
// call the ID when it is missing.
type hasID interface{ idName() string }

func (ACLToken) idName() string  { return "token AccessorID" }
func (ACLPolicy) idName() string { return "policy ID" }
func (ACLRole) idName() string   { return "role ID" }

// ACLID names one T by its ID.
type ACLID[T hasID] struct {
	ID string `path:"id"`
}

// RowID is the ID.
func (a *ACLID[T]) RowID() string { return a.ID }

// Validate wants an ID.
func (a *ACLID[T]) Validate() error {
	if a.ID == "" {
		var noun T
		return Errorf(Invalid, "Missing %s", noun.idName())
	}
	return nil
}

// ACLCreate makes a T; its ID must not be given.
type ACLCreate[T any] struct {
	New T `body:"json,strict"`
}

// ACLUpdate puts another T in the place of the one with an ID.
type ACLUpdate[T hasID] struct {
	ACLID[T]
	New T `body:"json,strict"`
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
