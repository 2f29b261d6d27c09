package main

import (
	"context"
	"net"
	"time"

	"curia/api"
)

// floodEvery is how often the servers of the datacenter are looked for in the
// WAN pool, unless one of them joins the LAN pool.
const floodEvery = time.Minute

// flood joins the servers of this datacenter to the WAN pool, so that one join
// between two datacenters is enough, until ctx ends.
func (p *pools) flood(ctx context.Context) error {
	if p.wan == nil {
		return nil
	}
	for {
		for _, address := range p.dry() {
			if ctx.Err() != nil {
				return nil
			}
			if _, err := p.wan.Join([]string{address}); err != nil {
				p.log.Debug("cannot join a server of this datacenter to the WAN pool", "address", address, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.flooded:
		case <-time.After(floodEvery):
		}
	}
}

// dry lists the WAN addresses of the servers of this datacenter that are not in
// the WAN pool.
func (p *pools) dry() []string {
	there := map[string]bool{}
	for _, m := range p.wan.Members() {
		there[m.Name] = m.Status == api.MemberAlive
	}
	var out []string
	for _, m := range p.lan.Members() {
		port := m.Tags["wan_join_port"]
		if m.Tags["role"] == "consul" && m.Status == api.MemberAlive && port != "" && !there[wanName(m.Name, p.cfg)] {
			out = append(out, net.JoinHostPort(m.Addr, port))
		}
	}
	return out
}
