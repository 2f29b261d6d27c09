package metrics

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"curia/api"
)

// Label tells metrics of one name apart.
type Label struct{ Name, Value string }

type kind uint8

const (
	gauge kind = iota
	counter
	sample
)

// point is one metric at the moment of a scrape.
type point struct {
	kind   kind
	name   string // whole, with prefix and host
	labels []Label
	value  float64 // of a gauge
	sum    Summary // of the others
}

// Scrape collects the metrics of one moment from the sources. It belongs to one
// goroutine. What the filter holds back is dropped at once. Equal names with
// equal labels are added up, the last value of a gauge stays.
type Scrape struct {
	cfg    *Config
	filter *Filter
	points []point
}

// Gauge tells a value. Names have neither prefix nor host.
func (s *Scrape) Gauge(name string, v float64, labels ...Label) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return // JSON has no such numbers
	}
	s.add(point{kind: gauge, name: dotted(s.cfg.Prefix, s.cfg.Host, name), labels: labels, value: v})
}

// Counter tells how often something has happened since the agent started.
func (s *Scrape) Counter(name string, n uint64, labels ...Label) {
	s.count(name, times(n), labels)
}

func (s *Scrape) count(name string, sum Summary, labels []Label) {
	s.add(point{kind: counter, name: dotted(s.cfg.Prefix, name), labels: labels, sum: sum})
}

// Sample tells what a sample has summed up.
func (s *Scrape) Sample(name string, of *Sample, labels ...Label) {
	s.Summary(name, of.Summary(), labels...)
}

// Summary tells what was summed up elsewhere.
func (s *Scrape) Summary(name string, sum Summary, labels ...Label) {
	s.add(point{kind: sample, name: dotted(s.cfg.Prefix, name), labels: labels, sum: sum})
}

func (s *Scrape) add(p point) {
	if s.filter.Allows(p.name) {
		p.labels = slices.Clone(p.labels)
		s.points = append(s.points, p)
	}
}

func dotted(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ".")
}

// scrape asks the sources. Points come in the order of kind, name and labels,
// each once.
func (r *Registry) scrape() []point {
	s := &Scrape{cfg: &r.cfg, filter: &r.rules.Load().Filter}
	r.mu.Lock()
	sources := r.sources // only ever appended to
	r.mu.Unlock()
	for _, source := range sources {
		source(s)
	}
	slices.SortStableFunc(s.points, comparePoints)
	out := s.points[:0]
	for _, p := range s.points {
		if last := len(out) - 1; last >= 0 && comparePoints(out[last], p) == 0 {
			out[last].value, out[last].sum = p.value, out[last].sum.and(p.sum)
			continue
		}
		out = append(out, p)
	}
	return out
}

func comparePoints(a, b point) int {
	if c := cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.name, b.name)); c != 0 {
		return c
	}
	return slices.CompareFunc(a.labels, b.labels, func(a, b Label) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
}

// Metrics tells what was measured, as "agent/metrics" prints it. Rates are of
// sums, per second since the agent started.
func (r *Registry) Metrics() *api.Metrics {
	points := r.scrape()
	now := r.cfg.Clock()
	seconds := max(now.Sub(r.began).Seconds(), 1)
	m := &api.Metrics{
		Timestamp: now.UTC().Truncate(time.Second).String(),
		Gauges:    []api.Gauge{}, Points: []struct{}{}, Counters: []api.Sample{}, Samples: []api.Sample{},
	}
	for _, p := range points {
		labels := make(map[string]string, len(p.labels))
		for _, l := range p.labels {
			labels[l.Name] = l.Value
		}
		if p.kind == gauge {
			m.Gauges = append(m.Gauges, api.Gauge{Name: p.name, Value: p.value, Labels: labels})
			continue
		}
		s := api.Sample{
			Name: p.name, Count: int(p.sum.Count), Rate: p.sum.Sum / seconds, Sum: p.sum.Sum,
			Min: p.sum.Min, Max: p.sum.Max, Mean: p.sum.Mean(), Stddev: p.sum.Stddev(), Labels: labels,
		}
		if p.kind == counter {
			m.Counters = append(m.Counters, s)
		} else {
			m.Samples = append(m.Samples, s)
		}
	}
	return m
}
