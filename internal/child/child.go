package child

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// DefaultGrace is the Grace of commands that name none.
const DefaultGrace = 5 * time.Second

// Group says which processes are told to end.
type Group int

// The groups.
const (
	// Own is a process group of the command's own: all that it starts ends with it.
	Own Group = iota
	// Shared leaves the command in the group of this program, so that it may read
	// from the terminal. It ends alone.
	Shared
)

// Command is what to run. In, Out and Err may be nil, which stands for nothing.
type Command struct {
	Argv     []string // at least the name of the program
	Env      []string // "name=value", beside the environment of this program
	In       io.Reader
	Out, Err io.Writer
	Group    Group
	// Grace is how long the command has to end by itself when it is told to; 0
	// means DefaultGrace.
	Grace time.Duration
}

// Shell gives the Argv that lets the shell of the system read a line.
func Shell(line string) []string { return append(shell(), line) }

// Run runs the command until it has ended. When ctx ends, the command is told
// to terminate, and killed after its grace; the error is then that of ctx. A command
// that fails gives an *exec.ExitError.
func (c Command) Run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.In, c.Out, c.Err
	grace := cmp.Or(c.Grace, DefaultGrace)
	cmd.WaitDelay = grace
	if c.Group == Shared {
		cmd.Cancel = func() error { return terminate(cmd.Process) }
	} else {
		leadGroup(cmd)
		cmd.Cancel = func() error { return terminateGroup(cmd.Process) }
	}
	// The time at which the rest of the group is killed counts from the end of
	// ctx, not from that of the command.
	told := make(chan time.Time, 1)
	stop := context.AfterFunc(ctx, func() { told <- time.Now() })
	err := cmd.Run()
	if !stop() && cmd.Process != nil {
		if c.Group == Own {
			endGroup(cmd.Process, (<-told).Add(grace))
		}
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it has ended, and something in the background has its output
	}
	return err
}
