package gossip

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// The tags that decide who is let in.
const (
	tagRole       = "role"
	tagDatacenter = "dc"
	tagID         = "id"
	// tagProtocol names the protocol between agents, which is Curia's own:
	// others that gossip alike would be members with whom nobody can talk.
	tagProtocol = "curia"

	roleServer = "consul"
	protocol   = "1"
)

// refusal is why a member is not let in. The texts are documented.
type refusal string

func (r refusal) Error() string { return string(r) }

// gate decides who is let in. The library asks it on both sides of a join, so
// that the newcomer is told, and for each member that others speak of. It is
// asked concurrently, under the library's locks.
type gate struct {
	cfg     Config
	members atomic.Pointer[func() []serf.Member]
}

func newGate(cfg Config) *gate { return &gate{cfg: cfg} }

// watch says how to list the members, from when the pool is there.
func (g *gate) watch(members func() []serf.Member) { g.members.Store(&members) }

// tag adds to tags that whoever carries them is one of us.
func (g *gate) tag(tags map[string]string) map[string]string {
	out := maps.Clone(tags)
	if out == nil {
		out = map[string]string{}
	}
	out[tagProtocol] = protocol
	return out
}

// NotifyMerge implements memberlist.MergeDelegate: all members of the other
// side of a join, or none. Those that only come from elsewhere do not keep the
// others out; NotifyAlive does not let them in.
func (g *gate) NotifyMerge(peers []*memberlist.Node) error {
	held := g.holders()
	if here := slices.DeleteFunc(slices.Clone(peers), func(p *memberlist.Node) bool { return !g.allowed(p.Addr) }); len(here) > 0 {
		peers = here
	}
	for _, peer := range peers {
		if err := g.check(peer, held); err != nil {
			return err
		}
	}
	return nil
}

// NotifyAlive implements memberlist.AliveDelegate: a member that is spoken of.
func (g *gate) NotifyAlive(peer *memberlist.Node) error {
	if peer.Name == g.cfg.Name {
		return nil
	}
	return g.check(peer, g.holders())
}

// holder is a living member that has a name and an ID.
type holder struct{ name, id, address string }

// holders are the members that are alive, and this agent before all.
func (g *gate) holders() []holder {
	out := []holder{{name: g.cfg.Name, id: g.cfg.Tags[tagID]}}
	members := g.members.Load()
	if members == nil {
		return out
	}
	for _, m := range (*members)() {
		where := net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))
		switch {
		case m.Name == g.cfg.Name:
			out[0].address = where
		case m.Status == serf.StatusAlive || m.Status == serf.StatusLeaving:
			out = append(out, holder{m.Name, m.Tags[tagID], where})
		}
	}
	return out
}

// check says why a member cannot be let in, if so. One that is gone takes
// nobody's name or ID. Names that differ in case alone are the same, as they are
// in the catalog.
func (g *gate) check(peer *memberlist.Node, held []holder) error {
	tags := decodeTags(peer.Meta)
	switch {
	case tags[tagProtocol] == "":
		return refusal(fmt.Sprintf("Member '%s' is not a Curia agent", peer.Name))
	case g.cfg.Area == LAN && tags[tagDatacenter] != g.cfg.Tags[tagDatacenter]:
		return refusal(fmt.Sprintf("Member '%s' part of wrong datacenter '%s'", peer.Name, tags[tagDatacenter]))
	case g.cfg.Area == WAN && tags[tagRole] != roleServer:
		return refusal(fmt.Sprintf("Member '%s' is not a server", peer.Name))
	case !g.allowed(peer.Addr):
		return refusal(fmt.Sprintf("Member '%s' has the address %s, which is in none of the allowed networks %v", peer.Name, peer.Addr, g.cfg.Allowed))
	case peer.State == memberlist.StateDead || peer.State == memberlist.StateLeft:
		return nil
	}
	id, where := tags[tagID], peer.Address()
	for _, h := range held {
		switch {
		case h.name != peer.Name && h.id == id && id != "":
			return refusal(fmt.Sprintf("Member '%s' has conflicting node ID '%s' with member '%s'", peer.Name, id, h.name))
		case strings.EqualFold(h.name, peer.Name) && h.id != id && h.address != "" && h.address != where:
			return refusal(fmt.Sprintf("Member '%s' at %s has node ID '%s', but a member of that name at %s has node ID '%s'",
				peer.Name, where, id, h.address, h.id))
		}
	}
	return nil
}

// allowed reports whether members may come from an address.
func (g *gate) allowed(from net.IP) bool {
	ip, _ := netip.AddrFromSlice(from)
	return len(g.cfg.Allowed) == 0 || slices.ContainsFunc(g.cfg.Allowed, func(n netip.Prefix) bool { return n.Contains(ip.Unmap()) })
}

// tagMagic marks tags as encoded; anything else is not from an agent.
const tagMagic = 255

// decodeTags reads the tags of a member as the library encodes them. It gives
// them to us only with the members that it has let in.
func decodeTags(meta []byte) map[string]string {
	if len(meta) == 0 || meta[0] != tagMagic {
		return nil
	}
	tags := map[string]string{}
	if err := codec.NewDecoder(bytes.NewReader(meta[1:]), &codec.MsgpackHandle{}).Decode(&tags); err != nil {
		return nil
	}
	return tags
}
