package main

import (
	"curia/config"
	"curia/internal/metrics"
	"curia/server"
)

// setLimits takes over the limits that can change while the agent runs. What a
// server asks of others is not bounded: it asks on behalf of agents that are.
func (n *node) setLimits(l *config.Limits) {
	n.limits.Store(l)
	if n.serving == nil {
		n.router.SetRate(l.RPCRate, l.RPCMaxBurst)
		return
	}
	n.serving.SetLimits(server.RequestLimits{Mode: server.LimitMode(l.RequestMode), Read: l.ReadRate, Write: l.WriteRate})
}

// measureRequests tells what was asked of servers (client.rpc).
func (n *node) measureRequests(to *metrics.Scrape) {
	asked, refused, failed := n.router.Counts()
	to.Counter("client.rpc", asked)
	to.Counter("client.rpc.exceeded", refused)
	to.Counter("client.rpc.failed", failed)
}
