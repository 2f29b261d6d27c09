package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"curia/acl"
	"curia/api"
)

// passing notes the tokens that requests reach the servers with, and denies
// everything itself.
type passing struct{ asked []string }

func (p *passing) resolve(token string) (acl.Authorizer, error) {
	p.asked = append(p.asked, token)
	if token == "root" {
		return acl.AllowAll{}, nil
	}
	return acl.DenyAll{}, nil
}

func setToken(t *testing.T, a *Agent, kind, token string) {
	t.Helper()
	args := &api.AgentTokenArgs{Kind: kind}
	args.Spec.Token = token
	if _, err := a.Call(t.Context(), &api.Request{Op: api.AgentToken.Op, Args: args, Token: "root"}); err != nil {
		t.Fatalf("set the %s token: %v", kind, err)
	}
}

// TestTokensOfTheAgent sets each token under each of its names, and looks where
// it is used.
func TestTokensOfTheAgent(t *testing.T) {
	p := &passing{}
	dir := t.TempDir()
	tune := func(c *Config) {
		c.Tokens = Tokens{Default: "configured"}
		c.Authorizer, c.PersistTokens, c.DataDir = p.resolve, true, dir
	}
	r := newRig(t, newCatalog(), tune)
	if got := []string{r.tokens.get("default"), r.tokens.get("agent"), r.DNSToken(), r.tokens.get("replication")}; strings.Join(got, ",") != "configured,configured,configured," {
		t.Errorf("default, agent, DNS and replication token of the configuration: got %q", got)
	}
	for name, kind := range tokenNames {
		setToken(t, r.Agent, name, "by "+name)
		if got := r.tokens.get(kind); got != "by "+name {
			t.Errorf("token set as %s: got %q", name, got)
		}
	}
	setToken(t, r.Agent, "default", "mine")
	p.asked = nil
	_, _ = r.Call(t.Context(), &api.Request{Op: api.AgentSelf.Op, Args: &api.None{}})
	_, _ = r.Call(t.Context(), &api.Request{Op: api.AgentSelf.Op, Args: &api.None{}, Token: "other"})
	if got := strings.Join(p.asked, ","); got != "mine,other" {
		t.Errorf("asked with no token and with another: resolved %q, want mine,other", got)
	}
	if req := r.WithDefaults(&api.Request{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: "a"}}); req.Token != "mine" {
		t.Errorf("a request without a token goes on with %q, want mine", req.Token)
	}
	info, err := os.Stat(filepath.Join(dir, tokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want a file that only its owner reads", tokenFile, info, err)
	}

	again := newRig(t, newCatalog(), tune)
	again.Restore()
	if got := again.tokens.get("default"); got != "mine" {
		t.Errorf("default token after a restart: got %q, want mine", got)
	}
	again.SetTokens(Tokens{Default: "reloaded"})
	if got := again.tokens.get("default"); got != "mine" {
		t.Errorf("default token after a reload: got %q, want mine", got)
	}
	setToken(t, again.Agent, "default", "")
	if got := again.tokens.get("default"); got != "reloaded" {
		t.Errorf("default token after it was taken back: got %q, want reloaded", got)
	}
	if log := r.logged.String() + again.logged.String(); strings.Contains(log, "mine") {
		t.Errorf("the log has a secret:\n%s", log)
	}
}

func TestUnknownAgentToken(t *testing.T) {
	r := newRig(t, newCatalog(), func(c *Config) { c.Authorizer = (&passing{}).resolve })
	for token, want := range map[string]string{"root": `Token "none" is unknown`, "x": `lacks permission 'agent:write' on "n1"`} {
		_, err := r.Call(t.Context(), &api.Request{Op: api.AgentToken.Op, Args: &api.AgentTokenArgs{Kind: "none"}, Token: token})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("token none with %s: got %v, want %q", token, err, want)
		}
	}
}

// TestRecoveryToken works without anybody who resolves tokens.
func TestRecoveryToken(t *testing.T) {
	r := newRig(t, newCatalog(), func(c *Config) {
		c.Tokens.AgentRecovery = "recover"
		c.Authorizer = func(string) (acl.Authorizer, error) { return nil, api.ErrNoLeader }
	})
	for token, want := range map[string]api.ErrorKind{"recover": api.NotFound, "x": api.NoLeader, "": api.NoLeader, "recove": api.NoLeader, "recover ": api.NoLeader} {
		_, err := r.Call(t.Context(), &api.Request{Op: api.AgentToken.Op, Args: &api.AgentTokenArgs{Kind: "none"}, Token: token})
		if api.KindOf(err) != want {
			t.Errorf("agent/token with %q: got %v, want kind %d", token, err, want)
		}
	}
}

// TestNoRecoveryToken wants the token that is not there to open nothing.
func TestNoRecoveryToken(t *testing.T) {
	r := newRig(t, newCatalog(), func(c *Config) {
		c.Tokens = Tokens{}
		c.Authorizer = func(string) (acl.Authorizer, error) { return acl.DenyAll{}, nil }
	})
	_, err := r.Call(t.Context(), &api.Request{Op: api.AgentSelf.Op, Args: &api.None{}})
	if api.KindOf(err) != api.Denied {
		t.Errorf("agent/self without a token, and without a recovery token: got %v; want that it is denied", err)
	}
	r.tokens.configure(Tokens{AgentRecovery: "later"})
	if _, err = r.Call(t.Context(), &api.Request{Op: api.AgentSelf.Op, Args: &api.None{}, Token: "later"}); err != nil {
		t.Errorf("agent/self with a recovery token that was set later: %v", err)
	}
}
