package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"curia/api"
	"curia/internal/child"
	"curia/internal/pause"
)

// RemoteExec says whether commands are run that others send by event. The zero
// value runs none.
type RemoteExec uint8

// The rules about commands of others.
const (
	NoRemoteExec RemoteExec = iota
	AllowRemoteExec
)

const (
	maxJobs     = 16              // commands that run at a time, and that wait
	jobGrace    = 2 * time.Second // for a command to end by itself when it is told to
	jobPatience = 30 * time.Second
	jobRetry    = time.Second
	// failedStart is the exit code of a command that cannot be run, or that a
	// signal ended.
	failedStart = 255
)

// errJobOver says that whoever asked for a command does not wait any more.
var errJobOver = errors.New("its session has ended")

// hearJob takes a command from an event. What is too much is dropped.
func (a *Agent) hearJob(payload []byte) {
	if a.cfg.RemoteExec != AllowRemoteExec {
		a.log.Debug("ignoring a command, remote execution is disabled")
		return
	}
	var job api.RemoteExec
	err := json.Unmarshal(payload, &job)
	if err == nil && job.Prefix == "" {
		err = errors.New("it names no prefix")
	}
	if err == nil {
		err = uuid.Validate(job.Session)
	}
	if err != nil {
		a.log.Warn("event asks for a command that cannot be found", "err", err)
		return
	}
	select {
	case a.events.jobs <- job:
	default:
		a.log.Warn("too many commands wait, dropping one", "session", job.Session)
	}
}

// runJobs runs the commands that events ask for until ctx ends; then it ends
// them.
func (a *Agent) runJobs(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(maxJobs)
	for {
		select {
		case <-ctx.Done():
			_ = group.Wait() // jobs give no errors
			return ctx.Err()
		case asked := <-a.events.jobs:
			group.Go(func() error {
				j := &job{RemoteExec: asked, agent: a}
				if err := j.run(ctx); err != nil && ctx.Err() == nil {
					a.log.Warn("remote command broken off", "session", j.Session, "err", err)
				}
				return nil
			})
		}
	}
}

// job is a command of somebody else while it runs.
type job struct {
	api.RemoteExec
	agent *Agent
}

// run takes a command, and tells how it goes.
func (j *job) run(ctx context.Context) error {
	todo, err := j.read(ctx)
	if err != nil {
		return fmt.Errorf("read the command: %w", err)
	}
	if err := j.write(ctx, api.RemoteAck, nil); err != nil {
		return fmt.Errorf("acknowledge the command: %w", err)
	}
	j.agent.log.Info("running a remote command", "session", j.Session)
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out := newJobOutput(func(ctx context.Context, what string, text []byte) error { return j.write(ctx, what, text) })
	sent := make(chan error, 1)
	go func() {
		err := out.run(ctx)
		if err != nil {
			stop(err) // nobody will know what the command does
		}
		sent <- err
	}()
	code, err := j.execute(running, todo, out)
	if err != nil && running.Err() == nil {
		_, _ = fmt.Fprintf(out, "%v\n", err)
	}
	out.close()
	if err := <-sent; err != nil {
		return fmt.Errorf("send the output: %w", err)
	}
	if running.Err() != nil {
		return context.Cause(running)
	}
	if err := j.write(ctx, api.RemoteExit, strconv.AppendInt(nil, int64(code), 10)); err != nil {
		return fmt.Errorf("send the exit code: %w", err)
	}
	j.agent.log.Info("remote command ended", "session", j.Session, "code", code)
	return nil
}

// read finds out what to run. It must be what the session asks for.
func (j *job) read(ctx context.Context) (*api.RemoteJob, error) {
	found, err := ask(ctx, j.agent, api.KVGet, api.KeyArgs{Key: j.JobKey()}, j.agent.tokens.get("agent"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || found[0].Session != j.Session {
		return nil, errJobOver
	}
	todo := &api.RemoteJob{}
	if err := json.Unmarshal(found[0].Value, todo); err != nil {
		return nil, fmt.Errorf("decode %q: %w", j.JobKey(), err)
	}
	if todo.Command == "" && len(todo.Args) == 0 && len(todo.Script) == 0 {
		return nil, fmt.Errorf("nothing to run in %q", j.JobKey())
	}
	return todo, nil
}

// write writes one key of this node. It tries again for a while, unless the
// session has ended.
func (j *job) write(ctx context.Context, what string, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, jobPatience)
	defer cancel()
	args := api.KVPutArgs{Key: j.Key(j.agent.cfg.Node.Node, what), Value: text, Acquire: &j.Session}
	for {
		done, err := ask(ctx, j.agent, api.KVPut, args, j.agent.tokens.get("agent"))
		switch kind := api.KindOf(err); {
		case err == nil && !done, kind == api.Rejected:
			return errJobOver // the session, or the lock, is not there
		case err == nil, kind == api.Denied, kind == api.Invalid, kind == api.TooLarge:
			return err
		}
		if !pause.For(ctx, jobRetry) {
			return err
		}
	}
}

// execute runs a command until it has ended. The error is why it could not be
// run.
func (j *job) execute(ctx context.Context, todo *api.RemoteJob, out *jobOutput) (code int, err error) {
	argv := todo.Args
	switch {
	case len(todo.Script) > 0:
		dir, err := os.MkdirTemp("", "curia-exec-")
		if err != nil {
			return failedStart, fmt.Errorf("keep the script: %w", err)
		}
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, "script")
		if err := os.WriteFile(file, todo.Script, 0o700); err != nil {
			return failedStart, fmt.Errorf("keep the script: %w", err)
		}
		argv = child.Shell(`"` + file + `"`)
	case len(argv) == 0:
		argv = child.Shell(todo.Command)
	}
	err = child.Command{Argv: argv, Out: out, Err: out, Grace: jobGrace}.Run(ctx)
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &ended) && ended.ExitCode() >= 0:
		return ended.ExitCode(), nil
	case errors.As(err, &ended):
		return failedStart, fmt.Errorf("the command was ended: %w", err)
	}
	return failedStart, fmt.Errorf("run the command: %w", err)
}
