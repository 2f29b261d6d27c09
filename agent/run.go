package agent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/api"
	"curia/check"
)

// reapEvery is how often critical services are looked for that are to be removed.
const reapEvery = 15 * time.Second

// runner starts and stops checks. Those that are registered before the agent
// runs are started when it does.
type runner struct {
	mu      sync.Mutex
	ctx     context.Context // nil until the agent runs
	started chan struct{}   // closed when it does
	checks  sync.WaitGroup
}

// running is a check at work.
type running struct {
	ttl  *check.TTL // not nil for TTL checks, which have no goroutine
	stop func()     // returns when no report can come any more
}

// Started is closed when the agent runs: from then on registrations reach the
// catalog before they are answered.
func (a *Agent) Started() <-chan struct{} { return a.runner.started }

// Run runs the checks and keeps the catalog in step until ctx ends. It is called
// once.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.runner.checks.Wait()
	defer cancel()
	a.runner.mu.Lock()
	a.runner.ctx = ctx
	a.runner.mu.Unlock()
	close(a.runner.started)
	a.local.mu.Lock()
	var waiting []*localCheck
	for _, c := range a.local.checks {
		waiting = append(waiting, c)
	}
	a.local.mu.Unlock()
	for _, c := range waiting {
		a.startCheck(c)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.syncLoop(ctx) })
	group.Go(func() error { return a.reapCritical(ctx) })
	group.Go(func() error { return a.saveTTLs(ctx) })
	return group.Wait()
}

// runs reports whether the agent runs.
func (a *Agent) runs() bool {
	a.runner.mu.Lock()
	defer a.runner.mu.Unlock()
	return a.runner.ctx != nil && a.runner.ctx.Err() == nil
}

// startCheck lets a check run, if the agent does.
func (a *Agent) startCheck(c *localCheck) {
	if c.def == nil {
		return
	}
	a.runner.mu.Lock()
	defer a.runner.mu.Unlock()
	if a.runner.ctx == nil || a.runner.ctx.Err() != nil || c.running != nil {
		return
	}
	checker, err := check.New(c.def, c.from, a.checkOptions())
	if err != nil {
		a.log.Error("cannot run a check", "check", c.row.CheckID, "err", err)
		return
	}
	report := func(r check.Result) { a.report(c, r) }
	if ttl, ok := checker.(*check.TTL); ok {
		ttl.Start(c.row.Output, report)
		c.running = &running{ttl: ttl, stop: ttl.Stop}
		return
	}
	ctx, cancel := context.WithCancel(a.runner.ctx)
	done := make(chan struct{})
	a.runner.checks.Go(func() {
		defer close(done)
		_ = checker.Run(ctx, report)
	})
	c.running = &running{stop: func() { cancel(); <-done }}
}

// stopCheck returns when a check has stopped.
func (a *Agent) stopCheck(c *localCheck) {
	a.runner.mu.Lock()
	r := c.running
	c.running = nil
	a.runner.mu.Unlock()
	if r != nil {
		r.stop()
	}
}

// ttl returns the TTL of a check, nil if it has none or does not run.
func (a *Agent) ttl(c *localCheck) *check.TTL {
	a.runner.mu.Lock()
	defer a.runner.mu.Unlock()
	if c.running == nil {
		return nil
	}
	return c.running.ttl
}

// report takes a result of a check.
func (a *Agent) report(c *localCheck, r check.Result) {
	if a.cfg.Checks.DiscardOutput {
		r.Output = ""
	}
	if a.local.result(c, r, a.cfg.Checks.UpdateInterval, a.sync.kick) == now {
		a.log.Debug("check changed", "check", c.row.CheckID, "status", r.Status)
		a.sync.kick()
	}
}

// checkOptions are the settings that all checks share.
func (a *Agent) checkOptions() check.Options {
	o := a.cfg.Checks.Options
	o.Log = a.log
	o.Aliased = a.aliased
	return o
}

// aliased tells an alias about a service of this node; of other nodes it asks
// the catalog.
func (a *Agent) aliased(ctx context.Context, node, service string) (check.Aliased, error) {
	if node == "" || node == a.cfg.Node.Node {
		services, checks, changed := a.local.rows()
		out := check.Aliased{Node: a.cfg.Node.Node, Checks: checks, Changed: changed}
		for _, s := range services {
			out.ServiceFound = out.ServiceFound || s.ID == service
		}
		return out, nil
	}
	checks, err := api.Call(ctx, a.next, api.HealthNode, api.NodeName{Node: node})
	if err != nil {
		return check.Aliased{}, err
	}
	known, err := api.Call(ctx, a.next, api.CatalogNode, api.NodeName{Node: node})
	if err != nil {
		return check.Aliased{}, err
	}
	out := check.Aliased{Node: node, Checks: checks}
	if known != nil {
		_, out.ServiceFound = known.Services[service]
	}
	return out, nil
}

// reapCritical removes services whose checks have been critical for too long
// (deregister_critical_service_after).
func (a *Agent) reapCritical(ctx context.Context) error {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case at := <-tick.C:
			for _, id := range a.local.overdue(at) {
				a.log.Info("removing a service that has been critical for too long", "service", id)
				a.removeService(id)
			}
		}
	}
}
