package realtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// Bounds of what is waited for. They are generous: a slow machine is not a
// fault of the agent.
const (
	startWait = 30 * time.Second // until an agent leads
	stopWait  = 20 * time.Second // until an agent has exited
	thingWait = 30 * time.Second // until anything else
)

// agent is one agent: its data directory, and its process while it runs.
type agent struct {
	t    testing.TB
	dir  string // of the data
	conf string // file of the configuration
	addr string // of the HTTP API
	as   option
	log  string // file of everything it printed, over all of its lives

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process is gone
}

// option is how an agent differs from the usual one.
type option struct {
	config map[string]any // keys of the configuration, merged over the usual ones
	flags  []string       // after "agent"
	dir    string         // of the data; empty: a new one
	attr   *syscall.SysProcAttr
	name   string   // of the binary; empty: curia
	env    []string // more of it, like "A=b"
}

// prepare makes an agent that does not run yet.
func prepare(t testing.TB, o option) *agent {
	t.Helper()
	work := t.TempDir()
	a := &agent{t: t, as: o, dir: o.dir, conf: filepath.Join(work, "agent.json"), log: filepath.Join(work, "agent.log")}
	if a.dir == "" {
		a.dir = filepath.Join(work, "data")
	}
	port := freePort(t)
	a.addr = fmt.Sprintf("127.0.0.1:%d", port)
	a.configure(map[string]any{"ports": map[string]any{
		"http": port, "server": freePort(t), "serf_lan": freePort(t), "serf_wan": freePort(t), "dns": -1, "grpc": -1, "grpc_tls": -1,
	}})
	t.Cleanup(a.end)
	return a
}

// configure writes the configuration: the usual keys, those of the option, and
// others over them.
func (a *agent) configure(more map[string]any) {
	a.t.Helper()
	conf := map[string]any{
		"node_name": "n1", "data_dir": a.dir, "server": true, "bootstrap_expect": 1, "bind_addr": "127.0.0.1",
		"performance": map[string]any{"raft_multiplier": 1},
	}
	if old, err := os.ReadFile(a.conf); err == nil {
		if err := json.Unmarshal(old, &conf); err != nil {
			a.t.Fatal(err)
		}
	}
	maps.Copy(conf, a.as.config)
	maps.Copy(conf, more)
	b, err := json.Marshal(conf)
	if err == nil {
		err = os.WriteFile(a.conf, b, 0o644)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// start starts an agent and waits until it leads and is in the catalog.
func start(t testing.TB, o option) *agent {
	t.Helper()
	a := prepare(t, o)
	a.launch()
	a.awaitLeader()
	// The leader enters itself into the catalog after it began to answer.
	eventually(t, startWait, func() error {
		_, _, body, err := a.ask("GET", "/v1/health/node/n1", "")
		if err == nil && !strings.Contains(body, "serfHealth") {
			err = fmt.Errorf("checks of n1: %s", body)
		}
		return err
	})
	return a
}

// launch starts the process and waits for nothing.
func (a *agent) launch() {
	a.t.Helper()
	out, err := os.OpenFile(a.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		a.t.Fatal(err)
	}
	defer out.Close()
	name := program
	if a.as.name != "" {
		name = a.as.name
	}
	a.cmd = exec.Command(name, append([]string{"agent", "-config-file=" + a.conf}, a.as.flags...)...)
	a.cmd.Stdout, a.cmd.Stderr = out, out
	a.cmd.Env = append(os.Environ(), a.as.env...)
	if a.as.attr != nil {
		attr := *a.as.attr
		a.cmd.SysProcAttr = &attr
	}
	if err := spawn(a.cmd); err != nil {
		a.t.Fatalf("start %s: %v", name, err)
	}
	exited := make(chan struct{})
	a.exited = exited
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait()
		close(exited)
	}(a.cmd)
}

// spawn starts a process that does not outlive this one, even if a test panics.
// The kernel ties that to the thread that started it, so one thread starts all.
func spawn(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error, 1)
	spawner() <- func() { started <- cmd.Start() }
	return <-started
}

var spawner = sync.OnceValue(func() chan<- func() {
	do := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range do {
			f()
		}
	}()
	return do
})

// awaitLeader waits until the agent says that there is a leader and answers
// reads.
func (a *agent) awaitLeader() {
	a.t.Helper()
	eventually(a.t, startWait, func() error {
		select {
		case <-a.exited:
			a.t.Fatalf("the agent exited with %v instead of leading", a.cmd.ProcessState)
		default:
		}
		status, _, body, err := a.ask("GET", "/v1/status/leader", "")
		if err != nil {
			return err
		}
		if status != 200 || len(body) < 4 {
			return fmt.Errorf("status/leader: %d %s", status, body)
		}
		if status, _, body, err = a.ask("GET", "/v1/kv/?keys", ""); err != nil {
			return err
		}
		if status != 200 && status != 404 {
			return fmt.Errorf("kv: %d %s", status, body)
		}
		return nil
	})
}

// restart starts the agent again on the same data and waits until it leads.
func (a *agent) restart() {
	a.t.Helper()
	a.launch()
	a.awaitLeader()
}

// kill ends the process without notice.
func (a *agent) kill() {
	a.t.Helper()
	a.signal(syscall.SIGKILL)
	a.awaitExit()
}

func (a *agent) signal(sig syscall.Signal) {
	a.t.Helper()
	if err := a.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		a.t.Fatalf("send %v: %v", sig, err)
	}
}

// stop sends a signal and returns the exit code.
func (a *agent) stop(sig syscall.Signal) int {
	a.t.Helper()
	a.signal(sig)
	return a.awaitExit()
}

// awaitExit waits until the process is gone and returns its exit code.
func (a *agent) awaitExit() int {
	a.t.Helper()
	select {
	case <-a.exited:
	case <-time.After(stopWait):
		a.signal(syscall.SIGQUIT) // its goroutines are in the log then
		select {
		case <-a.exited:
		case <-time.After(time.Second):
		}
		a.t.Fatalf("the agent does not exit")
	}
	return a.cmd.ProcessState.ExitCode()
}

// running reports whether the process is there.
func (a *agent) running() bool {
	select {
	case <-a.exited:
		return false
	default:
		return true
	}
}

// end ends the process at the end of the test and shows the log of a failure.
func (a *agent) end() {
	if a.cmd != nil && a.cmd.Process != nil {
		_ = a.cmd.Process.Kill()
		<-a.exited
	}
	if a.t.Failed() {
		a.t.Logf("end of the log of %s:\n%s", a.addr, tail(a.output(), 80))
	}
}

// output is everything that the agent has printed.
func (a *agent) output() string {
	b, err := os.ReadFile(a.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}

// client is HashiCorp's client of this agent.
func (a *agent) client() *consul.Client {
	a.t.Helper()
	conf := consul.DefaultConfig()
	conf.Address = a.addr
	conf.Transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	a.t.Cleanup(conf.Transport.CloseIdleConnections)
	c, err := consul.NewClient(conf)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// plain speaks HTTP for ask. Its bound is more than the hold timeout.
var plain = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}

// ask makes a request without a client.
func (a *agent) ask(method, path, body string) (status int, header http.Header, answer string, err error) {
	return askCtx(context.Background(), plain, method, "http://"+a.addr+path, body)
}

func askCtx(ctx context.Context, c *http.Client, method, url, body string) (status int, header http.Header, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	var buf bytes.Buffer
	_, err = io.Copy(&buf, resp.Body)
	return resp.StatusCode, resp.Header, buf.String(), err
}

// must makes a request that has to succeed and returns the answer.
func (a *agent) must(method, path, body string) (http.Header, string) {
	a.t.Helper()
	status, header, answer, err := a.ask(method, path, body)
	if err != nil || status != 200 {
		a.t.Fatalf("%s %s: got %d %q, %v, wanted 200", method, path, status, answer, err)
	}
	return header, answer
}

// eventually waits until try succeeds.
func eventually(t testing.TB, d time.Duration, try func() error) {
	t.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("not within %v: %v", d, err)
		case <-tick.C:
		}
	}
}

var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: map[int]bool{}}

// freePort gives a port that nobody listens on, and never the same twice. It
// is below those that the system gives to outgoing connections, so that it is
// still free when an agent is restarted.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 1000 {
		port := 30000 + rand.IntN(2700)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port between 30000 and 32700")
	return 0
}
