package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"curia/api"
	"curia/client"
)

var aclPolicyCommands = []command{
	{
		name: "acl policy create", asks: true,
		line: "Create a policy.",
		help: `Example:

    $ curia acl policy create -name=web -rules=@web.hcl
    ID:           6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11
    …`,
		flags: flags(textFlag("name", "`NAME` of the policy."), descriptionFlag, rulesFlag, datacentersFlag, indexesFlag, formatFlag),
		run:   policyCreate,
	},
	{
		name: "acl policy read", asks: true,
		line: "Print a policy.",
		help: `Example:

    $ curia acl policy read -name=web`,
		flags: flags(idFlag, namedFlag, indexesFlag, formatFlag),
		run: func(ctx context.Context, c *call) error {
			agent, err := c.connect()
			if err != nil {
				return err
			}
			p, err := findPolicy(ctx, c, agent)
			if err != nil {
				return err
			}
			return c.show(p, func() { c.printPolicy(p) })
		},
	},
	{
		name: "acl policy update", asks: true,
		line: "Change a policy.",
		help: `What no flag names stays as it is.

Example:

    $ curia acl policy update -id=6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11 -rules=@web.hcl`,
		flags: flags(idFlag, textFlag("name", "New `NAME`; without -id that of the policy."), descriptionFlag, rulesFlag, datacentersFlag, indexesFlag, formatFlag),
		run:   policyUpdate,
	},
	{
		name: "acl policy delete", asks: true,
		line: "Delete a policy.",
		help: `Example:

    $ curia acl policy delete -name=web
    Policy "6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11" deleted successfully`,
		flags: flags(idFlag, namedFlag),
		run: func(ctx context.Context, c *call) error {
			agent, err := c.connect()
			if err != nil {
				return err
			}
			id := c.String("id")
			if id == "" {
				p, err := findPolicy(ctx, c, agent)
				if err != nil {
					return err
				}
				id = p.ID
			}
			if _, err := api.Call(ctx, agent, api.ACLPolicyDelete, api.ACLID[api.ACLPolicy]{ID: id}); err != nil {
				return fmt.Errorf("delete policy %q: %w", id, err)
			}
			c.printf("Policy %q deleted successfully\n", id)
			return nil
		},
	},
	{
		name: "acl policy list", asks: true,
		line: "List the policies.",
		help: `Example:

    $ curia acl policy list`,
		flags: flags(indexesFlag, formatFlag),
		run: func(ctx context.Context, c *call) error {
			agent, err := c.connect()
			if err != nil {
				return err
			}
			all, err := api.Call(ctx, agent, api.ACLPolicies, api.None{})
			if err != nil {
				return fmt.Errorf("list policies: %w", err)
			}
			return c.show(list(all), func() {
				for _, p := range all {
					c.printf("%s:\n   ID:           %s\n   Description:  %s\n   Datacenters:  %s\n", p.Name, p.ID, p.Description, strings.Join(p.Datacenters, ", "))
					c.printIndexes("   ", p.CreateIndex, p.ModifyIndex)
				}
			})
		},
	},
}

// Flags that several commands of ACLs have.
var (
	idFlag          = textFlag("id", "`ID` of the one that is meant.")
	namedFlag       = textFlag("name", "`NAME` of the one that is meant.")
	descriptionFlag = textFlag("description", "`TEXT` for people to read.")
	rulesFlag       = textFlag("rules", "`TEXT` of the rules; @FILE reads it from a file, - from standard input.")
	datacentersFlag = listFlag("valid-datacenter", "`NAME` of a datacenter where the policy holds. May be repeated. Default: all.")
)

var errWhich = errors.New("say which one with -id or -name")

// findPolicy reads the policy that -id or -name means.
func findPolicy(ctx context.Context, c *call, agent *client.Client) (*api.ACLPolicy, error) {
	var p *api.ACLPolicy
	var err error
	switch id, name := c.String("id"), c.String("name"); {
	case id != "":
		p, err = api.Call(ctx, agent, api.ACLPolicyRead, api.ACLID[api.ACLPolicy]{ID: id})
	case name != "":
		p, err = api.Call(ctx, agent, api.ACLPolicyReadName, api.ACLName{Name: name})
	default:
		err = errWhich
	}
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return p, nil
}

// policyFlags takes over what the flags say.
func (c *call) policyFlags(p *api.ACLPolicy) error {
	if c.IsSet("name") {
		p.Name = c.String("name")
	}
	if c.IsSet("description") {
		p.Description = c.String("description")
	}
	if c.IsSet("valid-datacenter") {
		p.Datacenters = c.StringSlice("valid-datacenter")
	}
	if c.IsSet("rules") {
		rules, err := c.readArg(c.String("rules"))
		if err != nil {
			return err
		}
		p.Rules = string(rules)
	}
	return nil
}

func policyCreate(ctx context.Context, c *call) error {
	var p api.ACLPolicy
	if err := c.policyFlags(&p); err != nil {
		return err
	}
	agent, err := c.connect()
	if err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, api.ACLPolicyCreate, api.ACLCreate[api.ACLPolicy]{New: p})
	if err != nil {
		return fmt.Errorf("create policy %q: %w", p.Name, err)
	}
	return c.show(made, func() { c.printPolicy(made) })
}

func policyUpdate(ctx context.Context, c *call) error {
	agent, err := c.connect()
	if err != nil {
		return err
	}
	p, err := findPolicy(ctx, c, agent)
	if err != nil {
		return err
	}
	if err := c.policyFlags(p); err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, api.ACLPolicyUpdate, api.ACLUpdate[api.ACLPolicy]{ACLID: api.ACLID[api.ACLPolicy]{ID: p.ID}, New: *p})
	if err != nil {
		return fmt.Errorf("update policy %q: %w", p.ID, err)
	}
	return c.show(made, func() { c.printPolicy(made) })
}

func (c *call) printPolicy(p *api.ACLPolicy) {
	c.printf("ID:           %s\nName:         %s\nDescription:  %s\nDatacenters:  %s\nRules:\n%s\n",
		p.ID, p.Name, p.Description, strings.Join(p.Datacenters, ", "), strings.TrimRight(p.Rules, "\n"))
	c.printIndexes("", p.CreateIndex, p.ModifyIndex)
}
