package realtest

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	consul "github.com/hashicorp/consul/api"
)

// root is the management token of agents with ACLs.
const root = "b0000000-0000-4000-8000-000000000001"

// guarded are the keys of an agent that denies what no rule allows. Who brings no
// token may do everything, so that the other helpers work.
func guarded() map[string]any {
	return map[string]any{"acl": map[string]any{
		"enabled": true, "default_policy": "deny", "tokens": map[string]any{"initial_management": root, "default": root},
	}}
}

// clientAs is HashiCorp's client with a token.
func (a *agent) clientAs(token string) *consul.Client {
	a.t.Helper()
	conf := consul.DefaultConfig()
	conf.Address, conf.Token = a.addr, token
	a.t.Cleanup(conf.Transport.CloseIdleConnections)
	c, err := consul.NewClient(conf)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// provider is somebody else who signs tokens.
type provider struct {
	*httptest.Server
	t   *testing.T
	key ed25519.PrivateKey
}

// newProvider starts one that tells its key under /keys.
func newProvider(t *testing.T) *provider {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	check(t, err)
	p := &provider{t: t, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "EdDSA"}}})
	})
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.URL, "jwks_uri": p.URL + "/keys"})
	})
	p.Server = httptest.NewUnstartedServer(mux)
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

// badge is a token that lasts a minute.
func (p *provider) badge(subject string, groups ...string) string {
	p.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: p.key, KeyID: "k1"}}, nil)
	check(p.t, err)
	text, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": p.URL, "aud": "curia", "sub": subject, "groups": groups, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}).Serialize()
	check(p.t, err)
	return text
}

// TestClientLogin follows a service from the auth method to its logout, over a
// crash of the agent.
func TestClientLogin(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: guarded()})
	p := newProvider(t)
	c := a.client()
	method := &consul.ACLAuthMethod{
		Name: "ci", Type: "jwt", DisplayName: "Builds", Description: "of the builds", MaxTokenTTL: 10 * time.Minute, TokenLocality: "global",
		Config: map[string]any{
			"JWKSURL": p.URL + "/keys", "JWKSCACert": p.ca(), "JWTSupportedAlgs": []any{"EdDSA"}, "BoundAudiences": []any{"curia"}, "BoundIssuer": p.URL,
			"ClaimMappings": map[string]any{"sub": "name"}, "ListClaimMappings": map[string]any{"groups": "groups"},
		},
	}
	made, _, err := c.ACL().AuthMethodCreate(method, nil)
	check(t, err)
	method.CreateIndex, method.ModifyIndex = made.CreateIndex, made.CreateIndex
	same(t, "create the method", made, method)
	read, _, err := c.ACL().AuthMethodRead("ci", nil)
	check(t, err)
	same(t, "read the method", read, method)
	none, _, err := c.ACL().AuthMethodRead("none", nil)
	if none != nil || err != nil {
		t.Errorf("read an unknown method: got %v, %v, wanted neither", none, err)
	}
	all, _, err := c.ACL().AuthMethodList(nil)
	check(t, err)
	same(t, "list the methods", all, []*consul.ACLAuthMethodListEntry{{
		Name: "ci", Type: "jwt", DisplayName: "Builds", Description: "of the builds", MaxTokenTTL: 10 * time.Minute, TokenLocality: "global",
		CreateIndex: made.CreateIndex, ModifyIndex: made.CreateIndex,
	}})
	rule, _, err := c.ACL().BindingRuleCreate(&consul.ACLBindingRule{
		AuthMethod: "ci", BindType: consul.BindingRuleBindTypeService, BindName: "${value.name}", Selector: `"dev" in list.groups`,
	}, nil)
	check(t, err)
	rule.Description = "developers"
	changed, _, err := c.ACL().BindingRuleUpdate(rule, nil)
	check(t, err)
	rules, _, err := c.ACL().BindingRuleList("ci", nil)
	check(t, err)
	same(t, "list the rules", rules, []*consul.ACLBindingRule{changed})

	secret := p.badge("web", "dev")
	token, _, err := c.ACL().Login(&consul.ACLLoginParams{AuthMethod: "ci", BearerToken: secret, Meta: map[string]string{"job": "7"}}, nil)
	check(t, err)
	same(t, "token", []any{token.Description, token.AuthMethod, token.Local, token.ServiceIdentities[0].ServiceName, token.ExpirationTime.Sub(token.CreateTime)},
		[]any{`token created via login: {"job":"7"}`, "ci", false, "web", 10 * time.Minute})
	_, _, err = c.ACL().Login(&consul.ACLLoginParams{AuthMethod: "ci", BearerToken: p.badge("web", "ops")}, nil)
	denied(t, "log in without a group", err, "403 (Permission denied)")
	_, _, err = a.clientAs(root).ACL().Login(&consul.ACLLoginParams{AuthMethod: "ci", BearerToken: secret}, nil)
	denied(t, "log in with a token", err, "do not provide a token when logging in")

	a.kill()
	p.Close() // the keys are not needed for a token that is there
	a.restart()
	web := a.clientAs(token.SecretID)
	check(t, web.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "web"}))
	denied(t, "register another service", web.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "db"}), "lacks permission 'service:write'")
	listed, _, err := c.ACL().TokenListFiltered(consul.ACLTokenFilterOptions{AuthMethod: "ci"}, nil)
	check(t, err)
	same(t, "tokens of the method", len(listed), 1)
	_, _, err = c.ACL().Login(&consul.ACLLoginParams{AuthMethod: "ci", BearerToken: secret}, nil)
	denied(t, "log in while nobody tells the keys", err, "503 (log in with the auth method \"ci\": fetch keys from "+p.URL+"/keys")
	_, err = web.ACL().Logout(nil)
	check(t, err)
	_, _, err = web.ACL().TokenReadSelf(nil)
	denied(t, "read a token that has logged out", err, "ACL not found")
	_, err = c.ACL().BindingRuleDelete(rule.ID, nil)
	check(t, err)
	gone, _, err := c.ACL().BindingRuleRead(rule.ID, nil)
	if gone != nil || err != nil {
		t.Errorf("read a rule that is gone: got %v, %v, wanted neither", gone, err)
	}
	_, err = c.ACL().AuthMethodDelete("ci", nil)
	check(t, err)
	a.stop(syscall.SIGTERM)
	for _, word := range []string{secret, token.SecretID} {
		if strings.Contains(a.output(), word) {
			t.Errorf("the log has the secret %s", word)
		}
	}
}

// TestClientDiscovery logs in with the tokens of an issuer that tells of itself,
// and saves and restores what was made.
func TestClientDiscovery(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: guarded()})
	p := newProvider(t)
	c := a.client()
	_, _, err := c.ACL().AuthMethodCreate(&consul.ACLAuthMethod{Name: "sso", Type: "jwt", Config: map[string]any{
		"OIDCDiscoveryURL": p.URL, "OIDCDiscoveryCACert": p.ca(), "JWTSupportedAlgs": []string{"EdDSA"}, "BoundAudiences": []string{"curia"},
		"ClaimMappings": map[string]string{"sub": "name"},
	}}, nil)
	check(t, err)
	_, _, err = c.ACL().BindingRuleCreate(&consul.ACLBindingRule{AuthMethod: "sso", BindType: consul.BindingRuleBindTypeTemplatedPolicy, BindName: "builtin/node",
		BindVars: &consul.ACLTemplatedPolicyVariables{Name: "${value.name}"}}, nil)
	check(t, err)
	login := func() *consul.ACLToken {
		t.Helper()
		token, _, err := c.ACL().Login(&consul.ACLLoginParams{AuthMethod: "sso", BearerToken: p.badge("n7")}, nil)
		check(t, err)
		return token
	}
	token := login()
	same(t, "template", []any{token.TemplatedPolicies[0].TemplateName, token.TemplatedPolicies[0].TemplateVariables.Name, token.Local}, []any{"builtin/node", "n7", true})
	_, err = a.clientAs(token.SecretID).Catalog().Register(&consul.CatalogRegistration{Node: "n7", Address: "127.0.0.7"}, nil)
	check(t, err)

	archive, _, err := c.Snapshot().Save(nil)
	check(t, err)
	kept, err := os.CreateTemp(t.TempDir(), "")
	check(t, err)
	defer kept.Close()
	_, err = io.Copy(kept, archive)
	check(t, err)
	_, err = c.ACL().AuthMethodDelete("sso", nil)
	check(t, err)
	_, _, err = a.clientAs(token.SecretID).ACL().TokenReadSelf(nil)
	denied(t, "read a token whose method is gone", err, "ACL not found")
	_, err = kept.Seek(0, io.SeekStart)
	check(t, err)
	check(t, c.Snapshot().Restore(nil, kept))
	self, _, err := a.clientAs(token.SecretID).ACL().TokenReadSelf(nil)
	check(t, err)
	same(t, "restored token", self.AccessorID, token.AccessorID)
	if again := login(); again.AccessorID == token.AccessorID {
		t.Errorf("log in again: got the same token %s", again.AccessorID)
	}
}

// denied wants an error with a text.
func denied(t *testing.T, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: got %v, wanted %q", what, err, text)
	}
}
