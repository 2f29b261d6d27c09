package state

import (
	"crypto/sha256"
	"slices"

	"curia/api"
)

// ACLWrite says whether a command makes something new or changes what is there.
type ACLWrite uint8

const (
	// ACLCreate fails when there is such a thing.
	ACLCreate ACLWrite = iota
	// ACLUpdate fails when there is none.
	ACLUpdate
	// ACLPut does either.
	ACLPut
)

// ACLTokenSet writes a token whose IDs, times and links were filled in before.
// It answers the *api.ACLToken.
type ACLTokenSet struct {
	Token api.ACLToken `cbor:"1,keyasint"`
	Write ACLWrite     `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *ACLTokenSet) Apply(tx *Tx) (any, error) {
	t := c.Token
	old := aclTokens.get(tx, []byte(t.AccessorID))
	holder := tokenBySecret(tx, t.SecretID)
	switch {
	case old != nil && c.Write == ACLCreate:
		return nil, api.Errorf(api.Invalid, "Invalid Token: AccessorID is already in use")
	case old == nil && c.Write == ACLUpdate:
		return nil, api.Errorf(api.Denied, "token does not exist: ACL not found")
	case holder != nil && holder.AccessorID != t.AccessorID:
		return nil, api.Errorf(api.Invalid, "Invalid Token: SecretID is already in use")
	}
	if err := checkLinks(tx, t.Policies, t.Roles); err != nil {
		return nil, err
	}
	t.Hash = hashOf(t.Description, t.ACLGrants, t.Roles, t.Rules)
	t.CreateIndex, t.ModifyIndex = tx.index, tx.index
	if old != nil {
		t.CreateIndex = old.CreateIndex
	}
	aclTokens.put(tx, &t)
	return nameLinks(tx, &t), nil
}

// nameLinks is a token with the names of what it links to.
func nameLinks(tx *Tx, t *api.ACLToken) *api.ACLToken {
	out := *t
	out.Policies = namedLinks(t.Policies, func(id string) string { return nameOf(policyByID(tx, id)) })
	out.Roles = namedLinks(t.Roles, func(id string) string {
		if r := aclRoles.get(tx, []byte(id)); r != nil {
			return r.Name
		}
		return ""
	})
	return &out
}

func nameOf(p *api.ACLPolicy) string {
	if p == nil {
		return ""
	}
	return p.Name
}

// checkLinks wants what is linked to to be there.
func checkLinks(tx *Tx, policies, roles []api.ACLLink) error {
	for _, l := range policies {
		if policyByID(tx, l.ID) == nil {
			return api.Errorf(api.Invalid, "No such ACL policy with ID %q", l.ID)
		}
	}
	for _, l := range roles {
		if aclRoles.get(tx, []byte(l.ID)) == nil {
			return api.Errorf(api.Invalid, "No such ACL role with ID %q", l.ID)
		}
	}
	return nil
}

// hashOf sums up what can change of something.
func hashOf(parts ...any) []byte {
	b, err := encMode.Marshal(parts)
	if err != nil {
		return nil
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// ACLTokenDelete deletes tokens by accessor. It answers true, also when there
// are none.
type ACLTokenDelete struct {
	Accessors []string `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *ACLTokenDelete) Apply(tx *Tx) (any, error) {
	for _, id := range c.Accessors {
		if t := aclTokens.get(tx, []byte(id)); t != nil {
			aclTokens.remove(tx, t)
		}
	}
	return true, nil
}

// ACLPolicySet writes a policy. It answers the *api.ACLPolicy.
type ACLPolicySet struct {
	Policy api.ACLPolicy `cbor:"1,keyasint"`
	Write  ACLWrite      `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *ACLPolicySet) Apply(tx *Tx) (any, error) {
	p := c.Policy
	old := aclPolicies.get(tx, []byte(p.ID))
	if old == nil && c.Write == ACLUpdate {
		return nil, api.Errorf(api.NotFound, "policy not found")
	}
	if same := policyByName(tx, p.Name); same != nil && same.ID != p.ID {
		return nil, api.Errorf(api.Invalid, "Invalid Policy: A policy with name %q already exists", p.Name)
	}
	p.Hash = hashOf(p.Name, p.Description, p.Rules, p.Datacenters)
	p.CreateIndex, p.ModifyIndex = tx.index, tx.index
	if old != nil {
		p.CreateIndex = old.CreateIndex
	}
	aclPolicies.put(tx, &p)
	return &p, nil
}

// ACLPolicyDelete deletes a policy and every link to it. It answers true.
type ACLPolicyDelete struct {
	ID string `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *ACLPolicyDelete) Apply(tx *Tx) (any, error) {
	p := aclPolicies.get(tx, []byte(c.ID))
	if p == nil {
		return true, nil
	}
	for _, t := range aclTokens.collect(tx, aclTokensPolicy, join(c.ID, "")) {
		without := *t
		without.Policies = unlink(t.Policies, c.ID)
		relink(tx, &without)
	}
	for _, r := range aclRoles.collect(tx, aclRolesPolicy, join(c.ID, "")) {
		without := *r
		without.Policies = unlink(r.Policies, c.ID)
		without.ModifyIndex = tx.index
		without.Hash = hashOf(without.Name, without.Description, without.ACLGrants)
		aclRoles.put(tx, &without)
	}
	aclPolicies.remove(tx, p)
	return true, nil
}

// relink writes a token that has lost a link.
func relink(tx *Tx, t *api.ACLToken) {
	t.ModifyIndex = tx.index
	t.Hash = hashOf(t.Description, t.ACLGrants, t.Roles, t.Rules)
	aclTokens.put(tx, t)
}

func unlink(links []api.ACLLink, id string) []api.ACLLink {
	return slices.DeleteFunc(slices.Clone(links), func(l api.ACLLink) bool { return l.ID == id })
}

// ACLRoleSet writes a role whose links were filled in before. It answers the
// *api.ACLRole.
type ACLRoleSet struct {
	Role  api.ACLRole `cbor:"1,keyasint"`
	Write ACLWrite    `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *ACLRoleSet) Apply(tx *Tx) (any, error) {
	r := c.Role
	old := aclRoles.get(tx, []byte(r.ID))
	if old == nil && c.Write == ACLUpdate {
		return nil, api.Errorf(api.NotFound, "role not found")
	}
	if same := roleByName(tx, r.Name); same != nil && same.ID != r.ID {
		return nil, api.Errorf(api.Invalid, "Invalid Role: A role with name %q already exists", r.Name)
	}
	if err := checkLinks(tx, r.Policies, nil); err != nil {
		return nil, err
	}
	r.Hash = hashOf(r.Name, r.Description, r.ACLGrants)
	r.CreateIndex, r.ModifyIndex = tx.index, tx.index
	if old != nil {
		r.CreateIndex = old.CreateIndex
	}
	aclRoles.put(tx, &r)
	out := r
	out.Policies = namedLinks(r.Policies, func(id string) string { return nameOf(policyByID(tx, id)) })
	return &out, nil
}

// ACLRoleDelete deletes a role and every link to it. It answers true.
type ACLRoleDelete struct {
	ID string `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *ACLRoleDelete) Apply(tx *Tx) (any, error) {
	r := aclRoles.get(tx, []byte(c.ID))
	if r == nil {
		return true, nil
	}
	for _, t := range aclTokens.collect(tx, aclTokensRole, join(c.ID, "")) {
		without := *t
		without.Roles = unlink(t.Roles, c.ID)
		relink(tx, &without)
	}
	aclRoles.remove(tx, r)
	return true, nil
}

// ACLBootstrap makes the first management token, once; Reset, the index of the
// last time, allows it again. It answers the *api.ACLToken.
type ACLBootstrap struct {
	Token api.ACLToken `cbor:"1,keyasint"`
	Reset uint64       `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *ACLBootstrap) Apply(tx *Tx) (any, error) {
	if b := aclBoots.get(tx, []byte("bootstrap")); b != nil && b.Index != c.Reset {
		return nil, api.Errorf(api.Denied, "Permission denied: ACL bootstrap no longer allowed (reset index: %d)", b.Index)
	}
	made, err := (&ACLTokenSet{Token: c.Token}).Apply(tx)
	if err != nil {
		return nil, err
	}
	aclBoots.put(tx, &aclBoot{Index: tx.index})
	return made, nil
}

// ACLInitial makes the management token that a configuration names, unless
// somebody holds its secret. As there is one, bootstrapping is over. It answers the
// *api.ACLToken.
type ACLInitial struct {
	Token api.ACLToken `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *ACLInitial) Apply(tx *Tx) (any, error) {
	if aclBoots.get(tx, []byte("bootstrap")) == nil {
		aclBoots.put(tx, &aclBoot{Index: tx.index})
	}
	if t := tokenBySecret(tx, c.Token.SecretID); t != nil {
		return nameLinks(tx, t), nil
	}
	return (&ACLTokenSet{Token: c.Token}).Apply(tx)
}

// LegacyTokenSet writes a token of the older endpoints, whether or not there is
// one. It answers its secret, by which those endpoints name it.
type LegacyTokenSet struct {
	Token api.ACLToken `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *LegacyTokenSet) Apply(tx *Tx) (any, error) {
	if old := tokenBySecret(tx, c.Token.SecretID); old != nil {
		c.Token.AccessorID = old.AccessorID
	}
	if _, err := (&ACLTokenSet{Token: c.Token, Write: ACLPut}).Apply(tx); err != nil {
		return nil, err
	}
	return api.LegacyID{ID: c.Token.SecretID}, nil
}
