package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"curia/api"
	"curia/client"
)

var (
	accessorFlag = textFlag("accessor-id", "`ID` of the token, its AccessorID.")
	// tokenIDFlag is what scripts for older versions use.
	tokenIDFlag = textFlag("id", "The same as -accessor-id.")
)

var aclTokenCommands = []command{
	{
		name: "acl bootstrap", args: "[SECRET]", most: 1,
		line: "Make the first management token.",
		help: `This works once. The secret is made up unless one is given: @FILE reads it from a
file, - from standard input. It is printed unless -token-sink-file is given.

Example:

    $ curia acl bootstrap
    AccessorID:       4411f091-a4c9-48e6-0884-1fcb092da1c8
    SecretID:         3d93a2f8-1c3f-4e5c-8d1b-3a3b5b8e6f11
    …`,
		flags: flags(sinkFlag, formatFlag),
		ask:   aclBootstrap,
	},
	{
		name: "acl token create",
		line: "Create a token.",
		help: `Example:

    $ curia acl token create -description="the web servers" -service-identity=web -token-sink-file=web-token
    $ curia services register -token-file=web-token -name=web -port=80`,
		flags: flags(grantFlags(
			listFlag("role-id", "`ID` of a role. May be repeated."), listFlag("role-name", "`NAME` of a role. May be repeated."),
			textFlag("accessor", "`ID` to name the token by. Default: one is made up."),
			textFlag("secret", "`SECRET` of the token; @FILE reads it from a file, - from standard input. Default: one is made up."),
			boolFlag("local", "The token is not for other datacenters."),
			durationFlag("expires-ttl", "`DURATION` after which the token ends. Default: it does not."),
			sinkFlag, indexesFlag, formatFlag)...),
		ask: tokenCreate,
	},
	{
		name: "acl token read",
		line: "Print a token.",
		help: `Example:

    $ curia acl token read -self`,
		flags: flags(accessorFlag, tokenIDFlag, boolFlag("self", "The token that the command is run with."),
			boolFlag("expanded", "Print the policies and roles themselves, too. Not with -self."), indexesFlag, formatFlag),
		ask: tokenRead,
	},
	{
		name: "acl token update",
		line: "Change a token.",
		help: `What no flag names stays as it is. Flags about links take the place of all links
of that kind; those that begin with append- add to them.

Example:

    $ curia acl token update -accessor-id=4411f091-a4c9-48e6-0884-1fcb092da1c8 -append-policy-name=web`,
		flags: flags(append(grantFlags(
			listFlag("role-id", "`ID` of a role. May be repeated."), listFlag("role-name", "`NAME` of a role. May be repeated."),
			accessorFlag, tokenIDFlag, indexesFlag, formatFlag), appendFlags...)...),
		ask: aclTokens.runUpdate,
	},
	{
		name: "acl token clone",
		line: "Create a token with the permissions of another.",
		help: `Example:

    $ curia acl token clone -accessor-id=4411f091-a4c9-48e6-0884-1fcb092da1c8 -description="another web server"`,
		flags: flags(accessorFlag, tokenIDFlag, descriptionFlag, sinkFlag, indexesFlag, formatFlag),
		ask:   tokenClone,
	},
	{
		name: "acl token delete",
		line: "Delete a token.",
		help: `Example:

    $ curia acl token delete -accessor-id=4411f091-a4c9-48e6-0884-1fcb092da1c8
    Token "4411f091-a4c9-48e6-0884-1fcb092da1c8" deleted successfully`,
		flags: flags(accessorFlag, tokenIDFlag),
		ask:   aclTokens.runDelete("Token"),
	},
	{
		name: "acl token list",
		line: "List the tokens.",
		help: `Example:

    $ curia acl token list`,
		flags: flags(indexesFlag, formatFlag),
		ask:   tokenList,
	},
	{
		name: "acl set-agent-token", args: "KIND TOKEN", least: 2, most: 2,
		line: "Set a token that the agent works with.",
		help: `The kinds are agent, default, dns, recovery, replication and
config_file_service_registration. @FILE reads the token from a file, - from standard
input.

Example:

    $ curia acl set-agent-token default 3d93a2f8-1c3f-4e5c-8d1b-3a3b5b8e6f11
    ACL token "default" set successfully`,
		ask: setAgentToken,
	},
	{
		name: "acl translate-rules", args: "RULES", least: 1, most: 1,
		line: "Rewrite rules of the older syntax in the newer one.",
		help: `@FILE reads the rules from a file, - from standard input.

Example:

    $ curia acl translate-rules 'key "web/" { policy = "read" }'
    key_prefix "web/" {
      policy = "read"
    }`,
		ask: translateRules,
	},
}

// aclTokens has what tokens have in common with the others; they are created and
// printed in ways of their own.
var aclTokens = aclNoun[api.ACLToken]{
	name: "token", which: errors.New("say which token with -accessor-id"),
	find: flagged("accessor-id", "id"), flags: (*call).tokenFlags, print: (*call).printToken,
	read: func(ctx context.Context, agent *client.Client, id string) (*api.ACLToken, error) {
		t, err := api.Call(ctx, agent, api.ACLTokenRead, api.ACLTokenReadArgs{ACLID: api.ACLID[api.ACLToken]{ID: id}})
		if err != nil {
			return nil, err
		}
		return &t.ACLToken, nil
	},
	update: func(ctx context.Context, agent *client.Client, id string, t api.ACLToken) (*api.ACLToken, error) {
		return api.Call(ctx, agent, api.ACLTokenUpdate, api.ACLUpdate[api.ACLToken]{ACLID: api.ACLID[api.ACLToken]{ID: id}, New: t})
	},
	remove: func(ctx context.Context, agent *client.Client, id string) error {
		_, err := api.Call(ctx, agent, api.ACLTokenDelete, api.ACLID[api.ACLToken]{ID: id})
		return err
	},
}

func aclBootstrap(ctx context.Context, c *call, agent *client.Client) error {
	var args api.ACLBootstrapArgs
	var err error
	if args.Spec.BootstrapSecret, err = c.readSecret(c.arg(0)); err != nil {
		return err
	}
	return c.makeToken(func() (*api.ACLToken, error) {
		t, err := api.Call(ctx, agent, api.ACLBootstrap, args)
		if err != nil {
			return nil, fmt.Errorf("bootstrap the ACLs: %w", err)
		}
		return t, nil
	})
}

// readSecret gives what an argument says about a secret: itself, or @FILE, or - for
// standard input. Files keep it from those who may see command lines.
func (c *call) readSecret(text string) (string, error) {
	secret, err := c.readArg(text)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return string(trimEnd(secret)), nil
}

// trimEnd drops the end of the line that files end with.
func trimEnd(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// tokenFlags takes over what the flags say.
func (c *call) tokenFlags(t *api.ACLToken) error {
	c.takeText(map[string]*string{"description": &t.Description})
	c.links(&t.Roles, "role")
	return c.grants(&t.ACLGrants)
}

func tokenCreate(ctx context.Context, c *call, agent *client.Client) error {
	t := api.ACLToken{
		AccessorID: c.String("accessor"), Local: c.Bool("local"), ExpirationTTL: api.ReadableDuration(c.Duration("expires-ttl")),
	}
	var err error
	if t.SecretID, err = c.readSecret(c.String("secret")); err != nil {
		return err
	}
	if err := c.tokenFlags(&t); err != nil {
		return err
	}
	return c.makeToken(func() (*api.ACLToken, error) {
		made, err := api.Call(ctx, agent, api.ACLTokenCreate, api.ACLTokenArgs{Token: t})
		if err != nil {
			return nil, fmt.Errorf("create token: %w", err)
		}
		return made, nil
	})
}

func tokenRead(ctx context.Context, c *call, agent *client.Client) error {
	switch self, expanded := c.Bool("self"), c.Bool("expanded"); {
	case self && expanded:
		return errors.New("-expanded needs the -accessor-id of a token, -self does not go with it")
	case expanded:
		return tokenReadExpanded(ctx, c, agent)
	case !self:
		return aclTokens.runRead(ctx, c, agent)
	}
	t, err := api.Call(ctx, agent, api.ACLTokenSelf, api.ACLSelfArgs{})
	if err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	return c.show(t, func() { c.printToken(t) })
}

func tokenReadExpanded(ctx context.Context, c *call, agent *client.Client) error {
	id, err := aclTokens.chosen(ctx, c, agent)
	if err != nil {
		return err
	}
	t, err := api.Call(ctx, agent, api.ACLTokenRead, api.ACLTokenReadArgs{ACLID: api.ACLID[api.ACLToken]{ID: id}, Expanded: true})
	if err != nil {
		return fmt.Errorf("read token %q: %w", id, err)
	}
	return c.show(t, func() { c.printExpanded(t) })
}

func tokenClone(ctx context.Context, c *call, agent *client.Client) error {
	id, err := aclTokens.chosen(ctx, c, agent)
	if err != nil {
		return err
	}
	args := api.ACLTokenCloneArgs{ACLID: api.ACLID[api.ACLToken]{ID: id}}
	args.Spec.Description = c.String("description")
	return c.makeToken(func() (*api.ACLToken, error) {
		made, err := api.Call(ctx, agent, api.ACLTokenClone, args)
		if err != nil {
			return nil, fmt.Errorf("clone token %q: %w", id, err)
		}
		return made, nil
	})
}

func tokenList(ctx context.Context, c *call, agent *client.Client) error {
	all, err := api.Call(ctx, agent, api.ACLTokens, api.ACLTokensArgs{})
	if err != nil {
		return fmt.Errorf("list tokens: %w", err)
	}
	return c.show(list(all), func() {
		for i, t := range all {
			if i > 0 {
				c.printf("\n")
			}
			c.printToken(t)
		}
	})
}

func (c *call) printToken(t *api.ACLToken) {
	c.printf("AccessorID:       %s\nSecretID:         %s\nDescription:      %s\nLocal:            %t\nCreate Time:      %s\n",
		t.AccessorID, t.SecretID, t.Description, t.Local, t.CreateTime.Format(time.RFC3339))
	if t.ExpirationTime != nil {
		c.printf("Expiration Time:  %s\n", t.ExpirationTime.Format(time.RFC3339))
	}
	if t.AuthMethod != "" {
		c.printf("Auth Method:      %s\n", t.AuthMethod)
	}
	c.printIndexes("", t.CreateIndex, t.ModifyIndex)
	c.printGrants(&t.ACLGrants)
	c.printLinks("Roles", t.Roles)
	if t.Rules != "" {
		c.printf("Rules:\n%s\n", t.Rules)
	}
}

// printExpanded prints a token with what it links to.
func (c *call) printExpanded(t *api.ACLTokenExpanded) {
	c.printToken(&t.ACLToken)
	for _, p := range t.ExpandedPolicies {
		c.printf("\nPolicy\n")
		c.printPolicy(p)
	}
	for _, r := range t.ExpandedRoles {
		c.printf("\nRole\n")
		c.printRole(r)
	}
	c.printf("\nDefault Policy:   %s\nDown Policy:      %s\nResolved By:      %s\n", t.AgentACLDefaultPolicy, t.AgentACLDownPolicy, t.ResolvedByAgent)
}

func setAgentToken(ctx context.Context, c *call, agent *client.Client) error {
	kind := c.arg(0)
	args := api.AgentTokenArgs{Kind: kind}
	switch kind {
	case "recovery", "master":
		args.Kind = "agent_recovery"
	}
	var err error
	if args.Spec.Token, err = c.readSecret(c.arg(1)); err != nil {
		return err
	}
	if _, err := api.Call(ctx, agent, api.AgentToken, args); err != nil {
		return fmt.Errorf("set the %s token of the agent: %w", kind, err)
	}
	c.printf("ACL token %q set successfully\n", kind)
	return nil
}

func translateRules(ctx context.Context, c *call, agent *client.Client) error {
	rules, err := c.readArg(c.arg(0))
	if err != nil {
		return err
	}
	text, err := api.Call(ctx, agent, api.ACLTranslate, api.ACLTranslateArgs{Rules: rules})
	if err != nil {
		return fmt.Errorf("translate rules: %w", err)
	}
	c.printf("%s", text)
	return nil
}
