package config

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"time"
)

func (c *Config) validateGossip(p *problems) {
	g := &c.Gossip
	if g.EncryptKey != "" {
		key, err := base64.StdEncoding.DecodeString(g.EncryptKey)
		if err != nil || !slices.Contains([]int{16, 24, 32}, len(key)) {
			p.fail("encrypt must be 16, 24 or 32 bytes in base64")
		}
	}
	g.LAN.validate("gossip_lan", p)
	g.WAN.validate("gossip_wan", p)
	validateNetworks("serf_allowed_cidrs_lan", g.AllowedLAN, c.Addresses.Advertise, p)
	if c.Mode.Server {
		validateNetworks("serf_allowed_cidrs_wan", g.AllowedWAN, c.Addresses.AdvertiseWAN, p)
	}
	switch d := g.AdvertiseReconnectTimeout; {
	case d == 0:
	case c.Mode.Server:
		p.fail("advertise_reconnect_timeout can only be used on a client: servers are forgotten after reconnect_timeout")
	case d < minReconnectTimeout:
		p.fail("advertise_reconnect_timeout cannot be %s. Must be at least %s", d, minReconnectTimeout)
	}
}

// minReconnectTimeout is the least time until a failed member is forgotten: it
// may be rebooting.
const minReconnectTimeout = 8 * time.Hour

func (v *Pace) validate(group string, p *problems) {
	for _, s := range []struct {
		key   string
		value time.Duration
	}{{"gossip_interval", v.GossipInterval}, {"probe_interval", v.ProbeInterval}, {"probe_timeout", v.ProbeTimeout}} {
		if s.value == 0 {
			p.fail("%s.%s cannot be 0s. Must be more", group, s.key)
		}
	}
	for _, s := range []struct {
		key   string
		value int
	}{{"gossip_nodes", v.GossipNodes}, {"retransmit_mult", v.RetransmitMult}, {"suspicion_mult", v.SuspicionMult}} {
		if s.value < 1 {
			p.fail("%s.%s cannot be %d. Must be at least 1", group, s.key, s.value)
		}
	}
	if v.ProbeTimeout > v.ProbeInterval && v.ProbeInterval > 0 {
		p.warn("%s.probe_timeout (%s) is more than %s.probe_interval (%s): members that do not answer are never asked for through others.",
			group, v.ProbeTimeout, group, v.ProbeInterval)
	}
}

// validateNetworks wants networks, and this agent's own address in one of them.
func validateNetworks(key string, networks []string, own string, p *problems) {
	self, _ := netip.ParseAddr(own)
	found := len(networks) == 0
	for _, text := range networks {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			p.fail("%s: %q is not a network such as 10.0.0.0/8", key, text)
			found = true // one complaint is enough
			continue
		}
		found = found || n.Contains(self.Unmap())
	}
	if !found && self.IsValid() {
		p.fail("%s: the address of this agent, %s, is in none of %q: it could not be a member", key, own, networks)
	}
}

// Networks gives a list of networks that Load has checked.
func Networks(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range list {
		if n, err := netip.ParsePrefix(text); err == nil {
			out = append(out, n.Masked())
		}
	}
	return out
}
