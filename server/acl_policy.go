package server

import (
	"context"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/state"
)

var (
	policyName = regexp.MustCompile(`^[A-Za-z0-9\-_]+/?[A-Za-z0-9\-_]*$`)
	roleName   = regexp.MustCompile(`^[A-Za-z0-9\-_]+$`)
)

// The longest names, in characters.
const (
	maxPolicyName = 128
	maxRoleName   = 256
)

func policyCreate(_ *state.View, _ acl.Authorizer, q *api.ACLCreate[api.ACLPolicy]) (state.Command, error) {
	p := q.New
	if p.ID != "" {
		return nil, api.Errorf(api.Invalid, "Cannot specify the ID when creating a new policy")
	}
	p.ID = uuid.NewString()
	return writePolicy(p, state.ACLCreate)
}

func policyUpdate(_ *state.View, _ acl.Authorizer, q *api.ACLUpdate[api.ACLPolicy]) (state.Command, error) {
	p := q.New
	if p.ID != "" && p.ID != q.ID {
		return nil, api.Errorf(api.Invalid, "Policy ID in URL and payload do not match")
	}
	p.ID = q.ID
	if b := state.BuiltinPolicy(p.ID); b != nil {
		return nil, api.Errorf(api.Invalid, "Changing the builtin policy %s is not permitted", b.Name)
	}
	return writePolicy(p, state.ACLUpdate)
}

// writePolicy checks the name and the rules of a policy.
func writePolicy(p api.ACLPolicy, how state.ACLWrite) (state.Command, error) {
	switch {
	case p.Name == "":
		return nil, api.Errorf(api.Invalid, "Invalid Policy: no Name is set")
	case len(p.Name) > maxPolicyName:
		return nil, api.Errorf(api.Invalid, "Invalid Policy: invalid Name. It has %d characters, at most %d are allowed", len(p.Name), maxPolicyName)
	case !policyName.MatchString(p.Name):
		return nil, api.Errorf(api.Invalid, "Invalid Policy: invalid Name. Only alphanumeric characters, a single '/', '-' and '_' are allowed, not %q", p.Name)
	}
	if _, err := acl.Parse(p.Rules, acl.Exact); err != nil {
		return nil, api.Errorf(api.Invalid, "%v", err)
	}
	return &state.ACLPolicySet{Policy: p, Write: how}, nil
}

func policyDelete(v *state.View, _ acl.Authorizer, q *api.ACLID[api.ACLPolicy]) (state.Command, error) {
	if b := state.BuiltinPolicy(q.ID); b != nil {
		return nil, api.Errorf(api.Invalid, "Delete operation not permitted on the builtin %s policy", b.Name)
	}
	if v.ACLPolicy(q.ID) == nil {
		return nil, api.Errorf(api.NotFound, "Cannot find policy to delete")
	}
	return &state.ACLPolicyDelete{ID: q.ID}, nil
}

func policyList(v *state.View, _ *api.None) ([]*api.ACLPolicyEntry, error) {
	out := []*api.ACLPolicyEntry{}
	for _, p := range v.ACLPolicies() {
		out = append(out, &api.ACLPolicyEntry{
			ID: p.ID, Name: p.Name, Description: p.Description, Datacenters: p.Datacenters, Hash: p.Hash,
			CreateIndex: p.CreateIndex, ModifyIndex: p.ModifyIndex,
		})
	}
	return out, nil
}

func roleCreate(v *state.View, _ acl.Authorizer, q *api.ACLCreate[api.ACLRole]) (state.Command, error) {
	r := q.New
	if r.ID != "" {
		return nil, api.Errorf(api.Invalid, "Cannot specify the ID when creating a new role")
	}
	r.ID = uuid.NewString()
	return writeRole(v, r, state.ACLCreate)
}

func roleUpdate(v *state.View, _ acl.Authorizer, q *api.ACLUpdate[api.ACLRole]) (state.Command, error) {
	r := q.New
	if r.ID != "" && r.ID != q.ID {
		return nil, api.Errorf(api.Invalid, "Role ID in URL and payload do not match")
	}
	r.ID = q.ID
	return writeRole(v, r, state.ACLUpdate)
}

// writeRole checks the name of a role and resolves its links.
func writeRole(v *state.View, r api.ACLRole, how state.ACLWrite) (state.Command, error) {
	switch {
	case r.Name == "":
		return nil, api.Errorf(api.Invalid, "Invalid Role: no Name is set")
	case len(r.Name) > maxRoleName:
		return nil, api.Errorf(api.Invalid, "Invalid Role: invalid Name. It has %d characters, at most %d are allowed", len(r.Name), maxRoleName)
	case !roleName.MatchString(r.Name):
		return nil, api.Errorf(api.Invalid, "Invalid Role: invalid Name. Only alphanumeric characters, '-' and '_' are allowed, not %q", r.Name)
	}
	if err := completeGrants(v, &r.ACLGrants); err != nil {
		return nil, err
	}
	return &state.ACLRoleSet{Role: r, Write: how}, nil
}

func roleDelete(v *state.View, _ acl.Authorizer, q *api.ACLID[api.ACLRole]) (state.Command, error) {
	if v.ACLRole(q.ID) == nil {
		return nil, api.Errorf(api.NotFound, "Cannot find role to delete")
	}
	return &state.ACLRoleDelete{ID: q.ID}, nil
}

func roleList(v *state.View, q *api.ACLRolesArgs) ([]*api.ACLRole, error) {
	return keep(v.ACLRoles(), func(r *api.ACLRole) bool {
		return q.Policy == "" || slices.ContainsFunc(r.Policies, func(l api.ACLLink) bool { return l.ID == q.Policy })
	}), nil
}

// fill gives the rules of a template.
func fill(template string, variables *api.TemplateVariables) (string, error) {
	t := acl.FindTemplate(template)
	if t == nil {
		return "", api.Errorf(api.Invalid, "no such ACL templated policy with Name %q", template)
	}
	name := ""
	if variables != nil {
		name = variables.Name
	}
	text, err := t.Text(name)
	if err != nil {
		return "", api.Errorf(api.Invalid, "%v", err)
	}
	return text, nil
}

func describeTemplate(t *acl.Template) *api.ACLTemplate {
	schema := ""
	if t.Named {
		schema = `{"type":"object","properties":{"name":{"type":"string","$ref":"#/definitions/min-length-one"}},` +
			`"required":["name"],"definitions":{"min-length-one":{"type":"string","minLength":1}}}`
	}
	return &api.ACLTemplate{TemplateName: t.Name, Description: t.Description, Template: t.Rules, Schema: schema}
}

func templateList(context.Context, *api.None) (map[string]*api.ACLTemplate, error) {
	out := map[string]*api.ACLTemplate{}
	for _, t := range acl.Templates() {
		out[t.Name] = describeTemplate(t)
	}
	return out, nil
}

func templateRead(_ context.Context, q *api.ACLName) (*api.ACLTemplate, error) {
	if t := acl.FindTemplate(q.Name); t != nil {
		return describeTemplate(t), nil
	}
	return nil, api.Errorf(api.NotFound, "Invalid template name: %q", q.Name)
}

// templatePreview shows the policy that a template would give.
func templatePreview(_ context.Context, _ acl.Authorizer, q *api.ACLPreviewArgs) (*api.ACLPolicy, error) {
	text, err := fill(q.Name, &q.Variables)
	if err != nil {
		return nil, err
	}
	return &api.ACLPolicy{
		ID: uuid.NewString(), Name: "synthetic-policy-" + uuid.NewString(), Rules: text,
		Description: "synthetic policy generated from templated policy: " + q.Name,
	}, nil
}
