package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"curia/api"
	"curia/client"
)

const noneMatches = "No %s match the given query - try expanding your search.\n"

var (
	nearFlag = textFlag("near", "Sort by the distance from the node of this `NAME`; _agent is the one that is asked.")
	metaFlag = listFlag("node-meta", "Only nodes with this `KEY=VALUE` in their metadata. May be repeated; all must fit.")
	exprFlag = textFlag("filter", "Only what fits this `EXPRESSION`.")
)

var catalogCommands = []command{
	{
		name: "catalog datacenters",
		line: "List the known datacenters.",
		help: `Example:

    $ curia catalog datacenters
    dc1`,
		flags: flags(formatFlag),
		ask:   catalogDatacenters,
	},
	{
		name: "catalog nodes",
		line: "List the nodes of a datacenter.",
		help: `The ID is shortened to its first 8 characters unless -detailed is given.

Example:

    $ curia catalog nodes -service=web
    Node   ID        Address   DC
    web-1  4d2c7f1a  10.0.0.1  dc1`,
		flags: flags(
			boolFlag("detailed", "Print whole IDs, tagged addresses and metadata as well."),
			textFlag("service", "Only nodes with an instance of the service of this `NAME`."),
			nearFlag, metaFlag, exprFlag, formatFlag,
		),
		ask: catalogNodes,
	},
	{
		name: "catalog services",
		line: "List the services of a datacenter.",
		help: `Example:

    $ curia catalog services -tags
    consul
    web     v1,v2`,
		flags: flags(
			textFlag("node", "Only services of the node of this `NAME`."),
			boolFlag("tags", "Print the tags of each service as well."),
			metaFlag, exprFlag, formatFlag,
		),
		ask: catalogServices,
	},
}

func catalogDatacenters(ctx context.Context, c *call, agent *client.Client) error {
	names, err := api.Call(ctx, agent, api.CatalogDatacenters, api.None{})
	if err != nil {
		return fmt.Errorf("list datacenters: %w", err)
	}
	return c.show(list(names), func() {
		for _, name := range names {
			c.printf("%s\n", name)
		}
	})
}

// selection reads -node-meta and -near.
func (c *call) selection() api.NodeSelection {
	out := api.NodeSelection{Near: c.String("near")}
	for _, pair := range c.StringSlice("node-meta") {
		// Commands write key=value, the HTTP API key:value.
		if key, value, ok := strings.Cut(pair, "="); ok && !strings.Contains(key, ":") {
			pair = key + ":" + value
		}
		out.NodeMeta = append(out.NodeMeta, pair)
	}
	return out
}

func catalogNodes(ctx context.Context, c *call, agent *client.Client) error {
	nodes, err := findNodes(ctx, c, agent)
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	return c.show(list(nodes), func() {
		if len(nodes) == 0 {
			c.printf(noneMatches, "nodes")
			return
		}
		rows := newTable(c.out)
		defer rows.flush()
		if c.Bool("detailed") {
			rows.row("Node", "ID", "Address", "DC", "TaggedAddresses", "Meta")
			for _, n := range nodes {
				rows.row(n.Node, n.ID, n.Address, n.Datacenter, pairs(n.TaggedAddresses), pairs(n.Meta))
			}
			return
		}
		rows.row("Node", "ID", "Address", "DC")
		for _, n := range nodes {
			rows.row(n.Node, n.ID[:min(8, len(n.ID))], n.Address, n.Datacenter)
		}
	})
}

// findNodes asks for all nodes, or for those of a service, each once.
func findNodes(ctx context.Context, c *call, agent *client.Client) ([]*api.Node, error) {
	q := api.Query{Filter: c.String("filter")}
	service := c.String("service")
	if service == "" {
		nodes, _, err := api.Ask(ctx, agent, api.CatalogNodes, c.selection(), q)
		return nodes, err
	}
	instances, _, err := api.Ask(ctx, agent, api.CatalogService, api.ServiceArgs{Service: service, NodeSelection: c.selection()}, q)
	var out []*api.Node
	seen := map[string]bool{}
	for _, s := range instances {
		if seen[s.Node] {
			continue
		}
		seen[s.Node] = true
		out = append(out, &api.Node{ID: s.ID, Node: s.Node, Address: s.Address, Datacenter: s.Datacenter,
			TaggedAddresses: s.TaggedAddresses, Meta: s.NodeMeta, CreateIndex: s.CreateIndex, ModifyIndex: s.ModifyIndex})
	}
	return out, err
}

func catalogServices(ctx context.Context, c *call, agent *client.Client) error {
	services, err := findServices(ctx, c, agent)
	if err != nil {
		return fmt.Errorf("list services: %w", err)
	}
	return c.show(services, func() {
		if len(services) == 0 {
			c.printf(noneMatches, "services")
			return
		}
		rows := newTable(c.out)
		defer rows.flush()
		for _, name := range slices.Sorted(maps.Keys(services)) {
			if c.Bool("tags") {
				rows.row(name, strings.Join(services[name], ","))
			} else {
				rows.row(name)
			}
		}
	})
}

// findServices asks for the services with their tags, sorted and each once.
func findServices(ctx context.Context, c *call, agent *client.Client) (map[string][]string, error) {
	q := api.Query{Filter: c.String("filter")}
	out := map[string][]string{}
	if node := c.String("node"); node != "" {
		found, _, err := api.Ask(ctx, agent, api.CatalogNode, api.NodeName{Node: node}, q)
		if found != nil {
			for _, s := range found.Services {
				out[s.Service] = append(out[s.Service], s.Tags...)
			}
		}
		if err != nil {
			return nil, err
		}
	} else {
		found, _, err := api.Ask(ctx, agent, api.CatalogServices, c.selection(), q)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, found)
	}
	for name, tags := range out {
		slices.Sort(tags)
		out[name] = list(slices.Compact(tags))
	}
	return out, nil
}
