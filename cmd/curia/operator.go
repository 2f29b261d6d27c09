package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
)

var operatorCommands = []command{
	{
		name: "operator raft remove-peer",
		line: "Remove a server from the replicated log.",
		help: `For a server that has failed and will not come back. One that is still running
should leave instead. The server is named by one of -id and -address.

Example:

    $ curia operator raft remove-peer -address=10.0.0.3:8300
    Removed peer with address "10.0.0.3:8300"`,
		flags: flags(
			textFlag("id", "`ID` of the server."),
			textFlag("address", "`HOST:PORT` of the server."),
		),
		ask: removePeer,
	},
	{
		name: "operator raft transfer-leader",
		line: "Make another server the leader.",
		help: `Example:

    $ curia operator raft transfer-leader
    Success`,
		flags: flags(textFlag("id", "`ID` of the next leader. Default: the server whose log is longest.")),
		ask:   transferLeader,
	},
	{
		name: "operator autopilot get-config",
		line: "Print the configuration of autopilot.",
		help: `Example:

    $ curia operator autopilot get-config
    CleanupDeadServers = true
    …`,
		flags: flags(formatFlag),
		ask:   autopilotGet,
	},
	{
		name: "operator autopilot set-config",
		line: "Change the configuration of autopilot.",
		help: `What no flag names stays as it is.

Example:

    $ curia operator autopilot set-config -max-trailing-logs=500
    Configuration updated!`,
		flags: flags(
			boolFlag("cleanup-dead-servers", "Remove failed servers while they are fewer than half."),
			durationFlag("last-contact-threshold", "`DURATION` of silence after which a server is unhealthy."),
			numberFlag("max-trailing-logs", "`NUMBER` of entries by which a server may lag and be healthy."),
			numberFlag("min-quorum", "`NUMBER` of voters that are left over when failed servers are removed."),
			durationFlag("server-stabilization-time", "`DURATION` for which a server must be healthy before it votes."),
			boolFlag("disable-upgrade-migration", "Kept for clients; has no effect."),
			textFlag("redundancy-zone-tag", "`TAG` that is kept for clients; has no effect."),
			textFlag("upgrade-version-tag", "`TAG` that is kept for clients; has no effect."),
		),
		ask: autopilotSet,
	},
	{
		name: "operator autopilot state",
		line: "Print what autopilot knows of the servers.",
		help: `Example:

    $ curia operator autopilot state
    Healthy:                      true
    …`,
		flags: flags(formatFlag),
		ask:   autopilotState,
	},
	{
		name: "operator usage instances",
		line: "Count the instances of services.",
		help: `The servers themselves and the service mesh are not billable.

Example:

    $ curia operator usage instances
    Billable Service Instances Total: 3
    …`,
		flags: flags(
			boolFlag("all-datacenters", "Count in all datacenters that are known."),
			boolFlag("billable", "Print the billable instances alone."),
			boolFlag("connect", "Print the instances of the service mesh alone."),
			formatFlag,
		),
		ask: usageInstances,
	},
}

func durationFlag(name, usage string) flagFunc {
	return flagOf(cli.DurationFlag{Name: name, Usage: usage})
}

func removePeer(ctx context.Context, c *call, agent *client.Client) error {
	args := api.RaftPeerArgs{ID: c.String("id"), Address: c.String("address")}
	what := fmt.Sprintf("id %q", args.ID)
	switch {
	case args.ID == "" && args.Address == "":
		return errors.New("one of -id and -address is needed to know the server")
	case args.ID != "" && args.Address != "":
		return errors.New("-id and -address exclude each other; give one of them")
	case args.ID == "":
		what = fmt.Sprintf("address %q", args.Address)
	}
	if _, err := api.Call(ctx, agent, api.OperatorRaftRemove, args); err != nil {
		return fmt.Errorf("remove peer with %s: %w", what, err)
	}
	c.printf("Removed peer with %s\n", what)
	return nil
}

func transferLeader(ctx context.Context, c *call, agent *client.Client) error {
	done, err := api.Call(ctx, agent, api.OperatorRaftTransfer, api.RaftTransferArgs{ID: c.String("id")})
	switch {
	case err != nil:
		return fmt.Errorf("transfer leadership: %w", err)
	case !done.Success:
		return errors.New("transfer leadership: the leader did not give up")
	}
	c.printf("Success\n")
	return nil
}

func autopilotGet(ctx context.Context, c *call, agent *client.Client) error {
	conf, err := api.Call(ctx, agent, api.AutopilotConfigurationGet, api.None{})
	if err != nil {
		return fmt.Errorf("read autopilot configuration: %w", err)
	}
	return c.show(conf, func() {
		c.printf("CleanupDeadServers = %t\n", conf.CleanupDeadServers)
		c.printf("LastContactThreshold = %s\n", time.Duration(conf.LastContactThreshold))
		c.printf("MaxTrailingLogs = %d\n", conf.MaxTrailingLogs)
		c.printf("MinQuorum = %d\n", conf.MinQuorum)
		c.printf("ServerStabilizationTime = %s\n", time.Duration(conf.ServerStabilizationTime))
		c.printf("RedundancyZoneTag = %q\n", conf.RedundancyZoneTag)
		c.printf("DisableUpgradeMigration = %t\n", conf.DisableUpgradeMigration)
		c.printf("UpgradeVersionTag = %q\n", conf.UpgradeVersionTag)
	})
}

func autopilotSet(ctx context.Context, c *call, agent *client.Client) error {
	conf, err := api.Call(ctx, agent, api.AutopilotConfigurationGet, api.None{})
	if err != nil {
		return fmt.Errorf("read autopilot configuration: %w", err)
	}
	c.changeAutopilot(conf)
	args := api.AutopilotSetArgs{Conf: *conf, CAS: &conf.ModifyIndex}
	switch written, err := api.Call(ctx, agent, api.AutopilotConfigurationSet, args); {
	case err != nil:
		return fmt.Errorf("write autopilot configuration: %w", err)
	case !written:
		return refusal("Configuration could not be atomically updated, please try again")
	}
	c.printf("Configuration updated!\n")
	return nil
}

// changeAutopilot writes what the flags say over a configuration.
func (c *call) changeAutopilot(conf *api.AutopilotConfiguration) {
	for name, change := range map[string]func(){
		"cleanup-dead-servers":      func() { conf.CleanupDeadServers = c.Bool("cleanup-dead-servers") },
		"last-contact-threshold":    func() { conf.LastContactThreshold = api.ReadableDuration(c.Duration("last-contact-threshold")) },
		"max-trailing-logs":         func() { conf.MaxTrailingLogs = c.Uint64("max-trailing-logs") },
		"min-quorum":                func() { conf.MinQuorum = c.Uint64("min-quorum") },
		"server-stabilization-time": func() { conf.ServerStabilizationTime = api.ReadableDuration(c.Duration("server-stabilization-time")) },
		"disable-upgrade-migration": func() { conf.DisableUpgradeMigration = c.Bool("disable-upgrade-migration") },
		"redundancy-zone-tag":       func() { conf.RedundancyZoneTag = c.String("redundancy-zone-tag") },
		"upgrade-version-tag":       func() { conf.UpgradeVersionTag = c.String("upgrade-version-tag") },
	} {
		if c.IsSet(name) {
			change()
		}
	}
}

func autopilotState(ctx context.Context, c *call, agent *client.Client) error {
	state, err := api.Call(ctx, agent, api.AutopilotStateGet, api.None{})
	if err != nil {
		return fmt.Errorf("read autopilot state: %w", err)
	}
	return c.show(state, func() {
		rows := newDetails(c.out)
		rows.row("Healthy:", state.Healthy)
		rows.row("Failure Tolerance:", state.FailureTolerance)
		rows.row("Optimistic Failure Tolerance:", state.OptimisticFailureTolerance)
		rows.row("Leader:", state.Leader)
		rows.flush()
		c.printf("Voters:\n")
		for _, id := range state.Voters {
			c.printf("   %s\n", id)
		}
		c.printf("Servers:\n")
		for _, id := range slices.Sorted(maps.Keys(state.Servers)) {
			s := state.Servers[id]
			c.printf("   %s\n", id)
			rows := newDetails(c.out)
			for _, pair := range [][2]any{
				{"Name:", s.Name}, {"Address:", s.Address}, {"Version:", s.Version}, {"Status:", s.Status},
				{"Node Type:", s.NodeType}, {"Node Status:", s.NodeStatus}, {"Healthy:", s.Healthy},
				{"Last Contact:", time.Duration(s.LastContact)}, {"Last Term:", s.LastTerm}, {"Last Index:", s.LastIndex},
			} {
				rows.row("      "+pair[0].(string), pair[1])
			}
			rows.flush()
		}
	})
}

func usageInstances(ctx context.Context, c *call, agent *client.Client) error {
	found, err := api.Call(ctx, agent, api.OperatorUsage, api.UsageArgs{Global: c.Bool("all-datacenters")})
	if err != nil {
		return fmt.Errorf("count service instances: %w", err)
	}
	return c.show(found.Usage, func() {
		both := c.Bool("billable") == c.Bool("connect")
		if both || c.Bool("billable") {
			c.printBillable(found.Usage)
		}
		if both {
			c.printf("\n")
		}
		if both || c.Bool("connect") {
			c.printConnect(found.Usage)
		}
	})
}

func (c *call) printBillable(usage map[string]*api.ServiceUsage) {
	total := 0
	for _, u := range usage {
		total += u.BillableServiceInstances
	}
	c.printf("Billable Service Instances Total: %d\n\nBillable Services\n", total)
	rows := newTable(c.out)
	defer rows.flush()
	rows.row("Datacenter", "Services", "Service instances")
	for _, dc := range slices.Sorted(maps.Keys(usage)) {
		rows.row(dc, usage[dc].Services, usage[dc].BillableServiceInstances)
	}
}

func (c *call) printConnect(usage map[string]*api.ServiceUsage) {
	c.printf("Connect Services\n")
	rows := newTable(c.out)
	defer rows.flush()
	rows.row("Datacenter", "Type", "Service instances")
	for _, dc := range slices.Sorted(maps.Keys(usage)) {
		for _, kind := range slices.Sorted(maps.Keys(usage[dc].ConnectServiceInstances)) {
			rows.row(dc, kind, usage[dc].ConnectServiceInstances[kind])
		}
	}
}

var rttCommands = []command{
	{
		name: "rtt", args: "NODE [NODE]", least: 1, most: 2,
		line: "Estimate the round-trip time between two nodes.",
		help: `Without a second node it is the one whose agent is asked. With -wan the nodes
are servers, which may be in different datacenters: n1.dc1.

Example:

    $ curia rtt n1 n2
    Estimated n1 <-> n2 rtt: 0.610 ms (using LAN coordinates)`,
		flags: flags(boolFlag("wan", "Look among the servers of all datacenters instead.")),
		ask:   rtt,
	},
}

func rtt(ctx context.Context, c *call, agent *client.Client) error {
	names := c.Args().Slice()
	if len(names) == 1 {
		self, err := api.Call(ctx, agent, api.AgentSelf, api.None{})
		if err != nil {
			return fmt.Errorf("ask the agent for its name: %w", err)
		}
		name, dc := fmt.Sprint(self.Config["NodeName"]), fmt.Sprint(self.Config["Datacenter"])
		if c.Bool("wan") {
			name += "." + dc
		}
		names = append(names, name)
	}
	pool, places, err := c.places(ctx, agent)
	if err != nil {
		return fmt.Errorf("read %s coordinates: %w", pool, err)
	}
	one, err := findPlace(places, names[0])
	if err != nil {
		return err
	}
	other, err := findPlace(places, names[1])
	if err != nil {
		return err
	}
	if one.Segment != other.Segment {
		return fmt.Errorf("%s and %s are in different segments of the network (%q and %q): nobody knows how far from each other",
			names[0], names[1], one.Segment, other.Segment)
	}
	millis := float64(one.Coord.DistanceTo(other.Coord)) / float64(time.Millisecond)
	c.printf("Estimated %s <-> %s rtt: %.3f ms (using %s coordinates)\n", names[0], names[1], millis, pool)
	return nil
}

// places reads where the nodes of a pool are.
func (c *call) places(ctx context.Context, agent api.Caller) (pool string, places []*api.NodeCoordinate, err error) {
	if !c.Bool("wan") {
		places, err = api.Call(ctx, agent, api.CoordinateNodes, api.SegmentArgs{})
		return "LAN", places, err
	}
	datacenters, err := api.Call(ctx, agent, api.CoordinateDatacenterList, api.None{})
	for _, dc := range datacenters {
		for _, p := range dc.Coordinates {
			full := *p
			if !strings.HasSuffix(full.Node, "."+dc.Datacenter) {
				full.Node += "." + dc.Datacenter // a server that is alone leaves it out
			}
			places = append(places, &full)
		}
	}
	return "WAN", places, err
}

// findPlace prefers the segment without a name, in which most nodes are.
func findPlace(places []*api.NodeCoordinate, node string) (*api.NodeCoordinate, error) {
	found := slices.DeleteFunc(slices.Clone(places), func(p *api.NodeCoordinate) bool {
		return !strings.EqualFold(p.Node, node) || p.Coord == nil
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("could not find a coordinate for node %q", node)
	}
	return slices.MinFunc(found, func(a, b *api.NodeCoordinate) int { return cmp.Compare(a.Segment, b.Segment) }), nil
}
