package config

import "time"

// DNS is how names are answered.
type DNS struct {
	Recursors          []string // host or host:port, asked in order
	RecursorTimeout    time.Duration
	RecursorStrategy   string // sequential or random
	AllowStale         bool
	MaxStale           time.Duration
	NodeTTL            time.Duration
	ServiceTTL         map[string]time.Duration // by service; "*" for all others, "prefix*" for some
	EnableTruncate     bool
	UDPAnswerLimit     int
	ARecordLimit       int // 0 = unlimited
	OnlyPassing        bool
	DisableCompression bool
	NodeMetaTXT        bool
	SOA                SOA
	Cache              DNSCache
}

// SOA are the numbers of the zone's SOA record, in seconds.
type SOA struct{ Refresh, Retry, Expire, MinTTL int }

// DNSCache is about answers from the agent's cache.
type DNSCache struct {
	Use    bool
	MaxAge time.Duration
}

func dnsSettings() []Setting {
	rows := []Setting{
		{Key: "recursors", Flag: "recursor", Aliases: []string{"recursor"}, field: func(c *Config) any { return &c.DNS.Recursors }, Doc: "DNS servers that are asked about names outside the domain."},
		{Key: "dns_config.recursor_timeout", Default: 2 * time.Second, field: func(c *Config) any { return &c.DNS.RecursorTimeout }, Doc: "How long to wait for a recursor."},
		{Key: "dns_config.recursor_strategy", Default: "sequential", field: func(c *Config) any { return &c.DNS.RecursorStrategy }, Doc: "sequential or random: the order in which recursors are asked."},
		{Key: "dns_config.allow_stale", Default: true, field: func(c *Config) any { return &c.DNS.AllowStale }, Doc: "Any server may answer, not only the leader."},
		{Key: "dns_config.max_stale", Default: 87600 * time.Hour, field: func(c *Config) any { return &c.DNS.MaxStale }, Doc: "Age beyond which a stale answer is asked again from the leader."},
		{Key: "dns_config.node_ttl", field: func(c *Config) any { return &c.DNS.NodeTTL }, Doc: "TTL of answers about nodes."},
		{Key: "dns_config.service_ttl", field: func(c *Config) any { return &c.DNS.ServiceTTL }, Doc: "TTL of answers about services, by name; `*` for all others."},
		{Key: "dns_config.enable_truncate", field: func(c *Config) any { return &c.DNS.EnableTruncate }, Doc: "Mark answers that were cut. They always are, also when this is false."},
		{Key: "dns_config.udp_answer_limit", Default: 3, field: func(c *Config) any { return &c.DNS.UDPAnswerLimit }, Doc: "Records of a service in an answer over UDP without EDNS, at most 8."},
		{Key: "dns_config.a_record_limit", field: func(c *Config) any { return &c.DNS.ARecordLimit }, Doc: "Addresses of a service in any answer. 0 = unlimited."},
		{Key: "dns_config.only_passing", field: func(c *Config) any { return &c.DNS.OnlyPassing }, Doc: "Leave out instances with a warning check."},
		{Key: "dns_config.disable_compression", field: func(c *Config) any { return &c.DNS.DisableCompression }, Doc: "Do not compress names in answers."},
		{Key: "dns_config.enable_additional_node_meta_txt", Default: true, field: func(c *Config) any { return &c.DNS.NodeMetaTXT }, Doc: "Add the node's metadata as TXT records."},
		{Key: "dns_config.soa.refresh", Default: 3600, field: func(c *Config) any { return &c.DNS.SOA.Refresh }, Doc: "Refresh of the SOA record, in seconds."},
		{Key: "dns_config.soa.retry", Default: 600, field: func(c *Config) any { return &c.DNS.SOA.Retry }, Doc: "Retry of the SOA record, in seconds."},
		{Key: "dns_config.soa.expire", Default: 86400, field: func(c *Config) any { return &c.DNS.SOA.Expire }, Doc: "Expire of the SOA record, in seconds."},
		{Key: "dns_config.soa.min_ttl", field: func(c *Config) any { return &c.DNS.SOA.MinTTL }, Doc: "Least TTL of the SOA record, in seconds."},
		{Key: "dns_config.use_cache", Status: Accepted, field: func(c *Config) any { return &c.DNS.Cache.Use }, Doc: "Answer from the agent's cache."},
		{Key: "dns_config.cache_max_age", Status: Accepted, field: func(c *Config) any { return &c.DNS.Cache.MaxAge }, Doc: "Age beyond which the cache is not used."},
		{Key: "dns_config.prefer_namespace", Status: Accepted, Kind: Bool, Doc: "Of an edition that Curia does not have."},
	}
	for i := range rows {
		rows[i].Reload = true
	}
	return rows
}
