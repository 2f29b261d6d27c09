package config

import "time"

// Cluster is how the agent finds the others and talks to them.
type Cluster struct {
	Join   Join
	Gossip Gossip
}

// Join says whom to contact. Start addresses are tried once and must work; Retry addresses are tried
// every interval, Max times (0 = for ever).
type Join struct {
	Start            []string
	Retry            []string
	RetryInterval    time.Duration
	RetryMax         int
	StartWAN         []string
	RetryWAN         []string
	RetryIntervalWAN time.Duration
	RetryMaxWAN      int
	RejoinAfterLeave bool
}

// Gossip is about the pools of members.
type Gossip struct {
	EncryptKey            string // base64 of 16, 24 or 32 bytes; "" = plain text
	EncryptVerifyIncoming bool
	EncryptVerifyOutgoing bool
	DisableKeyringFile    bool
	ReconnectTimeout      time.Duration // after which a failed member is forgotten
	ReconnectTimeoutWAN   time.Duration
	// AdvertiseReconnectTimeout is when the others forget this client after it has
	// failed; 0 leaves it to them.
	AdvertiseReconnectTimeout time.Duration
	Protocol                  int
	DisableCoordinates        bool
	AllowedLAN, AllowedWAN    []string // networks that members may come from; none = any
	LAN, WAN                  Pace
}

func clusterSettings() []Setting {
	rows := []Setting{
		{Key: "start_join", Flag: "join", field: func(c *Config) any { return &c.Join.Start }, Doc: "Agents to join at start; the agent ends when none answers."},
		{Key: "start_join_wan", Flag: "join-wan", field: func(c *Config) any { return &c.Join.StartWAN }, Doc: "Servers of other datacenters to join at start."},
		{Key: "retry_join", Flag: "retry-join", field: func(c *Config) any { return &c.Join.Retry }, Doc: "Agents to join, until one answers."},
		{Key: "retry_interval", Flag: "retry-interval", Default: 30 * time.Second, field: func(c *Config) any { return &c.Join.RetryInterval }, Doc: "Time between attempts to join."},
		{Key: "retry_max", Flag: "retry-max", field: func(c *Config) any { return &c.Join.RetryMax }, Doc: "Attempts to join before the agent ends. 0 = for ever."},
		{Key: "retry_join_wan", Flag: "retry-join-wan", field: func(c *Config) any { return &c.Join.RetryWAN }, Doc: "Servers of other datacenters to join, until one answers."},
		{Key: "retry_interval_wan", Flag: "retry-interval-wan", Default: 30 * time.Second, field: func(c *Config) any { return &c.Join.RetryIntervalWAN }, Doc: "Time between attempts to join other datacenters."},
		{Key: "retry_max_wan", Flag: "retry-max-wan", field: func(c *Config) any { return &c.Join.RetryMaxWAN }, Doc: "Attempts to join other datacenters before the agent ends. 0 = for ever."},
		{Key: "rejoin_after_leave", Flag: "rejoin", field: func(c *Config) any { return &c.Join.RejoinAfterLeave }, Doc: "Join the former members again even after a leave."},
		{Key: "encrypt", Flag: "encrypt", Secret: true, field: func(c *Config) any { return &c.Gossip.EncryptKey }, Doc: "Key of the gossip: 16, 24 or 32 bytes in base64."},
		{Key: "encrypt_verify_incoming", Default: true, field: func(c *Config) any { return &c.Gossip.EncryptVerifyIncoming }, Doc: "Refuse gossip that is not encrypted."},
		{Key: "encrypt_verify_outgoing", Default: true, field: func(c *Config) any { return &c.Gossip.EncryptVerifyOutgoing }, Doc: "Send only encrypted gossip."},
		{Key: "disable_keyring_file", Flag: "disable-keyring-file", field: func(c *Config) any { return &c.Gossip.DisableKeyringFile }, Doc: "Keep gossip keys in memory only."},
		{Key: "reconnect_timeout", Default: 72 * time.Hour, field: func(c *Config) any { return &c.Gossip.ReconnectTimeout }, Doc: "When a failed member is forgotten. At least 8h."},
		{Key: "reconnect_timeout_wan", Default: 72 * time.Hour, field: func(c *Config) any { return &c.Gossip.ReconnectTimeoutWAN }, Doc: "When a failed server of another datacenter is forgotten. At least 8h."},
		{Key: "advertise_reconnect_timeout", field: func(c *Config) any { return &c.Gossip.AdvertiseReconnectTimeout }, Doc: "When the others forget this client after it has failed, instead of their `reconnect_timeout`. At least 8h."},
		{Key: "protocol", Flag: "protocol", Default: 2, Status: Accepted, field: func(c *Config) any { return &c.Gossip.Protocol }, Doc: "Version of the protocol between agents."},
		{Key: "disable_coordinates", field: func(c *Config) any { return &c.Gossip.DisableCoordinates }, Doc: "Do not send network coordinates."},
		{Key: "serf_allowed_cidrs_lan", Flag: "serf-lan-allowed-cidrs", field: func(c *Config) any { return &c.Gossip.AllowedLAN }, Doc: "Networks, such as 10.0.0.0/8, that members of the datacenter may come from. Any, unless set."},
		{Key: "serf_allowed_cidrs_wan", Flag: "serf-wan-allowed-cidrs", field: func(c *Config) any { return &c.Gossip.AllowedWAN }, Doc: "Networks that servers of other datacenters may come from. Any, unless set."},
	}
	rows = append(rows, paceSettings("gossip_lan", func(c *Config) *Pace { return &c.Gossip.LAN }, paceLAN)...)
	return append(rows, paceSettings("gossip_wan", func(c *Config) *Pace { return &c.Gossip.WAN }, paceWAN)...)
}
