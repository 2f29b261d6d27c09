package config

import "time"

// Pace is how often the members of a pool look after each other, and how patient they are.
type Pace struct {
	GossipInterval time.Duration // between messages to others
	GossipNodes    int           // who get each message
	ProbeInterval  time.Duration // between looks at another member
	ProbeTimeout   time.Duration // until one that does not answer is asked for through others
	RetransmitMult int           // messages are repeated that often, times the logarithm of the members
	SuspicionMult  int           // members are suspected for so many probe intervals, times that logarithm
}

// The paces unless something else is set.
var (
	paceLAN = Pace{200 * time.Millisecond, 3, time.Second, 500 * time.Millisecond, 4, 4}
	paceWAN = Pace{500 * time.Millisecond, 4, 5 * time.Second, 3 * time.Second, 4, 6}
)

// paceSettings are the members of gossip_lan or gossip_wan.
func paceSettings(group string, of func(*Config) *Pace, def Pace) []Setting {
	return []Setting{
		{Key: group + ".gossip_interval", Default: def.GossipInterval, field: func(c *Config) any { return &of(c).GossipInterval }, Doc: "Time between messages to others."},
		{Key: group + ".gossip_nodes", Default: def.GossipNodes, field: func(c *Config) any { return &of(c).GossipNodes }, Doc: "How many others get each message."},
		{Key: group + ".probe_interval", Default: def.ProbeInterval, field: func(c *Config) any { return &of(c).ProbeInterval }, Doc: "Time between looks at another member."},
		{Key: group + ".probe_timeout", Default: def.ProbeTimeout, field: func(c *Config) any { return &of(c).ProbeTimeout }, Doc: "Time until a member that does not answer is asked for through others. Less than `probe_interval`."},
		{Key: group + ".retransmit_mult", Default: def.RetransmitMult, field: func(c *Config) any { return &of(c).RetransmitMult }, Doc: "How often a message is repeated, times the logarithm of the number of members."},
		{Key: group + ".suspicion_mult", Default: def.SuspicionMult, field: func(c *Config) any { return &of(c).SuspicionMult }, Doc: "How many probe intervals pass before a suspect has failed, times that logarithm."},
	}
}
