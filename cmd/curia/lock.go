package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
	"curia/internal/child"
	"curia/internal/pause"
)

// Times of a lock.
const (
	lockTTL    = 15 * time.Second // of its session, renewed twice within it
	lockRetry  = time.Second      // between attempts while no server answers
	lockGiveUp = 10 * time.Second // in which everything must be given back
)

var lockCommands = []command{{
	name: "lock", args: "PREFIX CHILD…", least: 2, most: -1, firstEnds: true,
	line: "Run a command while holding a lock.",
	help: `The lock is the key PREFIX/.lock, taken by a session of its own; with -n there
are several places, and that key lists who has one. While the command runs its
environment has CONSUL_LOCK_HELD=true. When the lock is lost the command is told
to terminate, and killed 5 seconds later. The exit code is 1 when the lock could
not be had or was lost.

Examples:

    $ curia lock service/backup ./backup.sh
    $ curia lock -n=3 -timeout=1m service/build make test`,
	flags: flags(
		flagOf(cli.IntFlag{Name: "n", Value: 1, Usage: "`NUMBER` of holders at a time, the same for all who use the prefix. Default 1."}),
		textFlag("name", "`NAME` of the session. Default: one that tells the command and the prefix."),
		flagOf(cli.DurationFlag{Name: "timeout", Usage: "`DURATION` to wait for the lock. Default: for ever."}),
		flagOf(cli.DurationFlag{Name: "try", Usage: "`DURATION` to wait: the older name of -timeout."}),
		flagOf(cli.IntFlag{Name: "monitor-retry", Value: 3, Usage: "`NUMBER` of attempts, a second apart, to see that the lock is still held while no server answers. Default 3."}),
		boolFlag("pass-stdin", "Let the command read the standard input."),
		flagOf(cli.BoolFlag{Name: "shell", Value: true, Usage: "Let a shell read the command. Default true."}),
		boolFlag("child-exit-code", "Exit with 2 when the command fails."),
		boolFlag("verbose", "Tell what happens."),
	),
	ask: lockAndRun,
}}

// holding is a lock while it is wanted or held.
type holding struct {
	seat
	session string
	caller  api.Caller
	retries int
	tell    func(format string, args ...any)
}

func lockAndRun(ctx context.Context, c *call, agent *client.Client) error {
	prefix, words := strings.TrimPrefix(c.arg(0), "/"), c.Args().Slice()[1:]
	wait := cmp.Or(c.Duration("timeout"), c.Duration("try"))
	switch {
	case prefix == "":
		return errors.New("missing PREFIX argument")
	case c.Int("n") < 1:
		return fmt.Errorf("-n must be positive, not %d", c.Int("n"))
	case wait < 0 || c.IsSet("try") && wait == 0:
		return errors.New("-timeout and -try must be positive")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	name := c.String("name")
	if name == "" {
		name = fmt.Sprintf("Lock for '%s' at '%s'", strings.Join(words, " "), prefix)
	}
	h := &holding{caller: agent, retries: max(0, c.Int("monitor-retry")), tell: func(string, ...any) {}}
	if c.Bool("verbose") {
		h.tell = func(format string, args ...any) { _, _ = fmt.Fprintf(c.err, format+"\n", args...) }
	}
	if err := h.open(ctx, name, prefix, c.Int("n")); err != nil {
		return err
	}
	defer h.close(ctx)
	if err := h.await(ctx, wait); err != nil {
		return fmt.Errorf("lock %q: %w", prefix, err)
	}
	failed, err := h.hold(ctx, c.child(words))
	if err != nil {
		return fmt.Errorf("lock %q: %w", prefix, err)
	}
	if failed != nil && c.Bool("child-exit-code") {
		return &exit{exitChild, fmt.Errorf("run command: %w", failed)}
	}
	if failed != nil {
		_, _ = fmt.Fprintf(c.err, "Command failed: %v\n", failed)
	}
	return nil
}

// child is the command that the words after the flags make.
func (c *call) child(words []string) child.Command {
	cmd := child.Command{
		Argv: words, Out: direct(c.out), Err: direct(c.err),
		Env: []string{"CONSUL_LOCK_HELD=true", "CURIA_LOCK_HELD=true"},
	}
	if c.Bool("shell") {
		cmd.Argv = child.Shell(strings.Join(words, " "))
	}
	if c.Bool("pass-stdin") {
		cmd.In = c.in
		if isTerminal(c.in) {
			cmd.Group = child.Shared // another group could not read from it
		}
	}
	return cmd
}

// isTerminal reports whether somebody types what is read: it comes from a device
// other than the null device.
func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// direct is what a checkedWriter writes to: a child gets a file itself, not a
// pipe that would have to be emptied.
func direct(w io.Writer) io.Writer {
	if checked, ok := w.(*checkedWriter); ok {
		return checked.w
	}
	return w
}

// open makes the session.
func (h *holding) open(ctx context.Context, name, prefix string, limit int) error {
	h.tell("Setting up lock at path: %s", prefix)
	spec := api.SessionSpec{Name: name, TTL: lockTTL.String(), Behavior: api.BehaviorRelease}
	if limit > 1 {
		spec.Behavior = api.BehaviorDelete // of the key that is its own
	}
	created, err := api.Call(ctx, h.caller, api.SessionCreate, api.SessionCreateArgs{Spec: spec})
	if err != nil {
		return fmt.Errorf("create session: %w", err)
	}
	h.session = created.ID
	h.seat = newSeat(keys{h.caller, h.session}, prefix, limit)
	return nil
}

// await takes the lock, and renews the session meanwhile. A wait of 0 has no end.
func (h *holding) await(ctx context.Context, wait time.Duration) error {
	h.tell("Attempting lock acquisition")
	ctx, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	go func() { lose(h.renew(ctx)) }()
	patience := ctx
	if wait > 0 {
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	err := h.take(ctx, patience)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hold runs the command while the lock is held. failed is how the command ended,
// err that the lock was lost, that the command could not be run or that this
// program was told to end.
func (h *holding) hold(ctx context.Context, cmd child.Command) (failed, err error) {
	h.tell("Starting handler '%s'", strings.Join(cmd.Argv, " "))
	held, lose := context.WithCancelCause(ctx)
	watching, stop := context.WithCancel(held)
	defer stop()
	go func() { lose(h.renew(watching)) }()
	go func() { lose(h.monitor(watching)) }()
	err = cmd.Run(held)
	var ended interface{ ExitCode() int }
	switch {
	case held.Err() != nil && err != nil:
		return nil, context.Cause(held)
	case errors.As(err, &ended):
		return err, nil
	case err != nil:
		return nil, fmt.Errorf("run command: %w", err)
	}
	return nil, nil
}

// monitor returns when the lock is lost.
func (h *holding) monitor(ctx context.Context) error {
	after, left := uint64(0), h.retries
	for {
		held, index, err := h.look(ctx, after)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && !held:
			return errors.New("lost, the command was ended")
		case err == nil:
			after, left = index, h.retries
			continue
		case left == 0:
			return fmt.Errorf("lost sight of it, the command was ended: %w", err)
		}
		left--
		if !pause.For(ctx, lockRetry) {
			return ctx.Err()
		}
	}
}

// renew keeps the session alive until ctx ends. It returns when the session has
// ended, or may have.
func (h *holding) renew(ctx context.Context) error {
	return renewSession(ctx, h.caller, h.session, lockTTL, lockTTL/2)
}

// renewSession renews a session in intervals, until ctx ends or the session has
// ended. An agent that does not answer is not waited for beyond the TTL: servers
// end the session all the same.
func renewSession(ctx context.Context, agent api.Caller, id string, ttl, interval time.Duration) error {
	last, wait := time.Now(), interval
	for {
		if !pause.For(ctx, wait) {
			return ctx.Err()
		}
		began := time.Now()
		attempt, cancel := context.WithTimeout(ctx, min(ttl/3, time.Until(last.Add(ttl)))) // a third, so that there is another
		_, err := api.Call(attempt, agent, api.SessionRenew, api.SessionID{ID: id})
		cancel()
		switch {
		case err == nil:
			last, wait = began, interval
		case ctx.Err() != nil:
			return ctx.Err()
		case api.KindOf(err) == api.NotFound || time.Since(last) >= ttl:
			return fmt.Errorf("its session has ended: %w", err)
		default:
			wait = min(lockRetry, time.Until(last.Add(ttl)))
		}
	}
}

// close gives everything back, also when ctx has ended. What cannot be given
// back ends with the session.
func (h *holding) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockGiveUp)
	defer cancel()
	err := h.leave(ctx)
	if err == nil {
		err = h.clear(ctx)
	}
	if _, ended := api.Call(ctx, h.caller, api.SessionDestroy, api.SessionID{ID: h.session}); err == nil {
		err = ended
	}
	if err != nil {
		h.tell("Cleanup failed: %v", err)
		return
	}
	h.tell("Cleanup succeeded")
}
