package wire

import (
	"sync/atomic"

	"golang.org/x/time/rate"

	"curia/api"
)

// errTooFast is documented.
var errTooFast = &api.Error{Kind: api.TooMany, Msg: "RPC rate limit exceeded"}

// pace counts the requests of a Router, and refuses those that exceed its rate.
type pace struct {
	limiter                atomic.Pointer[rate.Limiter]
	asked, refused, failed atomic.Uint64
}

// keep carries out a request, unless it comes too early.
func (p *pace) keep(request func() error) error {
	p.asked.Add(1)
	if !p.limiter.Load().Allow() {
		p.refused.Add(1)
		return errTooFast
	}
	err := request()
	if k := api.KindOf(err); k == api.Unreached || k == api.Lost {
		p.failed.Add(1)
	}
	return err
}

// SetRate bounds the requests to servers per second (limits.rpc_rate), of which
// burst may come at once (limits.rpc_max_burst). A rate below 0 is no bound.
func (r *Router) SetRate(perSecond float64, burst int) {
	limit := rate.Limit(perSecond)
	if perSecond < 0 {
		limit = rate.Inf
	}
	if old := r.pace.limiter.Load(); old != nil && old.Limit() == limit && old.Burst() == burst {
		return // what was used up stays so
	}
	r.pace.limiter.Store(rate.NewLimiter(limit, burst))
}

// Counts says how many requests to servers there were, how many of them were refused
// because they exceeded the rate, and how many found no server that answered.
func (r *Router) Counts() (asked, refused, failed uint64) {
	return r.pace.asked.Load(), r.pace.refused.Load(), r.pace.failed.Load()
}
