package server

import (
	"math"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"curia/api"
	"curia/internal/metrics"
)

// LimitMode says what becomes of requests beyond a rate
// (limits.request_limits.mode).
type LimitMode string

// The modes. The zero LimitMode is LimitsOff.
const (
	LimitsOff      LimitMode = "disabled"
	LimitsLog      LimitMode = "permissive" // they are carried out, and the log tells of them
	LimitsEnforced LimitMode = "enforcing"  // they are refused
)

const (
	burstSeconds = 10               // of a rate may be saved up while fewer ask
	limitSilence = 10 * time.Second // between two lines of the log about one limit
)

// RequestLimits bound how many requests a second this server takes from all who
// ask it ("limits.request_limits"). Rates below zero are unlimited.
type RequestLimits struct {
	Mode        LimitMode
	Read, Write float64
}

// The documented answers to requests beyond the limits. What only the leader can
// do is not worth trying elsewhere.
var (
	errAskAnother = &api.Error{Kind: api.TooMany, Msg: "rate limit exceeded, try again later or against a different server"}
	errAskLater   = &api.Error{Kind: api.Unavailable, Msg: "rate limit exceeded for operation that can only be performed by the leader, try again later"}
)

// limits are the request limits at work. The zero value has none. Safe for
// concurrent use.
type limits struct {
	now      atomic.Pointer[limiters] // nil: none
	exceeded [2][2]atomic.Uint64      // requests, by mode (enforced or not) and class
}

// limiters are one setting of the limits, by class.
type limiters struct {
	mode  LimitMode
	class [2]*rate.Limiter
	quiet [2]rate.Sometimes // the log
}

// requestClass tells which limit a verb falls under.
type requestClass int

const (
	readClass requestClass = iota
	writeClass
	exempt // what agents ask for themselves, and what operators need to mend an overload
)

var classNames = [...]string{"read", "write"}

// classOf follows from the declaration of a verb.
func classOf(op *api.Op) requestClass {
	switch {
	case op.Bare, strings.HasPrefix(op.Path, "/v1/operator/"):
		return exempt
	case op.Kind == api.KindRead:
		return readClass
	}
	return writeClass
}

// SetLimits takes over limits. It may be called while the server answers; what was
// saved up is there anew.
func (s *Server) SetLimits(l RequestLimits) {
	if l.Mode == "" || l.Mode == LimitsOff {
		s.limits.now.Store(nil)
		return
	}
	set := &limiters{mode: l.Mode}
	for class, perSecond := range [...]float64{l.Read, l.Write} {
		set.class[class] = rate.NewLimiter(rate.Inf, 0)
		if perSecond >= 0 {
			set.class[class] = rate.NewLimiter(rate.Limit(perSecond), int(math.Ceil(perSecond*burstSeconds)))
		}
		set.quiet[class].Interval = limitSilence
	}
	s.limits.now.Store(set)
}

// limit refuses a request beyond the limits, if they are enforced.
func (s *Server) limit(op *api.Op) error {
	set := s.limits.now.Load()
	if set == nil {
		return nil
	}
	class := classOf(op)
	if class == exempt || set.class[class].Allow() {
		return nil
	}
	enforced := 0
	if set.mode == LimitsEnforced {
		enforced = 1
	}
	s.limits.exceeded[enforced][class].Add(1)
	set.quiet[class].Do(func() {
		s.log.Warn("more requests than the limit", "limit", classNames[class], "mode", string(set.mode), "op", op.Name,
			"rate", float64(set.class[class].Limit()))
	})
	switch {
	case enforced == 0:
		return nil
	case class == writeClass && s.replica.Leads():
		return errAskLater
	}
	return errAskAnother
}

// measure tells how many requests were beyond the limits.
func (l *limits) measure(to *metrics.Scrape) {
	for enforced, mode := range [...]LimitMode{LimitsLog, LimitsEnforced} {
		for class, name := range classNames {
			if n := l.exceeded[enforced][class].Load(); n > 0 {
				to.Counter("rpc.rate_limit.exceeded", n, metrics.Label{Name: "limit_type", Value: "global/" + name}, metrics.Label{Name: "mode", Value: string(mode)})
			}
		}
	}
}
