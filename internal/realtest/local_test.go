package realtest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// ids gives what an answer names, in order: the keys of an object, or the IDs
// of the checks or instances in a list.
func (a *agent) ids(path string) string {
	a.t.Helper()
	_, body := a.must("GET", path, "")
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(body), &object) == nil {
		return strings.Join(slices.Sorted(maps.Keys(object)), " ")
	}
	var list []struct{ CheckID, ServiceID string }
	check(a.t, json.Unmarshal([]byte(body), &list))
	var out []string
	for _, e := range list {
		out = append(out, e.CheckID+e.ServiceID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// awaits waits until paths name what they should.
func (a *agent) awaits(want map[string]string) {
	a.t.Helper()
	eventually(a.t, thingWait, func() error {
		for path, names := range want {
			if got := a.ids(path); got != names {
				return fmt.Errorf("%s: got %q, wanted %q", path, got, names)
			}
		}
		return nil
	})
}

// TestNoZombie stops an agent, kills it, and starts it with other services:
// nothing of the old ones is left in the catalog.
func TestNoZombie(t *testing.T) {
	t.Parallel()
	a := prepare(t, option{config: map[string]any{
		"services": []any{map[string]any{"name": "old", "id": "old-1", "check": map[string]any{"id": "old-check", "ttl": "1h"}}},
		"checks":   []any{map[string]any{"name": "old-disk", "ttl": "1h"}},
	}})
	a.launch()
	a.awaitLeader()
	a.must("PUT", "/v1/agent/service/register", `{"Name":"kept","Check":{"TTL":"1h"}}`)
	a.must("PUT", "/v1/agent/service/register", `{"Name":"lost","Check":{"TTL":"1h"}}`)
	a.must("PUT", "/v1/agent/service/maintenance/kept?enable=true", "")
	a.awaits(map[string]string{
		"/v1/catalog/services": "consul kept lost old",
		"/v1/health/node/n1":   "_service_maintenance:keptkept old-checkold-1 old-disk serfHealth service:keptkept service:lostlost",
	})
	a.kill()
	// The files of one service are taken away, as if the agent had been stopped
	// before it could tell the catalog.
	lose(t, a.dir, "lost")
	a.as.config = nil
	a.configure(map[string]any{
		"services": []any{map[string]any{"name": "new", "check": map[string]any{"id": "new-check", "ttl": "1h"}}}, "checks": []any{},
	})
	a.restart()
	a.awaits(map[string]string{
		"/v1/catalog/services": "consul kept new",
		"/v1/health/node/n1":   "_service_maintenance:keptkept new-checknew serfHealth service:keptkept",
		"/v1/agent/services":   "kept new",
		"/v1/agent/checks":     "_service_maintenance:kept new-check service:kept",
	})

	a.stop(syscall.SIGTERM)
	a.configure(map[string]any{"services": []any{}})
	a.restart()
	a.awaits(map[string]string{"/v1/catalog/services": "consul kept", "/v1/agent/services": "kept"})
}

// lose removes the files that speak of a service.
func lose(t *testing.T, dir, service string) {
	t.Helper()
	lost := 0
	for _, of := range []string{"services", "checks"} {
		err := filepath.WalkDir(filepath.Join(dir, of), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(text), `"`+service+`"`) {
				return err
			}
			lost++
			return os.Remove(path)
		})
		check(t, err)
	}
	same(t, "files about "+service, lost, 2)
}

// TestHangingScript lets a check hang with a family of processes: they are gone
// when its time is over, and when it is removed.
func TestHangingScript(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"enable_script_checks": true}})
	pids := filepath.Join(t.TempDir(), "pids")
	script := fmt.Sprintf(`echo $$ >> %[1]s; sh -c 'trap "" TERM INT HUP; echo $$ >> %[1]s; sleep 1000 & echo $! >> %[1]s; wait' & (sleep 1000 & echo $! >> %[1]s); wait; sleep 1000`, pids)
	family := func(least int) (alive []string) {
		var all []string
		eventually(t, thingWait, func() error {
			text, _ := os.ReadFile(pids)
			if all = strings.Fields(string(text)); len(all) < least {
				return fmt.Errorf("processes: got %d, wanted %d", len(all), least)
			}
			return nil
		})
		for _, pid := range all {
			// A zombie that nobody has waited for yet is no process any more.
			if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && !strings.Contains(string(stat), ") Z ") {
				alive = append(alive, pid)
			}
		}
		return alive
	}
	body, err := json.Marshal(map[string]any{"Name": "hang", "Args": []string{"sh", "-c", script}, "Interval": "1s", "Timeout": "2s", "Status": "passing"})
	check(t, err)
	a.must("PUT", "/v1/agent/check/register", string(body))
	if alive := family(4); len(alive) != 4 {
		t.Errorf("processes of the check before its time is over: got %v, wanted 4", alive)
	}
	eventually(t, thingWait, func() error {
		if _, text := a.must("GET", "/v1/health/node/n1", ""); !strings.Contains(text, "Timed out (2s) running check") {
			return fmt.Errorf("health: %s", text)
		}
		return nil
	})
	// The next run may have begun.
	eventually(t, thingWait, func() error {
		if alive := family(4); len(alive) > 4 {
			return fmt.Errorf("processes after the time: got %v, wanted those of one run", alive)
		}
		return nil
	})
	family(8)
	a.must("PUT", "/v1/agent/check/deregister/hang", "")
	if alive := family(8); len(alive) != 0 {
		t.Errorf("processes after the check was removed: got %v, wanted none", alive)
	}
}

// TestOutputAlone lets the output of a check change while its state does not:
// nothing is written to the log before that is due, and the state at once.
func TestOutputAlone(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	a.must("PUT", "/v1/agent/check/register", `{"Name":"c","TTL":"1h","Status":"passing"}`)
	index := func() uint64 {
		a.must("PUT", "/v1/kv/mark", fmt.Sprint(time.Now()))
		_, body := a.must("GET", "/v1/kv/mark", "")
		var pairs []struct{ ModifyIndex uint64 }
		check(t, json.Unmarshal([]byte(body), &pairs))
		return pairs[0].ModifyIndex
	}
	// Coordinates and the leader's own work are written, too, but seldom.
	quiet := false
	for range 3 {
		before := index()
		for i := range 200 {
			a.must("PUT", "/v1/agent/check/update/c", fmt.Sprintf(`{"Status":"passing","Output":"%d"}`, i))
		}
		quiet = quiet || index() == before+1
	}
	if !quiet {
		t.Error("outputs that changed alone were written to the log")
	}
	if _, body := a.must("GET", "/v1/agent/checks", ""); !strings.Contains(body, `"199"`) {
		t.Errorf("the agent's own output: got %s, wanted 199", body)
	}
	a.must("PUT", "/v1/agent/check/warn/c?note=now", "")
	eventually(t, thingWait, func() error {
		if _, body := a.must("GET", "/v1/health/node/n1", ""); !strings.Contains(body, `"now"`) {
			return fmt.Errorf("health: %s", body)
		}
		return nil
	})
}

// TestDockerCheck runs a check in a container of an engine that answers on a
// unix socket.
func TestDockerCheck(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "engine.sock")
	var code atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /containers/box/exec", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"Id":"e1"}`))
	})
	mux.HandleFunc("POST /exec/e1/start", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("\x01\x00\x00\x00\x00\x00\x00\x06inside"))
	})
	mux.HandleFunc("GET /exec/e1/json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"ID":"e1","Running":false,"ExitCode":%d}`, code.Load())
	})
	engine := httptest.NewUnstartedServer(mux)
	var err error
	engine.Listener, err = net.Listen("unix", socket)
	check(t, err)
	engine.Start()
	t.Cleanup(engine.Close)
	a := prepare(t, option{config: map[string]any{"enable_script_checks": true}})
	a.as.env = []string{"DOCKER_HOST=unix://" + socket}
	a.launch()
	a.awaitLeader()
	a.must("PUT", "/v1/agent/check/register", `{"Name":"c","DockerContainerID":"box","Args":["probe"],"Interval":"1s"}`)
	for want, exit := range map[string]int64{"passing": 0, "warning": 1, "critical": 7} {
		code.Store(exit)
		eventually(t, thingWait, func() error {
			_, body := a.must("GET", "/v1/agent/checks", "")
			if !strings.Contains(body, `"Status":"`+want+`"`) || !strings.Contains(body, `"Output":"inside"`) {
				return fmt.Errorf("checks: got %s, wanted %s", body, want)
			}
			return nil
		})
	}
}
