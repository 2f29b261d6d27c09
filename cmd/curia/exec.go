package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
	"curia/internal/pause"
)

// Times of a remote execution.
const (
	execTTL    = 15 * time.Second // of its session
	execRenew  = 5 * time.Second
	execAlive  = 10 * time.Second // beyond -wait: while a command runs, its agent gives a sign of life every 5 seconds
	execGiveUp = 10 * time.Second // in which everything must be removed
)

var execCommands = []command{{
	name: "exec", args: "[COMMAND…]", least: 1, most: -1, firstEnds: true,
	line: "Run a command on many nodes, and print what it prints there.",
	help: `Agents that the expressions fit run the command, unless disable_remote_exec is
true, as it is by default. With "-" a script is read from the standard input, and
runs there as a file. Command and output travel through the key/value store, below
a session that is removed at the end; of the output of a node at most 4 MiB do. The
command ends when this one is interrupted.

The exit code is 2 when the command failed on a node, or a node did not tell how it
ended.

Examples:

    $ curia exec -service=web uptime
    web-1:  10:46:22 up 12 days,  load average: 0.04, 0.03, 0.00
    ==> web-1: finished with exit code 0
    1 / 1 node(s) completed / acknowledged
    $ curia exec -node='^db-' - <upgrade.sh`,
	flags: flags(
		textFlag("node", "Only agents whose node name fits this regular `EXPRESSION`."),
		textFlag("service", "Only agents with a service whose name fits this regular `EXPRESSION`."),
		textFlag("tag", "Only agents where such a service has a tag that fits this regular `EXPRESSION`."),
		flagOf(cli.StringFlag{Name: "prefix", Value: api.RemoteExecEvent, Usage: "`PREFIX` of the keys of the command. Default _rexec."}),
		flagOf(cli.BoolFlag{Name: "shell", Value: true, Usage: "Let a shell read the command. Default true."}),
		flagOf(cli.DurationFlag{Name: "wait", Value: 2 * time.Second, Usage: "`DURATION` without news after which nobody else is waited for. Default 2s."}),
		flagOf(cli.DurationFlag{Name: "wait-repl", Value: 200 * time.Millisecond, Usage: "`DURATION` between writing the command and telling the agents, so that all servers have it. Default 200ms."}),
		boolFlag("verbose", "Tell what happens."),
	),
	ask: execRemote,
}}

// remoteRun is a command that runs on other nodes.
type remoteRun struct {
	*call
	api.RemoteExec
	agent api.Caller
	wait  time.Duration
	nodes map[string]*remoteNode // that have taken the command
	seen  map[string]bool        // keys
}

// remoteNode is what is known of a node that runs the command.
type remoteNode struct {
	line  string // the beginning of a line whose end has not come yet
	ended bool
	code  string
}

func execRemote(ctx context.Context, c *call, agent *client.Client) error {
	filter := api.EventFilter{Node: c.String("node"), Service: c.String("service"), Tag: c.String("tag")}
	job, err := c.remoteJob()
	switch {
	case err != nil:
		return err
	case filter.Tag != "" && filter.Service == "":
		return refusal("Cannot provide tag filter without service filter.")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &remoteRun{
		call: c, agent: agent, wait: job.Wait, nodes: map[string]*remoteNode{}, seen: map[string]bool{},
		RemoteExec: api.RemoteExec{Prefix: strings.Trim(c.String("prefix"), "/")},
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.close(ctx)
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	go func() { lose(r.renew(ctx)) }()
	if err = r.start(ctx, job, filter); err == nil {
		err = r.collect(ctx)
	}
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return &exit{exitFailure, errors.New("exec: interrupted")}
	case ctx.Err() != nil:
		return fmt.Errorf("exec: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("exec: %w", err)
	}
	return r.summary()
}

// remoteJob is what the flags and arguments say is to be run.
func (c *call) remoteJob() (*api.RemoteJob, error) {
	job := &api.RemoteJob{Wait: c.Duration("wait")}
	words := c.Args().Slice()
	switch {
	case job.Wait <= 0:
		return nil, fmt.Errorf("exec: -wait must be positive, not %v", job.Wait)
	case c.Duration("wait-repl") < 0:
		return nil, fmt.Errorf("exec: -wait-repl cannot be negative, as %v is", c.Duration("wait-repl"))
	case strings.Trim(c.String("prefix"), "/") == "":
		return nil, errors.New("exec: -prefix cannot be empty")
	case len(words) == 1 && words[0] == "-":
		script, err := io.ReadAll(c.in)
		if err != nil {
			return nil, fmt.Errorf("exec: read script from standard input: %w", err)
		}
		job.Script = script
	case c.Bool("shell"):
		job.Command = strings.Join(words, " ")
	default:
		job.Args = words
	}
	if job.Command == "" && len(job.Args) == 0 && len(job.Script) == 0 {
		return nil, errors.New("exec: there is nothing to run")
	}
	return job, nil
}

// tell prints with -verbose alone.
func (r *remoteRun) tell(format string, args ...any) {
	if r.Bool("verbose") {
		r.printf("==> "+format+"\n", args...)
	}
}

// open makes the session, on a server when another datacenter is asked: this
// agent's node is not known there.
func (r *remoteRun) open(ctx context.Context) error {
	spec := api.SessionSpec{Name: "Remote Exec", TTL: execTTL.String(), Behavior: api.BehaviorDelete}
	if dc := r.String("datacenter"); dc != "" {
		found, err := api.Call(ctx, r.agent, api.HealthService, api.HealthServiceArgs{ServiceArgs: api.ServiceArgs{Service: api.ConsulService}, Passing: true})
		if err != nil {
			return fmt.Errorf("exec: find a server of %s: %w", dc, err)
		}
		if len(found) == 0 {
			return fmt.Errorf("exec: find a server of %s: none is healthy", dc)
		}
		spec.Node = found[0].Node.Node
	}
	created, err := api.Call(ctx, r.agent, api.SessionCreate, api.SessionCreateArgs{Spec: spec})
	if err != nil {
		return fmt.Errorf("exec: create session: %w", err)
	}
	r.Session = created.ID
	r.tell("Created remote execution session: %s", r.Session)
	return nil
}

// renew keeps the session alive until ctx ends. It returns when that fails.
func (r *remoteRun) renew(ctx context.Context) error {
	return renewSession(ctx, r.agent, r.Session, execTTL, execRenew)
}

// start writes the command and tells the agents.
func (r *remoteRun) start(ctx context.Context, job *api.RemoteJob, filter api.EventFilter) error {
	text, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("encode the command: %w", err)
	}
	done, err := api.Call(ctx, r.agent, api.KVPut, api.KVPutArgs{Key: r.JobKey(), Value: text, Acquire: &r.Session})
	if err == nil && !done {
		err = errors.New("somebody has locked it")
	}
	if err != nil {
		return fmt.Errorf("write key %q: %w", r.JobKey(), err)
	}
	r.tell("Uploaded remote execution spec")
	if !pause.For(ctx, r.Duration("wait-repl")) {
		return ctx.Err()
	}
	payload, err := json.Marshal(r.RemoteExec)
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	e, err := api.Call(ctx, r.agent, api.EventFire, api.EventFireArgs{Name: api.RemoteExecEvent, EventFilter: filter, Payload: payload})
	if err != nil {
		return fmt.Errorf("fire event %q: %w", api.RemoteExecEvent, err)
	}
	r.tell("Emitted remote execution event: %s", e.ID)
	return nil
}

// collect prints what the nodes tell until there has been no news for a while.
func (r *remoteRun) collect(ctx context.Context) error {
	heard, index := time.Now(), uint64(0)
	for {
		waiting, cancel := context.WithDeadline(ctx, heard.Add(r.patience()))
		keys, meta, err := api.Ask(waiting, r.agent, api.KVKeys, api.KVKeysArgs{Prefix: r.All()}, api.Query{MinIndex: index})
		late := waiting.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case late:
			return nil
		case api.KindOf(err) == api.NotFound:
			return errors.New("its keys are gone")
		case err != nil:
			return fmt.Errorf("list keys with prefix %q: %w", r.All(), err)
		}
		if index = meta.Index; len(keys) > len(r.seen) {
			heard = time.Now()
		}
		if err := r.read(ctx, keys); err != nil {
			return err
		}
	}
}

// patience is how long to wait for news.
func (r *remoteRun) patience() time.Duration {
	for _, n := range r.nodes {
		if !n.ended {
			return r.wait + execAlive
		}
	}
	return r.wait
}

// read takes notice of keys: of all that a node has printed before that it has
// ended.
func (r *remoteRun) read(ctx context.Context, keys []string) error {
	for _, kind := range []string{api.RemoteAck, api.RemoteOutput, api.RemoteExit} {
		for _, key := range keys {
			node, what, ok := r.Parse(key)
			if !ok || r.seen[key] || !strings.HasPrefix(what, kind) {
				continue
			}
			found, err := api.Call(ctx, r.agent, api.KVGet, api.KeyArgs{Key: key})
			if err != nil {
				return fmt.Errorf("read key %q: %w", key, err)
			}
			r.seen[key] = true
			r.note(node, kind, string(found[0].Value))
		}
	}
	for _, key := range keys {
		r.seen[key] = true // the command itself, and what others may write
	}
	return nil
}

// note prints what a node tells.
func (r *remoteRun) note(node, kind, text string) {
	n := r.nodes[node]
	if n == nil {
		n = &remoteNode{}
		r.nodes[node] = n
	}
	switch kind {
	case api.RemoteAck:
		r.tell("%s: acknowledged", node)
	case api.RemoteOutput:
		if text == "" {
			r.tell("%s: heartbeat received", node)
		}
		lines := strings.Split(n.line+text, "\n")
		for _, line := range lines[:len(lines)-1] {
			r.printf("%s: %s\n", node, line)
		}
		n.line = lines[len(lines)-1]
	case api.RemoteExit:
		r.flush(node)
		n.ended, n.code = true, text
		r.printf("==> %s: finished with exit code %s\n", node, text)
	}
}

// flush prints a line that has no end.
func (r *remoteRun) flush(node string) {
	if n := r.nodes[node]; n.line != "" {
		r.printf("%s: %s\n", node, n.line)
		n.line = ""
	}
}

// summary counts the nodes. An exit code other than 0 stands for commands that
// failed, or whose end is not known.
func (r *remoteRun) summary() error {
	ended, failed := 0, false
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		n := r.nodes[name]
		r.flush(name)
		if n.ended {
			ended++
		} else {
			r.printf("==> %s: has not told how it ended\n", name)
		}
		failed = failed || n.code != "0"
	}
	r.printf("%d / %d node(s) completed / acknowledged\n", ended, len(r.nodes))
	if failed {
		return &exit{code: exitRemote}
	}
	return nil
}

// close removes the session and with it all keys, also when ctx has ended. What
// cannot be removed ends with the session.
func (r *remoteRun) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), execGiveUp)
	defer cancel()
	_, err := api.Call(ctx, r.agent, api.SessionDestroy, api.SessionID{ID: r.Session})
	if err == nil {
		_, err = api.Call(ctx, r.agent, api.KVDelete, api.KVDeleteArgs{Key: r.All(), Recurse: true})
	}
	if err != nil {
		_, _ = fmt.Fprintf(r.err, "Cannot remove session %s, it ends by itself: %v\n", r.Session, err)
	}
}
