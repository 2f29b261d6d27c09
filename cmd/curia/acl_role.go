package main

import (
	"context"
	"fmt"

	"curia/api"
	"curia/client"
)

var aclRoleCommands = []command{
	{
		name: "acl role create",
		line: "Create a role.",
		help: `Example:

    $ curia acl role create -name=web -policy-name=web -service-identity=web`,
		flags: flags(grantFlags(textFlag("name", "`NAME` of the role."), indexesFlag, formatFlag)...),
		ask:   aclRoles.runCreate,
	},
	{
		name: "acl role read",
		line: "Print a role.",
		help: `Example:

    $ curia acl role read -name=web`,
		flags: flags(idFlag, namedFlag, indexesFlag, formatFlag),
		ask:   aclRoles.runRead,
	},
	{
		name: "acl role update",
		line: "Change a role.",
		help: `What no flag names stays as it is. Flags about links take the place of all links
of that kind.

Example:

    $ curia acl role update -name=web -policy-name=web -policy-name=logs`,
		flags: flags(grantFlags(idFlag, textFlag("name", "New `NAME`; without -id that of the role."), indexesFlag, formatFlag)...),
		ask:   aclRoles.runUpdate,
	},
	{
		name: "acl role delete",
		line: "Delete a role.",
		help: `Example:

    $ curia acl role delete -name=web
    Role "6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11" deleted successfully`,
		flags: flags(idFlag, namedFlag),
		ask:   aclRoles.runDelete("Role"),
	},
	{
		name: "acl role list",
		line: "List the roles.",
		help: `Example:

    $ curia acl role list`,
		flags: flags(indexesFlag, formatFlag),
		ask: func(ctx context.Context, c *call, agent *client.Client) error {
			all, err := api.Call(ctx, agent, api.ACLRoles, api.ACLRolesArgs{})
			if err != nil {
				return fmt.Errorf("list roles: %w", err)
			}
			return c.show(list(all), func() {
				for i, r := range all {
					if i > 0 {
						c.printf("\n")
					}
					c.printRole(r)
				}
			})
		},
	},
}

var aclRoles = aclNoun[api.ACLRole]{
	name: "role", which: errWhich,
	find: func(ctx context.Context, c *call, agent *client.Client) (string, error) {
		id, name := c.String("id"), c.String("name")
		if id != "" || name == "" {
			return id, nil
		}
		r, err := api.Call(ctx, agent, api.ACLRoleReadName, api.ACLName{Name: name})
		if err != nil {
			return "", err
		}
		return r.ID, nil
	},
	flags: (*call).roleFlags, print: (*call).printRole,
	create: api.ACLRoleCreate,
	read: func(ctx context.Context, agent *client.Client, id string) (*api.ACLRole, error) {
		return api.Call(ctx, agent, api.ACLRoleRead, api.ACLID[api.ACLRole]{ID: id})
	},
	update: func(ctx context.Context, agent *client.Client, id string, r api.ACLRole) (*api.ACLRole, error) {
		return api.Call(ctx, agent, api.ACLRoleUpdate, api.ACLUpdate[api.ACLRole]{ACLID: api.ACLID[api.ACLRole]{ID: id}, New: r})
	},
	remove: func(ctx context.Context, agent *client.Client, id string) error {
		_, err := api.Call(ctx, agent, api.ACLRoleDelete, api.ACLID[api.ACLRole]{ID: id})
		return err
	},
}

// roleFlags takes over what the flags say.
func (c *call) roleFlags(r *api.ACLRole) error {
	c.takeText(map[string]*string{"name": &r.Name, "description": &r.Description})
	return c.grants(&r.ACLGrants)
}

func (c *call) printRole(r *api.ACLRole) {
	c.printf("ID:           %s\nName:         %s\nDescription:  %s\n", r.ID, r.Name, r.Description)
	c.printIndexes("", r.CreateIndex, r.ModifyIndex)
	c.printGrants(&r.ACLGrants)
}
