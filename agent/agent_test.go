package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/api"
)

// next is the Caller behind the agent: it keeps what it is asked.
type next struct{ last *api.Request }

var errNext = errors.New("from the next")

func (n *next) Call(_ context.Context, req *api.Request) (*api.Response, error) {
	n.last = req
	return &api.Response{Value: "next", Meta: api.Meta{Index: 7}}, errNext
}

// denyNode grants everything but to look at one node.
type denyNode string

func (d denyNode) Allows(n acl.Need) bool { return n.Resource != acl.Node || n.Name != string(d) }
func (d denyNode) ID() string             { return string(d) }

type denyAll struct{}

func (denyAll) Allows(acl.Need) bool { return false }
func (denyAll) ID() string           { return "" }

// newAgent makes an agent n1 in dc1 with a neighbour n2.
func newAgent(n *next) *Agent {
	me, other := &api.Member{Name: "n1", Status: api.MemberAlive}, &api.Member{Name: "n2"}
	return New(Config{
		Node: api.Node{ID: "id", Node: "n1"}, Datacenter: "dc1",
		About: About{
			Config: map[string]any{"NodeName": "n1"}, Debug: map[string]any{"Bootstrap": true}, Meta: map[string]string{"rack": "a"},
			Version: api.Version{HumanVersion: "1.2.3", SHA: "abc"},
		},
		LAN:   func() []*api.Member { return []*api.Member{other, me} },
		WAN:   func() []*api.Member { return []*api.Member{{Name: "n1.dc1"}} },
		Stats: func() map[string]map[string]string { return map[string]map[string]string{"raft": {"state": "Leader"}} },
		Authorizer: func(token string) (acl.Authorizer, error) {
			switch token {
			case "deny":
				return denyAll{}, nil
			case "not n2":
				return denyNode("n2"), nil
			}
			return acl.AllowAll{}, nil
		},
	}, n, slog.New(slog.DiscardHandler))
}

func TestPassedOn(t *testing.T) {
	n := &next{}
	a := newAgent(n)
	for _, op := range api.Ops() {
		if op.Kind == api.KindLocal {
			continue
		}
		req := &api.Request{Op: op, Args: op.NewArgs(), Token: "deny", Datacenter: "dc9", Query: api.Query{MinIndex: 3}}
		resp, err := a.Call(t.Context(), req)
		if n.last != req || err != errNext || resp.Value != "next" || resp.Index != 7 {
			t.Errorf("%s: got %+v, %v and passed on %+v; want the request as it is and the answer as it comes", op.Name, resp, err, n.last)
		}
	}
}

func TestNodeIsFilledIn(t *testing.T) {
	for given, want := range map[string]string{"": "n1", "other": "other"} {
		n := &next{}
		args := &api.SessionCreateArgs{Spec: api.SessionSpec{Node: given}}
		_, _ = newAgent(n).Call(t.Context(), &api.Request{Op: api.SessionCreate.Op, Args: args})
		if got := n.last.Args.(*api.SessionCreateArgs).Spec.Node; got != want {
			t.Errorf("a session of node %q: got %q; want %q", given, got, want)
		}
	}
}

func TestMembers(t *testing.T) {
	for _, c := range []struct {
		token string
		args  api.MembersArgs
		want  []string
	}{
		{"", api.MembersArgs{}, []string{"n2", "n1"}},
		{"", api.MembersArgs{WAN: "1"}, []string{"n1.dc1"}},
		{"not n2", api.MembersArgs{}, []string{"n1"}},
		{"deny", api.MembersArgs{}, []string{}},
	} {
		resp, err := newAgent(&next{}).Call(t.Context(), &api.Request{Op: api.AgentMembers.Op, Args: &c.args, Token: c.token})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, m := range resp.Value.([]*api.Member) {
			got = append(got, m.Name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("members %+v with token %q (-want +got)\n%s", c.args, c.token, diff)
		}
	}
}

func TestSelf(t *testing.T) {
	a := newAgent(&next{})
	for range 2 { // the second answer must not hold what the first changed
		self, err := api.Call(t.Context(), a, api.AgentSelf, api.None{})
		if err != nil {
			t.Fatal(err)
		}
		if self.Member == nil || self.Member.Name != "n1" || self.Config["NodeName"] != "n1" || self.DebugConfig["Bootstrap"] != true || self.Meta["rack"] != "a" {
			t.Errorf("agent/self: got %+v", self)
		}
		for section, key := range map[string]string{"raft": "state", "runtime": "os", "agent": "checks", "build": "version"} {
			if self.Stats[section][key] == "" {
				t.Errorf("agent/self: Stats.%s: got %v; want %s in it", section, self.Stats[section], key)
			}
		}
		if len(self.Coord.Vec) != 8 {
			t.Errorf("agent/self: Coord: got %+v; want eight dimensions", self.Coord)
		}
	}
	version, err := api.Call(t.Context(), a, api.AgentVersion, api.None{})
	if err != nil || version.HumanVersion != "1.2.3" {
		t.Errorf("agent/version: got %+v, %v", version, err)
	}
}

func TestHost(t *testing.T) {
	h, err := api.Call(t.Context(), newAgent(&next{}), api.AgentHost, api.None{})
	if err != nil {
		t.Fatal(err)
	}
	name, _ := os.Hostname()
	now := time.Now()
	switch {
	case len(h.Errors) > 0:
		t.Errorf("agent/host: errors %v", h.Errors)
	case h.Memory.Total == 0 || h.Memory.Used > h.Memory.Total || h.Memory.UsedPercent < 0 || h.Memory.UsedPercent > 100:
		t.Errorf("agent/host: memory %+v", h.Memory)
	case len(h.CPU) == 0 || h.Host.Hostname != name || h.Host.OS != "linux" || h.Host.KernelVersion == "":
		t.Errorf("agent/host: %+v, processors %+v", h.Host, h.CPU)
	case h.Host.BootTime+h.Host.Uptime > uint64(now.Unix())+2 || h.CollectionTime > now.UnixNano():
		t.Errorf("agent/host: booted at %d, up for %d s, collected at %d; now it is %v", h.Host.BootTime, h.Host.Uptime, h.CollectionTime, now)
	case h.Disk.Path != "/" || h.Disk.Total == 0 || h.Disk.Free > h.Disk.Total:
		t.Errorf("agent/host: disk %+v", h.Disk)
	}
}

// TestHostWithoutDisk tells what could not be found out, and the rest.
func TestHostWithoutDisk(t *testing.T) {
	a := New(Config{DataDir: "/no/such/directory"}, &next{}, slog.New(slog.DiscardHandler))
	h, err := api.Call(t.Context(), a, api.AgentHost, api.None{})
	if err != nil || len(h.Errors) != 1 || h.Memory.Total == 0 {
		t.Errorf("agent/host without a disk: got %+v, %v; want one error and the rest", h, err)
	}
}

func TestDenied(t *testing.T) {
	for _, op := range []*api.Op{api.AgentSelf.Op, api.AgentHost.Op, api.AgentVersion.Op} {
		resp, err := newAgent(&next{}).Call(t.Context(), &api.Request{Op: op, Args: op.NewArgs(), Token: "deny"})
		if api.KindOf(err) != api.Denied || resp != nil {
			t.Errorf("%s without permission: got %+v, %v; want it denied", op.Name, resp, err)
		}
	}
}
