package main

import (
	"context"
	"path/filepath"
	"time"

	"curia/acl"
	"curia/agent"
	"curia/api"
	"curia/config"
	"curia/internal/aclcache"
	"curia/server"
)

// aclConfig says how a server guards what it has; nil while ACLs are off.
func aclConfig(cfg *config.Config) *server.ACLConfig {
	a := &cfg.ACL
	if !a.Enabled {
		return nil
	}
	c := &server.ACLConfig{
		Options:    aclOptions(a),
		DownPolicy: a.DownPolicy, InitialManagement: a.Tokens.InitialManagement,
		PrimaryDatacenter: cfg.Node.PrimaryDatacenter,
	}
	if cfg.Node.DataDir != "" {
		c.ResetFile = filepath.Join(cfg.Node.DataDir, "acl-bootstrap-reset")
	}
	return c
}

// aclOptions are what all policies of the datacenter have in common.
func aclOptions(a *config.ACL) acl.Options {
	o := acl.Options{Default: acl.AllowAll{}, KeyList: a.EnableKeyListPolicy}
	if a.DefaultPolicy == "deny" {
		o.Default = acl.DenyAll{}
	}
	return o
}

// resolver gives who finds out what the holders of tokens may do: the server
// of this process, or others that are asked. nil while ACLs are off.
func (n *node) resolver(cfg *config.Config) acl.Resolver {
	switch {
	case n.serving != nil:
		return n.serving.Resolve
	case !cfg.ACL.Enabled:
		return nil
	}
	return n.asking(cfg, "").Resolve
}

// asking resolves tokens by asking the servers of a datacenter; empty: this one.
func (n *node) asking(cfg *config.Config, datacenter string) *aclcache.Cache {
	ask := func(ctx context.Context, secret string) (*acl.Identity, error) {
		args := &api.IdentifyArgs{Secret: secret, Datacenter: cfg.Node.Datacenter}
		resp, err := n.router.Call(ctx, &api.Request{Op: api.ACLIdentify.Op, Args: args, Datacenter: datacenter, Passed: datacenter != ""})
		switch {
		case datacenter != "" && api.KindOf(err) == api.Disabled:
			return nil, server.ErrPrimaryOpen
		case err != nil:
			return nil, err
		}
		id, _ := resp.Value.(*acl.Identity)
		return id, nil
	}
	a := &cfg.ACL
	return aclcache.New(ask, acl.NewSets(aclOptions(a)), aclTTL(a), aclcache.DownPolicy(a.DownPolicy))
}

// aclTTL is how long is believed what others told about tokens.
func aclTTL(a *config.ACL) time.Duration { return min(a.TokenTTL, a.PolicyTTL, a.RoleTTL) }

// copying says what a server copies of the primary's ACLs. The token may be set
// while the agent runs.
func (n *node) copying(a *config.ACL) server.CopyConfig {
	down := aclcache.DownPolicy(a.DownPolicy)
	return server.CopyConfig{
		Tokens: a.EnableTokenReplication, TTL: aclTTL(a), Extend: down == aclcache.ExtendCache || down == aclcache.AsyncCache,
		Token: func() string { return n.agent.ReplicationToken() },
	}
}

// agentTokens are the secrets that the agent works with.
func agentTokens(cfg *config.Config) agent.Tokens {
	t := &cfg.ACL.Tokens
	return agent.Tokens{
		Default: t.Default, Agent: t.Agent, AgentRecovery: t.AgentRecovery, Replication: t.Replication,
		ConfigFileService: t.ConfigFileService, DNS: t.DNS,
	}
}
