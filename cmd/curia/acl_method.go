package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"curia/api"
	"curia/client"
)

// methodFlags say what an auth method is like.
func methodFlags(more ...flagFunc) []flagFunc {
	return append(more,
		descriptionFlag,
		textFlag("display-name", "`NAME` for people to read."),
		durationFlag("max-token-ttl", "`DURATION` after which tokens of logins end, 1m to 24h. Default: they do not."),
		textFlag("token-locality", "`SCOPE` of the tokens: local (the default) or global."),
		textFlag("config", "`JSON` of the configuration, which depends on the type; @FILE reads it from a file, - from standard input."),
		indexesFlag, formatFlag)
}

var (
	indexesFlag = boolFlag("meta", "Print the indexes too.")
	noMergeFlag = boolFlag("no-merge", "What no flag names is cleared. Default: it stays as it is.")
	methodFlag  = textFlag("name", "`NAME` of the auth method.")
)

var aclMethodCommands = []command{
	{
		name: "acl auth-method create",
		line: "Create an auth method.",
		help: `An auth method trades what somebody else vouches for against a token; binding
rules say what the token may do. The one type is jwt: its tokens are signed with
a key that the configuration gives (JWTValidationPubKeys) or says where to find
(JWKSURL, OIDCDiscoveryURL).

Example:

    $ curia acl auth-method create -name=ci -type=jwt -max-token-ttl=15m -config=@ci.json
    Name:           ci
    Type:           jwt
    …

where ci.json might be

    {
      "OIDCDiscoveryURL": "https://gitlab.example.com",
      "BoundAudiences": ["curia"],
      "ClaimMappings": {"project_path": "project"},
      "ListClaimMappings": {"groups": "groups"}
    }`,
		flags: flags(methodFlags(methodFlag, textFlag("type", "`TYPE` of the auth method: jwt."))...),
		ask:   methodCreate,
	},
	{
		name: "acl auth-method read",
		line: "Print an auth method.",
		help: `Example:

    $ curia acl auth-method read -name=ci`,
		flags: flags(methodFlag, indexesFlag, formatFlag),
		ask: func(ctx context.Context, c *call, agent *client.Client) error {
			m, err := findMethod(ctx, c, agent)
			if err != nil {
				return err
			}
			return c.show(m, func() { c.printMethod(m) })
		},
	},
	{
		name: "acl auth-method update",
		line: "Change an auth method.",
		help: `What no flag names stays as it is, unless -no-merge is given. The type of an auth
method does not change.

Example:

    $ curia acl auth-method update -name=ci -max-token-ttl=30m`,
		flags: flags(methodFlags(methodFlag, noMergeFlag)...),
		ask:   methodUpdate,
	},
	{
		name: "acl auth-method delete",
		line: "Delete an auth method, its rules and its tokens.",
		help: `Example:

    $ curia acl auth-method delete -name=ci
    Auth-method "ci" deleted successfully`,
		flags: flags(methodFlag),
		ask: func(ctx context.Context, c *call, agent *client.Client) error {
			name := c.String("name")
			if name == "" {
				return errWhichMethod
			}
			if _, err := api.Call(ctx, agent, api.ACLAuthMethodDelete, api.ACLName{Name: name}); err != nil {
				return fmt.Errorf("delete auth method %q: %w", name, err)
			}
			c.printf("Auth-method %q deleted successfully\n", name)
			return nil
		},
	},
	{
		name: "acl auth-method list",
		line: "List the auth methods.",
		help: `Example:

    $ curia acl auth-method list`,
		flags: flags(indexesFlag, formatFlag),
		ask:   methodList,
	},
}

var errWhichMethod = errors.New("say which auth method with -name")

// findMethod reads the auth method that -name means.
func findMethod(ctx context.Context, c *call, agent *client.Client) (*api.ACLAuthMethod, error) {
	name := c.String("name")
	if name == "" {
		return nil, errWhichMethod
	}
	m, err := api.Call(ctx, agent, api.ACLAuthMethodRead, api.ACLName{Name: name})
	if err != nil {
		return nil, fmt.Errorf("read auth method %q: %w", name, err)
	}
	return m, nil
}

// methodFlags takes over what the flags say.
func (c *call) methodFlags(m *api.ACLAuthMethod) error {
	if c.IsSet("description") {
		m.Description = c.String("description")
	}
	if c.IsSet("display-name") {
		m.DisplayName = c.String("display-name")
	}
	if c.IsSet("max-token-ttl") {
		m.MaxTokenTTL = api.ReadableDuration(c.Duration("max-token-ttl"))
	}
	if c.IsSet("token-locality") {
		m.TokenLocality = c.String("token-locality")
	}
	if !c.IsSet("config") {
		return nil
	}
	text, err := c.readArg(c.String("config"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &m.Config); err != nil {
		return fmt.Errorf("read -config: %w; give a JSON object", err)
	}
	return nil
}

func methodCreate(ctx context.Context, c *call, agent *client.Client) error {
	m := api.ACLAuthMethod{Name: c.String("name"), Type: c.String("type")}
	if err := c.methodFlags(&m); err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, api.ACLAuthMethodCreate, api.ACLCreate[api.ACLAuthMethod]{New: m})
	if err != nil {
		return fmt.Errorf("create auth method %q: %w", m.Name, err)
	}
	return c.show(made, func() { c.printMethod(made) })
}

func methodUpdate(ctx context.Context, c *call, agent *client.Client) error {
	m, err := findMethod(ctx, c, agent)
	if err != nil {
		return err
	}
	if c.Bool("no-merge") {
		m = &api.ACLAuthMethod{Name: m.Name, Type: m.Type}
	}
	if err := c.methodFlags(m); err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, api.ACLAuthMethodUpdate, api.ACLAuthMethodUpdateArgs{ACLName: api.ACLName{Name: m.Name}, New: *m})
	if err != nil {
		return fmt.Errorf("update auth method %q: %w", m.Name, err)
	}
	return c.show(made, func() { c.printMethod(made) })
}

func methodList(ctx context.Context, c *call, agent *client.Client) error {
	all, err := api.Call(ctx, agent, api.ACLAuthMethods, api.None{})
	if err != nil {
		return fmt.Errorf("list auth methods: %w", err)
	}
	return c.show(list(all), func() {
		for _, m := range all {
			c.printf("%s:\n", m.Name)
			c.printFields("   ", "Type", m.Type, "Display Name", m.DisplayName, "Description", m.Description)
			c.printIndexes("   ", m.CreateIndex, m.ModifyIndex)
		}
	})
}

func (c *call) printMethod(m *api.ACLAuthMethod) {
	ttl := ""
	if m.MaxTokenTTL != 0 {
		ttl = time.Duration(m.MaxTokenTTL).String()
	}
	c.printFields("", "Name", m.Name, "Type", m.Type, "Display Name", m.DisplayName, "Description", m.Description,
		"Max Token TTL", ttl, "Locality", m.TokenLocality)
	c.printIndexes("", m.CreateIndex, m.ModifyIndex)
	var config bytes.Buffer
	if json.Indent(&config, m.Config, "", "  ") == nil {
		c.printf("Config:\n%s\n", config.Bytes())
	}
}

// printFields prints names and values behind an indentation. Descriptions are
// there also when they are empty.
func (c *call) printFields(indent string, fields ...string) {
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" || fields[i] == "Description" {
			c.printf("%s%-16s%s\n", indent, fields[i]+":", fields[i+1])
		}
	}
}

// printIndexes prints the indexes of something if -meta wants them.
func (c *call) printIndexes(indent string, created, modified uint64) {
	if c.Bool("meta") {
		c.printFields(indent, "Create Index", fmt.Sprint(created), "Modify Index", fmt.Sprint(modified))
	}
}
