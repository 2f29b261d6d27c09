package realtest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	consul "github.com/hashicorp/consul/api"
)

// lanAddress is where an agent gossips in its datacenter.
func (a *agent) lanAddress() string {
	a.t.Helper()
	return a.gossipAddress("serf_lan")
}

// wanAddress is where it gossips with other datacenters.
func (a *agent) wanAddress() string {
	a.t.Helper()
	return a.gossipAddress("serf_wan")
}

func (a *agent) gossipAddress(port string) string {
	a.t.Helper()
	var conf struct {
		Ports map[string]int `json:"ports"`
	}
	text, err := os.ReadFile(a.conf)
	check(a.t, err)
	check(a.t, json.Unmarshal(text, &conf))
	return fmt.Sprintf("127.0.0.1:%d", conf.Ports[port])
}

// sees waits until the members are as wanted, like "n1=1 n2=4".
func (a *agent) sees(want string) {
	a.t.Helper()
	c := a.client()
	eventually(a.t, thingWait, func() error {
		members, err := c.Agent().Members(false)
		if err != nil {
			return err
		}
		var got []string
		for _, m := range members {
			got = append(got, fmt.Sprintf("%s=%d", m.Name, m.Status))
		}
		if text := strings.Join(got, " "); text != want {
			return fmt.Errorf("members: got %q, wanted %q", text, want)
		}
		return nil
	})
}

// TestGossip lets two agents join, hear each other's events, leave, fail, and
// find each other again.
func TestGossip(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	b := prepare(t, option{config: map[string]any{"node_name": "n2"}})
	b.configure(map[string]any{"start_join": []string{a.lanAddress()}, "performance": map[string]any{"leave_drain_time": "10ms"}})
	b.launch()
	a.sees("n1=1 n2=1")
	b.sees("n1=1 n2=1")
	eventually(t, thingWait, func() error { return a.said("only one server of a datacenter may be") })

	id, _, err := a.client().Event().Fire(&consul.UserEvent{Name: "deploy", Payload: []byte("42"), NodeFilter: "2$"}, nil)
	check(t, err)
	events := b.client().Event()
	eventually(t, thingWait, func() error {
		heard, meta, err := events.List("deploy", nil)
		if err != nil {
			return err
		}
		if len(heard) != 1 || heard[0].ID != id || string(heard[0].Payload) != "42" || meta.LastIndex != events.IDToIndex(id) {
			return fmt.Errorf("events of n2: got %+v, %+v", heard, meta)
		}
		return nil
	})
	if heard, _, err := a.client().Event().List("", nil); err != nil || len(heard) != 0 {
		t.Errorf("events of n1, whom the filter excludes: got %+v, %v", heard, err)
	}

	// Servers do not leave when they are stopped; where the others are is in the
	// snapshot then.
	b.stop(syscall.SIGTERM)
	a.sees("n1=1 n2=4")
	b.configure(map[string]any{"start_join": []string{}})
	b.launch()
	a.sees("n1=1 n2=1")
	b.sees("n1=1 n2=1")
	check(t, b.client().Agent().Leave())
	members, err := a.client().Agent().Members(false)
	check(t, err)
	same(t, "members right after n2 was told to leave", names(members, func(m *consul.AgentMember) string { return fmt.Sprintf("%s=%d", m.Name, m.Status) }), "n1=1 n2=3")
	if code := b.awaitExit(); code != 0 {
		t.Errorf("exit code after agent/leave: got %d, wanted 0", code)
	}
	a.sees("n1=1 n2=3")
	check(t, a.client().Agent().ForceLeavePrune("n2"))
	a.sees("n1=1")
}

// TestJoinAtStart covers who must be there when an agent starts, and who may
// not be.
func TestJoinAtStart(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"encrypt": "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="}})
	if _, err := os.Stat(filepath.Join(a.dir, "serf", "local.keyring")); err != nil {
		t.Errorf("keyring: %v", err)
	}
	here := []string{a.lanAddress()}
	for _, c := range []struct {
		name string
		conf map[string]any
		want []string
	}{
		{"nobody there", map[string]any{"start_join": []string{"127.0.0.1:1"}}, []string{"cannot join", "127.0.0.1:1", "-retry-join"}},
		{"nobody there for long", map[string]any{"retry_join": []string{"127.0.0.1:1"}, "retry_max": 2, "retry_interval": "1ms"}, []string{"gave up after 2 attempts"}},
		{"no key", map[string]any{"start_join": here}, []string{"cannot join"}},
		{"other datacenter", map[string]any{"start_join": here, "encrypt": "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=", "datacenter": "dc2"},
			[]string{"Member 'n1' part of wrong datacenter 'dc1'"}},
		{"same name", map[string]any{"start_join": here, "encrypt": "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=", "node_name": "n1"},
			[]string{"Member 'n1' at", "has node ID"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.conf["node_name"] == nil {
				c.conf["node_name"] = "n2"
			}
			b := prepare(t, option{config: c.conf})
			b.launch()
			if code := b.awaitExit(); code != 1 {
				t.Errorf("exit code: got %d, wanted 1", code)
			}
			for _, text := range c.want {
				check(t, b.said(text))
			}
		})
	}
	a.sees("n1=1")
}

// TestGossipPortTaken covers that the error says what to change.
func TestGossipPortTaken(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	_, port, _ := strings.Cut(a.lanAddress(), ":")
	for _, c := range []struct{ name, setting string }{{"lan", "ports.serf_lan"}, {"wan", "ports.serf_wan"}} {
		b := prepare(t, option{flags: []string{"-serf-" + c.name + "-port=" + port}})
		b.launch()
		if code := b.awaitExit(); code != 1 {
			t.Errorf("exit code: got %d, wanted 1", code)
		}
		for _, text := range []string{"127.0.0.1:" + port, "address already in use", c.setting} {
			check(t, b.said(text))
		}
	}
}
