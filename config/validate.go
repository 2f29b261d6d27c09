package config

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// validate refuses what cannot work. It changes nothing.
func (c *Config) validate(p *problems) {
	c.validateDurations(p)
	c.validateNode(p)
	c.validateChoices(p)
	c.validatePorts(p)
	c.validateHTTP(p)
	c.validateNumbers(p)
	c.validateRates(p)
	c.validateGossip(p)
}

// validateDurations: no setting has a use for a negative time.
func (c *Config) validateDurations(p *problems) {
	for _, s := range index().rows {
		switch v := s.value(c).(type) {
		case time.Duration:
			if v < 0 {
				p.fail("%s cannot be negative: %s", s.Key, v)
			}
		case map[string]time.Duration:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if d := v[k]; d < 0 {
					p.fail("%s: %q cannot be negative: %s", s.Key, k, d)
				}
			}
		}
	}
}

var (
	datacenterName = regexp.MustCompile(`^[a-z0-9_-]+$`)
	metaKey        = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	uuid           = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

const (
	maxMetaPairs = 64
	maxMetaKey   = 128 // bytes
	maxMetaValue = 512 // bytes
)

func (c *Config) validateNode(p *problems) {
	n := c.Node
	if n.Name == "" {
		p.fail("node_name cannot be empty")
	}
	if n.ID != "" && !uuid.MatchString(n.ID) {
		p.fail("node_id %q must be a UUID", n.ID)
	}
	if n.Datacenter == "" {
		p.fail("datacenter cannot be empty")
	} else if !datacenterName.MatchString(n.Datacenter) {
		p.fail("datacenter must be alpha-numeric with underscores and hyphens only")
	}
	if n.Datacenter != "" && !datacenterName.MatchString(n.PrimaryDatacenter) {
		p.fail("primary_datacenter must be alpha-numeric with underscores and hyphens only")
	}
	if n.Domain == "." {
		p.fail("domain cannot be empty")
	}
	if info, err := os.Stat(n.DataDir); n.DataDir != "" && err == nil && !info.IsDir() {
		p.fail("data_dir %q is not a directory", n.DataDir)
	}
	if err := checkMeta(n.Meta); err != nil {
		p.fail("node_meta invalid: %w", err)
	}
}

func checkMeta(meta map[string]string) error {
	if len(meta) > maxMetaPairs {
		return fmt.Errorf("%d pairs, the limit is %d", len(meta), maxMetaPairs)
	}
	for _, k := range slices.Sorted(maps.Keys(meta)) {
		v := meta[k]
		switch {
		case k == "":
			return fmt.Errorf("key cannot be blank")
		case !metaKey.MatchString(k):
			return fmt.Errorf("key %q contains invalid characters", k)
		case len(k) > maxMetaKey:
			return fmt.Errorf("key %q is too long (limit: %d characters)", k, maxMetaKey)
		case strings.HasPrefix(k, "consul-"):
			return fmt.Errorf("key %q: the prefix 'consul-' is reserved for internal use", k)
		case len(v) > maxMetaValue:
			return fmt.Errorf("value of %q is too long (limit: %d characters)", k, maxMetaValue)
		}
	}
	return nil
}

// validateChoices checks the settings that know only some words.
func (c *Config) validateChoices(p *problems) {
	for _, s := range []struct {
		key, value string
		words      []string
	}{
		{"log_level", c.Log.Level, []string{"TRACE", "DEBUG", "INFO", "WARN", "ERR"}},
		{"syslog_facility", c.Log.SyslogFacility, slices.DeleteFunc(slices.Clone(SyslogFacilities), func(f string) bool { return f == "" })},
		{"acl.default_policy", c.ACL.DefaultPolicy, []string{"allow", "deny"}},
		{"acl.down_policy", c.ACL.DownPolicy, []string{"allow", "deny", "extend-cache", "async-cache"}},
		{"limits.request_limits.mode", c.Limits.RequestMode, []string{"disabled", "permissive", "enforcing"}},
		{"dns_config.recursor_strategy", c.DNS.RecursorStrategy, []string{"sequential", "random"}},
	} {
		if !slices.Contains(s.words, s.value) {
			p.fail("%s %q must be one of %s", s.key, s.value, strings.Join(s.words, ", "))
		}
	}
}

func (c *Config) validatePorts(p *problems) {
	for _, s := range index().rows {
		port, ok := s.value(c).(int)
		if ok && strings.HasPrefix(s.Key, "ports.") && s.Status != Removed && (port < -1 || port > 65535) {
			p.fail("%s cannot be %d: use 1 to 65535, or -1 to turn it off", s.Key, port)
		}
	}
	if c.Ports.SerfLAN < 1 {
		p.fail("ports.serf_lan cannot be turned off")
	}
	if c.Mode.Server && c.Ports.Server < 1 {
		p.fail("ports.server cannot be turned off on a server")
	}
	c.validateListeners(p)
}

// validateListeners checks that no two listeners want the same place.
func (c *Config) validateListeners(p *problems) {
	type listener struct {
		key   string
		addrs Addrs
		port  int
	}
	a := c.Addresses
	listeners := []listener{
		{"ports.dns", a.DNS, c.Ports.DNS},
		{"ports.http", a.HTTP, c.Ports.HTTP},
		{"ports.https", a.HTTPS, c.Ports.HTTPS},
		{"ports.grpc", a.GRPC, c.Ports.GRPC},
		{"ports.grpc_tls", a.GRPC, c.Ports.GRPCTLS},
		{"ports.serf_lan", Addrs{a.SerfLAN}, c.Ports.SerfLAN},
	}
	if c.Mode.Server {
		listeners = append(listeners,
			listener{"ports.server", Addrs{a.Bind}, c.Ports.Server},
			listener{"ports.serf_wan", Addrs{a.SerfWAN}, c.Ports.SerfWAN})
	}
	for i, l := range listeners {
		for _, other := range listeners[:i] {
			if l.port > 0 && l.port == other.port && overlap(l.addrs, other.addrs) {
				p.fail("%s and %s both want port %d on %s", other.key, l.key, l.port, strings.Join(l.addrs, " "))
			}
		}
	}
}

// overlap reports whether two lists share an IP address; the unspecified
// addresses stand for all.
func overlap(a, b Addrs) bool {
	all := func(addr string) bool { return addr == "0.0.0.0" || addr == "::" }
	for _, x := range a {
		for _, y := range b {
			sockets := strings.HasPrefix(x, "unix://") || strings.HasPrefix(y, "unix://")
			if !sockets && (x == y || all(x) || all(y)) {
				return true
			}
		}
	}
	return false
}

func (c *Config) validateHTTP(p *problems) {
	for _, cidr := range c.HTTP.AllowWriteFrom {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			p.fail("http_config.allow_write_http_from: %q is not a network such as 10.0.0.0/8", cidr)
		}
	}
	if mode := c.UnixSockets.Mode; mode != "" {
		if n, err := strconv.ParseUint(mode, 8, 32); err != nil || n > 0o777 {
			p.fail("unix_sockets.mode %q must be octal digits such as \"0700\"", mode)
		}
	}
}

// maxRate is the highest rate of requests per second that can be asked for.
const maxRate = 1e9

// validateRates checks the settings that are requests per second.
func (c *Config) validateRates(p *problems) {
	for _, r := range []struct {
		key   string
		value float64
	}{
		{"limits.rpc_rate", c.Limits.RPCRate},
		{"limits.request_limits.read_rate", c.Limits.ReadRate},
		{"limits.request_limits.write_rate", c.Limits.WriteRate},
	} {
		if r.value == 0 || math.IsNaN(r.value) || r.value > maxRate {
			p.fail("%s cannot be %v: nothing would ever be let through, or the rate is no number. Use a number of requests per second up to %v, or -1 for no limit", r.key, r.value, float64(maxRate))
		}
	}
}

// validateNumbers checks the settings that must lie in a range.
func (c *Config) validateNumbers(p *problems) {
	if m := c.Performance.RaftMultiplier; m < 1 || m > 10 {
		p.fail("performance.raft_multiplier cannot be %d. Must be between 1 and 10", m)
	}
	for _, n := range []struct {
		key          string
		value, least int
	}{
		{"limits.http_max_conns_per_client", c.Limits.HTTPMaxConnsPerClient, 0},
		{"limits.kv_max_value_size", c.Limits.KVMaxValueSize, 1},
		{"limits.txn_max_req_len", c.Limits.TxnMaxReqLen, c.Limits.KVMaxValueSize},
		{"limits.rpc_max_conns_per_client", c.Limits.RPCMaxConnsPerClient, 0},
		{"http_config.max_header_bytes", c.HTTP.MaxHeaderBytes, 0},
		{"limits.rpc_max_burst", c.Limits.RPCMaxBurst, 1},
		{"raft_protocol", c.Raft.Protocol, 1},
		{"raft_snapshot_threshold", c.Raft.SnapshotThreshold, 1},
		{"raft_trailing_logs", c.Raft.TrailingLogs, 1},
		{"retry_max", c.Join.RetryMax, 0},
		{"retry_max_wan", c.Join.RetryMaxWAN, 0},
		{"check_output_max_size", c.CheckRules.OutputMaxSize, 1},
		{"autopilot.max_trailing_logs", c.Autopilot.MaxTrailingLogs, 0},
		{"autopilot.min_quorum", c.Autopilot.MinQuorum, 0},
		{"dns_config.udp_answer_limit", c.DNS.UDPAnswerLimit, 0},
		{"dns_config.a_record_limit", c.DNS.ARecordLimit, 0},
	} {
		if n.value < n.least {
			p.fail("%s cannot be %d. Must be at least %d", n.key, n.value, n.least)
		}
	}
	for _, d := range []struct {
		key          string
		value, least time.Duration
	}{
		{"raft_snapshot_interval", c.Raft.SnapshotInterval, time.Second},
		{"max_query_time", c.Query.MaxTime, time.Second},
		{"default_query_time", c.Query.DefaultTime, time.Second},
		{"reconnect_timeout", c.Gossip.ReconnectTimeout, minReconnectTimeout},
		{"reconnect_timeout_wan", c.Gossip.ReconnectTimeoutWAN, minReconnectTimeout},
	} {
		if d.value < d.least {
			p.fail("%s cannot be %s. Must be at least %s", d.key, d.value, d.least)
		}
	}
}
