package state

import "curia/api"

var (
	authMethods = newTable("acl-auth-methods", func(b []byte, m *api.ACLAuthMethod) []byte { return append(b, fold(m.Name)...) })

	bindingRules          = newTable("acl-binding-rules", func(b []byte, r *api.ACLBindingRule) []byte { return append(b, r.ID...) })
	_, bindingRulesMethod = bindingRules.by(func(out [][]byte, r *api.ACLBindingRule) [][]byte {
		return append(out, join(fold(r.AuthMethod), r.ID))
	})
)

// ACLAuthMethod reads the auth method with a name; nil when it does not exist.
func (v *View) ACLAuthMethod(name string) *api.ACLAuthMethod {
	m := one(v, authMethods, []byte(fold(name)))
	if m == nil {
		v.missing = true
		v.raise(v.tableIndex(authMethods.id))
		return nil
	}
	v.raise(m.ModifyIndex)
	return m
}

// ACLAuthMethods reads all auth methods, by name.
func (v *View) ACLAuthMethods() []*api.ACLAuthMethod { return all(v, authMethods) }

// ACLBindingRule reads the binding rule with an ID; nil when it does not exist.
func (v *View) ACLBindingRule(id string) *api.ACLBindingRule {
	r := one(v, bindingRules, []byte(id))
	if r == nil {
		v.missing = true
		v.raise(v.tableIndex(bindingRules.id))
		return nil
	}
	v.raise(r.ModifyIndex)
	return r
}

// ACLBindingRules reads all binding rules, by ID.
func (v *View) ACLBindingRules() []*api.ACLBindingRule { return all(v, bindingRules) }

// ACLRulesOf lists the binding rules of an auth method, by ID. It watches
// nothing.
func (v *View) ACLRulesOf(method string) []*api.ACLBindingRule {
	return bindingRules.collect(v, bindingRulesMethod, join(fold(method), ""))
}

// AuthMethodSet writes an auth method that was checked before. It answers the
// *api.ACLAuthMethod.
type AuthMethodSet struct {
	Method api.ACLAuthMethod `cbor:"1,keyasint"`
	Write  ACLWrite          `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *AuthMethodSet) Apply(tx *Tx) (any, error) {
	m := c.Method
	old := authMethods.get(tx, []byte(fold(m.Name)))
	m.CreateIndex, m.ModifyIndex = tx.index, tx.index
	switch {
	case old == nil && c.Write == ACLUpdate:
		return nil, api.Errorf(api.NotFound, "auth method not found")
	case old != nil && c.Write == ACLCreate:
		return nil, api.Errorf(api.Invalid, "Invalid Auth Method: an auth method with the Name %q already exists", old.Name)
	case old != nil && old.Type != m.Type:
		return nil, api.Errorf(api.Invalid, "Invalid Auth Method: the Type of %q is %q and cannot be changed to %q", old.Name, old.Type, m.Type)
	case old != nil:
		m.Name, m.CreateIndex = old.Name, old.CreateIndex
	}
	authMethods.put(tx, &m)
	return &m, nil
}

// AuthMethodDelete deletes an auth method, its rules and the tokens that it
// gave. It answers true.
type AuthMethodDelete struct {
	Name string `cbor:"1,keyasint"`
	// Local spares tokens that are not local: they are copies, and a method of the
	// primary with the same name gave them.
	Local bool `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *AuthMethodDelete) Apply(tx *Tx) (any, error) {
	m := authMethods.get(tx, []byte(fold(c.Name)))
	if m == nil {
		return true, nil
	}
	for _, r := range bindingRules.collect(tx, bindingRulesMethod, join(fold(c.Name), "")) {
		bindingRules.remove(tx, r)
	}
	for _, t := range aclTokens.collect(tx, aclTokensMethod, join(fold(c.Name), "")) {
		if t.Local || !c.Local {
			aclTokens.remove(tx, t)
		}
	}
	authMethods.remove(tx, m)
	return true, nil
}

// BindingRuleSet writes a binding rule that was checked before. It answers the
// *api.ACLBindingRule.
type BindingRuleSet struct {
	Rule  api.ACLBindingRule `cbor:"1,keyasint"`
	Write ACLWrite           `cbor:"2,keyasint,omitempty"`
}

// Apply implements Command.
func (c *BindingRuleSet) Apply(tx *Tx) (any, error) {
	r := c.Rule
	old := bindingRules.get(tx, []byte(r.ID))
	m := authMethods.get(tx, []byte(fold(r.AuthMethod)))
	r.CreateIndex, r.ModifyIndex = tx.index, tx.index
	switch {
	case old == nil && c.Write == ACLUpdate:
		return nil, api.Errorf(api.NotFound, "binding rule not found")
	case m == nil:
		return nil, api.Errorf(api.Invalid, "Invalid Binding Rule: no such auth method %q", r.AuthMethod)
	case old != nil && fold(old.AuthMethod) != fold(r.AuthMethod):
		return nil, api.Errorf(api.Invalid, "Invalid Binding Rule: the AuthMethod is %q and cannot be changed to %q", old.AuthMethod, r.AuthMethod)
	case old != nil:
		r.CreateIndex = old.CreateIndex
	}
	r.AuthMethod = m.Name
	bindingRules.put(tx, &r)
	return &r, nil
}

// BindingRuleDelete deletes a binding rule. It answers true.
type BindingRuleDelete struct {
	ID string `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *BindingRuleDelete) Apply(tx *Tx) (any, error) {
	if r := bindingRules.get(tx, []byte(c.ID)); r != nil {
		bindingRules.remove(tx, r)
	}
	return true, nil
}

// ACLLogin writes a token that an auth method gives, unless the method is gone:
// Method is its CreateIndex, so that another with the same name is told from it.
// It answers the *api.ACLToken.
type ACLLogin struct {
	Token  api.ACLToken `cbor:"1,keyasint"`
	Method uint64       `cbor:"2,keyasint"`
}

// Apply implements Command.
func (c *ACLLogin) Apply(tx *Tx) (any, error) {
	m := authMethods.get(tx, []byte(fold(c.Token.AuthMethod)))
	if m == nil || m.CreateIndex != c.Method {
		return nil, NoAuthMethod(c.Token.AuthMethod)
	}
	c.Token.AuthMethod = m.Name
	return (&ACLTokenSet{Token: c.Token}).Apply(tx)
}

// NoAuthMethod is the answer to a login with an auth method that does not exist.
func NoAuthMethod(name string) error {
	return api.Errorf(api.Denied, "ACL not found: auth method %q not found", name)
}
