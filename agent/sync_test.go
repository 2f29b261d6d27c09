package agent

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
)

// fullPass is when every agent has compared everything again.
const fullPass = 2*syncEvery + time.Second

func TestRegistrationsReachTheCatalog(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"ID":"w1","Name":"web","Tags":["a"],"Port":80,"Check":{"TTL":"1h"}}`)
		r.wrote("after a service", "register check service:w1=critical service w1 token=default")
		r.check(`{"Name":"disk","TTL":"1h","Status":"passing"}`)
		r.wrote("after a check of the node", "register check disk=passing token=default")
		r.check(`{"Name":"deep","ServiceID":"w1","TTL":"1h"}`)
		r.wrote("after a check of the service", "register check deep=critical token=default")
		r.update("service:w1", api.Passing, "fine")
		r.wrote("after a status", "register check service:w1=passing token=default")
		r.update("service:w1", api.Passing, "fine")
		r.wrote("after the same status")
		r.service(`{"ID":"w1","Name":"web2","Tags":["a"],"Port":80}`)
		r.wrote("after another name", "register check deep=critical check service:w1=passing service w1 token=default")
		r.must(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "deep"})
		r.wrote("after the end of a check", "remove check deep token=agent")
		r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "w1"})
		r.wrote("after the end of a service", "remove check service:w1 token=agent", "remove service w1 token=agent")
		pass(fullPass)
		r.wrote("when nothing happened")
		n := r.catalog.nodes["n1"]
		same(t, "services left", len(n.services), 0)
		same(t, "checks left", slices.Collect(maps.Keys(n.checks)), []string{"disk"})
		same(t, "node", n.node, api.Node{ID: "id1", Node: "n1", Address: "10.0.0.1"})
	})
}

// TestFullPassRepairs changes the catalog behind the agent's back.
func TestFullPassRepairs(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"ID":"w1","Name":"web","Tags":["a"],"Port":80,"Check":{"CheckID":"c1","TTL":"24h"}}`)
		r.service(`{"ID":"o1","Name":"open","Tags":["a"],"EnableTagOverride":true}`)
		r.check(`{"Name":"disk","TTL":"24h"}`)
		r.wrote("at first", "register check c1=critical service w1 token=default", "register check disk=critical token=default",
			"register service o1 token=default")
		for _, c := range []struct {
			name string
			edit func(n *catalogNode)
			want []string
		}{
			{"nothing", func(*catalogNode) {}, nil},
			{"service missing", func(n *catalogNode) { delete(n.services, "w1") }, []string{"register service w1 token=default"}},
			{"service with its check missing", func(n *catalogNode) { delete(n.services, "w1"); delete(n.checks, "c1") },
				[]string{"register check c1=critical service w1 token=default"}},
			{"other port", func(n *catalogNode) {
				n.services["w1"] = &api.Service{ID: "w1", Service: "web", Tags: []string{"a"}, Port: 81}
			},
				[]string{"register service w1 token=default"}},
			{"other tags", func(n *catalogNode) { s := *n.services["w1"]; s.Tags = []string{"b"}; n.services["w1"] = &s },
				[]string{"register service w1 token=default"}},
			{"other tags where that is allowed", func(n *catalogNode) { s := *n.services["o1"]; s.Tags = []string{"b"}; n.services["o1"] = &s }, nil},
			{"other port and tags where tags are allowed", func(n *catalogNode) {
				s := *n.services["o1"]
				s.Tags, s.Port = []string{"c"}, 7
				n.services["o1"] = &s
			}, []string{"register service o1 token=default"}},
			{"check missing", func(n *catalogNode) { delete(n.checks, "disk") }, []string{"register check disk=critical token=default"}},
			{"other status", func(n *catalogNode) { k := *n.checks["c1"]; k.Status = api.Passing; n.checks["c1"] = &k },
				[]string{"register check c1=critical token=default"}},
			{"other output", func(n *catalogNode) { k := *n.checks["c1"]; k.Output = "x"; n.checks["c1"] = &k },
				[]string{"register check c1=critical token=default"}},
			{"strangers", func(n *catalogNode) {
				n.services["s1"] = &api.Service{ID: "s1", Service: "stranger"}
				n.checks["s2"] = &api.Check{Node: "n1", CheckID: "s2", Name: "stranger"}
			}, []string{"remove check s2 token=agent", "remove service s1 token=agent"}},
			{"what the leader registers", func(n *catalogNode) {
				n.services["consul"] = &api.Service{ID: "consul", Service: "consul"}
				n.checks["serfHealth"] = &api.Check{Node: "n1", CheckID: "serfHealth", Name: "Serf Health Status"}
			}, nil},
			{"other address of the node", func(n *catalogNode) { n.node.Address = "10.9.9.9" }, []string{"register token=agent"}},
			{"other meta data of the node, and a check", func(n *catalogNode) {
				n.node.Meta = map[string]string{"a": "b"}
				delete(n.checks, "disk")
			}, []string{"register check disk=critical token=default", "register token=agent"}},
		} {
			r.catalog.edit(c.edit)
			pass(fullPass)
			r.wrote("after: "+c.name, c.want...)
			pass(fullPass)
			r.wrote("one pass later, after: " + c.name)
		}
		got := r.must(api.LocalServices.Op, &api.None{}).(map[string]*api.LocalService)
		same(t, "overridden tags on the agent", got["o1"].Tags, []string{"c"})
		same(t, "overridden tags in the catalog", r.catalog.nodes["n1"].services["o1"].Tags, []string{"c"})
		same(t, "other tags on the agent", got["w1"].Tags, []string{"a"})
	})
}

// TestDeferredOutput wants an output that changes alone to be written once, and
// a status at once.
func TestDeferredOutput(t *testing.T) {
	const interval = time.Minute
	tune := func(c *Config) { c.Checks.UpdateInterval = interval }
	play(t, tune, func(t *testing.T, r *rig) {
		r.check(`{"ID":"c","Name":"c","TTL":"24h","Status":"passing"}`)
		r.wrote("at first", "register check c=passing token=default")
		output := func() string { return r.catalog.nodes["n1"].checks["c"].Output }

		for _, text := range []string{"a", "b", "d"} {
			r.update("c", api.Passing, text)
			pass(interval / 10)
		}
		r.wrote("before the deferral ends")
		pass(interval * 3 / 2)
		r.wrote("after the deferral has ended", "register check c=passing token=default")
		same(t, "output", output(), "d")
		pass(2 * fullPass)
		r.wrote("long after")

		r.update("c", api.Passing, "e")
		r.update("c", api.Warning, "f")
		r.wrote("after a status in a deferral", "register check c=warning token=default")
		pass(fullPass)
		r.wrote("after the deferral that the status ended")

		r.service(`{"Name":"a"}`)
		r.check(`{"ID":"c","Name":"c","TTL":"24h","ServiceID":"a"}`)
		r.catalog.taken()
		r.update("c", api.Warning, "h")
		r.service(`{"Name":"a","Tags":["new"]}`)
		r.wrote("when a check in a deferral was written with its service", "register check c=warning service a token=default")
		pass(fullPass)
		r.wrote("after the deferral that this ended")

		r.update("c", api.Warning, "g")
		r.must(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "c"})
		pass(fullPass)
		r.wrote("after the end of a check in a deferral", "remove check c token=agent")
	})
}

// TestDeferredOutputOutlivesComparison lets full passes happen in a deferral.
func TestDeferredOutputOutlivesComparison(t *testing.T) {
	const interval = time.Hour
	play(t, func(c *Config) { c.Checks.UpdateInterval = interval }, func(t *testing.T, r *rig) {
		r.check(`{"ID":"c","Name":"c","TTL":"24h","Status":"passing"}`)
		r.catalog.taken()
		before := r.catalog.comparisons()
		r.update("c", api.Passing, "new")
		pass(interval/2 - time.Second)
		r.wrote("by full passes in a deferral")
		if r.catalog.comparisons() == before {
			t.Error("no full pass in half an hour")
		}
		pass(interval + time.Second)
		r.wrote("at the end of the deferral", "register check c=passing token=default")
	})
}

func TestOutputWithoutDeferral(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.check(`{"ID":"c","Name":"c","TTL":"24h","Status":"passing"}`)
		r.update("c", api.Passing, "a")
		r.wrote("after an output", "register check c=passing token=default", "register check c=passing token=default")
	})
}

func TestDiscardedOutput(t *testing.T) {
	play(t, func(c *Config) { c.Checks.DiscardOutput = true }, func(t *testing.T, r *rig) {
		r.check(`{"ID":"c","Name":"c","TTL":"24h","Status":"passing"}`)
		r.catalog.taken()
		r.update("c", api.Passing, "a")
		r.wrote("after an output")
		same(t, "states", r.said(), map[string]string{"c": "passing"})
	})
}

// TestRefusals lets the catalog refuse some registrations: the rest gets there.
func TestRefusals(t *testing.T) {
	for name, refusal := range map[string]error{
		"denied":   api.Errorf(api.Denied, "Permission denied"),
		"rejected": api.Errorf(api.Rejected, "invalid"),
		"invalid":  api.Errorf(api.Invalid, "malformed"),
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, r *rig) {
				refused := true
				r.catalog.refuse = func(_ *api.Op, what, _ string) error {
					if refused && strings.Contains(what, "bad") {
						return refusal
					}
					return nil
				}
				for _, s := range []string{"a", "bad1", "b", "bad2", "c"} {
					r.service(`{"Name":"` + s + `"}`)
				}
				r.wrote("with refusals", "register service a token=default", "register service b token=default", "register service c token=default")
				if !strings.Contains(r.logged.String(), "bad1") {
					t.Errorf("the log says nothing about a refused service:\n%s", r.logged)
				}
				r.catalog.mu.Lock()
				refused = false
				r.catalog.mu.Unlock()
				pass(fullPass)
				r.wrote("without", "register service bad1 token=default", "register service bad2 token=default")
			})
		})
	}
}

// TestNodeBesideRefusals lets the catalog refuse all but the node itself.
func TestNodeBesideRefusals(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"Name":"bad"}`)
		r.catalog.taken()
		r.catalog.mu.Lock()
		r.catalog.refuse = func(_ *api.Op, what, _ string) error {
			if strings.Contains(what, "bad") {
				return api.Errorf(api.Denied, "Permission denied")
			}
			return nil
		}
		r.catalog.mu.Unlock()
		r.catalog.edit(func(n *catalogNode) {
			n.services["bad"] = &api.Service{ID: "bad", Service: "bad", Port: 7}
			n.node.Address = "10.9.9.9"
		})
		pass(fullPass)
		r.wrote("when a service is refused", "register token=agent")
	})
}

// TestTokens wants every write to have the token of its registration.
func TestTokens(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		register := func(body, token string) {
			def := decode[api.ServiceDefinition](t, body)
			if _, err := r.ask(api.LocalServiceRegister.Op, &api.ServiceRegisterArgs{Definition: def}, token); err != nil {
				t.Fatal(err)
			}
		}
		register(`{"Name":"body","Token":"b","Check":{"TTL":"24h"}}`, "caller")
		register(`{"Name":"head","Check":{"TTL":"24h"}}`, "caller")
		register(`{"Name":"none"}`, "")
		register(`{"Name":"mixed","Token":"b","Check":{"TTL":"24h","Token":"k"}}`, "")
		_, err := r.ask(api.LocalCheckRegister.Op, &api.CheckRegisterArgs{Definition: decode[api.CheckRegistration](t, `{"Name":"c","TTL":"24h"}`)}, "caller")
		if err != nil {
			t.Fatal(err)
		}
		r.wrote("after registrations",
			"register check c=critical token=caller",
			"register check service:body=critical service body token=b",
			"register check service:head=critical service head token=caller",
			"register check service:mixed=critical token=k",
			"register service mixed token=b",
			"register service none token=default")
		for _, id := range []string{"body", "head", "none"} {
			r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: id})
		}
		r.wrote("after their end",
			"remove check service:body token=b", "remove check service:head token=caller",
			"remove service body token=b", "remove service head token=caller", "remove service none token=agent")
		same(t, "states", r.said(), map[string]string{"c": "critical", "service:mixed": "critical"})
	})
}

// TestRemovalKeepsItsToken compares everything while a removal waits.
func TestRemovalKeepsItsToken(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"Name":"web","Token":"mine","Check":{"TTL":"24h"}}`)
		r.catalog.taken()
		down := true
		r.catalog.refuse = func(op *api.Op, _, _ string) error {
			if down && op != api.CatalogNode.Op && op != api.HealthNode.Op {
				return api.ErrNoLeader
			}
			return nil
		}
		r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "web"})
		pass(fullPass)
		r.catalog.mu.Lock()
		down = false
		r.catalog.mu.Unlock()
		pass(fullPass)
		r.wrote("when there is a leader again", "remove check service:web token=mine", "remove service web token=mine")
	})
}

// TestWithoutLeader registers while nobody answers: the agent does, soon, and the
// catalog follows when it can.
func TestWithoutLeader(t *testing.T) {
	for name, failure := range map[string]error{"no leader": api.ErrNoLeader, "broken": errors.New("connection reset")} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(t *testing.T, r *rig) {
				down := true
				r.catalog.refuse = func(*api.Op, string, string) error {
					if down {
						return failure
					}
					return nil
				}
				began := time.Now()
				r.service(`{"Name":"web","Check":{"CheckID":"c","TTL":"24h"}}`)
				if took := time.Since(began); took > syncWait {
					t.Errorf("the registration took %v, want at most %v", took, syncWait)
				}
				r.update("c", api.Passing, "")
				pass(10 * time.Minute)
				r.wrote("while nobody answers")
				r.catalog.mu.Lock()
				down = false
				r.catalog.mu.Unlock()
				pass(2 * retryMax)
				r.wrote("at last", "register check c=passing service web token=default")
				if warned := strings.Contains(r.logged.String(), "WARN"); warned != (name == "broken") {
					t.Errorf("the log has a warning: %t\n%s", warned, r.logged)
				}
			})
		})
	}
}

// TestSlowCatalog registers many services while each answer takes its time.
func TestSlowCatalog(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.catalog.slow = 3 * time.Second
		began := time.Now()
		r.service(`{"Name":"a"}`)
		if took := time.Since(began); took != syncWait {
			t.Errorf("the registration took %v, want %v", took, syncWait)
		}
		r.service(`{"Name":"b"}`)
		r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "a"})
		pass(time.Minute)
		r.wrote("in the end", "register service a token=default", "register service b token=default", "remove service a token=agent")
	})
}

// TestChangeInFlight changes a service and a check while they are being written.
func TestChangeInFlight(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.catalog.slow = 2 * time.Second
		r.service(`{"Name":"web","Check":{"CheckID":"c","TTL":"24h"}}`)
		r.update("c", api.Passing, "")
		r.wrote("while the first write is under way")
		pass(time.Second)
		r.wrote("when it has ended", "register check c=critical service web token=default")
		pass(2 * time.Second)
		r.wrote("after the next", "register check c=passing token=default")
		r.update("c", api.Warning, "")
		go r.service(`{"Name":"web","Port":1}`)
		pass(time.Second)
		go r.service(`{"Name":"web","Port":2}`)
		pass(10 * time.Second)
		same(t, "port in the catalog", r.catalog.nodes["n1"].services["web"].Port, 2)
		same(t, "status in the catalog", r.catalog.status("c"), api.Warning)
	})
}

// TestManyAtOnce registers many services at once: nobody waits for each of the others.
func TestManyAtOnce(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		const n = 50
		r.catalog.slow = time.Millisecond
		done := make(chan time.Duration, n)
		began := time.Now()
		for i := range n {
			go func() {
				r.service(`{"Name":"s` + strings.Repeat("x", i) + `"}`)
				done <- time.Since(began)
			}()
		}
		for range n {
			if took := <-done; took > (n+1)*time.Millisecond {
				t.Errorf("a registration among %d took %v", n, took)
			}
		}
		same(t, "services in the catalog", len(r.catalog.nodes["n1"].services), n)
	})
}

// TestNotRunning registers before the agent runs, and after its end.
func TestNotRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), nil)
		r.service(`{"Name":"early","Check":{"CheckID":"c","TTL":"10s"}}`)
		same(t, "writes before Run", r.catalog.taken(), nil)
		pass(time.Hour)
		same(t, "states before Run", r.said(), map[string]string{"c": "critical"})
		r.run()
		r.wrote("at the start", "register check c=critical service early token=default", "register token=agent")
		r.update("c", api.Passing, "")
		r.stop()
		began := time.Now()
		r.service(`{"Name":"late"}`)
		if took := time.Since(began); took > 0 {
			t.Errorf("a registration after the end took %v", took)
		}
		pass(time.Hour)
		same(t, "states after the end", r.said(), map[string]string{"c": "passing"})
	})
}

// TestTokensOfRegistrations looks at the token with which each kind of thing gets
// into the catalog, and after each of the agent's tokens has changed.
func TestTokensOfRegistrations(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		service := decode[api.ServiceDefinition](t, `{"Name":"file","Check":{"CheckID":"fc","TTL":"24h","Status":"passing"}}`)
		own := decode[api.ServiceDefinition](t, `{"Name":"own","Token":"mine"}`)
		disk := decode[api.CheckRegistration](t, `{"Name":"disk","TTL":"24h","Status":"passing"}`)
		if err := r.Configure([]*api.ServiceDefinition{&service, &own}, []*api.CheckRegistration{&disk}); err != nil {
			t.Fatal(err)
		}
		r.service(`{"Name":"api"}`)
		r.check(`{"Name":"late","ServiceID":"file","TTL":"24h","Status":"passing"}`)
		r.wrote("with the tokens of the agent", "register check disk=passing token=default", "register check fc=passing service file token=default",
			"register check late=passing token=default", "register service api token=default", "register service own token=mine")
		all := func(n *catalogNode) {
			clear(n.services)
			clear(n.checks)
			n.node.Address = "10.9.9.9"
		}
		for _, c := range []struct {
			name string
			set  func()
			want []string
		}{
			{"config_file_service_registration", func() { setToken(t, r.Agent, "config_file_service_registration", "files") }, []string{
				"register check disk=passing token=files", "register check fc=passing service file token=files",
				"register check late=passing token=default", "register service api token=default", "register service own token=mine", "register token=agent",
			}},
			{"default", func() { setToken(t, r.Agent, "default", "d2") }, []string{
				"register check disk=passing token=files", "register check fc=passing service file token=files",
				"register check late=passing token=d2", "register service api token=d2", "register service own token=mine", "register token=agent",
			}},
			{"agent", func() { setToken(t, r.Agent, "agent", "a2") }, []string{
				"register check disk=passing token=files", "register check fc=passing service file token=files",
				"register check late=passing token=d2", "register service api token=d2", "register service own token=mine", "register token=a2",
			}},
			{"reload", func() {
				for _, kind := range []string{"config_file_service_registration", "default", "agent"} {
					setToken(t, r.Agent, kind, "")
				}
				synctest.Wait()
				r.catalog.taken()
				r.catalog.edit(all)
				r.SetTokens(Tokens{Default: "d3"})
			}, []string{
				"register check disk=passing token=d3", "register check fc=passing service file token=d3",
				"register check late=passing token=d3", "register service api token=d3", "register service own token=mine", "register token=d3",
			}},
		} {
			r.catalog.edit(all)
			c.set()
			r.wrote("at once, after the token changed: "+c.name, c.want...)
		}
	})
}

// TestNodeAndServiceTokens keeps the node in the catalog with a token that may
// write nothing else, and a service with one that may not write the node.
func TestNodeAndServiceTokens(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.catalog.mu.Lock()
		r.catalog.refuse = func(op *api.Op, what, token string) error {
			if op == api.CatalogRegister.Op && strings.Contains(what, "service") != (token == "web") {
				return api.Errorf(api.Denied, "Permission denied")
			}
			return nil
		}
		r.catalog.mu.Unlock()
		r.service(`{"Name":"web","Token":"web"}`)
		r.wrote("at first", "register service web token=web")
		r.catalog.edit(func(n *catalogNode) { clear(n.services); n.node.Address = "10.9.9.9" })
		pass(fullPass)
		r.wrote("when both are missing", "register service web token=web", "register token=agent")
	})
}
