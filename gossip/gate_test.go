package gossip

import (
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

func TestRefusals(t *testing.T) {
	with := func(name, tag, value string) Config {
		c := config(name)
		c.Tags[tag] = value
		return c
	}
	from := func(c Config, networks ...string) Config {
		for _, n := range networks {
			c.Allowed = append(c.Allowed, netip.MustParsePrefix(n))
		}
		return c
	}
	wan := func(c Config) Config {
		c.Area = WAN
		return c
	}
	for _, c := range []struct {
		name     string
		old, new Config
		want     string // what the newcomer is told; empty: it is let in
	}{
		{"same datacenter", config("a"), config("b"), ""},
		{"wrong datacenter", config("a"), with("b", "dc", "dc2"), "Member 'a' part of wrong datacenter 'dc1'"},
		{"duplicate node ID", config("a"), with("b", "id", "id-of-a"), "Member 'a' has conflicting node ID 'id-of-a' with member 'b'"},
		{"duplicate name", config("a"), with("a", "id", "other"), "has node ID 'id-of-a', but a member of that name at"},
		{"duplicate name in capitals", config("a"), with("A", "id", "other"), "has node ID 'id-of-a', but a member of that name at"},
		{"client", config("a"), with("b", "role", "node"), ""},
		{"allowed network", from(config("a"), "127.0.0.0/8"), from(config("b"), "10.0.0.0/8", "127.0.0.1/32"), ""},
		{"WAN, other datacenter", wan(config("a.dc1")), wan(with("b.dc2", "dc", "dc2")), ""},
		{"WAN, client", wan(with("a.dc1", "role", "node")), wan(config("b.dc1")), "Member 'a.dc1' is not a server"},
		{"WAN, duplicate node ID", wan(config("a.dc1")), wan(with("b.dc1", "id", "id-of-a.dc1")), "has conflicting node ID 'id-of-a.dc1' with member 'b.dc1'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, newcomer := enter(t, c.old), enter(t, c.new)
			_, err := newcomer.Join([]string{old.address()})
			if c.want == "" {
				if err != nil {
					t.Fatalf("join: got %v, want to be let in", err)
				}
				old.await(Joined, c.new.Name)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), old.address()) {
				t.Errorf("join %s\n got %v\nwant %q", old.address(), err, c.want)
			}
			if got, want := newcomer.statuses(), c.new.Name+"=alive"; got != want {
				t.Errorf("members that the newcomer sees: got %q, want %q", got, want)
			}
			if got, want := old.statuses(), c.old.Name+"=alive"; got != want && c.old.Tags["role"] == roleServer {
				t.Errorf("members that the other sees: got %q, want %q", got, want)
			}
		})
	}
}

// TestNotAllowed covers members from networks that are not allowed: on this side,
// where the join fails, and on the other, which does not take notice.
func TestNotAllowed(t *testing.T) {
	strict := config("a")
	strict.Allowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	other := config("b")
	other.Bind = "127.0.0.2"
	a, b := enter(t, strict), enter(t, other)
	_, err := a.Join([]string{b.address()})
	if want := "Member 'b' has the address 127.0.0.2, which is in none of the allowed networks [127.0.0.1/32]"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("join from an address that is not allowed\n got %v\nwant %q", err, want)
	}
	_, _ = b.Join([]string{a.address()})
	// Somebody who lets all in does not bring them along, and is not kept out.
	c := enter(t, config("c"))
	c.join(b)
	if _, err := a.Join([]string{c.address()}); err != nil {
		t.Errorf("join a pool with a member that is not allowed: %v", err)
	}
	c.holds("a=alive b=alive c=alive")
	a.holds("a=alive c=alive")
}

// TestRenamed covers that the ID of a member that is gone is free.
func TestRenamed(t *testing.T) {
	a, b := enter(t, config("a")), enter(t, config("b"))
	b.join(a)
	b.kill()
	a.await(Failed, "b")
	renamed := config("c")
	renamed.Tags["id"] = "id-of-b"
	c := enter(t, renamed)
	c.join(a)
	// The same name on a new machine.
	c.kill()
	a.await(Failed, "c")
	c = enter(t, config("c"))
	c.join(a)
	a.holds("a=alive b=failed c=alive")
}

// TestStrangers covers agents that gossip alike and are others.
func TestStrangers(t *testing.T) {
	a := enter(t, config("a"))
	cfg := config("stranger")
	c := cfg.timed()
	c.NodeName, c.Tags, c.LogOutput = "stranger", maps.Clone(cfg.Tags), &strings.Builder{}
	c.Logger = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	c.MemberlistConfig.BindAddr, c.MemberlistConfig.BindPort = "127.0.0.1", 0
	c.MemberlistConfig.Logger = c.Logger
	stranger, err := serf.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Shutdown()
	where := stranger.Memberlist().LocalNode().Address()
	if _, err := a.Join([]string{where}); err == nil || !strings.Contains(err.Error(), "Member 'stranger' is not a Curia agent") {
		t.Errorf("join a stranger: got %v", err)
	}
	if got := a.statuses(); got != "a=alive" {
		t.Errorf("members: got %q", got)
	}
	for _, meta := range [][]byte{nil, {}, {0}, {tagMagic}, {tagMagic, 0xc1}, []byte("role")} {
		if err := a.gate.NotifyAlive(&memberlist.Node{Name: "odd", Meta: meta}); err == nil {
			t.Errorf("a member with the tags %x is let in", meta)
		}
	}
}
