package check

import (
	"context"
	"math/rand/v2"
	"time"

	"curia/api"
)

// prober looks once. It gives up when ctx ends, which is when its time is over
// or the check is no longer wanted; a result that comes later than that is used
// in the first case alone.
type prober interface {
	probe(ctx context.Context) Result
}

// periodic runs a probe again and again. The first time is at random within the
// interval, so that checks which are defined together do not run together.
type periodic struct {
	prober
	interval   time.Duration // between the end of a probe and the next
	timeout    time.Duration
	thresholds api.CheckThresholds
}

func newPeriodic(def *api.CheckRegistration, opts Options, p prober, timeout time.Duration) *periodic {
	interval := time.Duration(def.Interval)
	if interval < MinInterval {
		opts.Log.Warn("interval of the check is below the minimum, using that", "interval", interval, "minimum", MinInterval)
		interval = MinInterval
	}
	return &periodic{prober: p, interval: interval, timeout: timeoutOf(def, timeout), thresholds: def.CheckThresholds}
}

// timeoutOf is what the definition says, else the default of its kind.
func timeoutOf(def *api.CheckRegistration, fallback time.Duration) time.Duration {
	if def.Timeout > 0 {
		return time.Duration(def.Timeout)
	}
	return fallback
}

// Run implements Checker.
func (p *periodic) Run(ctx context.Context, report func(Result)) error {
	gate := newGate(p.thresholds)
	timer := time.NewTimer(rand.N(p.interval))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		r := p.look(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if status, counts := gate.admit(r.Status); counts {
			report(Result{status, printable(r.Output)})
		}
		timer.Reset(p.interval)
	}
}

func (p *periodic) look(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.probe(ctx)
}

// failed is the result of a probe that could not be carried out.
func failed(err error) Result { return Result{api.Critical, err.Error()} }
