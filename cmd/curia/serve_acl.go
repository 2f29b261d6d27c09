package main

import (
	"path/filepath"

	"curia/acl"
	"curia/agent"
	"curia/config"
	"curia/server"
)

// aclConfig says how a server guards what it has; nil while ACLs are off.
func aclConfig(cfg *config.Config) *server.ACLConfig {
	a := &cfg.ACL
	if !a.Enabled {
		return nil
	}
	c := &server.ACLConfig{
		Options:    acl.Options{Default: acl.AllowAll{}, KeyList: a.EnableKeyListPolicy},
		DownPolicy: a.DownPolicy, InitialManagement: a.Tokens.InitialManagement,
		PrimaryDatacenter: cfg.Node.PrimaryDatacenter,
	}
	if a.DefaultPolicy == "deny" {
		c.Default = acl.DenyAll{}
	}
	if cfg.Node.DataDir != "" {
		c.ResetFile = filepath.Join(cfg.Node.DataDir, "acl-bootstrap-reset")
	}
	return c
}

// agentTokens are the secrets that the agent works with.
func agentTokens(cfg *config.Config) agent.Tokens {
	t := &cfg.ACL.Tokens
	return agent.Tokens{
		Default: t.Default, Agent: t.Agent, AgentRecovery: t.AgentRecovery, Replication: t.Replication,
		ConfigFileService: t.ConfigFileService, DNS: t.DNS,
	}
}
