package main

import (
	"curia/config"
	"curia/gossip"
	"curia/server"
)

// told adds what a server asks of the pools.
func (p *pools) told(c server.Config) server.Config {
	lan, wan := p.lan.Encrypted(), p.wan != nil && p.wan.Encrypted()
	if lan || wan {
		c.Pools.Keys = p.keys
	}
	if p.wan != nil && lan != wan {
		p.log.Warn("one of the pools is encrypted and the other is not: one has a keyring file, and encrypt is not set", "lan", lan, "wan", wan)
	}
	if p.wan != nil {
		c.Pools.Datacenters, c.Pools.Nearest = p.wan.Datacenters, p.wan.Nearest
	}
	return c
}

// pace is how often the members of a pool look after each other.
func pace(of *config.Pace) gossip.Pace {
	return gossip.Pace{
		GossipInterval: of.GossipInterval, GossipNodes: of.GossipNodes,
		ProbeInterval: of.ProbeInterval, ProbeTimeout: of.ProbeTimeout,
		RetransmitMult: of.RetransmitMult, SuspicionMult: of.SuspicionMult,
	}
}
