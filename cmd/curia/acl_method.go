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

var methodFlag = textFlag("name", "`NAME` of the auth method.")

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
		ask:   aclMethods.runCreate,
	},
	{
		name: "acl auth-method read",
		line: "Print an auth method.",
		help: `Example:

    $ curia acl auth-method read -name=ci`,
		flags: flags(methodFlag, indexesFlag, formatFlag),
		ask:   aclMethods.runRead,
	},
	{
		name: "acl auth-method update",
		line: "Change an auth method.",
		help: `What no flag names stays as it is, unless -no-merge is given. The type of an auth
method does not change.

Example:

    $ curia acl auth-method update -name=ci -max-token-ttl=30m`,
		flags: flags(methodFlags(methodFlag, noMergeFlag)...),
		ask:   aclMethods.runUpdate,
	},
	{
		name: "acl auth-method delete",
		line: "Delete an auth method, its rules and its tokens.",
		help: `Example:

    $ curia acl auth-method delete -name=ci
    Auth-method "ci" deleted successfully`,
		flags: flags(methodFlag),
		ask:   aclMethods.runDelete("Auth-method"),
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

var aclMethods = aclNoun[api.ACLAuthMethod]{
	name: "auth method", which: errors.New("say which auth method with -name"),
	find: flagged("name"), flags: (*call).methodFlags,
	bare:   func(m *api.ACLAuthMethod) api.ACLAuthMethod { return api.ACLAuthMethod{Name: m.Name, Type: m.Type} },
	print:  (*call).printMethod,
	create: api.ACLAuthMethodCreate,
	read: func(ctx context.Context, agent *client.Client, name string) (*api.ACLAuthMethod, error) {
		return api.Call(ctx, agent, api.ACLAuthMethodRead, api.ACLName{Name: name})
	},
	update: func(ctx context.Context, agent *client.Client, name string, m api.ACLAuthMethod) (*api.ACLAuthMethod, error) {
		return api.Call(ctx, agent, api.ACLAuthMethodUpdate, api.ACLAuthMethodUpdateArgs{ACLName: api.ACLName{Name: name}, New: m})
	},
	remove: func(ctx context.Context, agent *client.Client, name string) error {
		_, err := api.Call(ctx, agent, api.ACLAuthMethodDelete, api.ACLName{Name: name})
		return err
	},
}

// methodFlags takes over what the flags say.
func (c *call) methodFlags(m *api.ACLAuthMethod) error {
	c.takeText(map[string]*string{
		"name": &m.Name, "type": &m.Type, "description": &m.Description, "display-name": &m.DisplayName, "token-locality": &m.TokenLocality,
	})
	if c.IsSet("max-token-ttl") {
		m.MaxTokenTTL = api.ReadableDuration(c.Duration("max-token-ttl"))
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
