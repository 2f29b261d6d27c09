package gossip

import (
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
)

// timed makes a configuration of the library that differs from another in times
// and sizes only.
func (cfg *Config) timed() *serf.Config {
	c := serf.DefaultConfig()
	c.ReconnectTimeout = cfg.ReconnectTimeout
	if c.ReconnectTimeout <= 0 {
		c.ReconnectTimeout = defaultReconnectTimeout
	}
	c.TombstoneTimeout = c.ReconnectTimeout
	c.MinQueueDepth = 4096
	c.QueueDepthWarning = 1024
	c.LeavePropagateDelay = 0 // Leave waits itself, if anybody is there
	c.MemberlistConfig = memberlist.DefaultLANConfig()
	if cfg.Area == WAN {
		c.MemberlistConfig = memberlist.DefaultWANConfig()
	}
	m := c.MemberlistConfig
	m.DeadNodeReclaimTime = reclaimAfter
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
