package config

import "time"

// Telemetry is where metrics go, and which of them.
type Telemetry struct {
	PrometheusRetention time.Duration // 0 = no Prometheus format
	MetricsPrefix       string
	DisableHostname     bool     // gauges do not carry the host name
	PrefixFilter        []string // "+prefix" lets metrics through, "-prefix" holds them back
	FilterDefault       bool     // what happens to all others
	StatsiteAddr        string
	StatsdAddr          string
	DogstatsdAddr       string
	DogstatsdTags       []string
	RetryFailed         bool // go on without a metrics server that cannot be reached
}

func telemetrySettings() []Setting {
	rows := []Setting{
		{Key: "telemetry.prometheus_retention_time", Reload: true, field: func(c *Config) any { return &c.Telemetry.PrometheusRetention }, Doc: "How long Prometheus metrics are kept. 0 = not served."},
		{Key: "telemetry.metrics_prefix", Aliases: []string{"telemetry.statsite_prefix", "statsite_prefix"}, Default: "consul", field: func(c *Config) any { return &c.Telemetry.MetricsPrefix }, Doc: "First part of the name of every metric."},
		{Key: "telemetry.disable_hostname", field: func(c *Config) any { return &c.Telemetry.DisableHostname }, Doc: "Do not put the host name into the names of gauges."},
		{Key: "telemetry.prefix_filter", Reload: true, field: func(c *Config) any { return &c.Telemetry.PrefixFilter }, Doc: "Metrics to let through (`+prefix`) or to hold back (`-prefix`)."},
		{Key: "telemetry.filter_default", Default: true, Reload: true, field: func(c *Config) any { return &c.Telemetry.FilterDefault }, Doc: "Let through what no filter names."},
		{Key: "telemetry.statsite_address", Aliases: []string{"statsite_addr"}, field: func(c *Config) any { return &c.Telemetry.StatsiteAddr }, Doc: "host:port of a statsite server that is told every ten seconds what was measured. Samples are told as their mean."},
		{Key: "telemetry.statsd_address", Aliases: []string{"statsd_addr"}, field: func(c *Config) any { return &c.Telemetry.StatsdAddr }, Doc: "host:port of a statsd server, which is told the same."},
		{Key: "telemetry.dogstatsd_addr", field: func(c *Config) any { return &c.Telemetry.DogstatsdAddr }, Doc: "host:port of a DogStatsD server, or `unix:///path` of its socket, which is told the same with tags."},
		{Key: "telemetry.dogstatsd_tags", field: func(c *Config) any { return &c.Telemetry.DogstatsdTags }, Doc: "Tags of every metric sent to DogStatsD."},
		{Key: "telemetry.disable_compat_1.9", Kind: Bool, Status: Accepted, Doc: "Older names of HTTP metrics."},
		{Key: "telemetry.disable_per_tenancy_usage_metrics", Kind: Bool, Status: Accepted, Doc: "Of an edition that Curia does not have."},
		{Key: "telemetry.enable_host_metrics", Kind: Bool, Status: Accepted, Doc: "Metrics of the host's processors, memory and disks."},
		{Key: "telemetry.retry_failed_connection", Default: true, field: func(c *Config) any { return &c.Telemetry.RetryFailed }, Doc: "Go on when a metrics server cannot be reached at start."},
	}
	for _, name := range []string{
		"api_app", "api_token", "api_url", "broker_id", "broker_select_tag", "check_display_name",
		"check_force_metric_activation", "check_id", "check_instance_id", "check_search_tag", "check_tags",
		"submission_interval", "submission_url",
	} {
		rows = append(rows, Setting{Key: "telemetry.circonus_" + name, Kind: String, Secret: name == "api_token", Status: Accepted, Doc: "Of the Circonus service."})
	}
	return rows
}
