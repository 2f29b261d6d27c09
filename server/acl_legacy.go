package server

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/state"
)

func legacyCreate(v *state.View, _ acl.Authorizer, q *api.LegacyCreateArgs) (state.Command, error) {
	return writeLegacy(v, q.Spec)
}

func legacyUpdate(v *state.View, _ acl.Authorizer, q *api.LegacyUpdateArgs) (state.Command, error) {
	return writeLegacy(v, q.Spec)
}

// writeLegacy makes a token, or gives the one with that secret another name and
// other rules.
func writeLegacy(v *state.View, spec api.LegacySpec) (state.Command, error) {
	switch spec.ID {
	case "":
		spec.ID = uuid.NewString()
	case "allow", "deny", "manage":
		return nil, api.Errorf(api.Denied, "Permission denied: Cannot modify root ACL")
	}
	if _, err := acl.Parse(spec.Rules, acl.Legacy); err != nil {
		return nil, api.Errorf(api.Rejected, "ACL rule compilation failed: %v", err)
	}
	t := api.ACLToken{AccessorID: uuid.NewString(), SecretID: spec.ID, CreateTime: time.Now().UTC()}
	if old := v.ACLSecret(spec.ID); old != nil {
		t = *old
	}
	t.Description, t.Rules, t.Legacy = spec.Name, spec.Rules, true
	t.Policies = slices.DeleteFunc(slices.Clone(t.Policies), func(l api.ACLLink) bool { return l.ID == api.ManagementPolicy })
	switch spec.Type {
	case "", api.LegacyClient:
	case api.LegacyManagement:
		t.Policies = append(t.Policies, api.ACLLink{ID: api.ManagementPolicy})
	default:
		return nil, api.Errorf(api.Rejected, "Invalid ACL Type")
	}
	return &state.LegacyTokenSet{Token: t}, nil
}

func legacyDestroy(v *state.View, _ acl.Authorizer, q *api.LegacyID) (state.Command, error) {
	if q.ID == api.AnonymousSecret {
		return nil, api.Errorf(api.Denied, "Permission denied: Cannot delete anonymous token")
	}
	cmd := &state.ACLTokenDelete{}
	if t := v.ACLSecret(q.ID); t != nil {
		cmd.Accessors = []string{t.AccessorID}
	}
	return cmd, nil
}

func legacyClone(v *state.View, _ acl.Authorizer, q *api.LegacyID) (state.Command, error) {
	old := v.ACLSecret(q.ID)
	if old == nil {
		return nil, api.Errorf(api.Denied, "Permission denied")
	}
	if old.AuthMethod != "" {
		return nil, errLoginClone
	}
	return &state.LegacyTokenSet{Token: copyOf(old)}, nil
}

// legacyToken shows a token as the older endpoints do.
func legacyToken(t *api.ACLToken) *api.LegacyToken {
	kind := api.LegacyClient
	if t.Management() {
		kind = api.LegacyManagement
	}
	return &api.LegacyToken{
		CreateIndex: t.CreateIndex, ModifyIndex: t.ModifyIndex, ID: t.SecretID, Name: t.Description, Type: kind, Rules: t.Rules,
	}
}

func legacyInfo(v *state.View, q *api.LegacyID) ([]*api.LegacyToken, error) {
	if t := v.ACLTokenBySecret(q.ID); t != nil {
		return []*api.LegacyToken{legacyToken(t)}, nil
	}
	return []*api.LegacyToken{}, nil
}

func legacyList(v *state.View, _ *api.None) ([]*api.LegacyToken, error) {
	out := []*api.LegacyToken{}
	for _, t := range v.ACLTokens() {
		out = append(out, legacyToken(t))
	}
	return out, nil
}

func aclTranslate(_ context.Context, _ acl.Authorizer, q *api.ACLTranslateArgs) (api.RawValue, error) {
	return translate(string(q.Rules))
}

func translate(rules string) (api.RawValue, error) {
	text, err := acl.Translate(rules)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "%v", err)
	}
	return api.RawValue(text), nil
}

func aclTranslateToken(v *state.View, q *api.ACLID[api.ACLToken]) (api.RawValue, error) {
	t := v.ACLToken(q.ID)
	if t == nil {
		return nil, errNoToken
	}
	return translate(t.Rules)
}
