package realtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is a user without rights.
const nobody = 65534

// refused starts an agent that cannot start: it has to exit with 1 in good time
// and to say why, with all the words.
func refused(t *testing.T, a *agent, words ...string) {
	t.Helper()
	before := len(a.output())
	if _, err := os.Stat(a.log); err != nil {
		before = 0
	}
	began := time.Now()
	a.launch()
	code := a.awaitExit()
	said := a.output()[before:]
	if code != 1 {
		t.Errorf("exit code: got %d, wanted 1", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("refusing to start took %v", took)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("what it said has no %q: %s", w, said)
		}
	}
	for _, w := range []string{"goroutine ", "panic"} {
		if strings.Contains(said, w) {
			t.Errorf("it panicked: %s", said)
		}
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	t.Run("data directory in use", func(t *testing.T) {
		t.Parallel()
		first := start(t, option{})
		second := prepare(t, option{dir: first.dir})
		refused(t, second, first.dir, "used by another agent")
		first.must("PUT", "/v1/kv/still", "there")
	})
	t.Run("port taken", func(t *testing.T) {
		t.Parallel()
		a := prepare(t, option{})
		l, err := net.Listen("tcp", a.addr)
		check(t, err)
		defer l.Close()
		refused(t, a, a.addr, "address already in use")
	})
	t.Run("data directory not writable", func(t *testing.T) {
		t.Parallel()
		dir := reachable(t)
		data := filepath.Join(dir, "data")
		check(t, os.Mkdir(data, 0o555))
		a := prepare(t, option{dir: data})
		a.readableBy(nobody)
		refused(t, a, data, "permission denied")
	})
	t.Run("data directory is a file", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "data")
		check(t, os.WriteFile(file, []byte("x"), 0o600))
		refused(t, prepare(t, option{dir: file}), file)
	})
	t.Run("node-id damaged", func(t *testing.T) {
		t.Parallel()
		a := prepare(t, option{})
		check(t, os.Mkdir(a.dir, 0o700))
		check(t, os.WriteFile(filepath.Join(a.dir, "node-id"), []byte("?"), 0o600))
		refused(t, a, filepath.Join(a.dir, "node-id"))
	})
	for _, bad := range []struct {
		name  string
		conf  map[string]any
		flags []string
		words []string
	}{
		{"unknown key", map[string]any{"data_dri": "x"}, nil, []string{"data_dri"}},
		{"wrong type", map[string]any{"server": "perhaps"}, nil, []string{"server"}},
		{"bad bind address", map[string]any{"bind_addr": "nowhere in particular"}, nil, []string{"bind_addr"}},
		{"address of another machine", map[string]any{"client_addr": "192.0.2.1"}, nil, []string{"192.0.2.1", "cannot assign requested address"}},
		{"bad port", map[string]any{"ports": map[string]any{"http": 70000}}, nil, []string{"70000"}},
		{"unknown flag", nil, []string{"-no-such-flag"}, []string{"no-such-flag"}},
		{"missing file", nil, []string{"-config-file=/none/such.json"}, []string{"/none/such.json"}},
		{"socket in no directory", map[string]any{"addresses": map[string]any{"http": "unix:///none/such.sock"}}, nil, []string{"/none/such.sock"}},
		{"bad log level", map[string]any{"log_level": "loud"}, nil, []string{"log_level", "LOUD"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t, option{flags: bad.flags})
			a.configure(bad.conf)
			refused(t, a, bad.words...)
		})
	}
}

// reachable gives a directory that other users can reach, too.
func reachable(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "curia-realtest-*")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

// readableBy lets the agent run as another user, if this one may do so.
func (a *agent) readableBy(uid uint32) {
	a.t.Helper()
	if os.Geteuid() != 0 {
		return // not root itself: what is forbidden is forbidden to this user, too
	}
	dir := reachable(a.t)
	moved := filepath.Join(dir, "agent.json")
	b, err := os.ReadFile(a.conf)
	check(a.t, err)
	check(a.t, os.WriteFile(moved, b, 0o644))
	a.conf = moved
	a.as.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
}

// TestStartUnprivileged runs an agent as a user without rights.
func TestStartUnprivileged(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	data := filepath.Join(dir, "data")
	check(t, os.Mkdir(data, 0o700))
	a := prepare(t, option{dir: data})
	a.readableBy(nobody)
	if a.as.attr != nil {
		check(t, os.Chown(data, nobody, nobody))
	}
	a.restart()
	a.must("PUT", "/v1/kv/a", "1")
	a.kill()
	a.restart()
	if _, v := a.must("GET", "/v1/kv/a?raw", ""); v != "1" {
		t.Errorf("after a restart: got %q", v)
	}
}

// TestStartNames covers that the binary answers to the name consul, and that a
// socket can take the place of a port.
func TestStartNames(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "http.sock")
	a := prepare(t, option{name: consulLink, config: map[string]any{"addresses": map[string]any{"http": "unix://" + socket}}})
	a.launch()
	c := overSocket(socket)
	t.Cleanup(c.CloseIdleConnections)
	ask := func(method, path, body string) (int, string, error) {
		status, _, text, err := askCtx(t.Context(), c, method, "http://localhost"+path, body)
		return status, text, err
	}
	await := func() {
		t.Helper()
		eventually(t, startWait, func() error {
			status, text, err := ask("PUT", "/v1/kv/a", "1")
			if err == nil && status != 200 {
				err = fmt.Errorf("%d %s", status, text)
			}
			return err
		})
	}
	await()
	if status, text, err := ask("GET", "/v1/kv/a?raw", ""); status != 200 || text != "1" {
		t.Errorf("over the socket: got %d %q, %v", status, text, err)
	}
	// A dead agent leaves its socket behind; the next one takes its place.
	a.kill()
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("the socket after a kill: %v", err)
	}
	a.launch()
	await()
	a.stop(syscall.SIGINT)
	if _, err := os.Stat(socket); err == nil {
		t.Errorf("the socket %s is still there", socket)
	}
}
