package main

import (
	"curia/config"
	"curia/gossip"
)

// pace is how often the members of a pool look after each other.
func pace(of *config.Pace) gossip.Pace {
	return gossip.Pace{
		GossipInterval: of.GossipInterval, GossipNodes: of.GossipNodes,
		ProbeInterval: of.ProbeInterval, ProbeTimeout: of.ProbeTimeout,
		RetransmitMult: of.RetransmitMult, SuspicionMult: of.SuspicionMult,
	}
}
