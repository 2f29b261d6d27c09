package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
)

// configure takes over definitions in JSON.
func (r *rig) configure(services, checks string) error {
	r.t.Helper()
	all := decode[struct {
		Services []*api.ServiceDefinition
		Checks   []*api.CheckRegistration
	}](r.t, `{"services":`+services+`,"checks":`+checks+`}`)
	return r.Configure(all.Services, all.Checks)
}

func (r *rig) mustConfigure(services, checks string) {
	r.t.Helper()
	if err := r.configure(services, checks); err != nil {
		r.t.Fatalf("configure %s %s: %v", services, checks, err)
	}
}

func TestConfigure(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.mustConfigure(`[{"name":"web","token":"w","check":{"id":"c","ttl":"1h"}},{"name":"old","check":{"id":"oc","ttl":"1h"}}]`,
			`[{"name":"disk","ttl":"1h","token":"d"},{"name":"mem","ttl":"1h"}]`)
		r.wrote("after the first configuration", "register check c=critical service web token=w", "register check disk=critical token=d",
			"register check mem=critical token=default", "register check oc=critical service old token=default")
		r.service(`{"Name":"api","Check":{"CheckID":"ac","TTL":"1h"}}`)
		r.check(`{"Name":"extra","ServiceID":"old","TTL":"1h"}`)
		for _, id := range []string{"c", "disk", "ac"} {
			r.update(id, api.Passing, "fine")
		}
		r.must(api.LocalMaintenance.Op, maintainNode("true", "patch"))
		synctest.Wait()
		r.catalog.taken()

		r.mustConfigure(`[{"name":"web","token":"w","port":81,"check":{"id":"c","ttl":"1h"}}]`, `[{"name":"disk","ttl":"1h","token":"d"}]`)
		synctest.Wait()
		same(t, "states after the next", r.said(), map[string]string{
			"c": "passing fine", "disk": "passing fine", "ac": "passing fine", "_node_maintenance": "critical"})
		r.wrote("after the next", "register check c=passing service web token=w", "register check disk=passing token=d",
			"remove check extra token=agent", "remove check mem token=agent", "remove check oc token=agent", "remove service old token=agent")

		for _, c := range []struct{ services, checks, err string }{
			{`[{"name":""}]`, `[]`, `service "": Missing service name`},
			{`[{"name":"x","port":70000}]`, `[]`, `service "x": Invalid service port 70000`},
			{`[{"name":"x","check":{"script":"true","interval":"10s"}}]`, `[]`, `service "x": check "service:x": Scripts are disabled on this agent`},
			{`[]`, `[{"name":"x"}]`, `check "x": Invalid check: TTL must be > 0`},
			{`[]`, `[{"name":"x","ttl":"1s","service_id":"none"}]`, `check "x": unknown service "none"`},
			{`[]`, `[{"name":"x","ttl":"1s","service_id":"web"}]`, `check "x": unknown service "web"`}, // it would go
			{`[]`, `[{"name":"x","args":["true"],"interval":"10s"}]`, `check "x": Scripts are disabled on this agent`},
		} {
			err := r.configure(c.services, c.checks)
			if err == nil || !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("configure %s %s:\n got %v\nwant %s…", c.services, c.checks, err, c.err)
			}
		}
		same(t, "states after wrong ones", len(r.said()), 4)
		r.wrote("after wrong ones")
		r.mustConfigure(`[]`, `[{"name":"ok","ttl":"1h","service_id":"api"}]`)
		synctest.Wait()
		same(t, "states in the end", r.said(), map[string]string{"ac": "passing fine", "ok": "critical", "_node_maintenance": "critical"})
	})
}

// TestFilesWin has the same IDs in files and in the data directory.
func TestFilesWin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), inDir(t.TempDir())).run()
		r.service(`{"Name":"web","Port":1,"Check":{"CheckID":"c","TTL":"1h","Notes":"api"}}`)
		r.check(`{"Name":"disk","TTL":"1h","Notes":"api"}`)
		r.service(`{"Name":"mine","Port":1}`)
		r.check(`{"Name":"mine","TTL":"1h","ServiceID":"mine"}`)
		for _, id := range []string{"c", "disk"} {
			r.update(id, api.Passing, "")
		}
		r.stop()
		next := restart(t, r, func(r *rig) {
			r.mustConfigure(`[{"name":"web","port":2,"check":{"id":"c","ttl":"1h","notes":"file"}}]`,
				`[{"name":"disk","ttl":"1h","notes":"file"},{"name":"follows","ttl":"1h","service_id":"mine"}]`)
		})
		services := next.must(api.LocalServices.Op, &api.None{}).(map[string]*api.LocalService)
		checks := next.must(api.LocalChecks.Op, &api.None{}).(map[string]*api.Check)
		same(t, "port", services["web"].Port, 2)
		same(t, "notes", checks["c"].Notes+" "+checks["disk"].Notes, "file file")
		same(t, "states", next.said(), map[string]string{"c": "critical", "disk": "critical", "mine": "critical", "follows": "critical"})
		same(t, "service of a check from a file", checks["follows"].ServiceName, "mine")
		same(t, "files", files(t, r.cfg.DataDir), []string{serviceFile("mine"), checkFile("mine")})

		last := restart(t, next, nil)
		same(t, "services without the files", keys(last.must(api.LocalServices.Op, &api.None{}).(map[string]*api.LocalService)), []string{"mine"})
	})
}

// TestFilesAfterRegistration reloads a file that speaks of what came over the API.
func TestFilesAfterRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), inDir(t.TempDir())).run()
		r.service(`{"Name":"web","Port":1,"Check":{"CheckID":"c","TTL":"1h"}}`)
		r.mustConfigure(`[{"name":"web","port":2}]`, `[]`)
		same(t, "files", files(t, r.cfg.DataDir), []string{checkFile("c")})
		r.service(`{"Name":"web","Port":3}`)
		same(t, "files after a registration", files(t, r.cfg.DataDir), []string{serviceFile("web"), checkFile("c")})
		r.check(`{"Name":"disk","TTL":"1h"}`)
		r.mustConfigure(`[{"name":"web","port":2}]`, `[{"name":"disk","ttl":"1h"}]`)
		same(t, "files after a configuration", files(t, r.cfg.DataDir), []string{checkFile("c")})
		r.mustConfigure(`[]`, `[]`)
		same(t, "files in the end", files(t, r.cfg.DataDir), []string{})
		pass(time.Minute)
		same(t, "services in the catalog", len(r.catalog.nodes["n1"].services), 0)
	})
}

// TestAdjust changes what can change while the agent runs.
func TestAdjust(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.check(`{"ID":"c","Name":"c","TTL":"24h","Status":"passing"}`)
		r.update("c", api.Passing, "before")
		pass(time.Second)
		r.catalog.taken()
		meta := map[string]string{"rack": "b"}
		r.Adjust(Config{Node: api.Node{Meta: meta}, About: About{Meta: meta}, Checks: Checks{DiscardOutput: true}})
		r.wrote("after other metadata", "register token=agent")
		same(t, "node in the catalog", r.catalog.nodes["n1"].node, api.Node{ID: "id1", Node: "n1", Address: "10.0.0.1", Meta: meta})
		same(t, "what the agent tells", r.must(api.AgentSelf.Op, &api.None{}).(*api.Self).Meta, meta)
		r.update("c", api.Passing, "after")
		same(t, "states", r.said(), map[string]string{"c": "passing"})
	})
}
