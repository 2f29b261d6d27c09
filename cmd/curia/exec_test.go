package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/agent"
	"curia/api"
	"curia/internal/testing/inproc"
)

// startExecAgent starts an agent that runs the commands of others.
func startExecAgent(t *testing.T, tune func(*agent.Config)) *inproc.Server {
	t.Helper()
	s := inproc.Start(t, inproc.Options{LocalChecks: true, TuneAgent: tune})
	s.Must(t, "PUT", "/v1/agent/service/register", `{"Name": "web", "Tags": ["v1"]}`)
	return s
}

func allowExec(c *agent.Config) { c.RemoteExec = agent.AllowRemoteExec }

// runExec runs "curia exec" and returns how it ended.
func runExec(ctx context.Context, url, in string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	nothing := func(string) (string, bool) { return "", false }
	line := append([]string{"curia", "exec", "-http-addr=" + url, "-wait=300ms", "-wait-repl=0s"}, args...)
	code = run(ctx, shell{strings.NewReader(in), &o, &e, nothing}, line)
	return code, o.String(), e.String()
}

// nothingLeft wants no session and no key of remote execution.
func nothingLeft(t *testing.T, s *inproc.Server) {
	t.Helper()
	if got := s.Must(t, "GET", "/v1/session/list", ""); got != "[]" {
		t.Errorf("sessions that are left: got %s; want none", got)
	}
	if got := s.Do("GET", "/v1/kv/?keys", "").Body.String(); strings.Contains(got, "exec") {
		t.Errorf("keys that are left: got %s; want none", got)
	}
}

// TestExec runs commands on an agent.
func TestExec(t *testing.T) {
	s := startExecAgent(t, allowExec)
	url := s.Listen()
	const done = "1 / 1 node(s) completed / acknowledged\n"
	for _, c := range []struct {
		name, in string
		args     []string
		code     int
		out      string
	}{
		{"shell", "", []string{"echo", "$((1+1));", "printf end"}, 0, "n1: 2\nn1: end\n==> n1: finished with exit code 0\n" + done},
		{"no shell", "", []string{"-shell=false", "echo", "$((1+1))", "-n"}, 0, "n1: $((1+1)) -n\n==> n1: finished with exit code 0\n" + done},
		{"script", "echo one\necho two\n", []string{"-"}, 0, "n1: one\nn1: two\n==> n1: finished with exit code 0\n" + done},
		{"failure", "", []string{"-service=web", "-tag=^v", "-node=n", "exit 7"}, 2, "==> n1: finished with exit code 7\n" + done},
		{"nobody", "", []string{"-service=db", "true"}, 0, "0 / 0 node(s) completed / acknowledged\n"},
		{"prefix", "", []string{"-prefix=/exec/here/", "true"}, 0, "==> n1: finished with exit code 0\n" + done},
		{"other datacenter", "", []string{"-datacenter=dc1", "true"}, 0, "==> n1: finished with exit code 0\n" + done},
	} {
		code, out, errs := runExec(t.Context(), url, c.in, c.args...)
		if diff := cmp.Diff(c.out, out); code != c.code || diff != "" || errs != "" {
			t.Errorf("exec %s %q: got exit code %d and %q; want %d and nothing (-want +got)\n%s", c.name, c.args, code, errs, c.code, diff)
		}
		nothingLeft(t, s)
	}
	if got := s.Must(t, "GET", "/v1/event/list", ""); got != "[]" {
		t.Errorf("events: got %s; want none", got)
	}
	_, out, _ := runExec(t.Context(), url, "", "-verbose", "true")
	for _, want := range []string{"==> Created remote execution session: ", "==> Uploaded", "==> Emitted remote execution event: ", "==> n1: acknowledged\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("exec -verbose: got %q; want %q in it", out, want)
		}
	}
}

// TestExecRefusals gives arguments that make no sense, and asks agents that refuse.
func TestExecRefusals(t *testing.T) {
	url := startExecAgent(t, nil).Listen()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-tag=v1", "true"}, 1, "Error! Cannot provide tag filter without service filter.\n"},
		{[]string{"-wait=0s", "true"}, 1, "Error! exec: -wait must be positive, not 0s\n"},
		{[]string{"-wait-repl=-1s", "true"}, 1, "Error! exec: -wait-repl cannot be negative, as -1s is\n"},
		{[]string{"-prefix=/", "true"}, 1, "Error! exec: -prefix cannot be empty\n"},
		{[]string{"-"}, 1, "Error! exec: there is nothing to run\n"},
		{[]string{"-node=(", "true"}, 1, "Error! exec: fire event \"_rexec\": Invalid node filter: "},
		{[]string{"-datacenter=dc9", "true"}, 1, "Error! exec: find a server of dc9: No path to datacenter"},
		{[]string{"true"}, 0, ""}, // remote execution is disabled: nobody takes it
	} {
		code, out, errs := runExec(t.Context(), url, "", c.args...)
		if code != c.code || !strings.HasPrefix(errs, c.want) || c.want == "" && errs != "" {
			t.Errorf("exec %q: got exit code %d and %q; want %d and %q", c.args, code, errs, c.code, c.want)
		}
		if c.code == 0 && out != "0 / 0 node(s) completed / acknowledged\n" {
			t.Errorf("exec %q: got %q; want that nobody has taken it", c.args, out)
		}
	}
}

// TestExecInterrupted interrupts a command: it ends, and nothing is left.
func TestExecInterrupted(t *testing.T) {
	s := startExecAgent(t, allowExec)
	url := s.Listen()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		nothing := func(string) (string, bool) { return "", false }
		code <- run(ctx, shell{strings.NewReader(""), w, io.Discard, nothing}, []string{"curia", "exec", "-http-addr=" + url, "echo ready; sleep 1000"})
	}()
	line := make([]byte, 10)
	if n, err := io.ReadFull(r, line); string(line[:n]) != "n1: ready\n" {
		t.Fatalf("got %q, %v; want that the command runs", line[:n], err)
	}
	cancel()
	if got := <-code; got != 1 {
		t.Errorf("got exit code %d; want 1", got)
	}
	nothingLeft(t, s)
}

// TestExecUnfinished looks at a node that takes a command and is not heard of
// again.
func TestExecUnfinished(t *testing.T) {
	var out bytes.Buffer
	r := &remoteRun{
		call: &call{shell: shell{out: &out}}, nodes: map[string]*remoteNode{}, wait: 1,
		RemoteExec: api.RemoteExec{Prefix: "p", Session: "s"},
	}
	r.nodes["n1"] = &remoteNode{line: "half", code: ""}
	r.nodes["n2"] = &remoteNode{ended: true, code: "0"}
	if got := r.patience(); got != execAlive+1 {
		t.Errorf("patience with a node that runs: got %v; want %v", got, execAlive+1)
	}
	err := r.summary()
	if want := "n1: half\n==> n1: has not told how it ended\n1 / 2 node(s) completed / acknowledged\n"; out.String() != want || err == nil || report("curia", io.Discard, err) != 2 {
		t.Errorf("got %q and %v; want %q and exit code 2", out.String(), err, want)
	}
}
