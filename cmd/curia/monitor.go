package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
)

var monitorCommands = []command{{
	name: "monitor",
	line: "Print what the agent logs, until it is interrupted.",
	help: `The agent may log less where it runs: the level here is one's own.

Example:

    $ curia monitor -log-level=debug`,
	flags: flags(
		flagOf(cli.StringFlag{Name: "log-level", Value: "INFO", Usage: "The finest `LEVEL` to print: trace, debug, info, warn or err. Default info."}),
		boolFlag("log-json", "Print JSON objects, one per line."),
	),
	ask: monitorLog,
}}

func monitorLog(ctx context.Context, c *call, agent *client.Client) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	args := &api.MonitorArgs{LogLevel: c.String("log-level"), LogJSON: c.Bool("log-json")}
	stream, _, err := agent.Stream(ctx, api.AgentMonitor.Op, args, nil)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	defer stream.Close()
	// How the stream ends makes no difference: it should not.
	_, _ = io.Copy(c.out, stream)
	if out, ok := c.out.(*checkedWriter); ctx.Err() != nil || ok && out.failure() != nil {
		return nil
	}
	_, _ = fmt.Fprint(c.err, `Remote side ended the monitor! This usually means that the
remote side has exited or crashed.
`)
	return &exit{code: exitFailure}
}
