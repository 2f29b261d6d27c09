package realtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// overSocket speaks HTTP through a unix socket.
func overSocket(path string) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
}

// TestStop covers the exit codes of signals: 0 after a leave, 1 without.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		name   string
		signal syscall.Signal
		config map[string]any
		want   int
	}{
		{"interrupt", syscall.SIGINT, nil, 1}, // servers do not leave unless told to
		{"interrupt leaves", syscall.SIGINT, map[string]any{"skip_leave_on_interrupt": false}, 0},
		{"terminate", syscall.SIGTERM, nil, 1},
		{"terminate leaves", syscall.SIGTERM, map[string]any{"leave_on_terminate": true}, 0},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			pid := filepath.Join(t.TempDir(), "pid")
			conf := map[string]any{"pid_file": pid}
			for k, v := range s.config {
				conf[k] = v
			}
			a := start(t, option{config: conf})
			a.must("PUT", "/v1/kv/a", "1")
			if b, err := os.ReadFile(pid); strings.TrimSpace(string(b)) != fmt.Sprint(a.cmd.Process.Pid) {
				t.Errorf("pid_file: got %q, %v, wanted %d", b, err, a.cmd.Process.Pid)
			}
			began := time.Now()
			if code := a.stop(s.signal); code != s.want {
				t.Errorf("exit code after %v: got %d, wanted %d", s.signal, code, s.want)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("stopping took %v", took)
			}
			if _, err := os.Stat(pid); err == nil {
				t.Error("the pid_file is still there")
			}
			a.restart()
			if _, v := a.must("GET", "/v1/kv/a?raw", ""); v != "1" {
				t.Errorf("after a restart: got %q", v)
			}
		})
	}
}

// TestReload covers SIGHUP: a good configuration is taken over, a bad one is
// not, and the agent goes on.
func TestReload(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	a.configure(map[string]any{"log_level": "debug"})
	a.signal(syscall.SIGHUP)
	eventually(t, thingWait, func() error { return a.said("configuration reloaded") })
	a.must("PUT", "/v1/kv/a", "1")
	a.configure(map[string]any{"no_such_key": true})
	a.signal(syscall.SIGHUP)
	eventually(t, thingWait, func() error { return a.said("no_such_key") })
	a.must("PUT", "/v1/kv/a", "2")
	if !a.running() {
		t.Error("the agent is gone")
	}
}

// TestAutoReload changes the configuration and tells the agent nothing.
func TestAutoReload(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"auto_reload_config": true}})
	a.configure(map[string]any{"services": []any{map[string]any{"name": "new"}}})
	a.awaits(map[string]string{"/v1/agent/services": "new", "/v1/catalog/services": "consul new"})
	a.configure(map[string]any{"no_such_key": true})
	eventually(t, thingWait, func() error { return a.said("no_such_key") })
	a.awaits(map[string]string{"/v1/agent/services": "new"})
}

// said reports whether the log has a text, as an error if not.
func (a *agent) said(text string) error {
	if !strings.Contains(a.output(), text) {
		return fmt.Errorf("the log has no %q", text)
	}
	return nil
}

// TestDrain stops an agent while queries wait and a request is half sent: the
// queries are answered, the request is finished.
func TestDrain(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	a.must("PUT", "/v1/kv/a", "1")
	header, _ := a.must("GET", "/v1/kv/a", "")
	index := number(header)

	answers := make(chan string, 2)
	waiting := make(chan struct{}, 2)
	for _, path := range []string{"/v1/kv/a", "/v1/catalog/services"} {
		go func() {
			// The request is on its way when its last byte is; the agent tells
			// nobody that it waits.
			c, err := net.Dial("tcp", a.addr)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer c.Close()
			fmt.Fprintf(c, "GET %s?index=%d&wait=5m HTTP/1.1\r\nHost: a\r\n\r\n", path, index+1000)
			waiting <- struct{}{}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				answers <- path + ": " + err.Error()
				return
			}
			_, err = io.Copy(io.Discard, resp.Body)
			answers <- fmt.Sprint(resp.StatusCode, err)
		}()
	}
	await(t, "a query is sent", waiting)
	await(t, "a query is sent", waiting)
	half, err := net.Dial("tcp", a.addr)
	check(t, err)
	defer half.Close()
	fmt.Fprintf(half, "PUT /v1/kv/half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
	a.must("GET", "/v1/status/leader", "") // sent later and answered: the others have arrived

	a.signal(syscall.SIGTERM)
	for range 2 {
		same(t, "answer to a query that waited", await(t, "a waiting query is answered", answers), "200 <nil>")
	}
	_, err = io.WriteString(half, "67890")
	check(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(half), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("the request under way: got %v, %v, wanted 200", resp, err)
	}
	if code := a.awaitExit(); code != 1 {
		t.Errorf("exit code: got %d, wanted 1", code)
	}
	a.restart()
	if _, v := a.must("GET", "/v1/kv/half?raw", ""); v != "1234567890" {
		t.Errorf("the request that was finished during the stop: got %q", v)
	}
}

// TestStopTwice covers that a second signal is not waited for.
func TestStopTwice(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	half, err := net.Dial("tcp", a.addr)
	check(t, err)
	defer half.Close()
	fmt.Fprintf(half, "PUT /v1/kv/half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
	a.must("GET", "/v1/status/leader", "")
	began := time.Now()
	a.signal(syscall.SIGINT)
	eventually(t, thingWait, func() error { return a.said("stopping") })
	a.signal(syscall.SIGINT)
	if code := a.awaitExit(); code != 1 {
		t.Errorf("exit code after two signals: got %d, wanted 1", code)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping with two signals took %v", took)
	}
}

// TestConnectionLimit covers http_max_conns_per_client.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	const most = 5
	a := start(t, option{config: map[string]any{"limits": map[string]any{"http_max_conns_per_client": most}}})
	plain.CloseIdleConnections()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	request := func() (status int, kept net.Conn) {
		c, err := net.Dial("tcp", a.addr)
		check(t, err)
		check(t, c.SetDeadline(time.Now().Add(thingWait)))
		fmt.Fprintf(c, "GET /v1/status/leader HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		check(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, c
	}
	// The connection of the start may still be there for a moment.
	eventually(t, thingWait, func() error {
		for _, c := range open {
			c.Close()
		}
		open = nil
		for range most {
			status, c := request()
			open = append(open, c)
			if status != 200 {
				return fmt.Errorf("connection %d: %d", len(open), status)
			}
		}
		return nil
	})
	status, c := request()
	c.Close()
	same(t, "one connection too many", status, http.StatusTooManyRequests)
	open[0].Close()
	open = open[1:]
	eventually(t, thingWait, func() error {
		status, c := request()
		c.Close()
		if status != 200 {
			return fmt.Errorf("after one was closed: %d", status)
		}
		return nil
	})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if c, err := net.Dial("tcp", a.addr); err == nil {
				c.Close()
			}
		})
	}
	all.Wait()
	eventually(t, thingWait, func() error {
		status, c := request()
		c.Close()
		if status != 200 {
			return fmt.Errorf("after a rush: %d", status)
		}
		return nil
	})
}

// TestReloadApplies changes every setting that a reload is to apply and that can
// be seen from outside.
func TestReloadApplies(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"node_meta": map[string]any{"rack": "a"}}, flags: []string{"-hcl", `raft_snapshot_interval = "1s"`}})
	a.must("PUT", "/v1/agent/check/register", `{"Name":"c","TTL":"1h","Status":"passing"}`)
	a.configure(map[string]any{
		"node_meta": map[string]any{"rack": "b"}, "discard_check_output": true,
		"raft_snapshot_threshold": 10, "raft_trailing_logs": 5,
		"http_config": map[string]any{
			"response_headers": map[string]any{"X-Cell": "9"}, "block_endpoints": []string{"/v1/event/"}, "allow_write_http_from": []string{"127.0.0.0/8"},
		},
		"services": []any{map[string]any{"name": "new"}},
	})
	a.must("PUT", "/v1/agent/reload", "")
	a.awaits(map[string]string{"/v1/agent/services": "new", "/v1/catalog/services": "consul new"})
	eventually(t, thingWait, func() error {
		if _, body := a.must("GET", "/v1/catalog/nodes", ""); !strings.Contains(body, `"rack":"b"`) {
			return fmt.Errorf("nodes: %s", body)
		}
		return nil
	})
	header, body := a.must("GET", "/v1/agent/self", "")
	same(t, "header of an answer", header.Get("X-Cell"), "9")
	if !strings.Contains(body, `"Meta":{"rack":"b"}`) {
		t.Errorf("agent/self: got %s, wanted the new metadata", body)
	}
	if status, _, _, err := a.ask("GET", "/v1/event/list", ""); status != 403 || err != nil {
		t.Errorf("a blocked endpoint: got %d, %v, wanted 403", status, err)
	}
	a.must("PUT", "/v1/agent/check/pass/c?note=noise", "")
	if _, body := a.must("GET", "/v1/agent/checks", ""); strings.Contains(body, "noise") {
		t.Errorf("checks: got %s, wanted no output", body)
	}
	for i := range 50 {
		a.must("PUT", fmt.Sprint("/v1/kv/", i), "x")
	}
	a.awaitSnapshot()
	if strings.Contains(a.output(), "need a restart") {
		t.Error("the agent wants a restart")
	}
}
