package main

import (
	"context"
	"fmt"

	"curia/api"
	"curia/client"
)

var poolCommands = []command{
	{
		name: "join", args: "ADDRESS…", least: 1, most: -1,
		line: "Let the agent join a cluster.",
		help: `Each address is that of a member of the cluster, with the port of its gossip if it
is not the agent's own. One that answers is enough.

Example:

    $ curia join 10.0.0.7 10.0.0.8:8301
    Successfully joined cluster by contacting 2 nodes.`,
		flags: flags(boolFlag("wan", "Join the servers of another datacenter.")),
		ask:   join,
	},
	{
		name: "leave",
		line: "Let the agent leave its cluster, and end.",
		help: `The other members learn that the agent has left, rather than find that it has
failed.

Example:

    $ curia leave
    Graceful leave complete`,
		ask: leave,
	},
	{
		name: "force-leave", args: "NODE", least: 1, most: 1,
		line: "Make a member that has failed one that has left.",
		help: `A member that is alive after all comes back by itself.

Example:

    $ curia force-leave -prune web-7`,
		flags: flags(
			boolFlag("prune", "Forget the member at once, rather than list it as having left."),
			boolFlag("wan", "Leave the datacenter's own members alone; the name is that of a server among all datacenters, such as s1.dc2."),
		),
		ask: forceLeave,
	},
}

// wan is the value of the parameter for the WAN pool.
func (c *call) wan() string {
	if c.Bool("wan") {
		return "1"
	}
	return ""
}

func join(ctx context.Context, c *call, agent *client.Client) error {
	joined := 0
	for _, addr := range c.Args().Slice() {
		if _, err := api.Call(ctx, agent, api.AgentJoin, api.JoinArgs{Address: addr, WAN: c.wan()}); err != nil {
			_, _ = fmt.Fprintf(c.err, "Error joining address '%s': %v%s\n", addr, err, remedy(c.Root().Name, err))
			continue
		}
		joined++
	}
	if joined == 0 {
		return refusal("Failed to join any nodes.")
	}
	c.printf("Successfully joined cluster by contacting %d nodes.\n", joined)
	return nil
}

func leave(ctx context.Context, c *call, agent *client.Client) error {
	if _, err := api.Call(ctx, agent, api.AgentLeave, api.None{}); err != nil {
		return fmt.Errorf("leave the cluster: %w", err)
	}
	c.printf("Graceful leave complete\n")
	return nil
}

func forceLeave(ctx context.Context, c *call, agent *client.Client) error {
	args := api.ForceLeaveArgs{NodeName: api.NodeName{Node: c.arg(0)}, Prune: c.Bool("prune"), WAN: c.wan()}
	if _, err := api.Call(ctx, agent, api.AgentForceLeave, args); err != nil {
		return fmt.Errorf("force %q to leave: %w", c.arg(0), err)
	}
	return nil
}
