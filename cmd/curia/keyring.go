package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"curia/api"
	"curia/client"
)

var keyringCommands = []command{
	{
		name: "keyring",
		line: "Look after the keys of the encryption of gossip.",
		help: `Exactly one of -install, -use, -remove, -list and -list-primary says what to do. A
key is changed in three steps: install the new one, use it, remove the old one. Each
has to succeed at all members before the next; the lists tell.

The keys are counted in each pool of members: that of the servers of all
datacenters (WAN), and those of the agents of a datacenter (LAN).

Example:

    $ curia keyring -list
    ==> Gathering installed encryption keys...

    WAN:
      pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s= [1/1]

    dc1 (LAN):
      pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s= [3/3]`,
		flags: flags(
			textFlag("install", "Give all members this `KEY`, with which they can decrypt."),
			textFlag("use", "Let all members encrypt with this `KEY`, which they have."),
			textFlag("remove", "Take this `KEY` from all members. None may encrypt with it."),
			boolFlag("list", "List the keys, and how many members have each."),
			boolFlag("list-primary", "List the keys with which members encrypt, and how many do."),
			numberFlag("relay-factor", "`NUMBER` of other members that pass on each answer, from 0 to 5, for networks that lose much."),
			boolFlag("local-only", "Ask nobody in other datacenters; for the lists."),
		),
		ask: keyring,
	},
}

// keyringMax is the greatest -relay-factor.
const keyringMax = 5

func keyring(ctx context.Context, c *call, agent *client.Client) error {
	action, err := c.keyringAction()
	if err != nil {
		return err
	}
	switch action {
	case "list", "list-primary":
		return c.listKeys(ctx, agent, action)
	}
	step := map[string]struct {
		says string
		verb api.Verb[api.KeyringChangeArgs, api.Nothing]
	}{
		"install": {"Installing new gossip encryption key", api.KeyringInstall},
		"use":     {"Changing primary gossip encryption key", api.KeyringUse},
		"remove":  {"Removing gossip encryption key", api.KeyringRemove},
	}[action]
	c.printf("==> %s...\n", step.says)
	args := api.KeyringChangeArgs{RelayFactor: c.Uint64("relay-factor"), Body: api.KeyringKey{Key: c.String(action)}}
	if _, err := api.Call(ctx, agent, step.verb, args); err != nil {
		return fmt.Errorf("keyring -%s: %w", action, err)
	}
	return nil
}

// keyringAction is the one flag that says what to do.
func (c *call) keyringAction() (string, error) {
	var given []string
	for _, name := range []string{"install", "use", "remove", "list", "list-primary"} {
		if c.IsSet(name) && (c.String(name) != "" || c.Bool(name)) {
			given = append(given, name)
		}
	}
	// -list -list-primary is one list.
	if slices.Equal(given, []string{"list", "list-primary"}) {
		given = given[1:]
	}
	switch {
	case len(given) == 0:
		return "", errors.New("one of -install, -use, -remove, -list and -list-primary must be given")
	case len(given) > 1:
		return "", fmt.Errorf("-%s and -%s exclude each other: give one at a time", given[0], given[1])
	case c.Bool("local-only") && given[0] != "list" && given[0] != "list-primary":
		return "", fmt.Errorf("-local-only is for -list and -list-primary, not for -%s: a key is changed everywhere", given[0])
	case c.Uint64("relay-factor") > keyringMax:
		return "", fmt.Errorf("-relay-factor %d: it must be in the range 0 to %d", c.Uint64("relay-factor"), keyringMax)
	}
	return given[0], nil
}

// listKeys carries out -list or -list-primary.
func (c *call) listKeys(ctx context.Context, agent api.Caller, action string) error {
	says, keys := "installed encryption keys", func(r *api.KeyringReport) map[string]int { return r.Keys }
	if action == "list-primary" {
		says, keys = "installed primary encryption keys", func(r *api.KeyringReport) map[string]int { return r.PrimaryKeys }
	}
	c.printf("==> Gathering %s...\n", says)
	args := api.KeyringListArgs{RelayFactor: c.Uint64("relay-factor"), LocalOnly: api.LocalOnly(c.Bool("local-only"))}
	reports, err := api.Call(ctx, agent, api.KeyringList, args)
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	slices.SortStableFunc(reports, func(a, b *api.KeyringReport) int {
		return cmp.Or(isLAN(a)-isLAN(b), cmp.Compare(a.Datacenter, b.Datacenter), cmp.Compare(a.Segment, b.Segment))
	})
	for _, r := range reports {
		pool := "WAN"
		if !r.WAN {
			pool = r.Datacenter + " (LAN)"
			if r.Segment != "" {
				pool += " [" + r.Segment + "]"
			}
		}
		c.printf("\n%s:\n", pool)
		for _, name := range slices.Sorted(maps.Keys(r.Messages)) {
			c.printf("  %s: %s\n", name, r.Messages[name])
		}
		for _, key := range slices.Sorted(maps.Keys(keys(r))) {
			c.printf("  %s [%d/%d]\n", key, keys(r)[key], r.NumNodes)
		}
	}
	return nil
}

// isLAN is 0 for the WAN pool, which sorts first, and 1 for others.
func isLAN(r *api.KeyringReport) int {
	if r.WAN {
		return 0
	}
	return 1
}
