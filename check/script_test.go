//go:build unix

package check

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"curia/api"
)

func TestScript(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       Result
	}{
		{"passes", `{"Script":"echo all is well"}`, Result{api.Passing, "all is well\n"}},
		{"warns", `{"Script":"echo careful; exit 1"}`, Result{api.Warning, "careful\n"}},
		{"fails", `{"Script":"echo broken >&2; exit 2"}`, Result{api.Critical, "broken\n"}},
		{"both outputs, in order", `{"Script":"echo a; echo b >&2; echo c"}`, Result{api.Passing, "a\nb\nc\n"}},
		{"killed by itself", `{"Script":"kill -9 $$"}`, Result{api.Critical, ""}},
		{"no shell", `{"Args":["echo","$HOME;","a b"]}`, Result{api.Passing, "$HOME; a b\n"}},
		{"input is empty", `{"Args":["cat"]}`, Result{api.Passing, ""}},
		{"not there", `{"Args":["/nowhere/at-all"]}`, Result{api.Critical, "fork/exec /nowhere/at-all: no such file or directory"}},
		{"not in the path", `{"Args":["curia-no-such-command"]}`, Result{api.Critical, `exec: "curia-no-such-command": executable file not found in $PATH`}},
		{"output is cut", `{"Script":"echo 123456789","OutputMaxSize":4}`, Result{api.Passing, "Captured 4 of 10 bytes\n...\n789\n"}},
		{"hangs", `{"Script":"echo begun; sleep 100","Timeout":"1s"}`,
			Result{api.Critical, "Timed out (1s) running check\n\nbegun\n"}},
		{"hangs in silence", `{"Args":["sleep","100"],"Timeout":"100ms"}`, Result{api.Critical, "Timed out (100ms) running check"}},
		{"closes its output and hangs", `{"Script":"exec >&- 2>&-; sleep 100","Timeout":"100ms"}`,
			Result{api.Critical, "Timed out (100ms) running check"}},
		{"ends, and leaves one that holds the output", `{"Script":"sleep 100 & exit 0","Timeout":"100ms"}`,
			Result{api.Critical, "Timed out (100ms) running check"}},
		{"ends, and leaves one that does not", `{"Script":"sleep 0.1 >/dev/null 2>&1 & exit 0"}`, Result{api.Passing, ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wantResult(t, c.body, look(t, c.body, Options{}), c.want)
		})
	}
}

// TestScriptIsKilledWithItsChildren lets a command and its children block for
// ever on a pipe of ours: the pipe ends when the last of them has gone.
func TestScriptIsKilledWithItsChildren(t *testing.T) {
	// The children ignore every signal that can be ignored, and one has lost its parent.
	const family = `trap '' HUP INT TERM; sleep 1000 & (sleep 1000 & sleep 1000) & (sleep 1000 &) ; echo ready; wait`
	for _, c := range []struct {
		name    string
		end     func(cancel context.CancelFunc) // what ends the probe, once all have started
		timeout string
	}{
		{"by the timeout", func(context.CancelFunc) {}, "1s"},
		{"with the check", func(cancel context.CancelFunc) { cancel() }, "1h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fifo := filepath.Join(t.TempDir(), "alive")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			body := fmt.Sprintf(`{"Args":["/bin/sh","-c",%s],"Timeout":%q}`, strconv.Quote("exec 3>"+fifo+"; "+strings.Replace(family, "echo ready", "echo ready >&3", 1)), c.timeout)
			ck, err := New(define(t, body), FromAPI, Options{Scripts: AllScripts})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan Result, 1)
			go func() { ended <- ck.(*periodic).look(ctx) }()
			r, err := os.Open(fifo)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			lines := bufio.NewReader(r)
			if line, err := lines.ReadString('\n'); line != "ready\n" {
				t.Fatalf("got %q, %v from the command, want ready", line, err)
			}
			c.end(cancel)
			got := <-ended
			if got.Status != api.Critical || !strings.HasPrefix(got.Output, "Timed out (") {
				t.Errorf("got %+v, want a timeout", got)
			}
			if err := r.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if rest, err := lines.ReadString('\n'); err == nil || os.IsTimeout(err) {
				t.Errorf("got %q, %v from the pipe, want its end: some process is alive", rest, err)
			}
		})
	}
}

// TestScriptDoesNotWaitForDeserters has a child leave the process group with the
// output open: it cannot be killed, and must not keep the check.
func TestScriptDoesNotWaitForDeserters(t *testing.T) {
	body := `{"Script":"setsid sleep 10 & exit 0","Timeout":"300ms"}`
	began := time.Now()
	wantResult(t, body, look(t, body, Options{}), Result{api.Critical, "Timed out (300ms) running check"})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v, want little more than the timeout", took)
	}
}
