package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"curia/agent"
	"curia/api"
	"curia/check"
	"curia/config"
	"curia/watch"
)

// definitions reads the services and checks of configuration files.
func definitions(cfg *config.Config) ([]*api.ServiceDefinition, []*api.CheckRegistration, error) {
	services, err := decodeAll[api.ServiceDefinition]("services", cfg.Definitions.Services)
	if err != nil {
		return nil, nil, err
	}
	checks, err := decodeAll[api.CheckRegistration]("checks", cfg.Definitions.Checks)
	return services, checks, err
}

// checkDefinitions finds what is wrong with the services, checks and
// watches of configuration files, as an agent would when it starts.
func checkDefinitions(cfg *config.Config) error {
	services, checks, err := definitions(cfg)
	if err != nil {
		return err
	}
	if _, err := watchesOf(cfg); err != nil {
		return err
	}
	rules := agent.Config{Checks: agent.Checks{Options: checkSettings(cfg)}}
	return agent.New(rules, nil, slog.New(slog.DiscardHandler)).Configure(services, checks)
}

// watchesOf reads the watches of configuration files.
func watchesOf(cfg *config.Config) ([]*watch.Definition, error) {
	var out []*watch.Definition
	for i, raw := range cfg.Definitions.Watches {
		w, err := watch.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("watches[%d]: %w", i, err)
		}
		out = append(out, w)
	}
	return out, nil
}

// adjustable is the part of an agent's configuration that can change while it
// runs.
func adjustable(cfg *config.Config, id string) agent.Config {
	return agent.Config{
		Node: serverConfig(cfg, id).Self, About: agent.About{Meta: orEmpty(cfg.Node.Meta)},
		Checks: agent.Checks{DiscardOutput: cfg.CheckRules.DiscardOutput}, PersistTokens: cfg.ACL.EnableTokenPersistence,
	}
}

func decodeAll[T any](key string, raw []map[string]any) ([]*T, error) {
	var out []*T
	for i, m := range raw {
		b, err := json.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", key, i, err)
		}
		def := new(T)
		if err := api.DecodeRelaxed(b, def); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", key, i, err)
		}
		out = append(out, def)
	}
	return out, nil
}

// checkSettings are what the configuration says about all checks.
func checkSettings(cfg *config.Config) check.Options {
	rule := check.NoScripts
	switch {
	case cfg.CheckRules.EnableScripts:
		rule = check.AllScripts
	case cfg.CheckRules.EnableLocalScripts:
		rule = check.ScriptsFromFiles
	}
	return check.Options{Scripts: rule, OutputMaxSize: cfg.CheckRules.OutputMaxSize}
}
