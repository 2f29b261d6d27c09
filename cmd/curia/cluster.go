package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"curia/api"
	"curia/client"
)

var clusterCommands = []command{
	{
		name: "members",
		line: "List the members of the cluster that the agent sees.",
		help: `Servers come first. The exit code is 2 when no member fits.

Example:

    $ curia members -status=alive
    Node  Address         Status  Type    Build   Protocol  DC   Partition  Segment
    n1    127.0.0.1:8301  alive   server  1.21.4  2         dc1  default    <all>`,
		flags: flags(
			boolFlag("detailed", "Print the tags of each member instead."),
			boolFlag("wan", "List the servers of all datacenters instead."),
			textFlag("status", "Only members whose status fits this regular `EXPRESSION`."),
			exprFlag, formatFlag,
		),
		ask: members,
	},
	{
		name: "info",
		line: "Print statistics of the agent.",
		help: `Example:

    $ curia info
    agent:
    	check_monitors = 0
    …`,
		flags: flags(formatFlag),
		ask:   info,
	},
	{
		name: "operator raft list-peers",
		line: "List the servers that keep the replicated log.",
		help: `Example:

    $ curia operator raft list-peers
    Node  ID                                    Address         State   Voter  RaftProtocol  Commit Index  Trails Leader By
    n1    4d2c7f1a-52a6-4c3c-9e5d-c21b0f0a4f0e  127.0.0.1:8300  leader  true   3             12            -`,
		flags: flags(formatFlag),
		ask:   listPeers,
	},
}

func members(ctx context.Context, c *call, agent *client.Client) error {
	status, err := regexp.Compile("^(?:" + cmp.Or(c.String("status"), ".*") + ")$")
	if err != nil {
		return fmt.Errorf("members: -status: %w", err)
	}
	args := api.MembersArgs{}
	if c.Bool("wan") {
		args.WAN = "1"
	}
	all, _, err := api.Ask(ctx, agent, api.AgentMembers, args, api.Query{Filter: c.String("filter")})
	if err != nil {
		return fmt.Errorf("list members: %w", err)
	}
	found := slices.DeleteFunc(all, func(m *api.Member) bool { return !status.MatchString(m.Status.String()) })
	if len(found) == 0 {
		return &exit{code: exitNothing}
	}
	slices.SortFunc(found, func(a, b *api.Member) int {
		return cmp.Or(isClient(a)-isClient(b), cmp.Compare(a.Name, b.Name))
	})
	return c.show(found, func() {
		rows := newTable(c.out)
		defer rows.flush()
		if c.Bool("detailed") {
			rows.row("Node", "Address", "Status", "Tags")
			for _, m := range found {
				rows.row(m.Name, memberAddress(m), m.Status, pairs(m.Tags))
			}
			return
		}
		rows.row("Node", "Address", "Status", "Type", "Build", "Protocol", "DC", "Partition", "Segment")
		for _, m := range found {
			kind, segment := "server", "<all>"
			if isClient(m) == 1 {
				kind, segment = "client", cmp.Or(m.Tags["segment"], "<default>")
			}
			build, _, _ := strings.Cut(m.Tags["build"], ":")
			rows.row(m.Name, memberAddress(m), m.Status, kind, orDash(build), m.ProtocolCur, orDash(m.Tags["dc"]),
				cmp.Or(m.Tags["ap"], "default"), segment)
		}
	})
}

// isClient is 1 for clients and 0 for servers, which sort first.
func isClient(m *api.Member) int {
	if m.Tags["role"] == "consul" {
		return 0
	}
	return 1
}

func memberAddress(m *api.Member) string {
	return net.JoinHostPort(m.Addr, strconv.Itoa(int(m.Port)))
}

func info(ctx context.Context, c *call, agent *client.Client) error {
	self, err := api.Call(ctx, agent, api.AgentSelf, api.None{})
	if err != nil {
		return fmt.Errorf("ask the agent about itself: %w", err)
	}
	return c.show(self.Stats, func() {
		for _, section := range slices.Sorted(maps.Keys(self.Stats)) {
			c.printf("%s:\n", section)
			for _, key := range slices.Sorted(maps.Keys(self.Stats[section])) {
				c.printf("\t%s = %s\n", key, self.Stats[section][key])
			}
		}
	})
}

func listPeers(ctx context.Context, c *call, agent *client.Client) error {
	conf, err := api.Call(ctx, agent, api.OperatorRaftConfiguration, api.StaleArgs{Stale: c.Bool("stale")})
	if err != nil {
		return fmt.Errorf("list raft peers: %w", err)
	}
	return c.show(conf, func() {
		var commit uint64
		for _, s := range conf.Servers {
			if s.Leader {
				commit = s.LastIndex
			}
		}
		rows := newTable(c.out)
		defer rows.flush()
		rows.row("Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index", "Trails Leader By")
		for _, s := range conf.Servers {
			state, trails := "follower", "-"
			switch {
			case s.Leader:
				state = "leader"
			case commit > 0:
				trails = fmt.Sprintf("%d commits", commit-min(commit, s.LastIndex))
			}
			rows.row(s.Node, s.ID, s.Address, state, s.Voter, s.ProtocolVersion, s.LastIndex, trails)
		}
	})
}
