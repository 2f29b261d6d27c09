package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRefused(t *testing.T) {
	long := strings.Repeat("x", 600)
	for _, c := range []struct{ text, want string }{
		{`data_dir = ""`, "data_dir cannot be empty"},
		{`data_dir = "complete_test.go"`, `data_dir "complete_test.go" is not a directory`},
		{`bootstrap = true bootstrap_expect = 3`, "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"},
		{`bootstrap = true bootstrap_expect = 1`, "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive"},
		{`server = false bootstrap_expect = 3`, "'bootstrap_expect' requires 'server = true'"},
		{`server = false bootstrap = true`, "'bootstrap = true' requires 'server = true'"},
		{`server = false read_replica = true`, "'read_replica = true' requires 'server = true'"},
		{`bootstrap_expect = 3 read_replica = true`, "'read_replica = true' and a server that forms a cluster ('bootstrap', 'bootstrap_expect', '-dev') are mutually exclusive: it could not lead"},
		{`bootstrap_expect = -1`, "bootstrap_expect cannot be -1. Must be greater than or equal to zero"},
		{`datacenter = ""`, "datacenter cannot be empty"},
		{`datacenter = "a b"`, "datacenter must be alpha-numeric with underscores and hyphens only"},
		{`primary_datacenter = "a.b"`, "primary_datacenter must be alpha-numeric with underscores and hyphens only"},
		{`node_name = " "`, "node_name cannot be empty"},
		{`node_id = "7"`, `node_id "7" must be a UUID`},
		{`domain = "."`, "domain cannot be empty"},
		{`node_meta { "" = "v" }`, "node_meta invalid: key cannot be blank"},
		{`node_meta { "a b" = "v" }`, `node_meta invalid: key "a b" contains invalid characters`},
		{`node_meta { "consul-x" = "v" }`, `node_meta invalid: key "consul-x": the prefix 'consul-' is reserved for internal use`},
		{`node_meta { ` + long[:129] + ` = "v" }`, `node_meta invalid: key "` + long[:129] + `" is too long (limit: 128 characters)`},
		{`node_meta { a = "` + long[:513] + `" }`, `node_meta invalid: value of "a" is too long (limit: 512 characters)`},
		{`node_meta { ` + pairs(65) + ` }`, "node_meta invalid: 65 pairs, the limit is 64"},
		{`log_level = "loud"`, `log_level "LOUD" must be one of TRACE, DEBUG, INFO, WARN, ERR`},
		{`acl { default_policy = "maybe" }`, `acl.default_policy "maybe" must be one of allow, deny`},
		{`acl { down_policy = "" }`, `acl.down_policy "" must be one of allow, deny, extend-cache, async-cache`},
		{`limits { request_limits { mode = "x" } }`, `limits.request_limits.mode "x" must be one of disabled, permissive, enforcing`},
		{`limits { rpc_rate = 0 }`, "limits.rpc_rate cannot be 0: nothing would ever be let through, or the rate is no number. Use a number of requests per second up to 1e+09, or -1 for no limit"},
		{`limits { request_limits { read_rate = 0 } }`, "limits.request_limits.read_rate cannot be 0: nothing would ever be let through, or the rate is no number. Use a number of requests per second up to 1e+09, or -1 for no limit"},
		{`limits { rpc_max_burst = 0 }`, "limits.rpc_max_burst cannot be 0. Must be at least 1"},
		{`ports { http = 65536 }`, "ports.http cannot be 65536: use 1 to 65535, or -1 to turn it off"},
		{`ports { dns = -2 }`, "ports.dns cannot be -2: use 1 to 65535, or -1 to turn it off"},
		{`ports { serf_lan = -1 }`, "ports.serf_lan cannot be turned off"},
		{`ports { server = -1 }`, "ports.server cannot be turned off on a server"},
		{`ports { http = 8600 }`, "ports.dns and ports.http both want port 8600 on 127.0.0.1"},
		{`ports { http = 8300 }`, "ports.http and ports.server both want port 8300 on 0.0.0.0"},
		{`performance { raft_multiplier = 0 }`, "performance.raft_multiplier cannot be 0. Must be between 1 and 10"},
		{`performance { raft_multiplier = 11 }`, "performance.raft_multiplier cannot be 11. Must be between 1 and 10"},
		{`limits { kv_max_value_size = 0 }`, "limits.kv_max_value_size cannot be 0. Must be at least 1"},
		{`limits { txn_max_req_len = 9 }`, "limits.txn_max_req_len cannot be 9. Must be at least 524288"},
		{`max_query_time = "1ms"`, "max_query_time cannot be 1ms. Must be at least 1s"},
		{`reconnect_timeout = "1h"`, "reconnect_timeout cannot be 1h0m0s. Must be at least 8h0m0s"},
		{`reconnect_timeout_wan = "1h"`, "reconnect_timeout_wan cannot be 1h0m0s. Must be at least 8h0m0s"},
		{`advertise_reconnect_timeout = "9h"`, "advertise_reconnect_timeout can only be used on a client"},
		{`server = false advertise_reconnect_timeout = "1h"`, "advertise_reconnect_timeout cannot be 1h0m0s. Must be at least 8h0m0s"},
		{`gossip_lan { probe_interval = "0s" }`, "gossip_lan.probe_interval cannot be 0s. Must be more"},
		{`gossip_lan { probe_timeout = "-1s" }`, "gossip_lan.probe_timeout cannot be negative: -1s"},
		{`gossip_wan { gossip_nodes = 0 }`, "gossip_wan.gossip_nodes cannot be 0. Must be at least 1"},
		{`gossip_wan { suspicion_mult = -3 }`, "gossip_wan.suspicion_mult cannot be -3. Must be at least 1"},
		{`serf_allowed_cidrs_lan = ["10.0.0.1"]`, `serf_allowed_cidrs_lan: "10.0.0.1" is not a network such as 10.0.0.0/8`},
		{`bind_addr = "10.0.0.1" serf_allowed_cidrs_lan = ["10.0.0.1/32", "10.1.0.0/16"] serf_allowed_cidrs_wan = ["10.1.0.0/16"]`,
			`serf_allowed_cidrs_wan: the address of this agent, 10.0.0.1, is in none of ["10.1.0.0/16"]`},
		{`session_ttl_min = "-1s"`, "session_ttl_min cannot be negative: -1s"},
		{`dns_config { service_ttl { web = "-1s" } }`, `dns_config.service_ttl: "web" cannot be negative: -1s`},
		{`http_config { allow_write_http_from = ["10.0.0.0"] }`, `http_config.allow_write_http_from: "10.0.0.0" is not a network such as 10.0.0.0/8`},
		{`unix_sockets { mode = "rw" }`, `unix_sockets.mode "rw" must be octal digits such as "0700"`},
		{`encrypt = "c2hvcnQ="`, "encrypt must be 16, 24 or 32 bytes in base64"},
		{`tls_min_version = "ssl3"`, `tls.defaults.tls_min_version "ssl3" must be TLSv1_0, TLSv1_1, TLSv1_2 or TLSv1_3`},
		{`bind_addr = "here"`, `bind_addr "here" is not an IP address`},
		{`bind_addr = "10.0.0.1 10.0.0.2"`, `bind_addr cannot contain multiple addresses: ["10.0.0.1" "10.0.0.2"]`},
		{`advertise_addr = "0.0.0.0"`, "advertise address cannot be 0.0.0.0: nobody can connect to it"},
		{`client_addr = ""`, "client_addr cannot be empty"},
		{`client_addr = "unix:///x"`, `client_addr "unix:///x": only addresses.http and addresses.https may be sockets, with a path`},
		{`bind_addr = "{{ nonsense }}"`, `bind_addr: evaluate "{{ nonsense }}": `},
		{`bind_addr = "{{ GetInterfaceIP \"no-such\" }}"`, `gives no address on this host`},
	} {
		_, _, err := loadHCL(`server = true  data_dir = "/nowhere"`, c.text)
		if err == nil || !strings.HasPrefix(err.Error(), "config: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("load %s: got error %v, want config: %s", c.text, err, c.want)
		}
	}
}

func pairs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d = \"v\" ", i)
	}
	return b.String()
}

// Everything that is wrong is said at once.
func TestRefusedTogether(t *testing.T) {
	_, _, err := loadHCL(`bootstrap = true  datacenter = "a b"  log_level = "x"`)
	want := `config: 'bootstrap = true' requires 'server = true'
config: data_dir cannot be empty
config: datacenter must be alpha-numeric with underscores and hyphens only
config: primary_datacenter must be alpha-numeric with underscores and hyphens only
config: log_level "X" must be one of TRACE, DEBUG, INFO, WARN, ERR`
	if err == nil || err.Error() != want {
		t.Errorf("got error\n%v\nwant\n%s", err, want)
	}
}

func TestCompleted(t *testing.T) {
	for _, c := range []struct {
		text string
		got  func(*Config) any
		want any
	}{
		{`datacenter = "EU-1"`, func(c *Config) any { return []string{c.Node.Datacenter, c.Node.PrimaryDatacenter} }, []string{"eu-1", "eu-1"}},
		{`domain = "Corp.Example."`, func(c *Config) any { return c.Node.Domain }, "corp.example."},
		{``, func(c *Config) any { return []string{c.Node.Name, c.Node.Domain, c.Node.AltDomain} }, []string{"box", "consul.", ""}},
		{`bootstrap_expect = 1`, func(c *Config) any { return c.Mode }, Mode{Server: true, Bootstrap: true}},
		{`bootstrap_expect = 3`, func(c *Config) any { return c.Mode }, Mode{Server: true, BootstrapExpect: 3}},
		{`non_voting_server = true`, func(c *Config) any { return c.Mode }, Mode{Server: true, ReadReplica: true}},
		{``, func(c *Config) any { return c.Leave }, Leave{OnTerminate: false, SkipOnInterrupt: true}},
		{`server = false`, func(c *Config) any { return c.Leave }, Leave{OnTerminate: true, SkipOnInterrupt: false}},
		{`leave_on_terminate = true  skip_leave_on_interrupt = false`, func(c *Config) any { return c.Leave }, Leave{OnTerminate: true}},
		{`server = false  ports { server = -1 http = 8302 }`, func(c *Config) any { return c.Ports.HTTP }, 8302},
		{`ports { dns = 0 }`, func(c *Config) any { return c.Ports.DNS }, -1},
		{`log_level = "warn"`, func(c *Config) any { return c.Log.Level }, "WARN"},
		{`max_query_time = "5m"`, func(c *Config) any { return c.Query.DefaultTime.String() }, "5m0s"},
		{`session_ttl_min = 0`, func(c *Config) any { return c.Session.TTLMin.String() }, "0s"},
		{`limits { kv_max_value_size = 1000000 }`, func(c *Config) any { return c.Limits.TxnMaxReqLen }, 1000000},
		{`ui_dir = "/x"  ui_content_path = "admin"`, func(c *Config) any { return c.UI }, UI{Enabled: true, Dir: "/x", ContentPath: "/admin/"}},
		{`tls_min_version = "tls12"  tls { https { verify_incoming = true } }`,
			func(c *Config) any { return []any{c.TLS.HTTPS, c.TLS.GRPC} },
			[]any{TLSListener{MinVersion: "TLSv1_2", VerifyIncoming: true}, TLSListener{MinVersion: "TLSv1_2"}}},
		{`tls { defaults { verify_incoming = true } https { verify_incoming = false } }`,
			func(c *Config) any { return []bool{c.TLS.HTTPS.VerifyIncoming, c.TLS.GRPC.VerifyIncoming} }, []bool{false, true}},
		{`verify_server_hostname = true`, func(c *Config) any { return c.TLS.InternalRPC },
			TLSListener{VerifyServerHostname: true, VerifyOutgoing: true}},
		{`acl_datacenter = "dc1"  acl { enabled = false }`, func(c *Config) any { return c.ACL.Enabled }, false},
	} {
		if diff := cmp.Diff(c.want, c.got(must(t, c.text))); diff != "" {
			t.Errorf("load %s (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		text string
		host host
		want string // bind, advertise, WAN; HTTP; DNS; or the error
	}{
		{``, aHost("127.0.0.1", "10.0.0.7", "8.8.8.8"), "0.0.0.0 10.0.0.7 10.0.0.7; [127.0.0.1]; [127.0.0.1]"},
		{``, aHost("100.64.0.9"), "0.0.0.0 100.64.0.9 100.64.0.9; [127.0.0.1]; [127.0.0.1]"},
		{``, aHost("127.0.0.1", "8.8.8.8"), "config: No private IPv4 address found"},
		{``, aHost("10.0.0.7", "172.17.0.1"), "config: Multiple private IPv4 addresses found. Please configure one with 'bind' and/or 'advertise'."},
		{`bind_addr = "::"`, aHost("10.0.0.7", "fe80::1", "fd00::1", "2001:db8::1"), ":: 2001:db8::1 2001:db8::1; [127.0.0.1]; [127.0.0.1]"},
		{`bind_addr = "10.1.1.1"  client_addr = "10.1.1.1 127.0.0.1"`, aHost(), "10.1.1.1 10.1.1.1 10.1.1.1; [10.1.1.1 127.0.0.1]; [10.1.1.1 127.0.0.1]"},
		{`advertise_addr = "10.1.1.2"  advertise_addr_wan = "9.9.9.9"`, aHost(), "0.0.0.0 10.1.1.2 9.9.9.9; [127.0.0.1]; [127.0.0.1]"},
		{`bind_addr = "{{ GetAllInterfaces | include \"name\" \"^lo$\" | include \"type\" \"IPv4\" | attr \"address\" }}"  addresses { http = "unix:///a 10.0.0.1" }`,
			aHost(), "127.0.0.1 127.0.0.1 127.0.0.1; [unix:///a 10.0.0.1]; [127.0.0.1]"},
		{`addresses { dns = "0.0.0.0" }  bind_addr = "[::1]"`, aHost(), "::1 ::1 ::1; [127.0.0.1]; [0.0.0.0]"},
	} {
		l := &loader{c: Default()}
		l.text("a.hcl", []byte(`server = true data_dir = "/nowhere"`), HCL)
		l.text("b.hcl", []byte(c.text), HCL)
		cfg, _, err := l.finish(c.host)
		got := fmt.Sprint(err)
		if err == nil {
			a := cfg.Addresses
			got = fmt.Sprintf("%s %s %s; %v; %v", a.Bind, a.Advertise, a.AdvertiseWAN, a.HTTP, a.DNS)
		}
		if got != c.want {
			t.Errorf("load %s:\ngot  %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestTaggedAddresses(t *testing.T) {
	c := must(t, `advertise_addr_wan = "2001:db8::1"  advertise_addr_ipv6 = "fd00::7"  tagged_addresses { wan_ipv4 = "9.9.9.9" lan = "10.9.9.9" }`)
	want := map[string]string{"lan": "10.9.9.9", "wan": "2001:db8::1", "lan_ipv4": "10.0.0.7", "lan_ipv6": "fd00::7", "wan_ipv4": "9.9.9.9", "wan_ipv6": "2001:db8::1"}
	if diff := cmp.Diff(want, c.Node.TaggedAddresses); diff != "" {
		t.Errorf("tagged addresses (-want +got):\n%s", diff)
	}
}
