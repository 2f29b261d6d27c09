package agent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/check"
)

// reapEvery is how often critical services are looked for that are to be removed.
const reapEvery = 15 * time.Second

// runner starts and stops checks. Those that are registered before the agent
// runs are started when it does.
type runner struct {
	// mu guards running of all checks. While it is held, the locks of local and of
	// TTL checks may be taken; a check is waited for without it.
	mu     sync.Mutex
	ctx    context.Context // nil unless the agent runs
	checks sync.WaitGroup  // goroutines of checks
}

// Started is closed when the agent runs: from then on registrations reach the
// catalog before they are answered.
func (a *Agent) Started() <-chan struct{} { return a.started }

// Run runs the checks and keeps the catalog in step until ctx ends, whose error it
// returns. It is called once.
func (a *Agent) Run(ctx context.Context) error {
	defer a.stopAll()
	checking, cancel := context.WithCancel(ctx)
	defer cancel()
	a.runner.mu.Lock()
	a.runner.ctx = checking
	a.runner.mu.Unlock()
	for _, c := range a.local.all() {
		a.startCheck(c)
	}
	close(a.started)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.syncLoop(ctx) })
	group.Go(func() error { return a.reapCritical(ctx) })
	group.Go(func() error { return a.sendCoordinates(ctx) })
	group.Go(func() error { return a.states.run(ctx, a.state) })
	group.Go(func() error { return a.runJobs(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		close(a.ended)
		return ctx.Err()
	})
	return group.Wait()
}

// runs reports whether the agent runs.
func (a *Agent) runs() bool {
	a.runner.mu.Lock()
	defer a.runner.mu.Unlock()
	return a.runner.ctx != nil && a.runner.ctx.Err() == nil
}

// stopAll leaves nothing of the checks behind.
func (a *Agent) stopAll() {
	a.runner.mu.Lock()
	a.runner.ctx = nil
	a.runner.mu.Unlock()
	for _, c := range a.local.all() {
		a.stopCheck(c)
		a.local.undeferred(c)
	}
	a.runner.checks.Wait()
}

// startCheck lets a check run, if the agent does.
func (a *Agent) startCheck(c *localCheck) {
	if c.def == nil {
		return
	}
	a.runner.mu.Lock()
	defer a.runner.mu.Unlock()
	if a.runner.ctx == nil || a.runner.ctx.Err() != nil || c.run.stop != nil || c.run.over {
		return
	}
	row, _ := a.local.latest(c)
	checker, err := check.New(c.def, c.from, a.checkOptions(c.token))
	if err != nil {
		a.log.Error("cannot run a check", "check", row.CheckID, "err", err)
		return
	}
	report := func(r check.Result) { a.report(c, r) }
	if ttl, ok := checker.(*check.TTL); ok {
		ttl.Start(row.Output, report)
		c.run.ttl, c.run.stop = ttl, ttl.Stop
		return
	}
	ctx, cancel := context.WithCancel(a.runner.ctx)
	done := make(chan struct{})
	a.runner.checks.Go(func() {
		defer close(done)
		_ = checker.Run(ctx, report)
	})
	c.run.stop = func() { cancel(); <-done }
}

// stopCheck returns when a check has stopped. It never starts again.
func (a *Agent) stopCheck(c *localCheck) {
	a.runner.mu.Lock()
	stop := c.run.stop
	c.run = running{over: true}
	a.runner.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// ttl returns the TTL of a check, nil if it has none or does not run.
func (a *Agent) ttl(c *localCheck) *check.TTL {
	a.runner.mu.Lock()
	defer a.runner.mu.Unlock()
	return c.run.ttl
}

// report takes a result of a check. TTL checks call it while they hold a lock of
// their own: nothing here may ask or stop a check.
func (a *Agent) report(c *localCheck, r check.Result) {
	if a.local.live.Load().discard {
		r.Output = ""
	}
	if a.local.result(c, r, a.cfg.Checks.UpdateInterval, a.sync.kick) == now {
		a.log.Debug("check changed", "check", c.def.Key(), "status", r.Status)
		a.sync.kick()
	}
}

// checkOptions are the settings that all checks share, for one whose registration
// has the token.
func (a *Agent) checkOptions(token string) check.Options {
	o := a.cfg.Checks.Options
	o.Log = a.log
	o.Aliased = func(ctx context.Context, node, service string) (check.Aliased, error) {
		if node == "" || node == a.cfg.Node.Node {
			return a.aliasedHere(service), nil
		}
		return a.aliasedThere(ctx, node, service, token)
	}
	return o
}

// aliasedHere tells an alias about a service of this node, or the node.
func (a *Agent) aliasedHere(service string) check.Aliased {
	found, checks, changed := a.local.followed(service)
	return check.Aliased{Node: a.cfg.Node.Node, Checks: checks, ServiceFound: found, Changed: changed}
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
			a.reap(at)
		}
	}
}

func (a *Agent) reap(at time.Time) {
	a.registering.Lock()
	defer a.registering.Unlock()
	for _, id := range a.local.overdue(at) {
		a.log.Info("removing a service that has been critical for too long", "service", id)
		a.removeService(id)
		a.sync.kick()
	}
}

// state is what a restart may lose of a TTL check; false when there is nothing.
func (a *Agent) state(c *localCheck) (savedState, bool) {
	// A TTL reports while it holds its own lock: it is asked without any of ours.
	ttl := a.ttl(c)
	if ttl == nil {
		return savedState{}, false
	}
	expires := ttl.Deadline()
	row, current := a.local.latest(c)
	return savedState{CheckID: row.CheckID, Status: row.Status, Output: row.Output, Expires: expires.Unix()}, current
}
