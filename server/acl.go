package server

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/internal/pause"
	"curia/state"
)

func (s *Server) aclVerbs() []binding {
	return []binding{
		put(api.ACLBootstrap, s.aclBootstrap),
		bare(api.ACLReplication, s.aclReplication),
		bare(api.ACLIdentify, s.aclIdentify),
		led(api.ACLDigestGet, s.copyDigest),
		led(api.ACLMarksGet, s.copyMarks),
		led(api.ACLRowsGet, s.copyRows),
		put(api.ACLTokenCreate, s.tokenCreate),
		get(api.ACLTokenRead, s.tokenRead),
		get(api.ACLTokenSelf, tokenSelf),
		put(api.ACLTokenUpdate, s.tokenUpdate),
		put(api.ACLTokenClone, tokenClone),
		put(api.ACLTokenDelete, tokenDelete),
		get(api.ACLTokens, tokenList),
		put(api.ACLPolicyCreate, policyCreate),
		get(api.ACLPolicyRead, func(v *state.View, q *api.ACLID[api.ACLPolicy]) (*api.ACLPolicy, error) {
			return found(v.ACLPolicy(q.ID), "policy")
		}),
		get(api.ACLPolicyReadName, func(v *state.View, q *api.ACLName) (*api.ACLPolicy, error) {
			return found(v.ACLPolicyByName(q.Name), "policy")
		}),
		put(api.ACLPolicyUpdate, policyUpdate),
		put(api.ACLPolicyDelete, policyDelete),
		get(api.ACLPolicies, policyList),
		put(api.ACLRoleCreate, roleCreate),
		get(api.ACLRoleRead, func(v *state.View, q *api.ACLID[api.ACLRole]) (*api.ACLRole, error) {
			return found(v.ACLRole(q.ID), "role")
		}),
		get(api.ACLRoleReadName, func(v *state.View, q *api.ACLName) (*api.ACLRole, error) {
			return found(v.ACLRoleByName(q.Name), "role")
		}),
		put(api.ACLRoleUpdate, roleUpdate),
		put(api.ACLRoleDelete, roleDelete),
		get(api.ACLRoles, roleList),
		bare(api.ACLTemplates, templateList),
		bare(api.ACLTemplateRead, templateRead),
		led(api.ACLTemplatePreview, templatePreview),
		put(api.ACLAuthMethodCreate, s.authMethodCreate),
		get(api.ACLAuthMethodRead, func(v *state.View, q *api.ACLName) (*api.ACLAuthMethod, error) {
			return found(v.ACLAuthMethod(q.Name), "auth method")
		}),
		put(api.ACLAuthMethodUpdate, s.authMethodUpdate),
		put(api.ACLAuthMethodDelete, s.authMethodDelete),
		get(api.ACLAuthMethods, authMethodList),
		put(api.ACLBindingRuleCreate, bindingRuleCreate),
		get(api.ACLBindingRuleRead, func(v *state.View, q *api.ACLID[api.ACLBindingRule]) (*api.ACLBindingRule, error) {
			return found(v.ACLBindingRule(q.ID), "binding rule")
		}),
		put(api.ACLBindingRuleUpdate, bindingRuleUpdate),
		put(api.ACLBindingRuleDelete, bindingRuleDelete),
		get(api.ACLBindingRules, bindingRuleList),
		led(api.ACLLogin, s.aclLogin),
		put(api.ACLLogout, aclLogout),
		led(api.ACLAuthorize, aclAuthorize),
		put(api.LegacyCreate, legacyCreate),
		put(api.LegacyUpdate, legacyUpdate),
		put(api.LegacyDestroy, legacyDestroy),
		get(api.LegacyInfo, legacyInfo),
		put(api.LegacyClone, legacyClone),
		get(api.LegacyList, legacyList),
		led(api.ACLTranslate, aclTranslate),
		get(api.ACLTranslateToken, aclTranslateToken),
	}
}

// found turns what is not there into the answer 404.
func found[T any](row *T, what string) (*T, error) {
	if row == nil {
		return nil, api.Errorf(api.NotFound, "%s not found", what)
	}
	return row, nil
}

// checkID wants an ID that a caller chose to be a UUID that is not reserved.
func checkID(what, id string) error {
	if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
		return api.Errorf(api.Invalid, "Invalid Token: %s is not a valid UUID", what)
	}
	if strings.HasPrefix(id, "00000000-0000-0000-0000-0000000000") {
		return api.Errorf(api.Invalid, "Invalid Token: UUIDs with the prefix 00000000-0000-0000-0000-0000000000 are reserved")
	}
	return nil
}

// aclBootstrap makes the first management token.
func (s *Server) aclBootstrap(v *state.View, _ acl.Authorizer, q *api.ACLBootstrapArgs) (state.Command, error) {
	if s.cfg.ACL != nil && s.cfg.ACL.InitialManagement != "" && v.ACLBootstrapped() == 0 {
		return nil, api.Errorf(api.Denied, "Permission denied: ACL bootstrap no longer allowed: the configuration names the first management token, which is being made")
	}
	secret := q.Spec.BootstrapSecret
	if secret == "" {
		secret = uuid.NewString()
	} else if err := checkID("BootstrapSecret", secret); err != nil {
		return nil, err
	}
	cmd := &state.ACLBootstrap{Token: managementToken(secret, "Bootstrap Token (Global Management)")}
	if s.cfg.ACL != nil && s.cfg.ACL.ResetFile != "" {
		if b, err := os.ReadFile(s.cfg.ACL.ResetFile); err == nil {
			cmd.Reset, _ = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
			if err := os.Remove(s.cfg.ACL.ResetFile); err != nil {
				return nil, fmt.Errorf("remove the file that allows bootstrapping: %w", err)
			}
		}
	}
	return cmd, nil
}

func managementToken(secret, description string) api.ACLToken {
	return api.ACLToken{
		AccessorID: uuid.NewString(), SecretID: secret, Description: description, CreateTime: time.Now().UTC(),
		ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{ID: api.ManagementPolicy}}},
	}
}

// tendACLs makes the tokens that are always there, and deletes those whose time
// is over, until ctx ends.
func (s *Server) tendACLs(ctx context.Context) error {
	if s.cfg.ACL == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	mine := func(t *api.ACLToken) bool { return true }
	if s.secondary() {
		mine = func(t *api.ACLToken) bool { return t.Local } // copies end where they were made
	}
	for _, cmd := range s.missingTokens(s.store.View()) {
		if _, err := s.replica.Propose(ctx, cmd); err != nil && api.KindOf(err) != api.Invalid {
			return err
		}
	}
	for {
		v := s.store.View()
		now := time.Now()
		due, next := v.ACLExpired(now, mine)
		if len(due) > 0 {
			if _, err := s.replica.Propose(ctx, &state.ACLTokenDelete{Accessors: due}); err != nil {
				s.log.Warn("cannot delete expired tokens, trying again", "err", err)
				if !pause.For(ctx, time.Second) {
					return ctx.Err()
				}
			}
			continue
		}
		if next.IsZero() {
			next = now.Add(time.Hour)
		}
		timer := time.NewTimer(time.Until(next))
		w := v.Watch()
		_, err := s.sleep(ctx, &w, timer)
		timer.Stop()
		if err != nil {
			return err
		}
		if !pause.For(ctx, ttlScan) {
			return ctx.Err()
		}
	}
}

// missingTokens makes the anonymous token, and the management token that the
// configuration names. Both are the primary's.
func (s *Server) missingTokens(v *state.View) []state.Command {
	if s.secondary() {
		return nil
	}
	var cmds []state.Command
	if v.ACLToken(acl.Anonymous) == nil {
		cmds = append(cmds, &state.ACLTokenSet{Token: api.ACLToken{
			AccessorID: acl.Anonymous, SecretID: api.AnonymousSecret, Description: "Anonymous Token", CreateTime: time.Now().UTC(),
		}})
	}
	if secret := s.cfg.ACL.InitialManagement; secret != "" && (v.ACLSecret(secret) == nil || v.ACLBootstrapped() == 0) {
		cmds = append(cmds, &state.ACLInitial{Token: managementToken(secret, "Initial Management Token")})
	}
	return cmds
}
