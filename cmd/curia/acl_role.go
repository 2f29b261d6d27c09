package main

import (
	"context"
	"fmt"

	"curia/api"
	"curia/client"
)

var aclRoleCommands = []command{
	{
		name: "acl role create", asks: true,
		line: "Create a role.",
		help: `Example:

    $ curia acl role create -name=web -policy-name=web -service-identity=web`,
		flags: flags(grantFlags(textFlag("name", "`NAME` of the role."), indexesFlag, formatFlag)...),
		run:   roleCreate,
	},
	{
		name: "acl role read", asks: true,
		line: "Print a role.",
		help: `Example:

    $ curia acl role read -name=web`,
		flags: flags(idFlag, namedFlag, indexesFlag, formatFlag),
		run: func(ctx context.Context, c *call) error {
			agent, err := c.connect()
			if err != nil {
				return err
			}
			r, err := findRole(ctx, c, agent)
			if err != nil {
				return err
			}
			return c.show(r, func() { c.printRole(r) })
		},
	},
	{
		name: "acl role update", asks: true,
		line: "Change a role.",
		help: `What no flag names stays as it is. Flags about links take the place of all links
of that kind.

Example:

    $ curia acl role update -name=web -policy-name=web -policy-name=logs`,
		flags: flags(grantFlags(idFlag, textFlag("name", "New `NAME`; without -id that of the role."), indexesFlag, formatFlag)...),
		run:   roleUpdate,
	},
	{
		name: "acl role delete", asks: true,
		line: "Delete a role.",
		help: `Example:

    $ curia acl role delete -name=web
    Role "6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11" deleted successfully`,
		flags: flags(idFlag, namedFlag),
		run: func(ctx context.Context, c *call) error {
			agent, err := c.connect()
			if err != nil {
				return err
			}
			r, err := findRole(ctx, c, agent)
			if err != nil {
				return err
			}
			if _, err := api.Call(ctx, agent, api.ACLRoleDelete, api.ACLID[api.ACLRole]{ID: r.ID}); err != nil {
				return fmt.Errorf("delete role %q: %w", r.ID, err)
			}
			c.printf("Role %q deleted successfully\n", r.ID)
			return nil
		},
	},
	{
		name: "acl role list", asks: true,
		line: "List the roles.",
		help: `Example:

    $ curia acl role list`,
		flags: flags(indexesFlag, formatFlag),
		run: func(ctx context.Context, c *call) error {
			agent, err := c.connect()
			if err != nil {
				return err
			}
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

// findRole reads the role that -id or -name means.
func findRole(ctx context.Context, c *call, agent *client.Client) (*api.ACLRole, error) {
	var r *api.ACLRole
	var err error
	switch id, name := c.String("id"), c.String("name"); {
	case id != "":
		r, err = api.Call(ctx, agent, api.ACLRoleRead, api.ACLID[api.ACLRole]{ID: id})
	case name != "":
		r, err = api.Call(ctx, agent, api.ACLRoleReadName, api.ACLName{Name: name})
	default:
		err = errWhich
	}
	if err != nil {
		return nil, fmt.Errorf("read role: %w", err)
	}
	return r, nil
}

// roleFlags takes over what the flags say.
func (c *call) roleFlags(r *api.ACLRole) error {
	if c.IsSet("name") {
		r.Name = c.String("name")
	}
	if c.IsSet("description") {
		r.Description = c.String("description")
	}
	return c.grants(&r.ACLGrants)
}

func roleCreate(ctx context.Context, c *call) error {
	var r api.ACLRole
	if err := c.roleFlags(&r); err != nil {
		return err
	}
	agent, err := c.connect()
	if err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, api.ACLRoleCreate, api.ACLCreate[api.ACLRole]{New: r})
	if err != nil {
		return fmt.Errorf("create role %q: %w", r.Name, err)
	}
	return c.show(made, func() { c.printRole(made) })
}

func roleUpdate(ctx context.Context, c *call) error {
	agent, err := c.connect()
	if err != nil {
		return err
	}
	r, err := findRole(ctx, c, agent)
	if err != nil {
		return err
	}
	if err := c.roleFlags(r); err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, api.ACLRoleUpdate, api.ACLUpdate[api.ACLRole]{ACLID: api.ACLID[api.ACLRole]{ID: r.ID}, New: *r})
	if err != nil {
		return fmt.Errorf("update role %q: %w", r.ID, err)
	}
	return c.show(made, func() { c.printRole(made) })
}

func (c *call) printRole(r *api.ACLRole) {
	c.printf("ID:           %s\nName:         %s\nDescription:  %s\n", r.ID, r.Name, r.Description)
	c.printIndexes("", r.CreateIndex, r.ModifyIndex)
	c.printGrants(&r.ACLGrants)
}
