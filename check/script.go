package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"curia/api"
)

// scriptProbe runs a command on this machine ("Script checks").
type scriptProbe struct {
	argv    []string
	timeout time.Duration // for the text; the context of the probe enforces it
	limit   int           // bytes of output
}

func newScript(def *api.CheckRegistration, opts Options) *scriptProbe {
	argv := def.Args
	if len(argv) == 0 {
		argv = append(shell(), def.Script)
	}
	return &scriptProbe{argv: argv, timeout: timeoutOf(def, commandTimeout), limit: opts.OutputMaxSize}
}

// lastWords is how long the output of a killed command is still read. What it
// has already written comes at once; a process that has left the group of the
// command may keep the pipe open for ever.
const lastWords = 100 * time.Millisecond

// probe waits until the command has ended and every process that it started has
// closed the output, or been killed: else each run could leave some behind.
func (p *scriptProbe) probe(ctx context.Context) Result {
	r, w, err := os.Pipe()
	if err != nil {
		return failed(fmt.Errorf("open pipe for %q: %w", p.argv[0], err))
	}
	defer r.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Stdout, cmd.Stderr = w, w
	leadGroup(cmd)
	err = cmd.Start()
	w.Close()
	if err != nil {
		return failed(err)
	}
	stop := context.AfterFunc(ctx, func() {
		killGroup(cmd.Process)
		_ = r.SetReadDeadline(time.Now().Add(lastWords))
	})
	output := &tail{limit: p.limit}
	_, readErr := io.Copy(output, r)
	err = cmd.Wait()
	if !stop() {
		return timedOut(p.timeout, output)
	}
	if readErr != nil {
		return failed(fmt.Errorf("read output of %q: %w", p.argv[0], readErr))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return failed(err)
	}
	return exited(cmd.ProcessState.ExitCode(), output)
}

// exited is the result of a command that has ended by itself.
func exited(code int, output *tail) Result {
	switch code {
	case 0:
		return Result{api.Passing, output.report()}
	case 1:
		return Result{api.Warning, output.report()}
	}
	return Result{api.Critical, output.report()}
}

func timedOut(after time.Duration, output *tail) Result {
	text := fmt.Sprintf("Timed out (%v) running check", after)
	if said := output.report(); said != "" {
		text += "\n\n" + said
	}
	return Result{api.Critical, text}
}
