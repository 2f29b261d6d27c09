package main

import (
	"context"
	"fmt"
	"strings"

	"curia/api"
	"curia/client"
)

var aclPolicyCommands = []command{
	{
		name: "acl policy create",
		line: "Create a policy.",
		help: `Example:

    $ curia acl policy create -name=web -rules=@web.hcl
    ID:           6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11
    …`,
		flags: flags(textFlag("name", "`NAME` of the policy."), descriptionFlag, rulesFlag, datacentersFlag, indexesFlag, formatFlag),
		ask:   aclPolicies.runCreate,
	},
	{
		name: "acl policy read",
		line: "Print a policy.",
		help: `Example:

    $ curia acl policy read -name=web`,
		flags: flags(idFlag, namedFlag, indexesFlag, formatFlag),
		ask:   aclPolicies.runRead,
	},
	{
		name: "acl policy update",
		line: "Change a policy.",
		help: `What no flag names stays as it is.

Example:

    $ curia acl policy update -id=6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11 -rules=@web.hcl`,
		flags: flags(idFlag, textFlag("name", "New `NAME`; without -id that of the policy."), descriptionFlag, rulesFlag, datacentersFlag, indexesFlag, formatFlag),
		ask:   aclPolicies.runUpdate,
	},
	{
		name: "acl policy delete",
		line: "Delete a policy.",
		help: `Example:

    $ curia acl policy delete -name=web
    Policy "6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11" deleted successfully`,
		flags: flags(idFlag, namedFlag),
		ask:   aclPolicies.runDelete("Policy"),
	},
	{
		name: "acl policy list",
		line: "List the policies.",
		help: `Example:

    $ curia acl policy list`,
		flags: flags(indexesFlag, formatFlag),
		ask: func(ctx context.Context, c *call, agent *client.Client) error {
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

var (
	rulesFlag       = textFlag("rules", "`TEXT` of the rules; @FILE reads it from a file, - from standard input.")
	datacentersFlag = listFlag("valid-datacenter", "`NAME` of a datacenter where the policy holds. May be repeated. Default: all.")
)

var aclPolicies = aclNoun[api.ACLPolicy]{
	name: "policy", which: errWhich,
	find: func(ctx context.Context, c *call, agent *client.Client) (string, error) {
		id, name := c.String("id"), c.String("name")
		if id != "" || name == "" {
			return id, nil
		}
		p, err := api.Call(ctx, agent, api.ACLPolicyReadName, api.ACLName{Name: name})
		if err != nil {
			return "", err
		}
		return p.ID, nil
	},
	flags: (*call).policyFlags, print: (*call).printPolicy,
	create: api.ACLPolicyCreate,
	read: func(ctx context.Context, agent *client.Client, id string) (*api.ACLPolicy, error) {
		return api.Call(ctx, agent, api.ACLPolicyRead, api.ACLID[api.ACLPolicy]{ID: id})
	},
	update: func(ctx context.Context, agent *client.Client, id string, p api.ACLPolicy) (*api.ACLPolicy, error) {
		return api.Call(ctx, agent, api.ACLPolicyUpdate, api.ACLUpdate[api.ACLPolicy]{ACLID: api.ACLID[api.ACLPolicy]{ID: id}, New: p})
	},
	remove: func(ctx context.Context, agent *client.Client, id string) error {
		_, err := api.Call(ctx, agent, api.ACLPolicyDelete, api.ACLID[api.ACLPolicy]{ID: id})
		return err
	},
}

// policyFlags takes over what the flags say.
func (c *call) policyFlags(p *api.ACLPolicy) error {
	c.takeText(map[string]*string{"name": &p.Name, "description": &p.Description})
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

func (c *call) printPolicy(p *api.ACLPolicy) {
	c.printf("ID:           %s\nName:         %s\nDescription:  %s\nDatacenters:  %s\nRules:\n%s\n",
		p.ID, p.Name, p.Description, strings.Join(p.Datacenters, ", "), strings.TrimRight(p.Rules, "\n"))
	c.printIndexes("", p.CreateIndex, p.ModifyIndex)
}
