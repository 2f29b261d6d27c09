package server

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// ACLConfig switches ACLs on and says how they work ("acl").
type ACLConfig struct {
	acl.Options
	// DownPolicy is only told to those who ask.
	DownPolicy string
	// InitialManagement is the secret of a management token that the leader makes;
	// empty: none.
	InitialManagement string
	// ResetFile, when it holds the index of the last bootstrapping, allows another
	// one and is deleted then; empty: there is none.
	ResetFile string
	// PrimaryDatacenter is the one that is authoritative for ACLs.
	PrimaryDatacenter string
}

// errUnknownToken is the documented answer to a secret that nobody has.
var errUnknownToken = &api.Error{Kind: api.Denied, Msg: "ACL not found"}

// resolver turns secrets into authorizers. It remembers what it found until the
// ACLs change. Safe for concurrent use.
type resolver struct {
	cfg        *ACLConfig
	datacenter string
	store      *state.Store

	mu      sync.RWMutex
	version state.ACLVersion
	holders map[[sha256.Size]byte]resolved // by the hash of the secret
	// sets are the permissions of policies, by a hash of their texts. They outlive
	// changes of the ACLs: tokens with the same policies share one.
	sets map[[sha256.Size]byte]acl.Authorizer
}

// resolved is who holds a secret, and until when: zero for ever.
type resolved struct {
	holder *acl.Holder
	until  time.Time
}

// maxSets bounds the sets of permissions that are kept.
const maxSets = 4096

func newResolver(cfg *ACLConfig, datacenter string, store *state.Store) *resolver {
	return &resolver{
		cfg: cfg, datacenter: datacenter, store: store,
		holders: map[[sha256.Size]byte]resolved{}, sets: map[[sha256.Size]byte]acl.Authorizer{},
	}
}

// Resolve gives what the holder of a secret may do. It knows the state of this
// server only: who must not miss a change awaits the leader first.
func (s *Server) Resolve(secret string) (acl.Authorizer, error) {
	if s.cfg.Authorizer != nil {
		return s.cfg.Authorizer(secret)
	}
	if s.resolver == nil {
		return acl.AllowAll{}, nil
	}
	return s.resolver.resolve(secret, time.Now())
}

func (r *resolver) resolve(secret string, now time.Time) (acl.Authorizer, error) {
	switch secret {
	case "":
		secret = api.AnonymousSecret
	case "allow", "deny", "manage":
		return nil, api.Errorf(api.Rejected, "Cannot resolve root ACL")
	}
	key := sha256.Sum256([]byte(secret))
	version := r.store.ACLVersion()
	r.mu.RLock()
	found, ok := r.holders[key]
	ok = ok && r.version == version
	r.mu.RUnlock()
	if !ok {
		var err error
		if found, err = r.find(secret); err != nil {
			return nil, err
		}
		r.keep(key, found, version)
	}
	if !found.until.IsZero() && !found.until.After(now) {
		return nil, errUnknownToken
	}
	return found.holder, nil
}

// keep remembers a holder for as long as the ACLs are as they were when it was
// looked for. Only secrets that exist come here, so their number is bounded.
func (r *resolver) keep(key [sha256.Size]byte, found resolved, version state.ACLVersion) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.version != version {
		r.version = version
		clear(r.holders)
	}
	r.holders[key] = found
}

// find looks a secret up in the state. What it finds is at least as new as a
// version that was taken before.
func (r *resolver) find(secret string) (resolved, error) {
	v := r.store.View()
	t := v.ACLSecret(secret)
	if t == nil {
		if secret != api.AnonymousSecret {
			return resolved{}, errUnknownToken
		}
		t = &api.ACLToken{AccessorID: acl.Anonymous, SecretID: secret}
	}
	may, err := r.permissions(v, t)
	if err != nil {
		return resolved{}, err
	}
	found := resolved{holder: &acl.Holder{Authorizer: may, Accessor: t.AccessorID}}
	if t.ExpirationTime != nil {
		found.until = *t.ExpirationTime
	}
	return found, nil
}

// rules is the text of a policy with its syntax.
type rules struct {
	text   string
	syntax acl.Syntax
}

// permissions merges everything that a token may do.
func (r *resolver) permissions(v *state.View, t *api.ACLToken) (acl.Authorizer, error) {
	all := r.rulesOf(v, &t.ACLGrants)
	if t.Rules != "" {
		all = append(all, rules{t.Rules, acl.Legacy})
	}
	manages := t.Management()
	for _, l := range t.Roles {
		role := v.ACLLinkedRole(l.ID)
		if role == nil {
			continue
		}
		all = append(all, r.rulesOf(v, &role.ACLGrants)...)
		manages = manages || slices.ContainsFunc(role.Policies, func(l api.ACLLink) bool { return l.ID == api.ManagementPolicy })
	}
	if manages {
		return acl.AllowAll{}, nil
	}
	slices.SortFunc(all, func(a, b rules) int {
		return strings.Compare(a.text+string(rune(a.syntax)), b.text+string(rune(b.syntax)))
	})
	return r.compile(slices.Compact(all))
}

// compile gives the authorizer of a sorted list of policies.
func (r *resolver) compile(all []rules) (acl.Authorizer, error) {
	h := sha256.New()
	for _, one := range all {
		sum := sha256.Sum256([]byte(one.text))
		h.Write(append(sum[:], byte(one.syntax)))
	}
	key := [sha256.Size]byte(h.Sum(nil))
	r.mu.RLock()
	known := r.sets[key]
	r.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	policies := make([]*acl.Policy, 0, len(all))
	for _, one := range all {
		p, err := acl.Parse(one.text, one.syntax)
		if err != nil {
			return nil, err
		}
		policies = append(policies, p)
	}
	compiled := acl.Compile(r.cfg.Options, policies...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sets) >= maxSets {
		clear(r.sets)
	}
	r.sets[key] = compiled
	return compiled, nil
}

// rulesOf gives the texts of policies and identities, as far as they hold in this
// datacenter.
func (r *resolver) rulesOf(v *state.View, g *api.ACLGrants) []rules {
	var out []rules
	add := func(tmpl *acl.Template, name string, datacenters []string) {
		if tmpl == nil || !r.here(datacenters) {
			return
		}
		if text, err := tmpl.Text(name); err == nil { // names were checked when they were written
			out = append(out, rules{text: text})
		}
	}
	for _, l := range g.Policies {
		if p := v.ACLLinkedPolicy(l.ID); p != nil && r.here(p.Datacenters) {
			out = append(out, rules{text: p.Rules})
		}
	}
	for _, i := range g.ServiceIdentities {
		add(acl.ServiceTemplate, i.ServiceName, i.Datacenters)
	}
	for _, i := range g.NodeIdentities {
		add(acl.NodeTemplate, i.NodeName, []string{i.Datacenter})
	}
	for _, p := range g.TemplatedPolicies {
		name := ""
		if p.TemplateVariables != nil {
			name = p.TemplateVariables.Name
		}
		add(acl.FindTemplate(p.TemplateName), name, p.Datacenters)
	}
	return out
}

// here reports whether a list of datacenters has this one; an empty list has all.
func (r *resolver) here(datacenters []string) bool {
	return len(datacenters) == 0 || slices.Contains(datacenters, r.datacenter)
}
