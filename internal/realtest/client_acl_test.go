package realtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// denying starts an agent that denies what no rule allows and has no token yet, and
// bootstraps it.
func denying(t *testing.T) (*agent, *consul.Client) {
	t.Helper()
	a := prepare(t, option{config: map[string]any{"acl": map[string]any{"enabled": true, "default_policy": "deny", "enable_token_persistence": true}}})
	a.launch()
	eventually(t, startWait, func() error {
		_, _, err := a.clientAs("").ACL().BootstrapWithToken(root)
		return err
	})
	return a, a.clientAs(root)
}

// TestClientBootstrap makes the first management token, and another one when the
// owner of the data directory wants it.
func TestClientBootstrap(t *testing.T) {
	t.Parallel()
	a, c := denying(t)
	self, _, err := c.ACL().TokenReadSelf(nil)
	check(t, err)
	same(t, "the first token", []any{self.SecretID, self.Description, self.Policies[0].Name, self.Local}, []any{root, "Bootstrap Token (Global Management)", "global-management", false})
	nobody := a.clientAs("").ACL()
	_, _, err = nobody.Bootstrap()
	denied(t, "bootstrap again", err, "Permission denied: ACL bootstrap no longer allowed (reset index: ")
	index := regexp.MustCompile(`reset index: (\d+)`).FindStringSubmatch(err.Error())[1]
	reset := filepath.Join(a.dir, "acl-bootstrap-reset")
	for _, wrong := range []string{"1", "", "x" + index} {
		check(t, os.WriteFile(reset, []byte(wrong), 0o600))
		_, _, err = nobody.Bootstrap()
		denied(t, "bootstrap with the reset index "+wrong, err, "no longer allowed")
		if _, err := os.Stat(reset); !os.IsNotExist(err) {
			t.Errorf("after an attempt with %q the file is there: %v", wrong, err)
		}
	}
	check(t, os.WriteFile(reset, []byte(" "+index+"\n"), 0o600))
	_, _, err = nobody.BootstrapWithToken("short")
	denied(t, "bootstrap with a secret that is none", err, "400 (Invalid Token: BootstrapSecret is not a valid UUID)")
	second, _, err := nobody.Bootstrap()
	check(t, err)
	_, _, err = a.clientAs(second.SecretID).ACL().TokenRead(self.AccessorID, nil)
	check(t, err)
	_, _, err = nobody.Bootstrap()
	denied(t, "bootstrap after the reset", err, "no longer allowed")

	status, _, err := nobody.Replication(nil)
	check(t, err)
	same(t, "replication", []any{status.Enabled, status.Running, status.SourceDatacenter}, []any{false, false, "dc1"})
}

// TestClientTokens follows tokens through their life.
func TestClientTokens(t *testing.T) {
	t.Parallel()
	a, c := denying(t)
	tokens := c.ACL()
	policy, _, err := tokens.PolicyCreate(&consul.ACLPolicy{Name: "keys", Rules: `key_prefix "app/" { policy = "write" }`}, nil)
	check(t, err)
	role, _, err := tokens.RoleCreate(&consul.ACLRole{Name: "ops", Policies: []*consul.ACLLink{{Name: "keys"}}}, nil)
	check(t, err)
	const accessor, secret = "c0000000-0000-4000-8000-000000000001", "c0000000-0000-4000-8000-000000000002"
	made, _, err := tokens.TokenCreate(&consul.ACLToken{
		AccessorID: accessor, SecretID: secret, Description: "of web", ExpirationTTL: time.Hour,
		Policies: []*consul.ACLLink{{Name: "keys"}}, Roles: []*consul.ACLLink{{ID: role.ID}},
		ServiceIdentities: []*consul.ACLServiceIdentity{{ServiceName: "web", Datacenters: []string{"dc1"}}},
		NodeIdentities:    []*consul.ACLNodeIdentity{{NodeName: "n1", Datacenter: "dc1"}},
		TemplatedPolicies: []*consul.ACLTemplatedPolicy{{TemplateName: "builtin/service", TemplateVariables: &consul.ACLTemplatedPolicyVariables{Name: "api"}}},
	}, nil)
	check(t, err)
	same(t, "links", []any{*made.Policies[0], *made.Roles[0], made.ExpirationTime.Sub(made.CreateTime)},
		[]any{consul.ACLLink{ID: policy.ID, Name: "keys"}, consul.ACLLink{ID: role.ID, Name: "ops"}, time.Hour})
	read, _, err := tokens.TokenRead(accessor, nil)
	check(t, err)
	same(t, "read", read, made)
	self, _, err := a.clientAs(secret).ACL().TokenReadSelf(nil)
	check(t, err)
	same(t, "self", self, made)
	full, _, err := tokens.TokenReadExpanded(accessor, nil)
	check(t, err)
	same(t, "expanded", []any{full.ACLToken.AccessorID, full.ExpandedPolicies[0].Rules, full.ExpandedRoles[0].Name, full.AgentACLDefaultPolicy, full.AgentACLDownPolicy, full.ResolvedByAgent},
		[]any{accessor, policy.Rules, "ops", "deny", "extend-cache", "n1"})

	read.Description, read.Roles = "of the web", nil
	updated, _, err := tokens.TokenUpdate(read, nil)
	check(t, err)
	same(t, "update", []any{updated.Description, len(updated.Roles), updated.CreateIndex, updated.SecretID}, []any{"of the web", 0, made.CreateIndex, secret})
	clone, _, err := tokens.TokenClone(accessor, "another", nil)
	check(t, err)
	same(t, "clone", []any{clone.Description, clone.Policies, clone.ServiceIdentities, clone.AccessorID != accessor, clone.SecretID != secret},
		[]any{"another", updated.Policies, updated.ServiceIdentities, true, true})
	_, err = a.clientAs(clone.SecretID).KV().Put(&consul.KVPair{Key: "app/a"}, nil)
	check(t, err)

	all, _, err := tokens.TokenList(nil)
	check(t, err)
	same(t, "all", len(all), 4) // anonymous and the first one, too
	for _, f := range []struct {
		by   consul.ACLTokenFilterOptions
		want int
	}{
		{consul.ACLTokenFilterOptions{Policy: policy.ID}, 2}, {consul.ACLTokenFilterOptions{Role: role.ID}, 0},
		{consul.ACLTokenFilterOptions{ServiceName: "web"}, 2}, {consul.ACLTokenFilterOptions{AuthMethod: "none"}, 0},
	} {
		some, _, err := tokens.TokenListFiltered(f.by, nil)
		check(t, err)
		same(t, fmt.Sprintf("tokens by %+v", f.by), len(some), f.want)
	}
	_, err = a.clientAs(secret).ACL().TokenDelete(clone.AccessorID, nil)
	denied(t, "delete without permission", err, "lacks permission 'acl:write'")
	_, err = tokens.TokenDelete(clone.AccessorID, nil)
	check(t, err)
	_, err = tokens.TokenDelete(clone.AccessorID, nil)
	denied(t, "delete again", err, "404 (Cannot find token to delete)")
	_, _, err = tokens.TokenRead(clone.AccessorID, nil)
	denied(t, "read what is gone", err, "403 (token does not exist: ACL not found)")
	_, _, err = a.clientAs(clone.SecretID).KV().Get("app/a", nil)
	denied(t, "use what is gone", err, "403 (ACL not found)")
}

// TestClientPolicies makes, changes and deletes policies and roles, and wants
// tokens to follow at once.
func TestClientPolicies(t *testing.T) {
	t.Parallel()
	a, c := denying(t)
	acls := c.ACL()
	policy, _, err := acls.PolicyCreate(&consul.ACLPolicy{Name: "keys", Description: "d", Rules: `key "a" { policy = "read" }`, Datacenters: []string{"dc1"}}, nil)
	check(t, err)
	byID, _, err := acls.PolicyRead(policy.ID, nil)
	check(t, err)
	byName, _, err := acls.PolicyReadByName("keys", nil)
	check(t, err)
	same(t, "read", []any{byID, byName}, []any{policy, policy})
	role, _, err := acls.RoleCreate(&consul.ACLRole{Name: "ops", Policies: []*consul.ACLLink{{ID: policy.ID}},
		ServiceIdentities: []*consul.ACLServiceIdentity{{ServiceName: "web"}}, NodeIdentities: []*consul.ACLNodeIdentity{{NodeName: "n9", Datacenter: "dc1"}},
		TemplatedPolicies: []*consul.ACLTemplatedPolicy{{TemplateName: "builtin/dns"}}}, nil)
	check(t, err)
	roleByID, _, err := acls.RoleRead(role.ID, nil)
	check(t, err)
	roleByName, _, err := acls.RoleReadByName("ops", nil)
	check(t, err)
	same(t, "read the role", []any{roleByID, roleByName}, []any{role, role})
	token, _, err := acls.TokenCreate(&consul.ACLToken{Roles: []*consul.ACLLink{{Name: "ops"}}}, nil)
	check(t, err)
	user := a.clientAs(token.SecretID)
	put := func() error {
		_, err := user.KV().Put(&consul.KVPair{Key: "a"}, nil)
		return err
	}
	denied(t, "write with a policy to read", put(), "lacks permission 'key:write' on \"a\"")
	policy.Rules, policy.Name = `key "a" { policy = "write" }`, "renamed"
	_, _, err = acls.PolicyUpdate(policy, nil)
	check(t, err)
	check(t, put())
	roleByID, _, err = acls.RoleRead(role.ID, nil)
	check(t, err)
	same(t, "a link to a policy with another name", roleByID.Policies[0].Name, "renamed")
	_, _, err = acls.PolicyCreate(&consul.ACLPolicy{Name: "RENAMED"}, nil)
	denied(t, "take the name", err, "already exists")
	_, _, err = acls.PolicyCreate(&consul.ACLPolicy{Name: "bad", Rules: "key \"a\" {\n policy = \"rwx\"\n}"}, nil)
	denied(t, "bad rules", err, `400 (Invalid key policy: line 2: policy = "rwx" must be deny, read, list or write)`)
	role.Policies = nil
	_, _, err = acls.RoleUpdate(role, nil)
	check(t, err)
	denied(t, "write without the policy", put(), "lacks permission")

	policies, _, err := acls.PolicyList(nil)
	check(t, err)
	names := []string{}
	for _, p := range policies {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	same(t, "policies", names, []string{"builtin/global-read-only", "global-management", "renamed"})
	roles, _, err := acls.RoleList(nil)
	check(t, err)
	same(t, "roles", len(roles), 1)
	_, err = acls.PolicyDelete(policy.ID, nil)
	check(t, err)
	_, err = acls.PolicyDelete(policy.ID, nil)
	denied(t, "delete again", err, "404 (") // the client drops the text
	_, err = acls.RoleDelete(role.ID, nil)
	check(t, err)
	_, err = acls.RoleDelete(role.ID, nil)
	denied(t, "delete the role again", err, "404 (Cannot find role to delete)")
	gone, _, err := acls.PolicyReadByName("renamed", nil)
	noRole, _, err2 := acls.RoleRead(role.ID, nil)
	if gone != nil || noRole != nil || err != nil || err2 != nil {
		t.Errorf("read what is gone: got %v, %v, %v, %v; want nothing and no errors", gone, err, noRole, err2)
	}
}

// TestClientTemplates reads the templates of policies and fills one in.
func TestClientTemplates(t *testing.T) {
	t.Parallel()
	_, c := denying(t)
	all, _, err := c.ACL().TemplatedPolicyList(nil)
	check(t, err)
	one, _, err := c.ACL().TemplatedPolicyReadByName("builtin/service", nil)
	check(t, err)
	same(t, "one of the list", all["builtin/service"], *one)
	for _, name := range []string{"builtin/service", "builtin/node", "builtin/dns", "builtin/nomad-server", "builtin/nomad-client", "builtin/api-gateway"} {
		if all[name].Template == "" {
			t.Errorf("template %s: got %+v; want rules", name, all[name])
		}
	}
	none, _, err := c.ACL().TemplatedPolicyReadByName("none", nil)
	if none != nil || err != nil {
		t.Errorf("read an unknown template: got %v, %v; want neither", none, err)
	}
	p, _, err := c.ACL().TemplatedPolicyPreview(&consul.ACLTemplatedPolicy{TemplateName: "builtin/service", TemplateVariables: &consul.ACLTemplatedPolicyVariables{Name: "api"}}, nil)
	check(t, err)
	if !strings.Contains(p.Rules, `service "api" {`) || !strings.HasPrefix(p.Name, "synthetic-policy-") {
		t.Errorf("preview: got %+v; want the rules of api", p)
	}
	_, _, err = c.ACL().TemplatedPolicyPreview(&consul.ACLTemplatedPolicy{TemplateName: "builtin/service"}, nil)
	denied(t, "preview without a name", err, `400 (templated policy builtin/service: the name "" must have`)
}

// TestClientAgentTokens sets the tokens of the agent, over a crash.
func TestClientAgentTokens(t *testing.T) {
	t.Parallel()
	a, c := denying(t)
	reader, _, err := c.ACL().TokenCreate(&consul.ACLToken{Policies: []*consul.ACLLink{{Name: "builtin/global-read-only"}}}, nil)
	check(t, err)
	node, _, err := c.ACL().TokenCreate(&consul.ACLToken{NodeIdentities: []*consul.ACLNodeIdentity{{NodeName: "n1", Datacenter: "dc1"}}}, nil)
	check(t, err)
	const recovery = "d0000000-0000-4000-8000-000000000001"
	for name, set := range map[string]func() (*consul.WriteMeta, error){
		"default":     func() (*consul.WriteMeta, error) { return c.Agent().UpdateDefaultACLToken(reader.SecretID, nil) },
		"agent":       func() (*consul.WriteMeta, error) { return c.Agent().UpdateAgentACLToken(node.SecretID, nil) },
		"recovery":    func() (*consul.WriteMeta, error) { return c.Agent().UpdateAgentRecoveryACLToken(recovery, nil) },
		"replication": func() (*consul.WriteMeta, error) { return c.Agent().UpdateReplicationACLToken(node.SecretID, nil) },
		"files": func() (*consul.WriteMeta, error) {
			return c.Agent().UpdateConfigFileRegistrationToken(node.SecretID, nil)
		},
		"dns": func() (*consul.WriteMeta, error) { return c.Agent().UpdateDNSToken(reader.SecretID, nil) },
	} {
		if _, err := set(); err != nil {
			t.Errorf("set the %s token: %v", name, err)
		}
	}
	_, err = a.clientAs(reader.SecretID).Agent().UpdateDNSToken("", nil)
	denied(t, "set a token without permission", err, "lacks permission 'agent:write' on \"n1\"")
	look := func() error {
		if _, _, err := a.clientAs("").ACL().TokenList(nil); err != nil { // by the default token
			return err
		}
		_, err := a.clientAs(recovery).Agent().Self()
		return err
	}
	check(t, look())
	a.kill()
	a.launch()
	eventually(t, startWait, look)
	_, err = a.clientAs(recovery).Agent().UpdateDefaultACLToken("", nil)
	check(t, err)
	_, _, err = a.clientAs("").ACL().TokenList(nil)
	denied(t, "ask without a default token", err, "anonymous token lacks permission 'acl:read'")
}
