package metrics

import (
	"sync"
	"sync/atomic"
	"time"

	"curia/api"
)

// Config says how metrics are named.
type Config struct {
	// Prefix begins every name (telemetry.metrics_prefix); empty for none.
	Prefix string
	// Host follows the prefix in the names of gauges; empty with
	// telemetry.disable_hostname.
	Host string
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
}

// Rules is what can change while the agent runs.
type Rules struct {
	Filter Filter
	// Retention, when not positive, switches the Prometheus format off. Nothing is
	// ever forgotten, whatever its value.
	Retention time.Duration
}

// Registry has everything that is measured. Make one with New; it may be used
// concurrently.
type Registry struct {
	cfg   Config
	began time.Time
	rules atomic.Pointer[Rules]
	calls calls

	mu      sync.Mutex
	sources []func(*Scrape)
}

// New makes a registry of the calls of all verbs. It tells nothing before rules
// are set.
func New(cfg Config) *Registry {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	r := &Registry{cfg: cfg, began: cfg.Clock(), calls: newCalls(api.Ops())}
	r.SetRules(Rules{})
	r.Add(r.calls.measure)
	return r
}

// SetRules takes over settings that were read again.
func (r *Registry) SetRules(rules Rules) { r.rules.Store(&rules) }

// Add adds a source of figures. It is called whenever somebody asks for
// metrics, concurrently if several do.
func (r *Registry) Add(source func(*Scrape)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources = append(r.sources, source)
}

// Observe notes that a call of a verb took so long and ended with a status of
// HTTP. Verbs that package api does not declare are ignored.
func (r *Registry) Observe(op *api.Op, took time.Duration, status int) {
	c := r.calls[op]
	if c == nil {
		return
	}
	c.took.Observe(took)
	if status >= 400 {
		c.failed(status)
	}
}
