//go:build unix

package child

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestRun runs commands that end by themselves.
func TestRun(t *testing.T) {
	tests := []struct {
		line, in, out, err string
		code               int
	}{
		{line: "cat; echo $CHILD", in: "given ", out: "given here\n"},
		{line: "echo wrong >&2; exit 7", err: "wrong\n", code: 7},
		{line: "exec 2>/dev/null; (sleep 60 >/dev/null) & echo left", out: "left\n"},
	}
	for _, tt := range tests {
		var out, errs strings.Builder
		err := Command{Argv: Shell(tt.line), Env: []string{"CHILD=here"}, In: strings.NewReader(tt.in), Out: &out, Err: &errs}.Run(t.Context())
		code := 0
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			code = failed.ExitCode()
		} else if err != nil {
			t.Errorf("%s: %v", tt.line, err)
		}
		if out.String() != tt.out || errs.String() != tt.err || code != tt.code {
			t.Errorf("%s: got %q, %q and %d; want %q, %q and %d", tt.line, out.String(), errs.String(), code, tt.out, tt.err, tt.code)
		}
	}
	if err := (Command{Argv: []string{"/no/such/program"}}).Run(t.Context()); err == nil {
		t.Error("a program that does not exist: got no error")
	}
}

// TestEnd ends commands: those that obey, with all that they have started, and
// those that have to be killed.
func TestEnd(t *testing.T) {
	tests := []struct {
		name, line, says string
		group            Group
		grace            time.Duration
	}{
		{name: "obeys", line: "echo ready; sleep 100"},
		{name: "group", line: "(trap 'echo inner; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait", says: "inner"},
		{name: "shared", line: "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.01; done", says: "told", group: Shared},
		{name: "refuses", line: "trap '' TERM; echo ready; while :; do sleep 0.1; done", grace: 300 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() {
				done <- Command{Argv: Shell(tt.line), Out: w, Group: tt.group, Grace: tt.grace}.Run(ctx)
				w.Close()
			}()
			lines := bufio.NewReader(r)
			if line, err := lines.ReadString('\n'); line != "ready\n" {
				t.Fatalf("%s: got %q, %v; want ready", tt.line, line, err)
			}
			began := time.Now()
			cancel()
			rest, err := io.ReadAll(lines)
			if got := strings.TrimSpace(string(rest)); got != tt.says || err != nil {
				t.Errorf("%s: told to end it says %q, %v; want %q", tt.line, got, err, tt.says)
			}
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v; want the error of the context", tt.line, err)
			}
			if took := time.Since(began); (took >= cmp.Or(tt.grace, DefaultGrace)) != (tt.grace > 0) {
				t.Errorf("%s: it ended after %v, with a grace of %v", tt.line, took, tt.grace)
			}
		})
	}
}
