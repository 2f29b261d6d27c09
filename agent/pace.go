package agent

import (
	"math"
	"math/rand/v2"
	"time"
)

// Times of anti-entropy ("Anti-Entropy"). Those that are random are drawn from a
// range that grows with the datacenter, so that its servers are not asked more
// than they can answer.
const (
	syncEvery = time.Minute            // between comparisons of all that there is, and as much again times the scale at most
	retryMin  = 500 * time.Millisecond // after the first failure
	retryMax  = 15 * time.Second       // after several
	joinWait  = 3 * time.Second        // until the comparison that follows a new server, times the scale at most
	syncWait  = time.Second            // that a registration waits to see itself in the catalog
	callWait  = 10 * time.Second       // for one answer of the catalog
)

// smallest is the number of members up to which nothing is stretched.
const smallest = 128

// scale is what random waits are multiplied with among so many members of the
// datacenter: one more for each time that they double beyond smallest.
func scale(members int) time.Duration {
	if members <= smallest {
		return 1
	}
	return 1 + time.Duration(math.Ceil(math.Log2(float64(members))-math.Log2(smallest)))
}

// spread draws a wait of up to most, stretched to the size of the datacenter.
func (a *Agent) spread(most time.Duration) time.Duration {
	return rand.N(most * scale(len(a.cfg.LAN())))
}

// ServerJoined lets the agent compare everything soon, because a server is there
// that was not: what could not be written before may find its way now. It may be
// called at any time and does not wait.
func (a *Agent) ServerJoined() {
	select {
	case a.sync.joined <- struct{}{}:
	default:
	}
}

// alarm is a timer that knows when it rings. It belongs to one goroutine.
type alarm struct {
	*time.Timer
	at time.Time
}

func newAlarm(d time.Duration) *alarm { return &alarm{time.NewTimer(d), time.Now().Add(d)} }

// set lets it ring after d.
func (a *alarm) set(d time.Duration) {
	a.at = time.Now().Add(d)
	a.Reset(d)
}

// hurry lets it ring after d, unless it does so earlier.
func (a *alarm) hurry(d time.Duration) {
	if time.Until(a.at) > d {
		a.set(d)
	}
}
