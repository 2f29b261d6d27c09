package check

import (
	"context"
	"sync"
	"time"

	"curia/api"
)

// TTL is a check whose state is told by others (Update) and which turns critical
// when they do not within its time ("TTL checks"). It is driven by Run, or by
// Start and Stop, which need no goroutine: an agent may have thousands. Safe for
// concurrent use.
type TTL struct {
	ttl   time.Duration
	limit int // bytes of output

	mu       sync.Mutex
	report   func(Result) // nil unless started
	timer    *time.Timer
	deadline time.Time
	last     string // output
}

func newTTL(def *api.CheckRegistration, opts Options) *TTL {
	return &TTL{ttl: time.Duration(def.TTL), limit: opts.OutputMaxSize}
}

// Run implements Checker.
func (t *TTL) Run(ctx context.Context, report func(Result)) error {
	t.Start("", report)
	defer t.Stop()
	<-ctx.Done()
	return ctx.Err()
}

// Start starts the clock. last is the output that the check has already, to be
// told when it expires. Reports are made one at a time and in the order of what
// happened; report must not call the TTL.
func (t *TTL) Start(last string, report func(Result)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.report = last, report
	t.restart()
}

// Stop ends the check. It waits for a report that is under way: do not call it
// while you hold a lock that report wants.
func (t *TTL) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report = nil
	if t.timer != nil {
		t.timer.Stop()
	}
}

// Update reports a state with its output, cut to the limit, and starts the clock
// anew, also after it has run out. It does nothing unless the TTL is started.
func (t *TTL) Update(status, output string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.report == nil {
		return
	}
	t.last = clip(output, t.limit)
	t.restart()
	t.report(Result{status, t.last})
}

// Deadline is when the check expires, or has expired, if nobody updates it: what
// to keep for a restart of the agent. It is zero before Start.
func (t *TTL) Deadline() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline
}

// restart needs the lock.
func (t *TTL) restart() {
	t.deadline = time.Now().Add(t.ttl)
	if t.timer == nil {
		t.timer = time.AfterFunc(t.ttl, t.expire)
		return
	}
	t.timer.Reset(t.ttl)
}

func (t *TTL) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.report == nil || time.Now().Before(t.deadline) {
		return // stopped or updated while the timer was firing
	}
	output := "TTL expired"
	if t.last != "" {
		output += " (last output before timeout follows): " + t.last
	}
	t.report(Result{api.Critical, output})
}
