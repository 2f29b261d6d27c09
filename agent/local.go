package agent

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curia/api"
	"curia/check"
)

// local is what this agent knows of the services and checks of its node. It is
// the truth about them: the catalog follows. Safe for concurrent use. No other
// lock is taken under its own, not even by what it calls.
type local struct {
	live atomic.Pointer[live] // stored under the lock

	mu       sync.Mutex
	services map[string]*localService
	checks   map[string]*localCheck
	// stale is what the catalog has not, or differently, by ID.
	staleServices map[string]*localService
	staleChecks   map[string]*localCheck
	staleNode     bool
	// gone is what is to be removed from the catalog, with the token to do it.
	goneServices, goneChecks map[string]string
	// news has a channel for each service that somebody waits for, closed by what
	// changes about it or its checks; the one without a name is the node.
	news map[string]chan struct{}
}

// localService is a service of this agent. Its row is immutable; the rest is
// guarded by local.mu.
type localService struct {
	row   *api.Service
	token string
	from  check.Origin
}

// localCheck is a check of this agent. Its row is immutable and replaced by
// every result; it and what follows the definition is guarded by local.mu.
type localCheck struct {
	def   *api.CheckRegistration // nil: a check of maintenance, which never runs
	token string
	from  check.Origin

	row *api.Check
	// deferred pushes an output that changed alone; nil when none is waiting.
	deferred      *time.Timer
	criticalSince time.Time // zero unless critical

	run   running
	noted atomic.Bool // an update waits to be written to disk
}

func newLocal() *local {
	return &local{
		services: map[string]*localService{}, checks: map[string]*localCheck{},
		staleServices: map[string]*localService{}, staleChecks: map[string]*localCheck{},
		goneServices: map[string]string{}, goneChecks: map[string]string{},
		news: map[string]chan struct{}{},
	}
}

// adjust changes what the agent says of the node; the catalog will follow.
func (l *local) adjust(to *live) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live.Store(to)
	l.staleNode = true
}

// nodeWritten notes that the catalog has the node as it was, and maybe is, or that
// it refuses it.
func (l *local) nodeWritten(as *live) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.staleNode = l.staleNode && l.live.Load() != as
}

// touch wakes who waits for news of a service. What changes about the node, or a
// check of it, is news of every service. It needs the lock.
func (l *local) touch(service string) {
	for id, c := range l.news {
		if service == "" || service == id {
			close(c)
			delete(l.news, id)
		}
	}
}

// await gives the channel that closes with the next news of a service. It needs
// the lock.
func (l *local) await(service string) <-chan struct{} {
	c := l.news[service]
	if c == nil {
		c = make(chan struct{})
		l.news[service] = c
	}
	return c
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

// find returns a check and its row; nil if there is no such check.
func (l *local) find(id string) (*localCheck, *api.Check) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.checks[id]; c != nil {
		return c, c.row
	}
	return nil, nil
}

// all lists the checks.
func (l *local) all() []*localCheck {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*localCheck, 0, len(l.checks))
	for _, c := range l.checks {
		out = append(out, c)
	}
	return out
}

// latest returns the row of a check, and whether the agent still has it.
func (l *local) latest(c *localCheck) (row *api.Check, current bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.row, l.checks[c.row.CheckID] == c
}

// rows returns all services and checks.
func (l *local) rows() (services []*api.Service, checks []*api.Check) {
	l.mu.Lock()
	defer l.mu.Unlock()
	services = make([]*api.Service, 0, len(l.services))
	for _, s := range l.services {
		services = append(services, s.row)
	}
	checks = make([]*api.Check, 0, len(l.checks))
	for _, c := range l.checks {
		checks = append(checks, c.row)
	}
	return services, checks
}

// instances lists the services.
func (l *local) instances() []*api.Service {
	services, _ := l.rows()
	return services
}

// awaited returns the row of a service and the channel of its next change, nil
// if there is none.
func (l *local) awaited(id string) (*api.Service, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.services[id]; s != nil {
		return s.row, l.await(id)
	}
	return nil, nil
}

// followed returns what an alias of a service, or without one of the node, looks
// at: whether there is the service, its checks and those of the node, and the
// channel of their next change.
func (l *local) followed(service string) (found bool, checks []*api.Check, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.checks {
		if c.row.ServiceID == "" || c.row.ServiceID == service {
			checks = append(checks, c.row)
		}
	}
	return l.services[service] != nil, checks, l.await(service)
}

// putService sets a service. Checks that it has already learn its new name and tags.
func (l *local) putService(row *api.Service, token string, from check.Origin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.services[row.ID]
	s := &localService{row: row, token: token, from: from}
	delete(l.goneServices, row.ID)
	l.services[row.ID], l.staleServices[row.ID] = s, s
	if old != nil && (old.row.Service != row.Service || !slices.Equal(old.row.Tags, row.Tags)) {
		for id, c := range l.checks {
			if c.row.ServiceID == row.ID {
				named := *c.row
				named.ServiceName, named.ServiceTags = row.Service, row.Tags
				c.row = &named
				l.staleChecks[id] = c
			}
		}
	}
	l.touch(row.ID)
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
	delete(l.staleServices, id)
	l.goneServices[id] = s.token
	l.touch(id)
	return true
}

// putCheck sets a check. The state of a check that it replaces is kept, so that
// a new definition alone does not make a service flap. It returns the check that
// was replaced.
func (l *local) putCheck(c *localCheck) (old *localCheck) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := c.row.CheckID
	delete(l.goneChecks, id)
	if old = l.checks[id]; old != nil {
		old.stopDeferred()
		l.touch(old.row.ServiceID)
		if old.def != nil && c.def != nil {
			row := *c.row
			row.Status, row.Output = old.row.Status, old.row.Output
			c.row, c.criticalSince = &row, old.criticalSince
		}
	}
	if c.row.Status == api.Critical && c.criticalSince.IsZero() {
		c.criticalSince = time.Now()
	}
	l.checks[id], l.staleChecks[id] = c, c
	l.touch(c.row.ServiceID)
	return old
}

// restate gives a check that does not run yet the output that it had before.
func (l *local) restate(c *localCheck, output string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := *c.row
	row.Output = output
	c.row = &row
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
	delete(l.staleChecks, id)
	l.goneChecks[id] = c.token
	l.touch(c.row.ServiceID)
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
// changes until then; due is called then.
func (l *local) result(c *localCheck, r check.Result, delay time.Duration, due func()) urgency {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := c.row.CheckID
	if l.checks[id] != c || c.row.Status == r.Status && c.row.Output == r.Output {
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
	l.touch(row.ServiceID)
	if changed || delay <= 0 {
		c.stopDeferred()
		l.staleChecks[id] = c
		return now
	}
	// A stale check is pushed soon anyway, with what it says by then.
	if c.deferred == nil && l.staleChecks[id] != c {
		c.deferred = time.AfterFunc(delay/2+rand.N(delay), func() { l.undefer(c, due) })
	}
	return later
}

// undeferred forgets what is deferred of a check.
func (l *local) undeferred(c *localCheck) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.stopDeferred()
}

// undefer ends the deferral of a check.
func (l *local) undefer(c *localCheck, due func()) {
	l.mu.Lock()
	current := l.checks[c.row.CheckID] == c && c.deferred != nil
	if current {
		c.deferred = nil
		l.staleChecks[c.row.CheckID] = c
	}
	l.mu.Unlock()
	if current {
		due()
	}
}

// overdue lists the services that have a check which has been critical for
// longer than it says.
func (l *local) overdue(at time.Time) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, c := range l.checks {
		if c.def == nil || c.row.ServiceID == "" || c.criticalSince.IsZero() || slices.Contains(out, c.row.ServiceID) {
			continue
		}
		if after := c.def.ReapAfter(); after > 0 && at.Sub(c.criticalSince) > after {
			out = append(out, c.row.ServiceID)
		}
	}
	return out
}

// running is a check at work; guarded by runner.mu. The zero value waits for the
// agent to run.
type running struct {
	ttl  *check.TTL // not nil for TTL checks, which have no goroutine
	stop func()     // returns when no report can come any more; nil unless it runs
	over bool       // it was stopped and must not start again
}
