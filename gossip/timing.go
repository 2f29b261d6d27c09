package gossip

import (
	"cmp"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"
)

// Timing is how often members look after each other, and how long they wait
// for an answer.
type Timing uint8

// The timings.
const (
	OfArea Timing = iota // for a network of the area's size
	Local                // for agents in one process, in a hurry
)

// patience bounds the waits that are only there for the others' sake.
func (t Timing) patience() time.Duration {
	if t == Local {
		return 50 * time.Millisecond
	}
	return time.Minute
}

const (
	defaultReconnectTimeout = 72 * time.Hour
	// reclaimAfter is when a failed member's name may come back with another
	// address.
	reclaimAfter = 30 * time.Second
	// queueCheck is how often the queues of what is still to be told are cut to
	// their bound; between that they have none.
	queueCheck = 5 * time.Second
)

// Pace is how often members look after each other and how patient they are.
// What is zero is as the area has it. It is not for the timing Local.
type Pace struct {
	GossipInterval time.Duration // between messages to GossipNodes others
	GossipNodes    int
	ProbeInterval  time.Duration // between looks at another member
	ProbeTimeout   time.Duration // until one that does not answer is asked for through others
	// RetransmitMult is how often a message is repeated, SuspicionMult for how many
	// probe intervals a member is suspected; both times the logarithm of the number
	// of members.
	RetransmitMult, SuspicionMult int
}

func (v *Pace) apply(m *memberlist.Config) {
	m.GossipInterval = cmp.Or(v.GossipInterval, m.GossipInterval)
	m.GossipNodes = cmp.Or(v.GossipNodes, m.GossipNodes)
	m.ProbeInterval = cmp.Or(v.ProbeInterval, m.ProbeInterval)
	m.ProbeTimeout = cmp.Or(v.ProbeTimeout, m.ProbeTimeout)
	m.RetransmitMult = cmp.Or(v.RetransmitMult, m.RetransmitMult)
	m.SuspicionMult = cmp.Or(v.SuspicionMult, m.SuspicionMult)
}

// TagReconnectTimeout is a duration: when the others forget the member after it
// has failed, instead of their own ReconnectTimeout.
const TagReconnectTimeout = "rc_tm"

// forgetting lets members say themselves when they are to be forgotten.
type forgetting struct{}

// ReconnectTimeout implements serf.ReconnectTimeoutOverrider.
func (forgetting) ReconnectTimeout(m *serf.Member, usual time.Duration) time.Duration {
	if d, err := time.ParseDuration(m.Tags[TagReconnectTimeout]); err == nil && d > 0 {
		return d
	}
	return usual
}

// timed makes a configuration of the library that differs from another in times
// and sizes only.
func (cfg *Config) timed() *serf.Config {
	c := serf.DefaultConfig()
	c.ReconnectTimeout = cfg.ReconnectTimeout
	if c.ReconnectTimeout <= 0 {
		c.ReconnectTimeout = defaultReconnectTimeout
	}
	c.TombstoneTimeout = c.ReconnectTimeout
	c.ReconnectTimeoutOverride = forgetting{}
	c.MinQueueDepth = 4096
	c.QueueCheckInterval = queueCheck
	c.QueueDepthWarning = 1024
	c.LeavePropagateDelay = 0 // Leave waits itself, if anybody is there
	c.MemberlistConfig = memberlist.DefaultLANConfig()
	if cfg.Area == WAN {
		c.MemberlistConfig = memberlist.DefaultWANConfig()
	}
	m := c.MemberlistConfig
	m.DeadNodeReclaimTime = reclaimAfter
	cfg.Pace.apply(m)
	if cfg.Timing != Local {
		return c
	}
	c.BroadcastTimeout = time.Second
	c.ReapInterval = 20 * time.Millisecond
	c.ReconnectInterval = 100 * time.Millisecond
	m.TCPTimeout = time.Second
	m.ProbeInterval = 100 * time.Millisecond
	m.ProbeTimeout = 75 * time.Millisecond
	m.SuspicionMult = 2
	m.GossipInterval = 10 * time.Millisecond
	m.GossipToTheDeadTime = 500 * time.Millisecond
	m.PushPullInterval = time.Second
	m.DeadNodeReclaimTime = 10 * time.Millisecond
	return c
}
