package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
)

var kvCommands = []command{
	{
		name: "kv get", args: "[KEY]", most: 1,
		line: "Print the value of a key, or the keys under a prefix.",
		help: `Without flags the value is printed as it is, with a line feed behind it. With
-recurse or -keys the argument is a prefix, which may be left out.

Examples:

    $ curia kv get redis/config/connections
    5
    $ curia kv get -keys redis/
    redis/config/`,
		flags: flags(
			boolFlag("recurse", "Print all keys that begin with the argument, as key:value."),
			boolFlag("keys", "Print only the names of the keys that begin with the argument."),
			flagOf(cli.StringFlag{Name: "separator", Value: "/", Usage: "With -keys, cut names behind this `TEXT` and print each beginning once. Default \"/\"; empty prints whole names."}),
			boolFlag("detailed", "Print indexes, flags and session as well."),
			boolFlag("base64", "Print values in base64."),
			formatFlag,
		),
		ask: kvGet,
	},
	{
		name: "kv put", args: "KEY [VALUE]", least: 1, most: 2, firstEnds: true,
		line: "Write a value to a key.",
		help: `The value may be @file, which stands for what the file holds, or - for the
standard input. Without a value the key gets an empty one. Flags stand before
the key.

Examples:

    $ curia kv put redis/config/connections 5
    Success! Data written to: redis/config/connections
    $ curia kv put -cas -modify-index=844 redis/config/connections @value.txt`,
		flags: flags(
			boolFlag("cas", "Write only if the ModifyIndex of the key is that of -modify-index."),
			numberFlag("modify-index", "With -cas, the `INDEX` that the key must have. Default 0: the key must not exist."),
			numberFlag("flags", "`NUMBER` to keep beside the value, for the use of clients."),
			textFlag("session", "`ID` of the session for -acquire and -release."),
			boolFlag("acquire", "Take the lock of the key for the session, and create the key if need be."),
			boolFlag("release", "Give the lock of the key back, if the session holds it."),
			boolFlag("base64", "The value is in base64; write what it stands for."),
		),
		ask: kvPut,
	},
	{
		name: "kv delete", args: "[KEY]", most: 1,
		line: "Delete a key, or all keys under a prefix.",
		help: `Deleting a key that does not exist is a success.

Example:

    $ curia kv delete -recurse redis/
    Success! Deleted keys with prefix: redis/`,
		flags: flags(
			boolFlag("recurse", "Delete all keys that begin with the argument; without an argument, all keys."),
			boolFlag("cas", "Delete only if the ModifyIndex of the key is that of -modify-index."),
			numberFlag("modify-index", "With -cas, the `INDEX` that the key must have."),
		),
		ask: kvDelete,
	},
	{
		name: "kv export", args: "[PREFIX]", most: 1,
		line: "Print all keys under a prefix as JSON.",
		help: `The result is a list of objects with key, flags and value, the value in base64,
as "kv import" reads it.

Example:

    $ curia kv export redis/ > redis.json`,
		ask: kvExport,
	},
	{
		name: "kv import", args: "DATA", least: 1, most: 1,
		line: "Write the keys that \"kv export\" has printed.",
		help: `DATA is a file (with or without @ before its name), - for the standard input, or
the JSON itself. Keys are written one after the other; the first that cannot be
written ends the command.

Example:

    $ curia kv import redis.json
    Imported: redis/config/connections`,
		flags: flags(textFlag("prefix", "`TEXT` to put before every key.")),
		ask:   kvImport,
	},
}

func kvGet(ctx context.Context, c *call, agent *client.Client) error {
	key := c.arg(0)
	switch {
	case c.Bool("keys"):
		return kvNames(ctx, c, agent, key)
	case c.Bool("recurse"):
		entries, err := api.Call(ctx, agent, api.KVList, api.PrefixArgs{Prefix: key})
		if err != nil && api.KindOf(err) != api.NotFound {
			return fmt.Errorf("read keys with prefix %q: %w", key, err)
		}
		return c.show(list(entries), func() {
			for i, e := range entries {
				if i > 0 && c.Bool("detailed") {
					c.printf("\n")
				}
				c.printEntry(e, e.Key+":")
			}
		})
	case key == "":
		return errors.New("missing KEY argument; an empty one is a prefix and needs -recurse or -keys")
	}
	entries, err := api.Call(ctx, agent, api.KVGet, api.KeyArgs{Key: key})
	if api.KindOf(err) == api.NotFound || err == nil && len(entries) == 0 {
		return refusal(fmt.Sprintf("No key exists at: %s", key))
	}
	if err != nil {
		return fmt.Errorf("read key %q: %w", key, err)
	}
	return c.show(entries[0], func() { c.printEntry(entries[0], "") })
}

func kvNames(ctx context.Context, c *call, agent *client.Client, prefix string) error {
	keys, err := api.Call(ctx, agent, api.KVKeys, api.KVKeysArgs{Prefix: prefix, Separator: c.String("separator")})
	if err != nil && api.KindOf(err) != api.NotFound {
		return fmt.Errorf("list keys with prefix %q: %w", prefix, err)
	}
	return c.show(list(keys), func() {
		for _, key := range keys {
			c.printf("%s\n", key)
		}
	})
}

// printEntry prints an entry in full, or its value behind a label.
func (c *call) printEntry(e *api.KVPair, label string) {
	value := string(e.Value)
	if c.Bool("base64") {
		value = base64.StdEncoding.EncodeToString(e.Value)
	}
	if !c.Bool("detailed") {
		c.printf("%s%s\n", label, value)
		return
	}
	rows := newDetails(c.out)
	rows.row("CreateIndex", e.CreateIndex)
	rows.row("Flags", e.Flags)
	rows.row("Key", e.Key)
	rows.row("LockIndex", e.LockIndex)
	rows.row("ModifyIndex", e.ModifyIndex)
	rows.row("Session", orDash(e.Session))
	rows.flush()
	// Past the table, which would take tabs in the value for its own.
	c.printf("%-*s%s\n", len("CreateIndex")+6, "Value", value)
}

func kvPut(ctx context.Context, c *call, agent *client.Client) error {
	args := api.KVPutArgs{Key: c.arg(0), Flags: c.Uint64("flags")}
	if args.Key == "" {
		return errors.New("missing KEY argument")
	}
	if err := c.putCondition(&args); err != nil {
		return err
	}
	value, err := c.readValue(c.arg(1))
	if err != nil {
		return err
	}
	args.Value = value
	written, err := api.Call(ctx, agent, api.KVPut, args)
	if err != nil {
		return fmt.Errorf("write key %q: %w", args.Key, err)
	}
	done, failed := "Data written to", fmt.Sprintf("Did not write to %s", args.Key)
	switch {
	case args.Acquire != nil:
		done, failed = "Lock acquired on", "Did not acquire lock"
	case args.Release != nil:
		done, failed = "Lock released on", "Did not release lock"
	case args.CAS != nil:
		failed += ": CAS failed"
	}
	if !written {
		return errors.New(failed)
	}
	c.printf("Success! %s: %s\n", done, args.Key)
	return nil
}

// putCondition reads the flags that make a write depend on something.
func (c *call) putCondition(args *api.KVPutArgs) error {
	session := c.String("session")
	given := 0
	if c.Bool("cas") {
		given++
		index := c.Uint64("modify-index")
		args.CAS = &index
	}
	if c.Bool("acquire") {
		given++
		args.Acquire = &session
	}
	if c.Bool("release") {
		given++
		args.Release = &session
	}
	switch {
	case given > 1:
		return errors.New("-cas, -acquire and -release exclude each other; give one of them")
	case args.CAS == nil && c.IsSet("modify-index"):
		return errors.New("-modify-index has no effect without -cas; give both")
	case (args.Acquire != nil || args.Release != nil) != (session != ""):
		return errors.New("-session goes together with -acquire or -release; give both")
	}
	return nil
}

// readValue gives the value that an argument of "kv put" stands for.
func (c *call) readValue(text string) ([]byte, error) {
	value, err := c.readArg(text)
	if err != nil {
		return nil, fmt.Errorf("read value: %w", err)
	}
	if !c.Bool("base64") {
		return value, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(value)))
	if err != nil {
		return nil, fmt.Errorf("decode value: %w", err)
	}
	return decoded, nil
}

// readArg gives what @file, - or a literal argument stands for.
func (c *call) readArg(text string) ([]byte, error) {
	if path, ok := strings.CutPrefix(text, "@"); ok {
		return os.ReadFile(path)
	}
	if text == "-" {
		return io.ReadAll(c.in)
	}
	return []byte(text), nil
}

func kvDelete(ctx context.Context, c *call, agent *client.Client) error {
	args := api.KVDeleteArgs{Key: c.arg(0), Recurse: c.Bool("recurse")}
	switch {
	case args.Key == "" && !args.Recurse:
		return errors.New("missing KEY argument; -recurse without one deletes all keys")
	case c.Bool("cas") && args.Recurse:
		return errors.New("-cas and -recurse exclude each other; give one of them")
	case c.Bool("cas") != c.IsSet("modify-index"):
		return errors.New("-cas and -modify-index go together; give both")
	case c.Bool("cas"):
		index := c.Uint64("modify-index")
		args.CAS = &index
	}
	deleted, err := api.Call(ctx, agent, api.KVDelete, args)
	switch {
	case err != nil:
		return fmt.Errorf("delete key %q: %w", args.Key, err)
	case !deleted && args.CAS != nil:
		return refusal(fmt.Sprintf("Did not delete key %s: CAS failed", args.Key))
	case !deleted:
		return refusal(fmt.Sprintf("Did not delete key %s", args.Key))
	case args.Recurse:
		c.printf("Success! Deleted keys with prefix: %s\n", args.Key)
	default:
		c.printf("Success! Deleted key: %s\n", args.Key)
	}
	return nil
}

// exported is an entry as "kv export" writes it.
type exported struct {
	Key   string `json:"key"`
	Flags uint64 `json:"flags"`
	Value []byte `json:"value"` // base64
}

func kvExport(ctx context.Context, c *call, agent *client.Client) error {
	prefix := c.arg(0)
	entries, err := api.Call(ctx, agent, api.KVList, api.PrefixArgs{Prefix: prefix})
	if err != nil && api.KindOf(err) != api.NotFound {
		return fmt.Errorf("read keys with prefix %q: %w", prefix, err)
	}
	out := []exported{}
	for _, e := range entries {
		// An empty value is written as "", not as null.
		out = append(out, exported{e.Key, e.Flags, append([]byte{}, e.Value...)})
	}
	text, err := json.MarshalIndent(out, "", "\t")
	if err != nil {
		return fmt.Errorf("encode keys: %w", err)
	}
	c.printf("%s\n", text)
	return nil
}

func kvImport(ctx context.Context, c *call, agent *client.Client) error {
	source := c.arg(0)
	if source == "" {
		return errors.New("missing DATA argument")
	}
	if first := strings.TrimSpace(source); first[:min(1, len(first))] != "[" && source != "-" && source[0] != '@' {
		source = "@" + source
	}
	text, err := c.readArg(source)
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	var entries []exported
	if err := json.Unmarshal(text, &entries); err != nil {
		return fmt.Errorf("decode keys: %w; expected a list as \"kv export\" prints it", err)
	}
	for _, e := range entries {
		key := c.String("prefix") + e.Key
		written, err := api.Call(ctx, agent, api.KVPut, api.KVPutArgs{Key: key, Flags: e.Flags, Value: e.Value})
		if err == nil && !written {
			err = errors.New("the agent refused it")
		}
		if err != nil {
			return fmt.Errorf("write key %q: %w", key, err)
		}
		c.printf("Imported: %s\n", key)
	}
	return nil
}
