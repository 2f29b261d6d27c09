package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The ports of the server are those of the agent and portShift.
const portShift = 10

// serverWait bounds the start of the server.
const serverWait = 20 * time.Second

func main() {
	binary := os.Getenv("BEHIND_BINARY")
	if len(os.Args) < 4 || os.Args[1] != "agent" || os.Args[2] != "-config-file" {
		err := syscall.Exec(binary, append([]string{binary}, os.Args[1:]...), os.Environ())
		fail("run "+binary, err)
	}
	var conf map[string]any
	b, err := os.ReadFile(os.Args[3])
	if err == nil {
		err = json.Unmarshal(b, &conf)
	}
	if err != nil {
		fail("read the configuration", err)
	}
	dir := filepath.Dir(os.Args[3])
	ended := make(chan error, 2)
	ports, _ := serverConf(conf)["ports"].(map[string]any)
	for _, port := range ports {
		if n, _ := port.(float64); n > 0 {
			free(port)
		}
	}
	server := start(binary, write(dir, "behind.json", serverConf(conf)), nil, ended)
	await(fmt.Sprintf("http://127.0.0.1:%v/v1/status/leader", ports["http"]), ended)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	agent := start(binary, write(dir, "client.json", clientConf(conf)), os.Args[4:], ended)
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP { // the file may have changed
				if b, err := os.ReadFile(os.Args[3]); err == nil && json.Unmarshal(b, &conf) == nil {
					write(dir, "client.json", clientConf(conf))
				}
			}
			_ = agent.Process.Signal(sig)
		case <-ended:
			_ = agent.Process.Signal(syscall.SIGTERM)
			_ = server.Process.Signal(syscall.SIGTERM)
			<-ended
			os.Exit(max(agent.ProcessState.ExitCode(), 0))
		}
	}
}

// start runs an agent that does not outlive this process.
func start(binary, file string, more []string, ended chan<- error) *exec.Cmd {
	cmd := exec.Command(binary, append([]string{"agent", "-config-file", file}, more...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		fail("start an agent", err)
	}
	go func() { ended <- cmd.Wait() }()
	return cmd
}

// free waits until a port is not used any more: an agent that was killed may
// still be there.
func free(port any) {
	for deadline := time.Now().Add(serverWait); time.Now().Before(deadline); {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%v", port))
		if err == nil {
			_ = l.Close()
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// await waits until a server answers. It need not have a leader.
func await(url string, ended <-chan error) {
	deadline := time.After(serverWait)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case err := <-ended:
			fail("start the server", err)
		case <-deadline:
			fail("start the server", fmt.Errorf("no answer within %s", serverWait))
		}
	}
}

// serverConf is the configuration of the server: nothing of what is local.
func serverConf(conf map[string]any) map[string]any {
	out := clone(conf)
	for _, key := range []string{"services", "service", "checks", "check", "watches", "http_config", "dns_config", "log_file", "pid_file", "addresses"} {
		delete(out, key)
	}
	out["node_name"] = fmt.Sprint(conf["node_name"]) + "-server"
	out["data_dir"] = fmt.Sprint(conf["data_dir"]) + "-server"
	delete(out, "node_id")
	ports := clone(conf["ports"])
	for name, port := range ports {
		if n, ok := port.(float64); ok && n > 0 {
			ports[name] = n + portShift
		}
	}
	out["ports"] = ports
	return out
}

// clientConf is the configuration of the agent that is tested.
func clientConf(conf map[string]any) map[string]any {
	out := clone(conf)
	out["server"] = false
	delete(out, "bootstrap")
	delete(out, "bootstrap_expect")
	ports, _ := serverConf(conf)["ports"].(map[string]any)
	out["retry_join"] = []string{fmt.Sprintf("127.0.0.1:%v", ports["serf_lan"])}
	out["retry_interval"] = "1s"
	for key, def := range map[string]any{"leave_on_terminate": false, "skip_leave_on_interrupt": true} {
		if _, given := out[key]; !given {
			out[key] = def // those of a server
		}
	}
	return out
}

func clone(of any) map[string]any {
	out := map[string]any{}
	m, _ := of.(map[string]any)
	for k, v := range m {
		out[k] = v
	}
	return out
}

func write(dir, name string, conf map[string]any) string {
	b, err := json.MarshalIndent(conf, "", "  ")
	path := filepath.Join(dir, name)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		fail("write the configuration", err)
	}
	return path
}

func fail(what string, err error) {
	fmt.Fprintln(os.Stderr, strings.Join([]string{"behind: cannot", what + ":", fmt.Sprint(err)}, " "))
	os.Exit(1)
}
