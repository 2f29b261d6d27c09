package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"curia/client"
	"curia/internal/child"
	"curia/watch"
)

var watchCommands = []command{{
	name: "watch", args: "[CHILD…]", most: -1, firstEnds: true,
	line: "Follow the answer of a query, and run a command each time it changes.",
	help: `The command finds the answer as JSON on its standard input, and its index in
CONSUL_INDEX. Without a command the answers are printed. The types are key,
keyprefix, services, nodes, service, checks and event. While no agent answers
the query is repeated; a command that fails ends everything.

Examples:

    $ curia watch -type=key -key=web/color ./repaint.sh
    $ curia watch -type=service -service=web -passingonly`,
	flags: flags(
		textFlag("type", "`TYPE` of the query."),
		textFlag("key", "`KEY`, for the type key."),
		textFlag("prefix", "`TEXT` with which the keys begin, for the type keyprefix."),
		textFlag("service", "`NAME` of the service, for the types service and checks."),
		listFlag("tag", "`TAG` of the instances, for the type service. May be repeated."),
		boolFlag("passingonly", "Only instances whose checks all pass, for the type service."),
		textFlag("state", "`STATE` of the checks, for the type checks. Default any."),
		textFlag("name", "`NAME` of the events, for the type event. Default: all."),
		exprFlag,
		flagOf(cli.BoolFlag{Name: "shell", Value: true, Usage: "Let a shell read the command. Default true."}),
	),
	ask: watchChanges,
}}

func watchChanges(ctx context.Context, c *call, agent *client.Client) error {
	plan := &watch.Plan{
		Type: c.String("type"), Key: c.String("key"), Prefix: c.String("prefix"), Service: c.String("service"),
		Tags: c.StringSlice("tag"), PassingOnly: c.Bool("passingonly"), State: c.String("state"), Name: c.String("name"),
		Filter: c.String("filter"), Stale: c.Bool("stale"),
	}
	if err := plan.Validate(); err != nil {
		return err
	}
	if err := plan.CheckNames(c.given("key", "prefix", "service", "tag", "passingonly", "state", "name", "stale")); err != nil {
		return err
	}
	if plan.Type == "keyprefix" && !c.IsSet("prefix") {
		return errors.New("watch: a prefix must be given")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	follower := watch.Follower{
		Changed: c.printChange,
		Failed: func(err error, next time.Duration) {
			_, _ = fmt.Fprintf(c.err, "Watch failed: %v; trying again in %v\n", err, next)
		},
	}
	if words := c.Args().Slice(); len(words) > 0 {
		if c.Bool("shell") {
			words = child.Shell(strings.Join(words, " "))
		}
		follower.Changed = func(ctx context.Context, change watch.Change) error {
			if err := watch.RunProgram(ctx, words, change, direct(c.out), direct(c.err)); err != nil {
				return fmt.Errorf("run command: %w", err)
			}
			return nil
		}
	}
	err := plan.Follow(ctx, agent, follower)
	if ctx.Err() != nil {
		return nil // interrupted, as everybody ends it
	}
	return err
}

// given are those of some flags that the command line has.
func (c *call) given(names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return !c.IsSet(name) })
}

// printChange prints an answer as indented JSON.
func (c *call) printChange(_ context.Context, change watch.Change) error {
	var text bytes.Buffer
	if err := json.Indent(&text, change.Body, "", "    "); err != nil {
		return fmt.Errorf("indent result: %w", err)
	}
	text.WriteByte('\n')
	if _, err := c.out.Write(text.Bytes()); err != nil {
		return err
	}
	return nil
}
