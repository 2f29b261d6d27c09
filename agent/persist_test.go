package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
)

// inDir keeps registrations in a directory.
func inDir(dir string) func(*Config) { return func(c *Config) { c.DataDir = dir } }

// restart makes an agent after the end of another one.
func restart(t *testing.T, old *rig, configure func(*rig)) *rig {
	t.Helper()
	r := newRig(t, old.catalog, inDir(old.cfg.DataDir))
	if configure != nil {
		configure(r)
	}
	r.Restore()
	return r
}

// files lists what is in the data directory, without the journal of states.
func files(t *testing.T, dir string) []string {
	t.Helper()
	out := []string{}
	for _, pattern := range []string{"services/*", "checks/*"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if rest, _ := strings.CutPrefix(n, dir+"/"); rest != "checks/state" {
				out = append(out, rest)
			}
		}
	}
	return out
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), inDir(t.TempDir())).run()
		r.service(`{"ID":"w1","Name":"web","Tags":["a"],"Port":80,"Meta":{"k":"v"},"Weights":{"Passing":3,"Warning":2},"Token":"b",
			"Checks":[{"CheckID":"long","TTL":"1h"},{"CheckID":"short","TTL":"20s"},{"CheckID":"silent","TTL":"1h","Status":"passing"}]}`)
		r.service(`{"Name":"gone","Check":{"CheckID":"g","TTL":"1h"}}`)
		r.service(`{"Name":"maintained"}`)
		r.check(`{"Name":"disk","HTTP":"http://127.0.0.1:1/","Interval":"24h","Notes":"n","Status":"passing"}`)
		r.update("long", api.Warning, "hm")
		r.update("short", api.Passing, "ok")
		r.update("g", api.Passing, "")
		r.must(api.LocalMaintenance.Op, maintainNode("true", "patch"))
		r.must(api.LocalServiceMaintenance.Op, maintainService("maintained", "true", "drain"))
		r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "gone"})
		before := jsonOf(t, r.must(api.LocalServices.Op, &api.None{}))
		r.stop()
		r.catalog.taken()
		pass(30 * time.Second) // of which "short" knows nothing

		next := restart(t, r, nil).run()
		same(t, "services", jsonOf(t, next.must(api.LocalServices.Op, &api.None{})), before)
		same(t, "states", next.said(), map[string]string{
			"long": "warning hm", "short": "critical", "silent": "critical", "disk": "critical",
			"_node_maintenance": "critical", "_service_maintenance:maintained": "critical",
		})
		checks := next.must(api.LocalChecks.Op, &api.None{}).(map[string]*api.Check)
		same(t, "reasons", []string{checks["disk"].Notes, checks["_node_maintenance"].Notes, checks["_service_maintenance:maintained"].Notes},
			[]string{"n", "patch", "drain"})
		next.wrote("after the restart", "register check disk=critical token=default", "register check short=critical token=b",
			"register check silent=critical token=b")
		next.must(api.LocalMaintenance.Op, maintainNode("false", ""))
		next.must(api.LocalServiceMaintenance.Op, maintainService("maintained", "false", ""))
		pass(time.Hour + time.Second)
		same(t, "the state that was kept expires, too", next.said()["long"], "critical TTL expired (last output before timeout follows): hm")
		for _, id := range []string{"w1", "maintained"} {
			next.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: id})
		}
		next.must(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "disk"})
		same(t, "files in the end", files(t, next.cfg.DataDir), []string{})
	})
}

// TestKill ends an agent that had no time to write anything at its end.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := newRig(t, newCatalog(), inDir(dir)).run()
		r.service(`{"Name":"web","Check":{"CheckID":"c","TTL":"1m"}}`)
		for i := range 10 { // refreshed, the state on disk is good for half of its time
			r.update("c", api.Passing, "")
			pass(29 * time.Second)
			copied := t.TempDir()
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			next := newRig(t, newCatalog(), inDir(copied))
			next.Restore()
			same(t, fmt.Sprintf("states after a kill behind %d updates", i+1), next.said(), map[string]string{"c": "passing"})
		}
	})
}

// TestStatesForget registers a check again under the ID of one that is gone.
func TestStatesForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), inDir(t.TempDir())).run()
		r.check(`{"Name":"c","TTL":"1h"}`)
		r.update("c", api.Passing, "old")
		pass(saveEvery)
		r.must(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "c"})
		r.check(`{"Name":"c","TTL":"1h"}`)
		r.stop()
		next := restart(t, r, nil)
		same(t, "states", next.said(), map[string]string{"c": "critical"})
	})
}

// TestStatesFile lets the journal fill.
func TestStatesFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), inDir(t.TempDir())).run()
		r.check(`{"Name":"c","TTL":"1h"}`)
		r.check(`{"Name":"d","TTL":"1h"}`)
		r.update("d", api.Warning, "early")
		text := strings.Repeat("x", 4000)
		journal := filepath.Join(r.cfg.DataDir, "checks", "state", "journal")
		largest, shrunk := int64(0), false
		for i := range 600 {
			r.update("c", api.Passing, text[i:])
			pass(saveEvery)
			info, err := os.Stat(journal)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Fatalf("the journal has the mode %v, want 0600", info.Mode())
			}
			shrunk = shrunk || info.Size() < largest
			largest = max(largest, info.Size())
		}
		if !shrunk || largest > minStates+1<<16 {
			t.Errorf("the journal grew to %d bytes, shrunk: %t; want it to be written anew at %d", largest, shrunk, minStates)
		}
		r.stop()
		next := restart(t, r, nil)
		same(t, "states", next.said(), map[string]string{"c": "passing " + text[599:], "d": "warning early"})
	})
}

// TestDamagedFiles leaves strange things in the data directory.
func TestDamagedFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), inDir(t.TempDir())).run()
		r.service(`{"Name":"web","Check":{"CheckID":"c","TTL":"1h"}}`)
		r.service(`{"Name":"torn"}`)
		r.check(`{"Name":"torn","TTL":"1h"}`)
		r.check(`{"Name":"d","TTL":"1h"}`)
		r.update("c", api.Passing, "")
		r.update("d", api.Passing, "")
		r.stop()
		dir := r.cfg.DataDir
		write := func(name, text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(serviceFile("torn"), `{"Token":"","Servi`)
		write(checkFile("torn"), ``)
		write("services/empty", `{}`)
		write("services/null", `null`)
		write("services/nameless", `{"Service":{"ID":"x"}}`)
		write("checks/empty", `{}`)
		write("checks/untyped", `{"Check":{"CheckID":"u","Name":"u"},"ChkType":{"Name":"u"}}`)
		write("checks/liar", `{"Check":{"CheckID":"l","Name":"l"},"ChkType":{"Name":"m","TTL":"1h"}}`)
		write("checks/script", `{"Check":{"CheckID":"s","Name":"s"},"ChkType":{"Name":"s","Script":"x","Interval":"1m"}}`)
		write("checks/orphan", `{"Check":{"CheckID":"o","Name":"o","ServiceID":"none"},"ChkType":{"Name":"o","TTL":"1h","ServiceID":"none"}}`)
		write("services/half-123.tmp", `{`)
		if err := os.Mkdir(filepath.Join(dir, "services", "directory"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, serviceFile("web")), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(dir, "checks", "state", "journal"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("nonsense\n[]\n" + `{"CheckID":"d","Status":"crit`); err != nil {
			t.Fatal(err)
		}
		f.Close()

		next := restart(t, r, nil)
		same(t, "states", next.said(), map[string]string{"c": "passing", "d": "passing"})
		same(t, "services", keys(next.must(api.LocalServices.Op, &api.None{}).(map[string]*api.LocalService)), []string{"web"})
		log := next.logged.String()
		for _, name := range []string{serviceFile("torn"), checkFile("torn"), "services/empty", "services/null", "services/nameless",
			"checks/empty", "checks/untyped", "checks/liar", "checks/script"} {
			if strings.Count(log, "file="+name+" ") != 1 {
				t.Errorf("the log does not report %s once:\n%s", name, log)
			}
		}
		if !strings.Contains(log, "lines=3") {
			t.Errorf("the log does not report three damaged lines of states:\n%s", log)
		}
		if _, err := os.Stat(filepath.Join(dir, "services/half-123.tmp")); err == nil {
			t.Error("a file that was half written is still there")
		}
		next.run()
		pass(saveEvery)
		next.stop()
		if again := restart(t, next, nil); strings.Contains(again.logged.String(), "damaged states") {
			t.Errorf("the damaged lines are still there:\n%s", again.logged)
		}
	})
}

// TestUnwritable keeps nothing, says so, and goes on.
func TestUnwritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(dir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, newCatalog(), inDir(dir)).run()
		r.check(`{"Name":"c","TTL":"1h"}`)
		for range 5 {
			r.update("c", api.Passing, "")
			pass(time.Hour / 2)
		}
		same(t, "states", r.said(), map[string]string{"c": "passing"})
		log := r.logged.String()
		if !strings.Contains(log, "cannot keep a registration") || strings.Count(log, "cannot keep the states") != 1 {
			t.Errorf("got log\n%s\nwant an error about the registration, and one about states", log)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		pass(time.Second) // tries again, and writes
		if _, err := os.Stat(filepath.Join(dir, "checks", "state", "journal")); err != nil {
			t.Errorf("states are not written when that is possible again: %v", err)
		}
	})
}
