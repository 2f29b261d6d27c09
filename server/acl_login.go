package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/bearer"
	"curia/filter"
	"curia/state"
)

// aclLogin trades a token of somebody else against one of ours. Whether to
// believe it is found out before the log, and may take a look at a source of
// keys; whether the auth method is still there is decided in log order.
func (s *Server) aclLogin(ctx context.Context, _ acl.Authorizer, q *api.ACLLoginArgs) (*api.ACLToken, error) {
	method := s.store.View().ACLAuthMethod(q.Login.AuthMethod)
	if method == nil {
		return nil, state.NoAuthMethod(q.Login.AuthMethod)
	}
	local := method.TokenLocality != api.GlobalTokens || s.secondary()
	if local && q.From != "" && q.From != s.cfg.Datacenter {
		return nil, api.Errorf(api.Invalid, "the auth method %q gives tokens that hold in %s alone: log in there, give the method the TokenLocality %q, or set acl.enable_token_replication on the servers of %s and create a method there",
			method.Name, s.cfg.Datacenter, api.GlobalTokens, q.From)
	}
	checked, err := bearer.Parse(method.Config)
	if err != nil {
		return nil, fmt.Errorf("log in with the auth method %q: Config: %w", method.Name, err)
	}
	who, err := s.verifier.Verify(ctx, checked, q.Login.BearerToken)
	var unreachable *bearer.UnreachableError
	switch {
	case errors.As(err, &unreachable):
		return nil, api.Errorf(api.Unavailable, "log in with the auth method %q: %v", method.Name, err)
	case err != nil:
		return nil, api.Errorf(api.Denied, "Permission denied: the auth method %q does not accept the bearer token: %v", method.Name, err)
	}
	t := api.ACLToken{
		AccessorID: uuid.NewString(), SecretID: uuid.NewString(), Description: "token created via login",
		AuthMethod: method.Name, Local: local, CreateTime: time.Now().UTC(),
	}
	if len(q.Login.Meta) > 0 {
		meta, err := json.Marshal(q.Login.Meta)
		if err != nil {
			return nil, fmt.Errorf("encode Meta: %w", err)
		}
		t.Description += ": " + string(meta)
	}
	if ttl := time.Duration(method.MaxTokenTTL); ttl > 0 {
		at := t.CreateTime.Add(ttl)
		t.ExpirationTime = &at
	}
	bound, err := s.bindings(s.store.View(), method, blankFacts(checked), who)
	if err != nil {
		return nil, err
	}
	if bound.none() {
		return nil, api.Errorf(api.Denied, "Permission denied")
	}
	t.ACLGrants, t.Roles = bound.ACLGrants, bound.roles
	made, err := s.replica.Propose(ctx, &state.ACLLogin{Token: t, Method: method.CreateIndex})
	if err != nil {
		return nil, err
	}
	return made.(*api.ACLToken), nil
}

// granted is what rules bind somebody to.
type granted struct {
	api.ACLGrants
	roles []api.ACLLink
}

func (g *granted) none() bool {
	return len(g.roles)+len(g.Policies)+len(g.TemplatedPolicies)+len(g.ServiceIdentities)+len(g.NodeIdentities) == 0
}

// bindings gathers what the rules of an auth method bind somebody to. Rules
// whose selector does not fit the method any more bind nobody, nor do those to
// a role or a policy that does not exist.
func (s *Server) bindings(v *state.View, m *api.ACLAuthMethod, blank filter.Facts, who *bearer.Identity) (*granted, error) {
	all := &granted{}
	for _, r := range v.ACLRulesOf(m.Name) {
		if r.Selector != "" {
			selector, err := filter.NewSelector(r.Selector, blank)
			if err != nil {
				s.log.Warn("binding rule does not fit its auth method", "rule", r.ID, "method", m.Name, "err", err)
				continue
			}
			if ok, err := selector.Holds(facts(blank, who)); err != nil || !ok {
				continue
			}
		}
		to, err := bindTo(r, who)
		if err != nil {
			return nil, api.Errorf(api.Denied, "Permission denied: binding rule %s: %v", r.ID, err)
		}
		s.bind(v, all, r.BindType, to)
	}
	all.roles, all.Policies = distinct(all.roles), distinct(all.Policies)
	return all, nil
}

// bind adds what one rule binds to.
func (s *Server) bind(v *state.View, all *granted, kind string, to *target) {
	switch kind {
	case api.BindService:
		if !slices.ContainsFunc(all.ServiceIdentities, func(i api.ServiceIdentity) bool { return i.ServiceName == to.name }) {
			all.ServiceIdentities = append(all.ServiceIdentities, api.ServiceIdentity{ServiceName: to.name})
		}
	case api.BindNode:
		if i := (api.NodeIdentity{NodeName: to.name, Datacenter: s.cfg.Datacenter}); !slices.Contains(all.NodeIdentities, i) {
			all.NodeIdentities = append(all.NodeIdentities, i)
		}
	case api.BindRole:
		if role := v.ACLRoleByName(to.name); role != nil {
			all.roles = append(all.roles, api.ACLLink{ID: role.ID})
		}
	case api.BindPolicy:
		if p := v.ACLPolicyByName(to.name); p != nil {
			all.Policies = append(all.Policies, api.ACLLink{ID: p.ID})
		}
	case api.BindTemplate:
		all.TemplatedPolicies = append(all.TemplatedPolicies, api.TemplatedPolicy{TemplateName: to.name, TemplateVariables: to.variables})
	}
}

// target is what a rule binds somebody to, with the claims filled in.
type target struct {
	name      string
	variables *api.TemplateVariables
}

// bindTo fills claims into the name of what a rule binds to, and wants it to be
// a name that such a thing may have.
func bindTo(r *api.ACLBindingRule, who *bearer.Identity) (*target, error) {
	fillIn := func(text string) (string, error) {
		return interpolate(text, func(expr string) (string, error) {
			name, ok := strings.CutPrefix(expr, "value.")
			if value := who.Values[name]; ok && value != "" {
				return value, nil
			}
			return "", fmt.Errorf("%q needs ${%s}, but claims of one value are there under the names %q only", text, expr, slices.Sorted(maps.Keys(who.Values)))
		})
	}
	name, err := fillIn(r.BindName)
	if err != nil {
		return nil, fmt.Errorf("BindName: %w", err)
	}
	to := &target{name: name}
	switch r.BindType {
	case api.BindService:
		_, err = acl.ServiceTemplate.Text(name)
	case api.BindNode:
		_, err = acl.NodeTemplate.Text(name)
	case api.BindRole, api.BindPolicy:
	case api.BindTemplate:
		if r.BindVars != nil {
			to.variables = &api.TemplateVariables{}
			if to.variables.Name, err = fillIn(r.BindVars.Name); err != nil {
				return nil, fmt.Errorf("BindVars: %w", err)
			}
		}
		_, err = fill(name, to.variables)
	default:
		return nil, fmt.Errorf("there is no BindType %q: use %s, %s, %s, %s or %s",
			r.BindType, api.BindService, api.BindNode, api.BindRole, api.BindPolicy, api.BindTemplate)
	}
	if err != nil {
		return nil, fmt.Errorf("the BindName %q of a %s: %w", name, r.BindType, err)
	}
	return to, nil
}

// blankFacts are what selectors may speak of, without content.
func blankFacts(m *bearer.Method) filter.Facts {
	f := filter.Facts{"value": {}, "list": {}}
	for _, name := range m.Values() {
		f["value"][name] = ""
	}
	for _, name := range m.Lists() {
		f["list"][name] = []string{}
	}
	return f
}

// facts are what selectors are held against: claims that the bearer does not
// have are empty.
func facts(blank filter.Facts, who *bearer.Identity) filter.Facts {
	f := filter.Facts{"value": {}, "list": {}}
	for name := range blank["value"] {
		f["value"][name] = who.Values[name]
	}
	for name := range blank["list"] {
		f["list"][name] = who.Lists[name]
	}
	return f
}

// aclLogout deletes the token of the caller, if a login gave it.
func aclLogout(v *state.View, _ acl.Authorizer, q *api.ACLLogoutArgs) (state.Command, error) {
	t := v.ACLSecret(q.Secret)
	switch {
	case t == nil:
		return nil, api.ErrUnknownToken
	case t.AuthMethod == "":
		return nil, api.Errorf(api.Denied, "Permission denied: the token with AccessorID '%s' was not made by a login, so that no logout deletes it", t.AccessorID)
	}
	return &state.ACLTokenDelete{Accessors: []string{t.AccessorID}}, nil
}
