package server

import (
	"cmp"
	"regexp"
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

// minTokenTTL and maxTokenTTL bound the life of tokens that an auth method gives.
const (
	minTokenTTL = time.Minute
	maxTokenTTL = 24 * time.Hour
)

var authMethodName = regexp.MustCompile(`^[A-Za-z0-9\-_]{1,128}$`)

// otherTypes are the documented types that are not here, and what to do instead.
var otherTypes = map[string]string{
	"kubernetes": `use the type "jwt" with the public keys or the JWKSURL of the cluster, which signs the tokens of its service accounts`,
	"oidc":       `use the type "jwt" with OIDCDiscoveryURL, and log in with an ID token of the provider`,
	"aws-iam":    `use the type "jwt" with the keys of something that signs tokens`,
}

func (s *Server) authMethodCreate(_ *state.View, _ acl.Authorizer, q *api.ACLCreate[api.ACLAuthMethod]) (state.Command, error) {
	return s.writeAuthMethod(q.New, state.ACLCreate)
}

func (s *Server) authMethodUpdate(_ *state.View, _ acl.Authorizer, q *api.ACLAuthMethodUpdateArgs) (state.Command, error) {
	m := q.New
	if m.Name != "" && !strings.EqualFold(m.Name, q.Name) {
		return nil, api.Errorf(api.Invalid, "Auth method Name in URL and payload do not match")
	}
	m.Name = q.Name
	return s.writeAuthMethod(m, state.ACLUpdate)
}

// writeAuthMethod checks everything about an auth method but who else has its
// name. It asks no source of keys: that may be down now, and up at a login.
func (s *Server) writeAuthMethod(m api.ACLAuthMethod, how state.ACLWrite) (state.Command, error) {
	invalid := func(format string, args ...any) error {
		return api.Errorf(api.Invalid, "Invalid Auth Method: "+format, args...)
	}
	instead, documented := otherTypes[m.Type]
	ttl := time.Duration(m.MaxTokenTTL)
	switch {
	case !authMethodName.MatchString(m.Name):
		return nil, invalid("invalid Name %q. Only alphanumeric characters, '-' and '_' are allowed, 128 at most", m.Name)
	case documented:
		return nil, invalid("the Type %q is not supported, only %q is: %s", m.Type, api.AuthJWT, instead)
	case m.Type != api.AuthJWT:
		return nil, invalid("there is no Type %q, only %q", m.Type, api.AuthJWT)
	case m.TokenLocality != "" && m.TokenLocality != api.LocalTokens && m.TokenLocality != api.GlobalTokens:
		return nil, invalid("TokenLocality is %q: use %q or %q", m.TokenLocality, api.LocalTokens, api.GlobalTokens)
	case m.TokenLocality == api.GlobalTokens && s.secondary():
		return nil, invalid("TokenLocality is %q, but the datacenter %s has local tokens alone: create the method in the primary, %s, or use %q",
			m.TokenLocality, s.cfg.Datacenter, s.cfg.ACL.PrimaryDatacenter, api.LocalTokens)
	case ttl != 0 && (ttl < minTokenTTL || ttl > maxTokenTTL):
		return nil, invalid("MaxTokenTTL is %s: use %s to %s, or 0 for tokens that do not end", ttl, minTokenTTL, maxTokenTTL)
	}
	if _, err := bearer.Parse(m.Config); err != nil {
		return nil, invalid("Config: %v", err)
	}
	return &state.AuthMethodSet{Method: m, Write: how}, nil
}

func (s *Server) authMethodDelete(v *state.View, _ acl.Authorizer, q *api.ACLName) (state.Command, error) {
	if v.ACLAuthMethod(q.Name) == nil {
		return nil, api.Errorf(api.NotFound, "Cannot find auth method to delete")
	}
	return &state.AuthMethodDelete{Name: q.Name, Local: s.secondary()}, nil
}

func authMethodList(v *state.View, _ *api.None) ([]*api.ACLAuthMethodEntry, error) {
	out := []*api.ACLAuthMethodEntry{}
	for _, m := range v.ACLAuthMethods() {
		out = append(out, &api.ACLAuthMethodEntry{
			Name: m.Name, Type: m.Type, DisplayName: m.DisplayName, Description: m.Description, MaxTokenTTL: m.MaxTokenTTL,
			TokenLocality: m.TokenLocality, CreateIndex: m.CreateIndex, ModifyIndex: m.ModifyIndex,
		})
	}
	return out, nil
}

func bindingRuleCreate(v *state.View, _ acl.Authorizer, q *api.ACLCreate[api.ACLBindingRule]) (state.Command, error) {
	r := q.New
	if r.ID != "" {
		return nil, api.Errorf(api.Invalid, "Cannot specify the ID when creating a new binding rule")
	}
	r.ID = uuid.NewString()
	return writeBindingRule(v, r, state.ACLCreate)
}

func bindingRuleUpdate(v *state.View, _ acl.Authorizer, q *api.ACLUpdate[api.ACLBindingRule]) (state.Command, error) {
	r := q.New
	if r.ID != "" && r.ID != q.ID {
		return nil, api.Errorf(api.Invalid, "Binding rule ID in URL and payload do not match")
	}
	r.ID = q.ID
	old := v.ACLBindingRule(q.ID)
	if old == nil {
		return nil, api.Errorf(api.NotFound, "binding rule not found")
	}
	r.AuthMethod = cmp.Or(r.AuthMethod, old.AuthMethod)
	return writeBindingRule(v, r, state.ACLUpdate)
}

// writeBindingRule checks a rule against the claims that its auth method maps.
func writeBindingRule(v *state.View, r api.ACLBindingRule, how state.ACLWrite) (state.Command, error) {
	invalid := func(format string, args ...any) error {
		return api.Errorf(api.Invalid, "Invalid Binding Rule: "+format, args...)
	}
	method := v.ACLAuthMethod(r.AuthMethod)
	switch {
	case r.AuthMethod == "":
		return nil, invalid("no AuthMethod is set")
	case method == nil:
		return nil, invalid("no such auth method %q", r.AuthMethod)
	case r.BindName == "":
		return nil, invalid("no BindName is set")
	case r.BindVars != nil && r.BindType != api.BindTemplate:
		return nil, invalid("BindVars are for the BindType %q, not for %q", api.BindTemplate, r.BindType)
	}
	checked, err := bearer.Parse(method.Config)
	if err != nil {
		return nil, invalid("the auth method %q is broken: Config: %v", method.Name, err)
	}
	if r.Selector != "" {
		if _, err := filter.NewSelector(r.Selector, blankFacts(checked)); err != nil {
			return nil, invalid("Selector %q: %v", r.Selector, err)
		}
	}
	example := &bearer.Identity{Values: map[string]string{}}
	for _, name := range checked.Values() {
		example.Values[name] = "x"
	}
	if _, err := bindTo(&r, example); err != nil {
		return nil, invalid("%v", err)
	}
	return &state.BindingRuleSet{Rule: r, Write: how}, nil
}

func bindingRuleDelete(v *state.View, _ acl.Authorizer, q *api.ACLID[api.ACLBindingRule]) (state.Command, error) {
	if v.ACLBindingRule(q.ID) == nil {
		return nil, api.Errorf(api.NotFound, "Cannot find binding rule to delete")
	}
	return &state.BindingRuleDelete{ID: q.ID}, nil
}

func bindingRuleList(v *state.View, q *api.ACLBindingRulesArgs) ([]*api.ACLBindingRule, error) {
	return slices.DeleteFunc(v.ACLBindingRules(), func(r *api.ACLBindingRule) bool {
		return q.AuthMethod != "" && !strings.EqualFold(r.AuthMethod, q.AuthMethod)
	}), nil
}
