package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"curia/api"
	"curia/client"
	"curia/config"
)

var (
	kindFlag = textFlag("kind", "`KIND` of the config entry, such as service-defaults.")
	nameFlag = textFlag("name", "`NAME` of the config entry.")
)

var configCommands = []command{
	{
		name: "config read",
		line: "Print a config entry as JSON.",
		help: `Example:

    $ curia config read -kind=service-defaults -name=web`,
		flags: flags(kindFlag, nameFlag),
		ask:   configRead,
	},
	{
		name: "config list",
		line: "List the names of the config entries of a kind.",
		help: `Example:

    $ curia config list -kind=service-defaults
    web`,
		flags: flags(kindFlag, formatFlag),
		ask:   configList,
	},
	{
		name: "config write", args: "FILE", least: 1, most: 1,
		line: "Write a config entry.",
		help: `The file is HCL or JSON; - stands for the standard input.

Example:

    $ curia config write web.hcl
    Config entry written: service-defaults/web`,
		flags: flags(
			boolFlag("cas", "Write only if the entry is still as -modify-index says."),
			numberFlag("modify-index", "`INDEX` for -cas; 0 means that there is no entry yet."),
		),
		ask: configWrite,
	},
	{
		name: "config delete",
		line: "Delete a config entry.",
		help: `The entry is named by -kind and -name, or by the file that it was written from.

Example:

    $ curia config delete -kind=service-defaults -name=web
    Config entry deleted: service-defaults/web`,
		flags: flags(
			kindFlag, nameFlag,
			textFlag("filename", "`FILE` that names the entry, in place of -kind and -name."),
			boolFlag("cas", "Delete only if the entry is still as -modify-index says."),
			numberFlag("modify-index", "`INDEX` for -cas."),
		),
		ask: configDelete,
	},
}

// needed reads flags that must be given.
func (c *call) needed(names ...string) ([]string, error) {
	var out []string
	for _, name := range names {
		if c.String(name) == "" {
			return nil, fmt.Errorf("%s: -%s is needed", words(c.Command), name)
		}
		out = append(out, c.String(name))
	}
	return out, nil
}

func configRead(ctx context.Context, c *call, agent *client.Client) error {
	named, err := c.needed("kind", "name")
	if err != nil {
		return err
	}
	entry, err := api.Call(ctx, agent, api.ConfigGet, api.ConfigEntryArgs{Kind: named[0], Name: named[1]})
	if err != nil {
		return fmt.Errorf("read config entry %s/%s: %w", named[0], named[1], err)
	}
	return c.printJSON(entry)
}

func configList(ctx context.Context, c *call, agent *client.Client) error {
	named, err := c.needed("kind")
	if err != nil {
		return err
	}
	entries, err := api.Call(ctx, agent, api.ConfigList, api.ConfigKindArgs{Kind: named[0]})
	if err != nil {
		return fmt.Errorf("list config entries of kind %s: %w", named[0], err)
	}
	return c.show(list(entries), func() {
		for _, e := range entries {
			c.printf("%s\n", e.Name)
		}
	})
}

func configWrite(ctx context.Context, c *call, agent *client.Client) error {
	cas, err := c.condition()
	if err != nil {
		return err
	}
	entry, err := c.readEntry(c.arg(0))
	if err != nil {
		return err
	}
	name := entry.Kind + "/" + entry.Name
	switch written, err := api.Call(ctx, agent, api.ConfigPut, api.ConfigPutArgs{Entry: *entry, CAS: cas}); {
	case err != nil:
		return fmt.Errorf("write config entry %s: %w", name, err)
	case !written:
		return refusal("Config entry not written: " + name + ": CAS failed")
	}
	c.printf("Config entry written: %s\n", name)
	return nil
}

func configDelete(ctx context.Context, c *call, agent *client.Client) error {
	cas, err := c.condition()
	if err != nil {
		return err
	}
	args := api.ConfigDeleteArgs{CAS: cas}
	if file := c.String("filename"); file != "" {
		if c.IsSet("kind") || c.IsSet("name") {
			return errors.New("-filename excludes -kind and -name; give one or the others")
		}
		entry, err := c.readEntry(file)
		if err != nil {
			return err
		}
		args.Kind, args.Name = entry.Kind, entry.Name
	} else {
		named, err := c.needed("kind", "name")
		if err != nil {
			return err
		}
		args.Kind, args.Name = named[0], named[1]
	}
	name := args.Kind + "/" + args.Name
	switch deleted, err := api.Call(ctx, agent, api.ConfigDelete, args); {
	case err != nil:
		return fmt.Errorf("delete config entry %s: %w", name, err)
	case !deleted:
		return refusal("Config entry not deleted: " + name + ": CAS failed")
	}
	c.printf("Config entry deleted: %s\n", name)
	return nil
}

// condition reads -cas and -modify-index.
func (c *call) condition() (*uint64, error) {
	if c.Bool("cas") != c.IsSet("modify-index") {
		return nil, errors.New("-cas and -modify-index go together; give both")
	}
	if !c.Bool("cas") {
		return nil, nil
	}
	index := c.Uint64("modify-index")
	return &index, nil
}

// readEntry reads a config entry from a file, or from the standard input.
func (c *call) readEntry(path string) (*api.ConfigEntry, error) {
	source := "@" + path
	if path == "-" {
		source = path
	}
	text, err := c.readArg(source)
	if err != nil {
		return nil, fmt.Errorf("read config entry: %w", err)
	}
	format := config.HCL
	if strings.HasSuffix(path, ".json") {
		format = config.JSON
	}
	fields, err := config.Decode(text, format)
	if err != nil {
		return nil, fmt.Errorf("read config entry from %s: %w", path, err)
	}
	if text, err = json.Marshal(fields); err != nil {
		return nil, fmt.Errorf("read config entry from %s: %w", path, err)
	}
	entry := &api.ConfigEntry{}
	if err := json.Unmarshal(text, entry); err != nil {
		return nil, fmt.Errorf("read config entry from %s: %w", path, err)
	}
	if err := entry.Complete(); err != nil {
		return nil, fmt.Errorf("read config entry from %s: %w", path, err)
	}
	return entry, nil
}
