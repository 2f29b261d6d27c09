package agent

import (
	"math/rand/v2"
	"sync"
	"time"

	"curia/api"
	"curia/check"
)

// local is what this agent knows of the services and checks of its node. It is
// the truth about them: the catalog follows. Safe for concurrent use.
type local struct {
	mu       sync.Mutex
	services map[string]*localService
	checks   map[string]*localCheck
	// gone holds what is to be removed from the catalog, with the token to do it.
	goneServices, goneChecks map[string]string
	changed                  chan struct{} // closed and replaced by every change
}

// localService is a service of this agent. Its row is immutable; the rest is
// guarded by local.mu.
type localService struct {
	row    *api.Service
	token  string
	from   check.Origin
	synced bool
}

// localCheck is a check of this agent. Its row is immutable and replaced by
// every result.
type localCheck struct {
	row    *api.Check
	def    *api.CheckRegistration // nil: a check of maintenance, which never runs
	token  string
	from   check.Origin
	synced bool
	// deferred pushes an output that changed alone; nil when none is waiting.
	deferred      *time.Timer
	criticalSince time.Time // zero unless critical
	running       *running  // nil until the agent runs, and for maintenance; guarded by runner.mu
}

func newLocal() *local {
	return &local{
		services: map[string]*localService{}, checks: map[string]*localCheck{},
		goneServices: map[string]string{}, goneChecks: map[string]string{},
		changed: make(chan struct{}),
	}
}

// touch wakes who waits for a change. It needs the lock.
func (l *local) touch() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// service returns the row of a service, nil if there is none.
func (l *local) service(id string) *api.Service {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.services[id]; s != nil {
		return s.row
	}
	return nil
}

// check returns the row of a check, nil if there is none.
func (l *local) check(id string) *api.Check {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.checks[id]; c != nil {
		return c.row
	}
	return nil
}

// find returns a check and the name of its service; nil if there is no such check.
func (l *local) find(id string) (c *localCheck, service string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c = l.checks[id]; c != nil {
		service = c.row.ServiceName
	}
	return c, service
}

// rows returns all services and checks, and the channel of the next change.
func (l *local) rows() (services []*api.Service, checks []*api.Check, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.services {
		services = append(services, s.row)
	}
	for _, c := range l.checks {
		checks = append(checks, c.row)
	}
	return services, checks, l.changed
}

// instances lists the services.
func (l *local) instances() []*api.Service {
	services, _, _ := l.rows()
	return services
}

// putService sets a service.
func (l *local) putService(row *api.Service, token string, from check.Origin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.goneServices, row.ID)
	l.services[row.ID] = &localService{row: row, token: token, from: from}
	l.touch()
}

// dropService removes a service; the catalog will follow. It reports whether
// there was one.
func (l *local) dropService(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.services[id]
	if s == nil {
		return false
	}
	delete(l.services, id)
	l.goneServices[id] = s.token
	l.touch()
	return true
}

// putCheck sets a check. The state of a check that it replaces is kept, so that
// a new definition alone does not make a service flap. It returns the check that
// was replaced.
func (l *local) putCheck(c *localCheck) (old *localCheck) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.goneChecks, c.row.CheckID)
	if old = l.checks[c.row.CheckID]; old != nil {
		old.stopDeferred()
		if old.def != nil && c.def != nil {
			c.row.Status, c.row.Output, c.criticalSince = old.row.Status, old.row.Output, old.criticalSince
		}
	}
	if c.row.Status == api.Critical && c.criticalSince.IsZero() {
		c.criticalSince = time.Now()
	}
	l.checks[c.row.CheckID] = c
	l.touch()
	return old
}

// dropCheck removes a check and returns it, nil if there was none.
func (l *local) dropCheck(id string) *localCheck {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.checks[id]
	if c == nil {
		return nil
	}
	c.stopDeferred()
	delete(l.checks, id)
	l.goneChecks[id] = c.token
	l.touch()
	return c
}

func (c *localCheck) stopDeferred() {
	if c.deferred != nil {
		c.deferred.Stop()
		c.deferred = nil
	}
}

// checksOf lists the IDs of the checks of a service.
func (l *local) checksOf(service string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for id, c := range l.checks {
		if c.row.ServiceID == service {
			out = append(out, id)
		}
	}
	return out
}

// urgency says how soon a result must reach the catalog.
type urgency uint8

const (
	never urgency = iota // nothing changed
	later                // the output alone changed: deferral ends it
	now                  // the status changed
)

// result takes the result of a check, if it is still the one that runs. An
// output that changes alone is pushed after a while of about delay, once for all
// changes until then; later is called then.
func (l *local) result(c *localCheck, r check.Result, delay time.Duration, due func()) urgency {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.checks[c.row.CheckID] != c {
		return never
	}
	if c.row.Status == r.Status && c.row.Output == r.Output {
		return never
	}
	row := *c.row
	row.Status, row.Output = r.Status, r.Output
	changed := c.row.Status != r.Status
	c.row = &row
	switch {
	case r.Status != api.Critical:
		c.criticalSince = time.Time{}
	case changed:
		c.criticalSince = time.Now()
	}
	l.touch()
	if changed || delay <= 0 {
		c.stopDeferred()
		c.synced = false
		return now
	}
	if c.deferred == nil && c.synced {
		c.deferred = time.AfterFunc(delay/2+rand.N(delay), func() { l.undefer(c, due) })
	}
	return later
}

// undefer ends the deferral of a check.
func (l *local) undefer(c *localCheck, due func()) {
	l.mu.Lock()
	current := l.checks[c.row.CheckID] == c && c.deferred != nil
	if current {
		c.deferred = nil
		c.synced = false
	}
	l.mu.Unlock()
	if current {
		due()
	}
}

// overdue lists the services that one of whose checks has been critical for
// longer than it says.
func (l *local) overdue(at time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, c := range l.checks {
		if c.def == nil || c.row.ServiceID == "" || c.criticalSince.IsZero() {
			continue
		}
		if after := c.def.ReapAfter(); after > 0 && at.Sub(c.criticalSince) > after {
			out = append(out, c.row.ServiceID)
		}
	}
	return out
}
