package server

import (
	"context"
	"hash/maphash"
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
	// Elsewhere resolves tokens that this datacenter does not have, by asking the
	// primary; nil in the primary itself. What the copies of its ACLs know may stand
	// in for its answer; nil: there are none.
	Elsewhere func(secret string, copied *acl.Dated) (acl.Authorizer, error)
	// Copy says what is copied from the primary.
	Copy CopyConfig
}

// resolver turns secrets into authorizers. It remembers what it found until the
// ACLs change. Safe for concurrent use.
type resolver struct {
	cfg        *ACLConfig
	datacenter string
	store      *state.Store
	copies     copies

	seed maphash.Seed

	mu      sync.RWMutex
	version state.ACLVersion
	// holders are found by a hash whose key nobody outside knows, and then compared
	// in constant time: how long that takes says nothing about a secret.
	holders map[uint64]resolved
	// sets outlive changes of the ACLs: tokens with the same policies share one.
	sets *acl.Sets
}

// resolved is who holds a secret, and until when: zero for ever.
type resolved struct {
	secret string
	holder *acl.Holder
	until  time.Time
	local  bool // here alone
}

func newResolver(cfg *ACLConfig, datacenter string, store *state.Store) *resolver {
	return &resolver{
		cfg: cfg, datacenter: datacenter, store: store,
		seed: maphash.MakeSeed(), holders: map[uint64]resolved{}, sets: acl.NewSets(cfg.Options),
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
	if s.secondary() {
		return s.resolveCopied(secret)
	}
	who, _, err := s.resolver.resolve(secret)
	return who, err
}

// resolve gives the holder of a secret, and whether the token holds in this
// datacenter alone.
func (r *resolver) resolve(secret string) (who acl.Authorizer, local bool, err error) {
	switch secret {
	case "":
		secret = api.AnonymousSecret
	case "allow", "deny", "manage":
		return nil, false, api.Errorf(api.Rejected, "Cannot resolve root ACL")
	}
	key := maphash.String(r.seed, secret)
	version := r.store.ACLVersion()
	r.mu.RLock()
	found, ok := r.holders[key]
	ok = ok && r.version == version && same(found.secret, secret)
	r.mu.RUnlock()
	if !ok {
		var err error
		if found, err = r.find(secret); err != nil {
			return nil, false, err
		}
		r.keep(key, found, version)
	}
	if !found.until.IsZero() && !found.until.After(time.Now()) {
		return nil, found.local, api.ErrUnknownToken
	}
	return found.holder, found.local, nil
}

// same compares secrets in a time that depends on their lengths alone.
func same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	differ := byte(0)
	for i := range len(a) {
		differ |= a[i] ^ b[i]
	}
	return differ == 0
}

// keep remembers a holder for as long as the ACLs are as they were when it was
// looked for. Only secrets that exist come here, so their number is bounded.
func (r *resolver) keep(key uint64, found resolved, version state.ACLVersion) {
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
	id, local, err := r.identify(secret, r.datacenter)
	if err != nil {
		return resolved{}, err
	}
	holder, err := r.sets.Holder(id)
	// The string of a request may be a part of all its headers.
	return resolved{secret: strings.Clone(secret), holder: holder, until: id.Expires, local: local}, err
}

// identify finds out who holds a secret, what the holder may do in a datacenter,
// and whether the token holds in this one alone: in others nobody has it.
func (r *resolver) identify(secret, datacenter string) (id *acl.Identity, local bool, err error) {
	v := r.store.View()
	t := v.ACLSecret(secret)
	if t == nil {
		if secret != api.AnonymousSecret {
			return nil, false, api.ErrUnknownToken
		}
		t = &api.ACLToken{AccessorID: acl.Anonymous, SecretID: secret}
	}
	if t.Local && datacenter != r.datacenter {
		return nil, true, api.ErrUnknownToken
	}
	id = &acl.Identity{Accessor: t.AccessorID, Manages: t.Management()}
	if t.ExpirationTime != nil {
		id.Expires = *t.ExpirationTime
	}
	id.Policies = r.textsOf(v, &t.ACLGrants, datacenter)
	if t.Rules != "" {
		id.Policies = append(id.Policies, acl.Text{Rules: t.Rules, Syntax: acl.Legacy})
	}
	for _, l := range t.Roles {
		role := v.ACLLinkedRole(l.ID)
		if role == nil {
			continue
		}
		id.Policies = append(id.Policies, r.textsOf(v, &role.ACLGrants, datacenter)...)
		id.Manages = id.Manages || slices.ContainsFunc(role.Policies, func(l api.ACLLink) bool { return l.ID == api.ManagementPolicy })
	}
	if id.Manages {
		id.Policies = nil
	}
	return id, t.Local, nil
}

// textsOf gives the texts of policies and identities, as far as they hold in a
// datacenter.
func (r *resolver) textsOf(v *state.View, g *api.ACLGrants, datacenter string) []acl.Text {
	var out []acl.Text
	add := func(tmpl *acl.Template, name string, datacenters []string) {
		if tmpl == nil || !holdsIn(datacenters, datacenter) {
			return
		}
		if text, err := tmpl.Text(name); err == nil { // names were checked when they were written
			out = append(out, acl.Text{Rules: text})
		}
	}
	for _, l := range g.Policies {
		if p := v.ACLLinkedPolicy(l.ID); p != nil && holdsIn(p.Datacenters, datacenter) {
			out = append(out, acl.Text{Rules: p.Rules})
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

// holdsIn reports whether a list of datacenters has one; an empty list has all.
func holdsIn(datacenters []string, one string) bool {
	return len(datacenters) == 0 || slices.Contains(datacenters, one)
}

// aclIdentify tells another agent who holds a secret. A secret that is not known
// here may be known to the leader, which also knows what this server has missed.
func (s *Server) aclIdentify(ctx context.Context, q *api.IdentifyArgs) (*acl.Identity, error) {
	if s.resolver == nil {
		return nil, &api.Error{Kind: api.Disabled, Msg: "ACL support disabled"}
	}
	asked := *q
	if asked.Datacenter == "" {
		asked.Datacenter = s.cfg.Datacenter
	}
	if s.secondary() {
		return s.identifyCopied(ctx, &asked)
	}
	age := s.lag()
	id, _, err := s.resolver.identify(asked.Secret, asked.Datacenter)
	switch {
	case err == nil && age < identifyAge:
		id.Age = age
		return id, nil
	case s.replica.Ready():
		return id, err
	}
	leader, err := s.fresh(ctx, &api.Request{Op: api.ACLIdentify.Op, Args: &asked})
	if err != nil {
		return nil, err
	}
	if leader != nil {
		id, _ = leader.Value.(*acl.Identity)
		return id, nil
	}
	id, _, err = s.resolver.identify(asked.Secret, asked.Datacenter)
	return id, err
}

// identifyAge is how long a server that does not hear of the leader tells from its
// own state who holds a token.
const identifyAge = 5 * time.Second

// lag is for how long this server may have missed what the leader knows.
func (s *Server) lag() time.Duration {
	contact := s.replica.LastContact()
	if contact == 0 && !s.replica.Leads() {
		return identifyAge // it has heard of none since it started
	}
	return contact
}

// ErrPrimaryOpen takes the place of the answer that ACLs are off in the primary
// datacenter. Where they are on that lets nobody in: the down policy holds.
var ErrPrimaryOpen = &api.Error{Kind: api.Unavailable, Msg: "ACLs are off in the primary datacenter: set acl.enabled on all of its servers"}

// askPrimary lets the primary datacenter tell who holds a secret.
func (s *Server) askPrimary(ctx context.Context, q *api.IdentifyArgs) (*acl.Identity, error) {
	if s.cfg.Peers == nil {
		return nil, api.ErrNoPath
	}
	resp, err := s.cfg.Peers.Call(ctx, &api.Request{Op: api.ACLIdentify.Op, Args: q, Passed: true, Datacenter: s.cfg.ACL.PrimaryDatacenter})
	switch {
	case api.KindOf(err) == api.Disabled:
		return nil, ErrPrimaryOpen
	case err != nil:
		return nil, err
	}
	id, _ := resp.Value.(*acl.Identity)
	return id, nil
}
