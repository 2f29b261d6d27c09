package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"curia/api"
	"curia/client"
	"curia/config"
)

var localCommands = []command{
	{
		name: "services register", args: "[FILE…]", most: -1,
		line: "Register services with the agent.",
		help: `The services are those of configuration files, with their checks, or one that
the flags describe. A service whose ID the agent has already is replaced; the
states of its checks stay.

Examples:

    $ curia services register web.hcl
    Registered service: web
    $ curia services register -name=web -port=80 -tag=v1 -tag=public`,
		flags: flags(
			textFlag("name", "`NAME` of the service."),
			textFlag("id", "`ID` of the service on this node. Default: its name."),
			textFlag("address", "`ADDRESS` of the service. Default: that of the node."),
			numberFlag("port", "`PORT` of the service."),
			listFlag("tag", "`TAG` of the service. May be repeated."),
			listFlag("meta", "`KEY=VALUE` to keep beside the service. May be repeated."),
			boolFlag("replace-existing-checks", "Remove the checks of a service that its new definition does not have."),
		),
		ask: servicesRegister,
	},
	{
		name: "services deregister", args: "[FILE…]", most: -1,
		line: "Remove services from the agent.",
		help: `The services are those of configuration files, or the one with the ID of -id.
Removing a service that the agent does not have is a success.

Examples:

    $ curia services deregister -id=web
    Deregistered service: web
    $ curia services deregister web.hcl`,
		flags: flags(textFlag("id", "`ID` of the service.")),
		ask:   servicesDeregister,
	},
	{
		name: "maint",
		line: "Take the node or a service out of use, or put it back.",
		help: `What is in maintenance has a critical check that says why, so that nobody is sent
there; it outlives restarts of the agent. Without flags the command prints what
is in maintenance.

Examples:

    $ curia maint -enable -reason="new disk"
    Node maintenance is now enabled
    $ curia maint -disable -service=web
    Service maintenance is now disabled for "web"`,
		flags: flags(
			boolFlag("enable", "Begin the maintenance."),
			boolFlag("disable", "End the maintenance."),
			textFlag("reason", "With -enable, `TEXT` for people to read."),
			textFlag("service", "`ID` of a service of the agent. Default: the whole node."),
		),
		ask: maint,
	},
	{
		name: "reload",
		line: "Let the agent read its configuration again.",
		help: `Settings that need a restart keep their values; the log of the agent names them.

Example:

    $ curia reload
    Configuration reload triggered`,
		ask: reload,
	},
}

func servicesRegister(ctx context.Context, c *call, agent *client.Client) error {
	services, err := c.services()
	if err != nil {
		return fmt.Errorf("services register: %w", err)
	}
	for _, s := range services {
		args := api.ServiceRegisterArgs{Definition: *s, Replace: api.Replace(c.Bool("replace-existing-checks"))}
		if _, err := api.Call(ctx, agent, api.LocalServiceRegister, args); err != nil {
			return fmt.Errorf("register service %q: %w", s.Name, err)
		}
		c.printf("Registered service: %s\n", s.Name)
	}
	return nil
}

func servicesDeregister(ctx context.Context, c *call, agent *client.Client) error {
	services, err := c.services()
	if err != nil {
		return fmt.Errorf("services deregister: %w", err)
	}
	for _, s := range services {
		id := cmp.Or(s.ID, s.Name)
		if _, err := api.Call(ctx, agent, api.LocalServiceDeregister, api.LocalServiceID{ID: id}); err != nil {
			return fmt.Errorf("deregister service %q: %w", id, err)
		}
		c.printf("Deregistered service: %s\n", id)
	}
	return nil
}

// services are those that the files or the flags of the command speak of.
func (c *call) services() ([]*api.ServiceDefinition, error) {
	files := c.Args().Slice()
	s, err := c.serviceOfFlags()
	switch {
	case err != nil:
		return nil, err
	case s != nil && len(files) > 0:
		return nil, errors.New("a service is described by files or by flags, not by both")
	case s != nil && s.Name == "" && s.ID == "":
		return nil, errors.New("the service needs a -name")
	case s != nil:
		return []*api.ServiceDefinition{s}, nil
	case len(files) == 0:
		return nil, errors.New("give a file, or flags that describe a service")
	}
	defs, err := config.LoadDefinitions(files)
	if err != nil {
		return nil, err
	}
	if len(defs.Checks) > 0 {
		return nil, fmt.Errorf("%s: checks belong into the services here", strings.Join(files, ", "))
	}
	if len(defs.Services) == 0 {
		return nil, fmt.Errorf("%s: no services there", strings.Join(files, ", "))
	}
	return decodeAll[api.ServiceDefinition]("services", defs.Services)
}

// serviceOfFlags is the service that flags describe, nil if there are none.
func (c *call) serviceOfFlags() (*api.ServiceDefinition, error) {
	given := slices.ContainsFunc([]string{"id", "name", "address", "port", "tag", "meta"}, c.IsSet)
	if !given {
		return nil, nil
	}
	port := c.Uint64("port")
	if port > 65535 {
		return nil, fmt.Errorf("-port %d is above 65535", port)
	}
	s := &api.ServiceDefinition{
		ID: c.String("id"), Name: c.String("name"), Address: c.String("address"), Port: int(port), Tags: c.StringSlice("tag"),
	}
	for _, pair := range c.StringSlice("meta") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("-meta %q is not of the form KEY=VALUE", pair)
		}
		if s.Meta == nil {
			s.Meta = map[string]string{}
		}
		s.Meta[key] = value
	}
	return s, nil
}

func maint(ctx context.Context, c *call, agent *client.Client) error {
	enable, disable, service := c.Bool("enable"), c.Bool("disable"), c.String("service")
	switch {
	case enable && disable:
		return errors.New("maint: give -enable or -disable, not both")
	case !enable && c.IsSet("reason"):
		return errors.New("maint: -reason needs -enable")
	case !enable && !disable && c.IsSet("service"):
		return errors.New("maint: -service needs -enable or -disable")
	}
	if !enable && !disable {
		return c.listMaintenance(ctx, agent)
	}
	on, word := "true", "enabled"
	if disable {
		on, word = "false", "disabled"
	}
	args := api.MaintenanceArgs{Enable: &on, Reason: c.String("reason")}
	if !c.IsSet("service") {
		if _, err := api.Call(ctx, agent, api.LocalMaintenance, args); err != nil {
			return fmt.Errorf("switch the maintenance of the node: %w", err)
		}
		c.printf("Node maintenance is now %s\n", word)
		return nil
	}
	if _, err := api.Call(ctx, agent, api.LocalServiceMaintenance, api.ServiceMaintenanceArgs{ID: service, MaintenanceArgs: args}); err != nil {
		return fmt.Errorf("switch the maintenance of service %q: %w", service, err)
	}
	c.printf("Service maintenance is now %s for %q\n", word, service)
	return nil
}

// listMaintenance prints what is in maintenance: the node first.
func (c *call) listMaintenance(ctx context.Context, agent api.Caller) error {
	checks, err := api.Call(ctx, agent, api.LocalChecks, api.None{})
	if err != nil {
		return fmt.Errorf("list the checks of the agent: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(checks)) {
		switch check := checks[id]; {
		case id == api.NodeMaintenance:
			c.printf("Node:\n  Name:   %s\n  Reason: %s\n\n", check.Node, check.Notes)
		case strings.HasPrefix(id, api.ServiceMaintenance):
			c.printf("Service:\n  ID:     %s\n  Reason: %s\n\n", check.ServiceID, check.Notes)
		}
	}
	return nil
}

func reload(ctx context.Context, c *call, agent *client.Client) error {
	if _, err := api.Call(ctx, agent, api.AgentReload, api.None{}); err != nil {
		return err
	}
	c.printf("Configuration reload triggered\n")
	return nil
}
