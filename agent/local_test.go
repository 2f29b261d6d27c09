package agent

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curia/acl"
	"curia/api"
	"curia/check"
)

func TestReplaceExistingChecks(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		body := `{"Name":"web","Checks":[{"CheckID":"a","TTL":"24h"},{"CheckID":"b","TTL":"24h"}]}`
		r.service(body)
		r.check(`{"Name":"deep","ServiceID":"web","TTL":"24h"}`)
		r.check(`{"Name":"disk","TTL":"24h"}`)
		r.update("b", api.Passing, "fine")
		r.must(api.LocalServiceMaintenance.Op, maintainService("web", "true", ""))

		less := `{"Name":"web","Check":{"CheckID":"b","TTL":"24h","Notes":"new"}}`
		r.service(less)
		same(t, "states after a registration with less checks", r.said(), map[string]string{
			"a": "critical", "b": "passing fine", "deep": "critical", "disk": "critical", "_service_maintenance:web": "critical"})
		r.must(api.LocalServiceRegister.Op, &api.ServiceRegisterArgs{Definition: decode[api.ServiceDefinition](t, less), Replace: true})
		same(t, "states after one that replaces", r.said(), map[string]string{
			"b": "passing fine", "disk": "critical", "_service_maintenance:web": "critical"})
		r.service(`{"Name":"other"}`)
		same(t, "notes", r.must(api.LocalChecks.Op, &api.None{}).(map[string]*api.Check)["b"].Notes, "new")
		r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "web"})
		same(t, "states after the end of the service", r.said(), map[string]string{"disk": "critical"})
	})
}

// TestStateIsKept registers a check again: its state stays, its clock starts anew.
func TestStateIsKept(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.check(`{"Name":"c","TTL":"10s"}`)
		r.update("c", api.Warning, "hm")
		pass(9 * time.Second)
		r.check(`{"Name":"c","TTL":"20s","Status":"passing"}`)
		same(t, "states", r.said(), map[string]string{"c": "warning hm"})
		pass(19 * time.Second)
		same(t, "states before the new time is over", r.said(), map[string]string{"c": "warning hm"})
		pass(2 * time.Second)
		same(t, "states after it", r.said(), map[string]string{"c": "critical TTL expired (last output before timeout follows): hm"})
		r.check(`{"Name":"c","HTTP":"http://127.0.0.1:1/","Interval":"24h"}`)
		same(t, "states as another kind", r.said(), map[string]string{"c": "critical TTL expired (last output before timeout follows): hm"})
		if _, err := r.ask(api.LocalCheckPass.Op, &api.CheckNoteArgs{ID: "c"}, ""); api.KindOf(err) != api.Rejected {
			t.Errorf("pass of an HTTP check: got %v, want a refusal", err)
		}
	})
}

func TestTTLVerbs(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.check(`{"Name":"c","TTL":"10s"}`)
		for _, step := range []struct {
			op   *api.Op
			args any
			want string
		}{
			{api.LocalCheckPass.Op, &api.CheckNoteArgs{ID: "c"}, "passing"},
			{api.LocalCheckWarn.Op, &api.CheckNoteArgs{ID: "c", Note: "hm"}, "warning hm"},
			{api.LocalCheckFail.Op, &api.CheckNoteArgs{ID: "c", Note: "no"}, "critical no"},
			{api.LocalCheckUpdate.Op, &api.CheckUpdateArgs{ID: "c", Update: api.CheckUpdate{Status: api.Passing, Output: "yes"}}, "passing yes"},
		} {
			r.must(step.op, step.args)
			same(t, step.op.Name, r.said()["c"], step.want)
		}
		for _, op := range []*api.Op{api.LocalCheckPass.Op, api.LocalCheckWarn.Op, api.LocalCheckFail.Op} {
			if _, err := r.ask(op, &api.CheckNoteArgs{ID: "d"}, ""); api.KindOf(err) != api.NotFound {
				t.Errorf("%s of a check that is not there: got %v", op.Name, err)
			}
		}
	})
}

func TestReapsCriticalServices(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"Name":"bad","Checks":[{"TTL":"24h","DeregisterCriticalServiceAfter":"90s"},{"TTL":"24h","DeregisterCriticalServiceAfter":"2m"}]}`)
		r.service(`{"Name":"flaps","Check":{"CheckID":"f","TTL":"24h","DeregisterCriticalServiceAfter":"90s"}}`)
		r.service(`{"Name":"fine","Check":{"TTL":"24h","Status":"warning","DeregisterCriticalServiceAfter":"90s"}}`)
		r.service(`{"Name":"endless","Check":{"TTL":"24h"}}`)
		r.check(`{"Name":"node","TTL":"24h","DeregisterCriticalServiceAfter":"90s"}`)
		services := func() string {
			var names []string
			for id := range r.must(api.LocalServices.Op, &api.None{}).(map[string]*api.LocalService) {
				names = append(names, id)
			}
			return fmt.Sprint(sorted(names))
		}
		pass(60 * time.Second)
		r.update("f", api.Warning, "")
		r.update("f", api.Critical, "")
		same(t, "services before", services(), "[bad endless fine flaps]")
		pass(29 * time.Second)
		r.update("f", api.Critical, "still") // does not start the time anew
		synctest.Wait()
		r.catalog.taken()
		pass(time.Second + reapEvery)
		same(t, "services after", services(), "[endless fine flaps]")
		r.wrote("at once", "remove check service:bad:1 token=agent", "remove check service:bad:2 token=agent", "remove service bad token=agent")
		pass(60 * time.Second)
		same(t, "services in the end", services(), "[endless fine]")
		same(t, "log lines about the first", strings.Count(r.logged.String(), "service=bad"), 1)
		same(t, "the check of the node", r.said()["node"], "critical")
	})
}

func maintainService(id, enable, reason string) *api.ServiceMaintenanceArgs {
	return &api.ServiceMaintenanceArgs{ID: id, MaintenanceArgs: api.MaintenanceArgs{Enable: &enable, Reason: reason}}
}

func maintainNode(enable, reason string) *api.MaintenanceArgs {
	return &api.MaintenanceArgs{Enable: &enable, Reason: reason}
}

func TestMaintenance(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"Name":"web"}`)
		r.catalog.taken()
		reasons := func() string {
			var out []string
			for id, c := range r.must(api.LocalChecks.Op, &api.None{}).(map[string]*api.Check) {
				out = append(out, fmt.Sprintf("%s %s %s %q", id, c.Type, c.Status, c.Notes))
			}
			return strings.Join(sorted(out), "; ")
		}
		for _, step := range []struct {
			what   string
			op     *api.Op
			args   any
			want   string
			writes []string
		}{
			{"node off while off", api.LocalMaintenance.Op, maintainNode("false", ""), "", nil},
			{"node on", api.LocalMaintenance.Op, maintainNode("true", "patch"), `_node_maintenance maintenance critical "patch"`,
				[]string{"register check _node_maintenance=critical token=default"}},
			{"node on again", api.LocalMaintenance.Op, maintainNode("1", "other"), `_node_maintenance maintenance critical "patch"`, nil},
			{"node off", api.LocalMaintenance.Op, maintainNode("F", ""), "", []string{"remove check _node_maintenance token=agent"}},
			{"node on without a reason", api.LocalMaintenance.Op, maintainNode("true", ""),
				`_node_maintenance maintenance critical "` + nodeReason + `"`, []string{"register check _node_maintenance=critical token=default"}},
			{"node off for good", api.LocalMaintenance.Op, maintainNode("false", ""), "", []string{"remove check _node_maintenance token=agent"}},
			{"service on", api.LocalServiceMaintenance.Op, maintainService("web", "true", ""),
				`_service_maintenance:web maintenance critical "` + serviceReason + `"`, []string{"register check _service_maintenance:web=critical token=default"}},
			{"service on again", api.LocalServiceMaintenance.Op, maintainService("web", "true", "x"),
				`_service_maintenance:web maintenance critical "` + serviceReason + `"`, nil},
			{"service off", api.LocalServiceMaintenance.Op, maintainService("web", "false", "x"), "",
				[]string{"remove check _service_maintenance:web token=agent"}},
			{"service off again", api.LocalServiceMaintenance.Op, maintainService("web", "false", "x"), "", nil},
		} {
			r.must(step.op, step.args)
			same(t, step.what, reasons(), step.want)
			r.wrote("after "+step.what, step.writes...)
		}
		if _, err := r.ask(api.LocalServiceMaintenance.Op, maintainService("none", "true", ""), ""); api.KindOf(err) != api.NotFound {
			t.Errorf("maintenance of a service that is not there: got %v", err)
		}
		r.must(api.LocalMaintenance.Op, maintainNode("true", ""))
		if _, err := r.ask(api.LocalCheckPass.Op, &api.CheckNoteArgs{ID: api.NodeMaintenance}, ""); api.KindOf(err) != api.Rejected {
			t.Errorf("pass of a check of maintenance: got %v, want a refusal", err)
		}
	})
}

// TestAliasHere follows services of the same node.
func TestAliasHere(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"Name":"proxy","Check":{"CheckID":"p","AliasService":"web"}}`)
		is := func(when, want string) {
			t.Helper()
			synctest.Wait()
			same(t, "alias "+when, r.said()["p"], want)
		}
		is("without its service", "critical Service web could not be found on node n1")
		r.service(`{"Name":"web"}`)
		is("without checks", "passing No checks found.")
		r.service(`{"Name":"web","Check":{"CheckID":"w","Name":"W","TTL":"24h","Status":"passing"}}`)
		is("of a healthy service", "passing All checks passing.")
		r.update("w", api.Warning, "hm")
		is("of a worried service", `warning Aliased check "W" failing: hm`)
		r.update("w", api.Critical, "no")
		is("of a sick service", `critical Aliased check "W" failing: no`)
		same(t, "alias in the catalog", r.catalog.status("p"), api.Critical)
		r.update("w", api.Passing, "")
		r.must(api.LocalMaintenance.Op, maintainNode("true", "patch"))
		is("in maintenance", `critical Aliased check "Node Maintenance Mode" failing:`)
		r.must(api.LocalMaintenance.Op, maintainNode("false", ""))
		is("after it", "passing All checks passing.")
		r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "web"})
		is("after the end", "critical Service web could not be found on node n1")
	})
}

// TestAliasThere follows a service of another node, by its catalog.
func TestAliasThere(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		there := func(status string) {
			reg := api.Registration{Node: "n2", Service: &api.ServiceSpec{Service: api.Service{ID: "db", Service: "db"}}}
			reg.Checks = []*api.CheckSpec{{Check: api.Check{Node: "n2", CheckID: "d", Name: "D", ServiceID: "db", Status: status}}}
			if _, err := api.Call(t.Context(), r.catalog, api.CatalogRegister, api.RegisterArgs{Registration: reg}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		r.service(`{"Name":"proxy","Check":{"CheckID":"p","AliasNode":"n2","AliasService":"db","Token":"k"}}`)
		synctest.Wait()
		same(t, "alias without its node", r.said()["p"], "critical Service db could not be found on node n2")
		began := time.Now()
		there(api.Passing)
		same(t, "alias of a healthy service", r.said()["p"], "passing All checks passing.")
		there(api.Warning)
		same(t, "alias of a worried service", r.said()["p"], `warning Aliased check "D" failing:`)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the alias followed after %v", took)
		}
		r.catalog.refuse = func(_ *api.Op, _, token string) error {
			if token != "k" && token != "agent" {
				return api.Errorf(api.Denied, "Permission denied")
			}
			return nil
		}
		there2 := func() { r.catalog.edit(func(*catalogNode) {}) }
		there2()
		pass(5 * time.Minute)
		same(t, "alias that may look", r.said()["p"], `warning Aliased check "D" failing:`)
		if strings.Contains(r.logged.String(), "cannot read the checks of an alias") {
			t.Errorf("an alias looks without its token:\n%s", r.logged)
		}
	})
}

func TestHealth(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"ID":"w1","Name":"web","Checks":[{"CheckID":"a","TTL":"24h","Status":"passing"},{"CheckID":"b","TTL":"24h","Status":"passing"}]}`)
		r.service(`{"ID":"w2","Name":"web","Check":{"CheckID":"c","TTL":"24h","Status":"passing"}}`)
		r.check(`{"Name":"disk","TTL":"24h","Status":"passing"}`)
		state := func(op *api.Op, service, format, accept string) string {
			t.Helper()
			v, err := r.ask(op, &api.LocalHealthArgs{Service: service, Format: format, Accept: accept}, "")
			var e *api.Error
			if err != nil {
				e = err.(*api.Error)
				if e.Detail == nil {
					return fmt.Sprintf("%d %s", e.Kind, e.Msg)
				}
				v = e.Detail
			}
			words := []string{}
			switch v := v.(type) {
			case *api.LocalHealth:
				words = append(words, v.Service.ID+"="+v.AggregatedStatus)
				for _, c := range v.Checks {
					words = append(words, c.CheckID)
				}
			case []*api.LocalHealth:
				for _, h := range v {
					words = append(words, h.Service.ID+"="+h.AggregatedStatus)
				}
			}
			if e != nil {
				return fmt.Sprintf("%d %v", e.Kind, words)
			}
			return fmt.Sprint(words)
		}
		byID, byName := api.LocalHealthByID.Op, api.LocalHealthByName.Op
		kind := func(k api.ErrorKind, rest string) string { return fmt.Sprintf("%d %s", k, rest) }
		for _, step := range []struct {
			check, status       string
			w1, name, text, w2t string
		}{
			{"a", api.Passing, "[w1=passing a b disk]", "[w1=passing w2=passing]", kind(api.Plain, "passing"), kind(api.Plain, "passing")},
			{"a", api.Warning, kind(api.TooMany, "[w1=warning a b disk]"), kind(api.TooMany, "[w1=warning w2=passing]"), kind(api.TooMany, "warning"), kind(api.Plain, "passing")},
			{"b", api.Critical, kind(api.Unavailable, "[w1=critical a b disk]"), kind(api.Unavailable, "[w1=critical w2=passing]"), kind(api.Unavailable, "critical"), kind(api.Plain, "passing")},
			{"disk", api.Warning, kind(api.Unavailable, "[w1=critical a b disk]"), kind(api.Unavailable, "[w1=critical w2=warning]"), kind(api.Unavailable, "critical"), kind(api.TooMany, "warning")},
		} {
			r.update(step.check, step.status, "")
			when := step.check + " " + step.status
			same(t, when+": by id", state(byID, "w1", "", ""), step.w1)
			same(t, when+": by name", state(byName, "web", "", "application/json"), step.name)
			same(t, when+": by name as text", state(byName, "web", "text", ""), step.text)
			same(t, when+": w2 as text", state(byID, "w2", "", "text/plain"), step.w2t)
		}
		r.must(api.LocalServiceMaintenance.Op, maintainService("w2", "true", ""))
		same(t, "in maintenance", state(byID, "w2", "text", ""), kind(api.Unavailable, "maintenance"))
		same(t, "no such ID", state(byID, "x", "", ""), kind(api.NotFound, "ServiceId x not found"))
		same(t, "no such name", state(byName, "w1", "", ""), kind(api.NotFound, "[]"))
		same(t, "no such name, as text", state(byName, "w1", "text", ""), kind(api.NotFound, "ServiceName w1 Not Found"))
	})
}

// rules grants what it lists, like "service:read:web".
type rules []string

func (r rules) ID() string { return fmt.Sprint([]string(r)) }

func (r rules) Allows(n acl.Need) bool {
	for _, g := range r {
		parts := strings.SplitN(g, ":", 3)
		if parts[0] == string(n.Resource) && parts[2] == n.Name && (parts[1] == string(n.Access) || parts[1] == "write") {
			return true
		}
	}
	return false
}

func TestPermissions(t *testing.T) {
	tokens := map[string]rules{
		"web": {"service:write:web"}, "look": {"service:read:web"}, "node": {"node:write:n1"}, "db": {"service:write:db"},
	}
	tune := func(c *Config) {
		c.Authorizer = func(token string) (acl.Authorizer, error) {
			if token == "default" {
				return acl.AllowAll{}, nil
			}
			return tokens[token], nil
		}
	}
	service := func(body string) *api.ServiceRegisterArgs {
		return &api.ServiceRegisterArgs{Definition: decode[api.ServiceDefinition](t, body)}
	}
	test := func(body string) *api.CheckRegisterArgs {
		return &api.CheckRegisterArgs{Definition: decode[api.CheckRegistration](t, body)}
	}
	for _, c := range []struct {
		op   *api.Op
		args any
		may  string // tokens
	}{
		{api.LocalServiceRegister.Op, service(`{"ID":"w9","Name":"web"}`), "web"},
		{api.LocalServiceRegister.Op, service(`{"ID":"w1","Name":"web"}`), "web"},
		{api.LocalServiceRegister.Op, service(`{"ID":"w1","Name":"db"}`), ""}, // would take the place of another
		{api.LocalServiceRegister.Op, service(`{"Name":"db","Check":{"CheckID":"dc","TTL":"24h"}}`), "db"},
		{api.LocalServiceRegister.Op, service(`{"Name":"db","Check":{"CheckID":"wc","TTL":"24h"}}`), ""},
		{api.LocalServiceRegister.Op, service(`{"Name":"db","Checks":[{"CheckID":"disk","TTL":"24h"}]}`), ""},
		{api.LocalServiceRegister.Op, service(`{"ID":"w1","Name":"web","Check":{"CheckID":"wc","TTL":"24h"}}`), "web"},
		{api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "w1"}, "web"},
		{api.LocalServiceGet.Op, &api.LocalServiceArgs{ID: "w1"}, "web look"},
		{api.LocalHealthByID.Op, &api.LocalHealthArgs{Service: "w1"}, "web look"},
		{api.LocalHealthByName.Op, &api.LocalHealthArgs{Service: "web"}, "web look"},
		{api.LocalCheckRegister.Op, test(`{"Name":"n","TTL":"24h"}`), "node"},
		{api.LocalCheckRegister.Op, test(`{"Name":"n","TTL":"24h","ServiceID":"w1"}`), "web"},
		{api.LocalCheckRegister.Op, test(`{"Name":"wc","TTL":"24h"}`), ""},
		{api.LocalCheckRegister.Op, test(`{"Name":"disk","TTL":"24h"}`), "node"},
		{api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "wc"}, "web"},
		{api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "disk"}, "node"},
		{api.LocalCheckPass.Op, &api.CheckNoteArgs{ID: "wc"}, "web"},
		{api.LocalCheckPass.Op, &api.CheckNoteArgs{ID: "disk"}, "node"},
		{api.LocalCheckUpdate.Op, &api.CheckUpdateArgs{ID: "wc", Update: api.CheckUpdate{Status: api.Passing}}, "web"},
		{api.LocalMaintenance.Op, maintainNode("true", ""), "node"},
		{api.LocalServiceMaintenance.Op, maintainService("w1", "true", ""), "web"},
	} {
		for _, token := range []string{"web", "look", "node", "db"} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, newCatalog(), tune).run()
				r.service(`{"ID":"w1","Name":"web","Check":{"CheckID":"wc","TTL":"24h","Status":"passing"}}`)
				r.check(`{"Name":"disk","TTL":"24h","Status":"passing"}`)
				r.catalog.taken()
				before := jsonOf(t, r.said())
				_, err := r.ask(c.op, c.args, token)
				denied := api.KindOf(err) == api.Denied
				if may := strings.Contains(" "+c.may+" ", " "+token+" "); denied == may || err != nil && !denied {
					t.Errorf("%s %s with the token %s: got %v, may: %t", c.op.Name, jsonOf(t, c.args), token, err, may)
				}
				if after := jsonOf(t, r.said()); denied && (after != before || len(r.catalog.taken()) > 0) {
					t.Errorf("%s with the token %s was denied and changed %s to %s", c.op.Name, token, before, after)
				}
			})
		}
	}
}

func TestListsShowWhatTheCallerMayRead(t *testing.T) {
	may := map[string]rules{"web": {"service:read:web"}, "node": {"node:read:n1"}, "none": {}}
	tune := func(c *Config) { c.Authorizer = func(token string) (acl.Authorizer, error) { return may[token], nil } }
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), tune)
		if err := r.Configure([]*api.ServiceDefinition{{Name: "web", Checks: []*api.CheckRegistration{{CheckID: "wc", TTL: 1e9}}}, {Name: "db"}},
			[]*api.CheckRegistration{{Name: "disk", TTL: 1e9}}); err != nil {
			t.Fatal(err)
		}
		for token, want := range map[string]string{"web": "[web] [wc]", "node": "[] [disk]", "none": "[] []"} {
			services, err := r.ask(api.LocalServices.Op, &api.None{}, token)
			checks, err2 := r.ask(api.LocalChecks.Op, &api.None{}, token)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			got := fmt.Sprint(keys(services.(map[string]*api.LocalService)), keys(checks.(map[string]*api.Check)))
			same(t, "what "+token+" sees", got, want)
		}
	})
}

// TestStrayResults has results of checks that are not there any more.
func TestStrayResults(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.check(`{"Name":"c","TTL":"10s"}`)
		old, _ := r.local.find("c")
		r.check(`{"Name":"c","TTL":"20s"}`)
		r.report(old, check.Result{Status: api.Passing, Output: "stray"})
		same(t, "states after a result of the check before", r.said(), map[string]string{"c": "critical"})
		r.wrote("before the end", "register check c=critical token=default", "register check c=critical token=default")
		r.must(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "c"})
		r.report(old, check.Result{Status: api.Passing, Output: "stray"})
		r.startCheck(old)
		if r.ttl(old) != nil {
			t.Error("a check that was removed runs again")
		}
		r.wrote("in the end", "remove check c token=agent")
	})
}

// TestProbeRuns lets a check look at a real server.
func TestProbeRuns(t *testing.T) {
	status := make(chan int, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-status) }))
	defer web.Close()
	r := newRig(t, newCatalog(), nil).run()
	status <- 429
	r.check(`{"Name":"c","HTTP":"` + web.URL + `","Interval":"1s"}`)
	deadline := time.After(10 * time.Second)
	for {
		_, _, changed := r.local.followed("")
		if strings.HasPrefix(r.said()["c"], api.Warning) {
			break
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("got %v, want the check to be warning\n%s", r.said(), r.logged)
		}
	}
	close(status)
	r.must(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "c"})
}

// TestPermissionsLostWhileWaiting takes permissions from who waits for a service
// to change.
func TestPermissionsLostWhileWaiting(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(r *rig)
	}{
		{"the service changes", func(r *rig) { r.service(`{"Name":"web","Port":2}`) }},
		{"the time is up", func(*rig) {}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var may atomic.Pointer[rules]
			may.Store(&rules{"service:write:web"})
			r := newRig(t, newCatalog(), func(c *Config) {
				c.Authorizer = func(token string) (acl.Authorizer, error) {
					if token == "x" {
						return *may.Load(), nil
					}
					return acl.AllowAll{}, nil
				}
			}).run()
			r.service(`{"Name":"web","Port":1}`)
			shown, err := r.ask(api.LocalServiceGet.Op, &api.LocalServiceArgs{ID: "web"}, "x")
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 1)
			go func() {
				_, err := r.ask(api.LocalServiceGet.Op, &api.LocalServiceArgs{ID: "web", Hash: shown.(*api.LocalService).ContentHash, Wait: "30s"}, "x")
				got <- err
			}()
			synctest.Wait()
			may.Store(&rules{})
			c.then(r)
			if err := <-got; api.KindOf(err) != api.Denied {
				t.Errorf("%s: who waits got %v; want a refusal", c.name, err)
			}
		})
	}
}
