package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
)

// Bounds of the times of a capture.
const (
	debugLeastDuration = 10 * time.Second
	debugLeastInterval = 5 * time.Second
)

// debugTargets is what can be captured.
var debugTargets = []string{"agent", "host", "members", "metrics", "logs", "pprof"}

var debugCommands = []command{{
	name: "debug",
	line: "Capture what an agent can tell about itself for a while, for others to look at.",
	help: `The archive holds what the agent tells of its configuration, its machine and its
members at the start; its metrics and its memory at each interval; its log, and the
load of its processor, for the whole duration. Secrets are not in it, but names and
addresses are. It needs the permissions agent:read and operator:read, and profiles
enable_debug in the configuration of the agent.

Examples:

    $ curia debug -duration=1m -interval=10s
    $ curia debug -capture=metrics -capture=logs -output=/tmp/captured -archive=false`,
	flags: flags(
		flagOf(cli.DurationFlag{Name: "duration", Value: 2 * time.Minute, Usage: "`DURATION` of the capture, 10s at least. Default 2m."}),
		flagOf(cli.DurationFlag{Name: "interval", Value: 30 * time.Second, Usage: "`DURATION` between two looks at what changes, 5s at least. Default 30s."}),
		listFlag("capture", "`PART` to capture: agent, host, members, metrics, logs or pprof. May be repeated. Default: all."),
		textFlag("output", "`DIRECTORY` to make; the archive has the same name with .tar.gz. Default: curia-debug- and the time, here."),
		flagOf(cli.BoolFlag{Name: "archive", Value: true, Usage: "Make an archive of the directory. Default true."}),
	),
	ask: debugAgent,
}}

// debugPlan is what to capture, and for how long.
type debugPlan struct {
	Duration, Interval time.Duration
	Targets            []string
	output             string
	archive            bool
	// late is how long after the duration answers may still come; 0 means debugLate.
	late time.Duration
}

func debugAgent(ctx context.Context, c *call, agent *client.Client) error {
	p := &debugPlan{
		Duration: c.Duration("duration"), Interval: c.Duration("interval"), Targets: c.StringSlice("capture"),
		output: c.String("output"), archive: c.Bool("archive"),
	}
	if err := p.complete(time.Now()); err != nil {
		return err
	}
	return c.capture(ctx, agent, p)
}

// complete fills in what was left out, and refuses what makes no sense.
func (p *debugPlan) complete(now time.Time) error {
	switch {
	case p.Duration < debugLeastDuration:
		return fmt.Errorf("debug: -duration must be at least %v, not %v", debugLeastDuration, p.Duration)
	case p.Interval < debugLeastInterval:
		return fmt.Errorf("debug: -interval must be at least %v, not %v", debugLeastInterval, p.Interval)
	case p.Interval > p.Duration:
		return fmt.Errorf("debug: -interval %v is longer than -duration %v; shorten it", p.Interval, p.Duration)
	}
	for i, t := range p.Targets {
		if t == "cluster" {
			p.Targets[i] = "members" // its older name
		} else if !slices.Contains(debugTargets, t) {
			return fmt.Errorf("debug: unknown -capture %q: use %s", t, strings.Join(debugTargets, ", "))
		}
	}
	if len(p.Targets) == 0 {
		p.Targets = debugTargets
	}
	p.output = strings.TrimSuffix(cmp.Or(p.output, "curia-debug-"+now.UTC().Format(debugStamp)), archiveEnd)
	for _, path := range []string{p.output, p.result()} {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("debug: %s is there already; choose another -output", path)
		}
	}
	return nil
}

// archiveEnd ends the names of archives.
const archiveEnd = ".tar.gz"

// result is what the capture leaves behind.
func (p *debugPlan) result() string {
	if p.archive {
		return p.output + archiveEnd
	}
	return p.output
}

func (p *debugPlan) has(target string) bool { return slices.Contains(p.Targets, target) }

// capture carries a plan out. What is interrupted leaves what it has.
func (c *call) capture(ctx context.Context, agent *client.Client, p *debugPlan) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	self, err := api.Call(ctx, agent, api.AgentSelf, api.None{})
	if err != nil {
		return fmt.Errorf("debug: ask the agent about itself: %w", err)
	}
	if err := os.Mkdir(p.output, 0o700); err != nil {
		return fmt.Errorf("debug: %w", err)
	}
	version := self.Stats["build"]["version"]
	c.printf(`==> Capturing what the agent tells...
     Agent Version: %s
          Interval: %v
          Duration: %v
            Output: %s
           Capture: %s
`, version, p.Interval, p.Duration, p.result(), strings.Join(p.Targets, ", "))
	if on, _ := self.Config["EnableDebug"].(bool); !on && p.has("pprof") {
		c.printf("==> No profiles: the agent has no enable_debug\n")
		p.Targets = slices.DeleteFunc(slices.Clone(p.Targets), func(t string) bool { return t == "pprof" })
	}
	d := &debugCapture{debugPlan: p, call: c, agent: agent}
	d.keep(d.json("index.json", debugIndex{version, p.Interval.String(), p.Duration.String(), p.Targets}))
	// An agent that has stopped keeps its connections, and answers nothing.
	within, cancel := context.WithTimeout(ctx, p.Duration+cmp.Or(p.late, debugLate))
	d.run(within, self)
	cancel()
	interrupted := ctx.Err() != nil
	if p.archive {
		if err := archiveDir(p.output, p.result()); err != nil {
			return fmt.Errorf("debug: make archive: %w; what was captured is in %s", err, p.output)
		}
		if err := os.RemoveAll(p.output); err != nil {
			return fmt.Errorf("debug: remove what is in the archive now: %w", err)
		}
	}
	c.printf("==> Saved %s\n", filepath.Clean(p.result()))
	switch {
	case interrupted:
		return &exit{exitFailure, errors.New("debug: interrupted, what was captured before is saved")}
	case d.failed > 0:
		return fmt.Errorf("debug: %d parts could not be captured", d.failed)
	}
	return nil
}
