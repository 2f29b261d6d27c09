package state

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"curia/api"
)

var (
	aclTokens = newTable("acl-tokens", func(b []byte, t *api.ACLToken) []byte { return append(b, t.AccessorID...) })
	// aclTokensSecret finds tokens by a hash, so that how long it takes to compare
	// tells nothing about secrets.
	_, aclTokensSecret = aclTokens.by(func(out [][]byte, t *api.ACLToken) [][]byte {
		return append(out, secretKey(t.SecretID))
	})
	_, aclTokensPolicy = aclTokens.by(func(out [][]byte, t *api.ACLToken) [][]byte {
		return linkKeys(out, t.Policies, t.AccessorID)
	})
	_, aclTokensRole = aclTokens.by(func(out [][]byte, t *api.ACLToken) [][]byte {
		return linkKeys(out, t.Roles, t.AccessorID)
	})
	_, aclTokensMethod = aclTokens.by(func(out [][]byte, t *api.ACLToken) [][]byte {
		if t.AuthMethod == "" {
			return out
		}
		return append(out, join(fold(t.AuthMethod), t.AccessorID))
	})
	// aclTokensExpiry finds the tokens that expire, the first one first.
	_, aclTokensExpiry = aclTokens.by(func(out [][]byte, t *api.ACLToken) [][]byte {
		if t.ExpirationTime == nil {
			return out
		}
		at := binary.BigEndian.AppendUint64(nil, uint64(t.ExpirationTime.UnixNano()))
		return append(out, append(at, t.AccessorID...))
	})

	aclPolicies        = newTable("acl-policies", func(b []byte, p *api.ACLPolicy) []byte { return append(b, p.ID...) })
	_, aclPoliciesName = aclPolicies.by(func(out [][]byte, p *api.ACLPolicy) [][]byte {
		return append(out, []byte(fold(p.Name)))
	})

	aclRoles        = newTable("acl-roles", func(b []byte, r *api.ACLRole) []byte { return append(b, r.ID...) })
	_, aclRolesName = aclRoles.by(func(out [][]byte, r *api.ACLRole) [][]byte {
		return append(out, []byte(fold(r.Name)))
	})
	_, aclRolesPolicy = aclRoles.by(func(out [][]byte, r *api.ACLRole) [][]byte {
		return linkKeys(out, r.Policies, r.ID)
	})

	// aclBoots has one row once a management token was made by bootstrapping, or
	// because the configuration names one.
	aclBoots = newTable("acl-bootstrap", func(b []byte, _ *aclBoot) []byte { return append(b, "bootstrap"...) })
)

// aclBoot remembers when the ACLs were bootstrapped.
type aclBoot struct {
	Index uint64 `cbor:"1,keyasint"`
}

func secretKey(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func linkKeys(out [][]byte, links []api.ACLLink, id string) [][]byte {
	for _, l := range links {
		out = append(out, join(l.ID, id))
	}
	return out
}

// builtinPolicies are there without being rows: nobody can change them.
var builtinPolicies = []*api.ACLPolicy{
	{
		ID: api.ManagementPolicy, Name: "global-management", CreateIndex: 1, ModifyIndex: 1,
		Description: "Builtin Policy that grants unlimited access",
		Rules: "acl = \"write\"\nkeyring = \"write\"\nmesh = \"write\"\noperator = \"write\"\npeering = \"write\"\n" + everything("write") +
			"service_prefix \"\" {\n  policy = \"write\"\n  intentions = \"write\"\n}\n",
	},
	{
		ID: api.ReadOnlyPolicy, Name: "builtin/global-read-only", CreateIndex: 1, ModifyIndex: 1,
		Description: "Builtin Policy that grants unlimited read access",
		Rules: "acl = \"read\"\nkeyring = \"read\"\nmesh = \"read\"\noperator = \"read\"\npeering = \"read\"\n" + everything("read") +
			"service_prefix \"\" {\n  policy = \"read\"\n  intentions = \"read\"\n}\n",
	},
}

func everything(access string) string {
	text := ""
	for _, r := range []string{"agent", "event", "key", "node", "query", "session"} {
		text += r + "_prefix \"\" {\n  policy = \"" + access + "\"\n}\n"
	}
	return text
}

// BuiltinPolicy gives the builtin policy with an ID; nil if there is none.
func BuiltinPolicy(id string) *api.ACLPolicy {
	for _, p := range builtinPolicies {
		if p.ID == id {
			return p
		}
	}
	return nil
}

func policyByID(src source, id string) *api.ACLPolicy {
	if p := BuiltinPolicy(id); p != nil {
		return p
	}
	return aclPolicies.get(src, []byte(id))
}

func policyByName(src source, name string) *api.ACLPolicy {
	for _, p := range builtinPolicies {
		if fold(p.Name) == fold(name) {
			return p
		}
	}
	p, _ := src.at(aclPoliciesName).get([]byte(fold(name))).(*api.ACLPolicy)
	return p
}

func roleByName(src source, name string) *api.ACLRole {
	r, _ := src.at(aclRolesName).get([]byte(fold(name))).(*api.ACLRole)
	return r
}

func tokenBySecret(src source, secret string) *api.ACLToken {
	t, _ := src.at(aclTokensSecret).get(secretKey(secret)).(*api.ACLToken)
	return t
}

// ACLVersion tells states of the ACLs apart: as long as it is the same nothing
// changed. It may be compared with ==.
type ACLVersion struct{ tokens, policies, roles *node }

// ACLVersion gives the version of the ACLs in the current state.
func (s *Store) ACLVersion() ACLVersion { return s.root.Load().aclVersion() }

// ACLVersion gives the version of the ACLs in the view. It watches nothing.
func (v *View) ACLVersion() ACLVersion { return v.root.aclVersion() }

func (r *root) aclVersion() ACLVersion {
	return ACLVersion{r.trees[aclTokens.id].root, r.trees[aclPolicies.id].root, r.trees[aclRoles.id].root}
}

// ACLSecret finds the token with a secret; nil if there is none. It watches
// nothing.
func (v *View) ACLSecret(secret string) *api.ACLToken { return tokenBySecret(v, secret) }

// ACLLinkedPolicy finds a policy by ID; nil if there is none. It watches nothing.
func (v *View) ACLLinkedPolicy(id string) *api.ACLPolicy { return policyByID(v, id) }

// ACLLinkedRole finds a role by ID; nil if there is none. It watches nothing.
func (v *View) ACLLinkedRole(id string) *api.ACLRole { return aclRoles.get(v, []byte(id)) }

// ACLToken reads the token with an accessor; nil when it does not exist.
func (v *View) ACLToken(accessor string) *api.ACLToken {
	t := one(v, aclTokens, []byte(accessor))
	if t == nil {
		v.missing = true
		v.raise(v.tableIndex(aclTokens.id))
		return nil
	}
	v.raise(t.ModifyIndex)
	return v.named(t)
}

// named is a token with the present names of what it links to.
func (v *View) named(t *api.ACLToken) *api.ACLToken {
	if len(t.Policies) == 0 && len(t.Roles) == 0 {
		return t
	}
	out := *t
	out.Policies = namedLinks(t.Policies, v.policyName)
	out.Roles = namedLinks(t.Roles, func(id string) string {
		if r := v.ACLLinkedRole(id); r != nil {
			return r.Name
		}
		return ""
	})
	return &out
}

func (v *View) policyName(id string) string {
	if p := policyByID(v, id); p != nil {
		return p.Name
	}
	return ""
}

func namedLinks(links []api.ACLLink, name func(id string) string) []api.ACLLink {
	var out []api.ACLLink
	for _, l := range links {
		out = append(out, api.ACLLink{ID: l.ID, Name: name(l.ID)})
	}
	return out
}

// ACLTokenBySecret reads the token with a secret; nil when it does not exist.
func (v *View) ACLTokenBySecret(secret string) *api.ACLToken {
	row, ch := v.at(aclTokensSecret).getWatch(secretKey(secret))
	v.watch(ch)
	t, _ := row.(*api.ACLToken)
	if t == nil {
		v.raise(v.tableIndex(aclTokens.id))
		return nil
	}
	v.raise(t.ModifyIndex)
	return v.named(t)
}

// ACLTokens reads all tokens, by accessor.
func (v *View) ACLTokens() []*api.ACLToken {
	rows := all(v, aclTokens)
	for i, t := range rows {
		rows[i] = v.named(t)
	}
	return rows
}

// ACLPolicy reads the policy with an ID; nil when it does not exist.
func (v *View) ACLPolicy(id string) *api.ACLPolicy {
	row, ch := v.at(aclPolicies.id).getWatch([]byte(id))
	if p := BuiltinPolicy(id); p != nil {
		row = p
	}
	return v.policy(row, ch)
}

// ACLPolicyByName reads the policy with a name; nil when it does not exist.
func (v *View) ACLPolicyByName(name string) *api.ACLPolicy {
	row, ch := v.at(aclPoliciesName).getWatch([]byte(fold(name)))
	if p := policyByName(v, name); p != nil {
		row = p
	}
	return v.policy(row, ch)
}

func (v *View) policy(row any, ch <-chan struct{}) *api.ACLPolicy {
	v.watch(ch)
	p, _ := row.(*api.ACLPolicy)
	if p == nil {
		v.missing = true
		v.raise(v.tableIndex(aclPolicies.id))
		return nil
	}
	v.raise(p.ModifyIndex)
	return p
}

// ACLPolicies reads all policies, the builtin ones first.
func (v *View) ACLPolicies() []*api.ACLPolicy {
	rows := all(v, aclPolicies)
	return append(builtinPolicies[:len(builtinPolicies):len(builtinPolicies)], rows...)
}

// ACLRole reads the role with an ID; nil when it does not exist.
func (v *View) ACLRole(id string) *api.ACLRole {
	row, ch := v.at(aclRoles.id).getWatch([]byte(id))
	return v.role(row, ch)
}

// ACLRoleByName reads the role with a name; nil when it does not exist.
func (v *View) ACLRoleByName(name string) *api.ACLRole {
	row, ch := v.at(aclRolesName).getWatch([]byte(fold(name)))
	return v.role(row, ch)
}

func (v *View) role(row any, ch <-chan struct{}) *api.ACLRole {
	v.watch(ch)
	r, _ := row.(*api.ACLRole)
	if r == nil {
		v.missing = true
		v.raise(v.tableIndex(aclRoles.id))
		return nil
	}
	v.raise(r.ModifyIndex)
	return v.namedRole(r)
}

func (v *View) namedRole(r *api.ACLRole) *api.ACLRole {
	if len(r.Policies) == 0 {
		return r
	}
	out := *r
	out.Policies = namedLinks(r.Policies, v.policyName)
	return &out
}

// ACLRoles reads all roles, by ID.
func (v *View) ACLRoles() []*api.ACLRole {
	rows := all(v, aclRoles)
	for i, r := range rows {
		rows[i] = v.namedRole(r)
	}
	return rows
}

// ACLBootstrapped is the index at which a management token was made by
// bootstrapping; 0 when none was.
func (v *View) ACLBootstrapped() uint64 {
	if b := aclBoots.get(v, []byte("bootstrap")); b != nil {
		return b.Index
	}
	return 0
}

// ACLExpired lists the accessors of tokens whose time is over, and when the
// next one's will be: zero when none expires. It looks at those that mine holds
// of; nil: at all.
func (v *View) ACLExpired(now time.Time, mine func(*api.ACLToken) bool) (due []string, next time.Time) {
	_, watch := v.at(aclTokensExpiry).below(nil)
	v.watch(watch.watch.channel())
	aclTokens.prefix(v, aclTokensExpiry, nil, func(t *api.ACLToken) bool {
		if mine != nil && !mine(t) {
			return true
		}
		if !t.Expired(now) {
			next = *t.ExpirationTime
			return false
		}
		due = append(due, t.AccessorID)
		return true
	})
	return due, next
}
