package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
)

var sessionCommands = []command{
	{
		name: "session list",
		line: "List sessions.",
		help: `Example:

    $ curia session list -node=web-1`,
		flags: flags(textFlag("node", "Only sessions of the node of this `NAME`."), formatFlag),
		ask:   sessionList,
	},
	{
		name: "session create",
		line: "Create a session, and print its ID.",
		help: `A session ends when its node goes, when one of its checks becomes critical, and
when it is not renewed within its TTL. What happens to the keys that it has
locked depends on its behavior.

Example:

    $ curia session create -name=backup -ttl=30s -behavior=delete
    6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11`,
		flags: flags(
			textFlag("name", "`NAME` for people to read."),
			textFlag("node", "`NAME` of the node. Default: that of the agent."),
			textFlag("ttl", "`DURATION`, from 10s to 24h, in which the session must be renewed. Default: it need not be."),
			textFlag("behavior", "`WORD` for what happens to locked keys at the end: release (the default) or delete."),
			flagOf(cli.DurationFlag{Name: "lock-delay", Usage: "`DURATION`, up to 60s, in which nobody can lock the keys of a session that has failed. Default 15s."}),
			listFlag("check", "`ID` of a check of the node that ends the session when it is critical. May be repeated; empty for none. Default serfHealth."),
		),
		ask: sessionCreate,
	},
	{
		name: "session destroy", args: "ID", least: 1, most: 1,
		line: "End a session and give back what it holds.",
		help: `Destroying a session that does not exist is a success.

Example:

    $ curia session destroy 6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11
    Success! Destroyed session: 6d9ea0b6-b1a2-4b3c-8a0f-0d6f8f1f7d11`,
		ask: sessionDestroy,
	},
}

func sessionList(ctx context.Context, c *call, agent *client.Client) error {
	var sessions []*api.Session
	var err error
	if node := c.String("node"); node != "" {
		sessions, err = api.Call(ctx, agent, api.SessionNode, api.NodeName{Node: node})
	} else {
		sessions, err = api.Call(ctx, agent, api.SessionList, api.None{})
	}
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	return c.show(list(sessions), func() {
		if len(sessions) == 0 {
			c.printf(noneMatches, "sessions")
			return
		}
		rows := newTable(c.out)
		defer rows.flush()
		rows.row("ID", "Name", "Node", "TTL", "Behavior", "LockDelay", "Checks")
		for _, s := range sessions {
			rows.row(s.ID, orDash(s.Name), s.Node, orDash(s.TTL), s.Behavior, time.Duration(s.LockDelay), orDash(sessionChecks(s)))
		}
	})
}

// sessionChecks lists the checks that a session depends on.
func sessionChecks(s *api.Session) string {
	ids := append([]string(nil), s.NodeChecks...)
	for _, check := range s.ServiceChecks {
		ids = append(ids, check.ID)
	}
	return strings.Join(ids, ",")
}

func sessionCreate(ctx context.Context, c *call, agent *client.Client) error {
	spec := api.SessionSpec{
		Name: c.String("name"), Node: c.String("node"), TTL: c.String("ttl"), Behavior: c.String("behavior"),
	}
	if c.IsSet("lock-delay") {
		delay := api.LockDelay(c.Duration("lock-delay"))
		spec.LockDelay = &delay
	}
	if c.IsSet("check") {
		checks := []string{}
		for _, id := range c.StringSlice("check") {
			if id != "" {
				checks = append(checks, id)
			}
		}
		spec.NodeChecks = &checks
	}
	created, err := api.Call(ctx, agent, api.SessionCreate, api.SessionCreateArgs{Spec: spec})
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	c.printf("%s\n", created.ID)
	return nil
}

func sessionDestroy(ctx context.Context, c *call, agent *client.Client) error {
	id := c.arg(0)
	if _, err := api.Call(ctx, agent, api.SessionDestroy, api.SessionID{ID: id}); err != nil {
		return fmt.Errorf("destroy session %q: %w", id, err)
	}
	c.printf("Success! Destroyed session: %s\n", id)
	return nil
}
