package agent

import "curia/internal/metrics"

// Measure tells how many members of the LAN pool are servers and clients.
func (a *Agent) Measure(to *metrics.Scrape) {
	servers, clients := 0.0, 0.0
	for _, m := range a.cfg.LAN() {
		if m.Tags["role"] == "consul" {
			servers++
		} else {
			clients++
		}
	}
	dc := metrics.Label{Name: "datacenter", Value: a.cfg.Datacenter}
	to.Gauge("members.servers", servers, dc)
	to.Gauge("members.clients", clients, dc)
}
