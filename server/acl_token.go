package server

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// minExpiration and maxExpiration bound the life of a token that expires.
const (
	minExpiration = time.Minute
	maxExpiration = 100 * 365 * 24 * time.Hour
)

// errNoToken is the documented answer to an accessor that no token has.
var errNoToken = &api.Error{Kind: api.Denied, Msg: "token does not exist: ACL not found"}

// errTokenRules keeps from making a token that can do less than its author thinks.
var errTokenRules = &api.Error{Kind: api.Invalid, Msg: "Invalid Token: Rules are for the older endpoints acl/create and acl/update: make a policy of them and link to it in Policies"}

// errLoginClone keeps copies from outliving the auth method.
var errLoginClone = &api.Error{Kind: api.Invalid, Msg: "Cannot clone a token that a login made"}

// tokenCreate completes a new token.
func (s *Server) tokenCreate(v *state.View, _ acl.Authorizer, q *api.ACLTokenArgs) (state.Command, error) {
	t := q.Token
	for what, id := range map[string]*string{"AccessorID": &t.AccessorID, "SecretID": &t.SecretID} {
		if *id == "" {
			*id = uuid.NewString()
		} else if err := checkID(what, *id); err != nil {
			return nil, err
		}
	}
	if t.AuthMethod != "" {
		return nil, api.Errorf(api.Invalid, "Invalid Token: AuthMethod is set by logins alone, leave it out")
	}
	if v.ACLToken(t.AccessorID) != nil {
		return nil, api.Errorf(api.Invalid, "Invalid Token: AccessorID is already in use")
	}
	if t.Rules != "" {
		return nil, errTokenRules
	}
	t.CreateTime = time.Now().UTC()
	if err := expire(&t); err != nil {
		return nil, err
	}
	t.Legacy, t.Rules = false, ""
	return s.writeToken(v, t, state.ACLCreate)
}

// expire turns the time that a token shall live into the time of its end.
func expire(t *api.ACLToken) error {
	if t.ExpirationTTL != 0 && t.ExpirationTime != nil {
		return api.Errorf(api.Invalid, "Token Expiration TTL and Expiration Time cannot both be set")
	}
	if t.ExpirationTTL != 0 {
		at := t.CreateTime.Add(time.Duration(t.ExpirationTTL))
		t.ExpirationTime, t.ExpirationTTL = &at, 0
	}
	if t.ExpirationTime == nil {
		return nil
	}
	at := t.ExpirationTime.UTC()
	t.ExpirationTime = &at
	switch life := at.Sub(t.CreateTime); {
	case life < minExpiration:
		return api.Errorf(api.Invalid, "expiration time cannot be less than %s in the future (was %s)", minExpiration, life)
	case life > maxExpiration:
		return api.Errorf(api.Invalid, "expiration time cannot be more than %s in the future (was %s)", maxExpiration, life)
	}
	return nil
}

// writeToken resolves the links of a token.
func (s *Server) writeToken(v *state.View, t api.ACLToken, how state.ACLWrite) (state.Command, error) {
	if err := completeGrants(v, &t.ACLGrants); err != nil {
		return nil, err
	}
	for i := range t.Roles {
		l := &t.Roles[i]
		role := v.ACLLinkedRole(l.ID)
		if l.ID == "" {
			role = v.ACLRoleByName(l.Name)
		}
		if role == nil {
			return nil, noLink("role", *l)
		}
		*l = api.ACLLink{ID: role.ID}
	}
	t.Roles = distinct(t.Roles)
	return &state.ACLTokenSet{Token: t, Write: how}, nil
}

// completeGrants resolves the links to policies, and checks identities.
func completeGrants(v *state.View, g *api.ACLGrants) error {
	for i := range g.Policies {
		l := &g.Policies[i]
		p := v.ACLLinkedPolicy(l.ID)
		if l.ID == "" {
			p = v.ACLPolicyByName(l.Name)
		}
		if p == nil {
			return noLink("policy", *l)
		}
		*l = api.ACLLink{ID: p.ID}
	}
	g.Policies = distinct(g.Policies)
	for _, i := range g.ServiceIdentities {
		if _, err := acl.ServiceTemplate.Text(i.ServiceName); err != nil {
			return api.Errorf(api.Invalid, "Service identity %q has an invalid name. Only alphanumeric characters, '-' and '_' are allowed", i.ServiceName)
		}
	}
	for _, i := range g.NodeIdentities {
		if _, err := acl.NodeTemplate.Text(i.NodeName); err != nil {
			return api.Errorf(api.Invalid, "Node identity %q has an invalid name. Only alphanumeric characters, '-' and '_' are allowed", i.NodeName)
		}
		if i.Datacenter == "" {
			return api.Errorf(api.Invalid, "Node identity is missing the datacenter field on this %s", i.NodeName)
		}
	}
	for _, p := range g.TemplatedPolicies {
		if _, err := fill(p.TemplateName, p.TemplateVariables); err != nil {
			return err
		}
	}
	return nil
}

// noLink refuses a link to what does not exist.
func noLink(what string, l api.ACLLink) error {
	if l == (api.ACLLink{}) {
		return api.Errorf(api.Invalid, "Invalid link to a %s: it has neither ID nor Name, give one of them", what)
	}
	return api.Errorf(api.Invalid, "No such ACL %s with name or ID %q", what, cmp.Or(l.ID, l.Name))
}

// distinct drops links that were given twice.
func distinct(links []api.ACLLink) []api.ACLLink {
	var out []api.ACLLink
	for _, l := range links {
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// tokenUpdate changes a token; what identifies it and its life stay. One of the
// older kind stays that as long as its rules are sent along.
func (s *Server) tokenUpdate(v *state.View, _ acl.Authorizer, q *api.ACLUpdate[api.ACLToken]) (state.Command, error) {
	t := q.New
	if t.AccessorID != "" && t.AccessorID != q.ID {
		return nil, api.Errorf(api.Invalid, "Token Accessor ID in URL and payload do not match")
	}
	old := v.ACLToken(q.ID)
	switch {
	case old == nil:
		return nil, errNoToken
	case t.SecretID != "" && t.SecretID != api.HiddenSecret && sha256.Sum256([]byte(t.SecretID)) != sha256.Sum256([]byte(old.SecretID)):
		return nil, api.Errorf(api.Invalid, "Changing a token's SecretID is not permitted")
	case t.ExpirationTTL != 0, t.ExpirationTime != nil && (old.ExpirationTime == nil || !t.ExpirationTime.Equal(*old.ExpirationTime)):
		return nil, api.Errorf(api.Invalid, "Cannot change expiration time")
	case t.Local != old.Local:
		return nil, api.Errorf(api.Invalid, "Cannot toggle local mode of %s", q.ID)
	case t.AuthMethod != "" && t.AuthMethod != old.AuthMethod:
		return nil, api.Errorf(api.Invalid, "Cannot change AuthMethod of %s", q.ID)
	case t.Rules != "" && t.Rules != old.Rules:
		return nil, errTokenRules
	}
	t.AccessorID, t.SecretID, t.CreateTime = old.AccessorID, old.SecretID, old.CreateTime
	t.ExpirationTime, t.ExpirationTTL = old.ExpirationTime, 0
	t.Legacy, t.AuthMethod = t.Rules != "", old.AuthMethod
	return s.writeToken(v, t, state.ACLUpdate)
}

func tokenClone(v *state.View, _ acl.Authorizer, q *api.ACLTokenCloneArgs) (state.Command, error) {
	old := v.ACLToken(q.ID)
	switch {
	case old == nil:
		return nil, errNoToken
	case old.AccessorID == acl.Anonymous:
		return nil, api.Errorf(api.Invalid, "Cannot clone the anonymous token")
	case old.AuthMethod != "":
		return nil, errLoginClone
	}
	t := copyOf(old)
	if q.Spec.Description != "" {
		t.Description = q.Spec.Description
	}
	return &state.ACLTokenSet{Token: t}, nil
}

// copyOf is a new token with the permissions of another.
func copyOf(old *api.ACLToken) api.ACLToken {
	t := *old
	t.AccessorID, t.SecretID, t.CreateTime = uuid.NewString(), uuid.NewString(), time.Now().UTC()
	return t
}

func tokenDelete(v *state.View, who acl.Authorizer, q *api.ACLID[api.ACLToken]) (state.Command, error) {
	if q.ID == acl.Anonymous {
		return nil, api.Errorf(api.Invalid, "Delete operation not permitted on the anonymous token")
	}
	if h, ok := who.(*acl.Holder); ok && h.Accessor == q.ID {
		return nil, api.Errorf(api.Invalid, "Deletion of the request's authorization token is not permitted")
	}
	if v.ACLToken(q.ID) == nil {
		return nil, api.Errorf(api.NotFound, "Cannot find token to delete")
	}
	return &state.ACLTokenDelete{Accessors: []string{q.ID}}, nil
}

// tokenRead reads a token, with everything that it links to if that is wanted.
func (s *Server) tokenRead(v *state.View, q *api.ACLTokenReadArgs) (*api.ACLTokenExpanded, error) {
	t := v.ACLToken(q.ID)
	if t == nil {
		return nil, errNoToken
	}
	out := &api.ACLTokenExpanded{ACLToken: *t}
	if !q.Expanded {
		return out, nil
	}
	links := slices.Clone(t.Policies)
	for _, l := range t.Roles {
		if role := v.ACLRole(l.ID); role != nil {
			out.ExpandedRoles = append(out.ExpandedRoles, role)
			links = append(links, role.Policies...)
		}
	}
	for i := range links {
		links[i].Name = ""
	}
	for _, l := range distinct(links) {
		if p := v.ACLPolicy(l.ID); p != nil {
			out.ExpandedPolicies = append(out.ExpandedPolicies, p)
		}
	}
	out.ResolvedByAgent = s.cfg.Self.Node
	if c := s.cfg.ACL; c != nil {
		out.AgentACLDefaultPolicy, out.AgentACLDownPolicy = c.Default.ID(), c.DownPolicy
	}
	return out, nil
}

func tokenSelf(v *state.View, q *api.ACLSelfArgs) (*api.ACLToken, error) {
	if q.Accessor == "" { // everybody is, while ACLs are off
		return &api.ACLToken{AccessorID: acl.Anonymous, SecretID: api.AnonymousSecret, Description: "Anonymous Token"}, nil
	}
	if t := v.ACLToken(q.Accessor); t != nil {
		return t, nil
	}
	return nil, api.ErrUnknownToken
}

func tokenList(v *state.View, q *api.ACLTokensArgs) ([]*api.ACLToken, error) {
	linked := func(links []api.ACLLink, id string) bool {
		return id == "" || slices.ContainsFunc(links, func(l api.ACLLink) bool { return l.ID == id })
	}
	return keep(v.ACLTokens(), func(t *api.ACLToken) bool {
		return linked(t.Policies, q.Policy) && linked(t.Roles, q.Role) &&
			(q.AuthMethod == "" || strings.EqualFold(t.AuthMethod, q.AuthMethod)) &&
			(q.ServiceName == "" || slices.ContainsFunc(t.ServiceIdentities, func(i api.ServiceIdentity) bool {
				return strings.EqualFold(i.ServiceName, q.ServiceName)
			}))
	}), nil
}
