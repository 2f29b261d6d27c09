package metrics

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gometrics "github.com/armon/go-metrics"
)

// maxSeries bounds what libraries may report: names hold the IDs of peers, which
// come and go.
const maxSeries = 1024

// maxEventSeries bounds the names of users' events among them, each of which has
// a series: who may fire events chooses the names, and could leave no room for
// what servers tell of each other.
const maxEventSeries = 64

// series is one metric of a library.
type series struct {
	kind   kind
	name   string
	labels []Label
	sample Sample        // of counters and samples
	value  atomic.Uint64 // bits of the float64 of a gauge
}

// Libraries takes what libraries report through go-metrics. The zero value is
// ready. It implements gometrics.MetricSink and may be called concurrently.
type Libraries struct {
	known  atomic.Pointer[map[string]*series] // replaced as a whole; by key
	mu     sync.Mutex                         // for replacing it
	events int                                // names of events in it
}

var _ gometrics.MetricSink = (*Libraries)(nil)

// HearLibraries makes the libraries of this process report to r from now on.
// They know one place to report to in a process, so the last registry hears
// them all.
func HearLibraries(r *Registry) error {
	l := &Libraries{}
	cfg := &gometrics.Config{TimerGranularity: time.Millisecond, FilterDefault: true}
	if _, err := gometrics.NewGlobal(cfg, l); err != nil {
		return fmt.Errorf("let libraries report metrics: %w", err)
	}
	r.Add(l.Measure)
	return nil
}

// Measure tells what was reported.
func (l *Libraries) Measure(to *Scrape) {
	known := l.known.Load()
	if known == nil {
		return
	}
	for _, s := range *known {
		switch s.kind {
		case gauge:
			to.Gauge(s.name, math.Float64frombits(s.value.Load()), s.labels...)
		case counter:
			to.count(s.name, s.sample.Summary(), s.labels)
		default:
			to.Sample(s.name, &s.sample, s.labels...)
		}
	}
}

// find gives the series of a key, made when it is new; nil when there are too
// many. What is known is found without a lock and without allocating.
func (l *Libraries) find(k kind, parts []string, labels []gometrics.Label) *series {
	var room [128]byte
	key := append(room[:0], byte(k))
	for _, p := range parts {
		key = append(append(key, '.'), p...)
	}
	for _, label := range labels {
		key = append(append(key, 0), label.Name...)
		key = append(append(key, 0), label.Value...)
	}
	if known := l.known.Load(); known != nil {
		if s := (*known)[string(key)]; s != nil {
			return s
		}
	}
	return l.learn(k, string(key), parts, labels)
}

func (l *Libraries) learn(k kind, key string, parts []string, labels []gometrics.Label) *series {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := map[string]*series{}
	if known := l.known.Load(); known != nil {
		if s := (*known)[key]; s != nil || len(*known) >= maxSeries {
			return s
		}
		maps.Copy(next, *known)
	}
	if ofEvent(parts) {
		if l.events == maxEventSeries {
			return nil
		}
		l.events++
	}
	s := &series{kind: k, name: dotted(slices.Clone(parts)...)}
	for _, label := range labels {
		s.labels = append(s.labels, Label{label.Name, label.Value})
	}
	next[key] = s
	l.known.Store(&next)
	return s
}

// ofEvent reports whether a metric is about the events of one name.
func ofEvent(parts []string) bool {
	return len(parts) > 2 && parts[0] == "serf" && parts[1] == "events"
}

// SetGauge implements gometrics.MetricSink.
func (l *Libraries) SetGauge(key []string, v float32) { l.SetGaugeWithLabels(key, v, nil) }

// SetGaugeWithLabels implements gometrics.MetricSink.
func (l *Libraries) SetGaugeWithLabels(key []string, v float32, labels []gometrics.Label) {
	if s := l.find(gauge, key, labels); s != nil {
		s.value.Store(math.Float64bits(float64(v)))
	}
}

// EmitKey implements gometrics.MetricSink. Nobody tells such points.
func (l *Libraries) EmitKey([]string, float32) {}

// IncrCounter implements gometrics.MetricSink.
func (l *Libraries) IncrCounter(key []string, v float32) { l.IncrCounterWithLabels(key, v, nil) }

// IncrCounterWithLabels implements gometrics.MetricSink.
func (l *Libraries) IncrCounterWithLabels(key []string, v float32, labels []gometrics.Label) {
	if s := l.find(counter, key, labels); s != nil {
		s.sample.Add(float64(v))
	}
}

// AddSample implements gometrics.MetricSink.
func (l *Libraries) AddSample(key []string, v float32) { l.AddSampleWithLabels(key, v, nil) }

// AddSampleWithLabels implements gometrics.MetricSink.
func (l *Libraries) AddSampleWithLabels(key []string, v float32, labels []gometrics.Label) {
	if s := l.find(sample, key, labels); s != nil {
		s.sample.Add(float64(v))
	}
}
