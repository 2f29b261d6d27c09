package metrics

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"curia/api"
)

// errNoRetention is documented.
var errNoRetention = &api.Error{
	Kind: api.Unsupported, Msg: "Prometheus is not enabled since its retention time is not positive",
}

// Prometheus makes a function that answers in Prometheus' text format, with
// the figures of the process and of the Go runtime. While the retention time is
// not positive it writes nothing and returns an error of kind Unsupported.
func (r *Registry) Prometheus() func(http.ResponseWriter, *http.Request) error {
	all := prometheus.NewRegistry()
	all.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{r})
	h := promhttp.HandlerFor(all, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	return func(w http.ResponseWriter, req *http.Request) error {
		if r.rules.Load().Retention <= 0 {
			return errNoRetention
		}
		h.ServeHTTP(w, req)
		return nil
	}
}

// collector lets Prometheus' client scrape a Registry.
type collector struct{ r *Registry }

// Describe implements prometheus.Collector. It describes nothing: which metrics
// there are is known only when they are collected.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	kinds := map[string]kind{}
	for _, p := range c.r.scrape() {
		name := promName(p.name)
		if k, taken := kinds[name]; taken && k != p.kind {
			continue // a name has one type in this format
		}
		kinds[name] = p.kind
		out <- promMetric(name, p)
	}
}

func promMetric(name string, p point) prometheus.Metric {
	names, values := make([]string, len(p.labels)), make([]string, len(p.labels))
	for i, l := range p.labels {
		names[i], values[i] = promName(l.Name), l.Value
	}
	desc := prometheus.NewDesc(name, p.name, names, nil)
	var m prometheus.Metric
	var err error
	switch p.kind {
	case gauge:
		m, err = prometheus.NewConstMetric(desc, prometheus.GaugeValue, p.value, values...)
	case counter:
		m, err = prometheus.NewConstMetric(desc, prometheus.CounterValue, p.sum.Sum, values...)
	default:
		m, err = prometheus.NewConstSummary(desc, p.sum.Count, p.sum.Sum, nil, values...)
	}
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return m
}

// promName replaces what names in this format may not hold.
func promName(name string) string {
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == ':' {
			return c
		}
		return '_'
	}, name)
	if clean == "" || clean[0] >= '0' && clean[0] <= '9' {
		clean = "_" + clean
	}
	return clean
}
