package config

import "time"

// Consensus is how servers agree, and what clients see of it.
type Consensus struct {
	Performance Performance
	Raft        Raft
	Session     Session
	Query       Query
	Autopilot   Autopilot
}

// Performance trades steadiness for speed.
type Performance struct {
	RaftMultiplier int           // 1 to 10: raft's timeouts are multiplied by it
	RPCHoldTimeout time.Duration // how long a request waits for a leader
	LeaveDrainTime time.Duration // how long a leaving server goes on answering
}

// Raft is about the replicated log.
type Raft struct {
	Protocol          int
	SnapshotThreshold int // entries
	SnapshotInterval  time.Duration
	TrailingLogs      int // entries
}

// Session is about sessions.
type Session struct {
	TTLMin time.Duration
}

// Query bounds blocking queries.
type Query struct {
	DefaultTime time.Duration // without ?wait; at most MaxTime
	MaxTime     time.Duration
	// DiscoveryMaxStale: any server may answer discovery requests that is not older; 0 = none but the leader.
	DiscoveryMaxStale time.Duration
}

// Autopilot is the configuration that the first leader writes; later changes go through the API.
type Autopilot struct {
	CleanupDeadServers      bool
	LastContactThreshold    time.Duration
	MaxTrailingLogs         int
	MinQuorum               int
	ServerStabilizationTime time.Duration
}

func consensusSettings() []Setting {
	return []Setting{
		{Key: "performance.raft_multiplier", Default: 5, field: func(c *Config) any { return &c.Performance.RaftMultiplier }, Doc: "1 (fast) to 10 (tolerant): factor of raft's timeouts."},
		{Key: "performance.leave_drain_time", Default: 5 * time.Second, field: func(c *Config) any { return &c.Performance.LeaveDrainTime }, Doc: "How long a leaving server goes on answering."},
		{Key: "performance.rpc_hold_timeout", Default: 7 * time.Second, field: func(c *Config) any { return &c.Performance.RPCHoldTimeout }, Doc: "How long a request waits for a leader before it fails."},
		{Key: "performance.grpc_keepalive_interval", Kind: Duration, Default: 30 * time.Second, Status: Accepted, Doc: "Time between keep-alives on gRPC connections."},
		{Key: "performance.grpc_keepalive_timeout", Kind: Duration, Default: 20 * time.Second, Status: Accepted, Doc: "Time to wait for the answer to a keep-alive."},
		{Key: "raft_protocol", Flag: "raft-protocol", Default: 3, field: func(c *Config) any { return &c.Raft.Protocol }, Doc: "Version of the raft protocol."},
		{Key: "raft_snapshot_threshold", Default: 65536, Reload: true, field: func(c *Config) any { return &c.Raft.SnapshotThreshold }, Doc: "Entries after which a snapshot is made."},
		{Key: "raft_snapshot_interval", Default: 30 * time.Second, Reload: true, field: func(c *Config) any { return &c.Raft.SnapshotInterval }, Doc: "How often to look whether a snapshot is due."},
		{Key: "raft_trailing_logs", Default: 100000, Reload: true, field: func(c *Config) any { return &c.Raft.TrailingLogs }, Doc: "Entries kept after a snapshot, for servers that lag."},
		{Key: "session_ttl_min", Default: 10 * time.Second, field: func(c *Config) any { return &c.Session.TTLMin }, Doc: "Least TTL that a session may have."},
		{Key: "default_query_time", Flag: "default-query-time", Default: 10 * time.Minute, field: func(c *Config) any { return &c.Query.DefaultTime }, Doc: "How long a blocking query without `wait` waits."},
		{Key: "max_query_time", Flag: "max-query-time", Default: 10 * time.Minute, field: func(c *Config) any { return &c.Query.MaxTime }, Doc: "How long any blocking query may wait."},
		{Key: "discovery_max_stale", field: func(c *Config) any { return &c.Query.DiscoveryMaxStale }, Doc: "Age up to which any server may answer reads of the catalog and of health; 0: the leader is asked."},
		{Key: "autopilot.cleanup_dead_servers", Default: true, field: func(c *Config) any { return &c.Autopilot.CleanupDeadServers }, Doc: "Remove failed servers while they are fewer than half."},
		{Key: "autopilot.last_contact_threshold", Default: 200 * time.Millisecond, field: func(c *Config) any { return &c.Autopilot.LastContactThreshold }, Doc: "Silence after which a server is unhealthy."},
		{Key: "autopilot.max_trailing_logs", Default: 250, field: func(c *Config) any { return &c.Autopilot.MaxTrailingLogs }, Doc: "Lag in entries beyond which a server is unhealthy."},
		{Key: "autopilot.min_quorum", field: func(c *Config) any { return &c.Autopilot.MinQuorum }, Doc: "Voters that are left over when failed servers are removed."},
		{Key: "autopilot.server_stabilization_time", Default: 10 * time.Second, field: func(c *Config) any { return &c.Autopilot.ServerStabilizationTime }, Doc: "How long a server must be healthy before it votes."},
		{Key: "autopilot.disable_upgrade_migration", Kind: Bool, Status: Accepted, Doc: "Of an edition that Curia does not have."},
		{Key: "autopilot.redundancy_zone_tag", Kind: String, Status: Accepted, Doc: "Of an edition that Curia does not have."},
		{Key: "autopilot.upgrade_version_tag", Kind: String, Status: Accepted, Doc: "Of an edition that Curia does not have."},
		{Key: "read_replica", Flag: "read-replica", FlagAliases: []string{"non-voting-server"}, Aliases: []string{"non_voting_server"}, field: func(c *Config) any { return &c.Mode.ReadReplica }, Doc: "Be a server that never votes."},
		{Key: "raft_logstore", Kind: Object, Status: Accepted, Doc: "Choice and tuning of the log store. Curia has one."},
		{Key: "raft_boltdb", Kind: Object, Status: Accepted, Doc: "Tuning of a log store that Curia does not have."},
	}
}
