package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"curia/api"
	"curia/client"
	"curia/internal/atomicfile"
)

var loginCommands = []command{
	{
		name: "login",
		line: "Trade a token of somebody else against one of Curia.",
		help: `The secret of the new token is written to a file that only its owner can read.
The token of the environment plays no part: it may be that of an earlier login.

Example:

    $ curia login -method=ci -bearer-token-file=/run/secrets/jwt -token-sink-file=curia.token -meta=job=7
    $ curia kv get -token-file=curia.token greeting`,
		flags: flags(append([]flagFunc{
			textFlag("method", "`NAME` of the auth method."),
			textFlag("type", "`TYPE` of the auth method: jwt. Default: whatever it has."),
			textFlag("bearer-token-file", "`FILE` with the token that the auth method verifies."),
			textFlag("token-sink-file", "`FILE` to write the secret of the new token to."),
			listFlag("meta", "`KEY=VALUE` to tell about the new token. May be repeated."),
		}, connectionFlags...)...),
		run: login,
	},
	{
		name: "logout",
		line: "Delete the token of a login.",
		help: `The token is the one that the command is run with.

Example:

    $ curia logout -token-file=curia.token`,
		ask: func(ctx context.Context, c *call, agent *client.Client) error {
			if _, err := api.Call(ctx, agent, api.ACLLogout, api.ACLLogoutArgs{}); err != nil {
				return fmt.Errorf("log out: %w", err)
			}
			return nil
		},
	},
}

// login connects by itself: the token of the environment may be the file that it
// is to write.
func login(ctx context.Context, c *call) error {
	l := api.ACLCredentials{AuthMethod: c.String("method")}
	bearer, sink := c.String("bearer-token-file"), c.String("token-sink-file")
	switch kind := c.String("type"); {
	case l.AuthMethod == "":
		return errors.New("say which auth method with -method")
	case kind != "" && kind != api.AuthJWT:
		return fmt.Errorf("-type is %q: only %s is supported, give its token with -bearer-token-file", kind, api.AuthJWT)
	case bearer == "":
		return errors.New("give the file with the token to show with -bearer-token-file")
	case sink == "":
		return errors.New("give the file to write the new token to with -token-sink-file")
	}
	for _, text := range c.StringSlice("meta") {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("-meta %q is not KEY=VALUE", text)
		}
		if l.Meta == nil {
			l.Meta = map[string]string{}
		}
		l.Meta[key] = value
	}
	var err error
	if l.BearerToken, err = client.ReadToken(bearer); err != nil {
		return err
	}
	if l.BearerToken == "" {
		return fmt.Errorf("there is no token in %s", bearer)
	}
	environment := c.lookupEnv
	c.lookupEnv = func(name string) (string, bool) {
		if strings.HasSuffix(name, "_HTTP_TOKEN") || strings.HasSuffix(name, "_HTTP_TOKEN_FILE") {
			return "", false
		}
		return environment(name)
	}
	agent, err := c.connect()
	if err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, api.ACLLogin, api.ACLLoginArgs{Login: l})
	if err != nil {
		return fmt.Errorf("log in with the auth method %q: %w", l.AuthMethod, err)
	}
	if err := atomicfile.Write(sink, []byte(made.SecretID)); err != nil {
		return c.forget(ctx, agent, made.SecretID, err)
	}
	return nil
}

// forget deletes a token that nobody will know, because it could not be written.
func (c *call) forget(ctx context.Context, agent api.Caller, secret string, why error) error {
	_, err := agent.Call(ctx, &api.Request{Op: api.ACLLogout.Op, Args: &api.ACLLogoutArgs{}, Token: secret})
	if err != nil {
		return fmt.Errorf("%w; its token is not known to anybody, and could not be deleted: %w", why, err)
	}
	return fmt.Errorf("%w; the login was undone", why)
}
