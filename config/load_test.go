package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write puts files into a new directory and returns its path.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// aHost has the name "box" and the addresses given.
func aHost(ips ...string) host {
	return host{
		name: func() (string, error) { return "box", nil },
		addresses: func() ([]netip.Addr, error) {
			var out []netip.Addr
			for _, ip := range ips {
				out = append(out, netip.MustParseAddr(ip))
			}
			return out, nil
		},
	}
}

// loadHCL loads pieces of HCL in order, as if each was a file, on a host with one private address.
func loadHCL(pieces ...string) (*Config, []string, error) {
	l := &loader{c: Default()}
	for i, text := range pieces {
		l.text(fmt.Sprintf("%d.hcl", i), []byte(text), HCL)
	}
	return l.finish(aHost("127.0.0.1", "10.0.0.7"))
}

// must loads HCL that is a server with a data directory, and more.
func must(t *testing.T, pieces ...string) *Config {
	t.Helper()
	c, _, err := loadHCL(append([]string{`server = true  data_dir = "/nowhere"`}, pieces...)...)
	if err != nil {
		t.Fatalf("load %q: %v", pieces, err)
	}
	return c
}

func TestDev(t *testing.T) {
	c, _, err := Load(Sources{Dev: true})
	if err != nil {
		t.Fatalf("load -dev: %v", err)
	}
	got := []any{c.Mode, c.Log.Level, c.Log.EnableDebug, c.UI.Enabled, c.Performance.RaftMultiplier, c.Addresses.Bind, c.Addresses.Advertise, c.Node.DataDir}
	want := []any{Mode{Dev: true, Server: true, Bootstrap: true}, "DEBUG", true, true, 1, "127.0.0.1", "127.0.0.1", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load -dev: got %v (-want +got):\n%s", got, diff)
	}
}

func TestPrecedence(t *testing.T) {
	dir := write(t, map[string]string{
		"d/1.json":      `{"node_name": "one", "retry_join": ["a"], "node_meta": {"x": "1", "y": "1"}, "log_level": "WARN"}`,
		"d/2.hcl":       `node_name = "two"  retry_join = ["b"]  node_meta { y = "2" }  ports { http = 1000 }`,
		"d/3.txt":       `this is not configuration`,
		"d/4.json":      "",
		"d/5.hcl":       " \n",
		"d/sub/6.json":  `{"node_name": "below"}`,
		"d/sub.hcl/x":   "",
		"late.json":     `{"node_name": "three", "ports": {"http": 2000, "dns": 53}}`,
		"other.json":    `{"domain": "Example", "node_id": null}`,
		"named.conf":    `log_json = true`,
		"dev-over.json": `{"log_level": "ERROR"}`,
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	flags := []FlagValue{{"node", "four"}, {"retry-join", "c"}, {"retry-join", "d"}, {"node-meta", "y:3:4"}, {"hcl", `datacenter = "EU"`}, {"ui", ""}}

	c, _, err := Load(Sources{Dev: true, Files: []string{in("d"), in("late.json"), in("other.json")}, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Node.Name, c.Join.Retry, c.Node.Meta, c.Ports.HTTP, c.Ports.DNS, c.Log.Level, c.Node.Domain, c.Node.Datacenter, c.UI.Enabled}
	want := []any{"four", []string{"a", "b", "c", "d"}, map[string]string{"x": "1", "y": "3:4"}, 2000, 53, "WARN", "example.", "eu", true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("load: got %v (-want +got):\n%s", got, diff)
	}

	c, _, err = Load(Sources{Dev: true, Files: []string{in("late.json"), in("d")}})
	if err != nil || c.Node.Name != "two" || c.Ports.HTTP != 1000 || c.Ports.DNS != 53 {
		t.Errorf("files in the other order: got %v and error %v, want name two, ports 1000 and 53", c.Ports, err)
	}
	c, _, err = Load(Sources{Dev: true, Files: []string{in("named.conf")}, Format: HCL})
	if err != nil || !c.Log.JSON {
		t.Errorf("-config-format hcl with named.conf: error %v, want it to be read", err)
	}
	c, _, err = Load(Sources{Dev: true, Files: []string{in("dev-over.json")}})
	if err != nil || c.Log.Level != "ERR" {
		t.Errorf("a file over -dev: got level %q and error %v, want ERR", c.Log.Level, err)
	}
}

// A file may say a thing in an older way; said in both ways, the newer holds.
func TestAliases(t *testing.T) {
	for _, text := range []string{
		`acl_ttl = "1s"  acl { token_ttl = "2s" }`,
		`acl { token_ttl = "2s" }  acl_ttl = "1s"`,
	} {
		c := must(t, text)
		if c.ACL.TokenTTL != 2*time.Second || c.ACL.PolicyTTL != time.Second || c.ACL.RoleTTL != time.Second {
			t.Errorf("%s: got token, policy and role TTL %s %s %s, want 2s 1s 1s", text, c.ACL.TokenTTL, c.ACL.PolicyTTL, c.ACL.RoleTTL)
		}
	}
	c := must(t, `acl_datacenter = "DC1"  acl_master_token = "root"  acl_default_policy = "deny"  acl_token = "t"  recursor = "8.8.8.8"
		ui = true  verify_incoming_rpc = true  ca_file = "/ca"  service { name = "a" }  services = [{name = "b"}, {name = "c"}]`)
	got := []any{c.ACL.Enabled, c.Node.PrimaryDatacenter, c.ACL.Tokens.InitialManagement, c.ACL.DefaultPolicy, c.ACL.Tokens.Default,
		c.DNS.Recursors, c.UI.Enabled, c.TLS.InternalRPC.VerifyIncoming, c.TLS.HTTPS.VerifyIncoming, c.TLS.HTTPS.CAFile, c.Definitions.Services}
	want := []any{true, "dc1", "root", "deny", "t", []string{"8.8.8.8"}, true, true, false, "/ca",
		[]map[string]any{{"name": "a"}, {"name": "b"}, {"name": "c"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("aliases: got %v (-want +got):\n%s", got, diff)
	}
}

const aclRemedy = `enable ACLs with acl { enabled = true default_policy = "deny" }, or bind to loopback with client_addr = "127.0.0.1".`

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{`http_config { use_cache = false }`, nil},
		{`disable_update_check = true`, nil},
		{`encrypt_verify_incoming = true  acl { default_policy = "allow" }`, nil}, // the defaults
		{`connect { enabled = true }`, []string{`config: 1.hcl: "connect.enabled" has no effect yet (Service mesh).`}},
		{`non_voting_server = true`, nil},
		{`statsd_addr = "x:1"`, nil},
		{`ports { rpc = 8400 }`, []string{`config: 1.hcl: "ports.rpc" belongs to an older version and is ignored.`}},
		{`auto_encrypt { tls = true dns_san = ["x"] }`, []string{`config: 1.hcl: "auto_encrypt.tls" has no effect yet (Clients get their certificates from the servers).`, `config: 1.hcl: "auto_encrypt.dns_san" has no effect yet (Further names in such certificates).`}},
		{`tls_prefer_server_cipher_suites = true`, []string{`config: 1.hcl: "tls_prefer_server_cipher_suites" belongs to an older version and is ignored.`}},
		{`bootstrap_expect = 4`, []string{"config: an even number of servers (bootstrap_expect = 4) survives no more failures than one server fewer."}},
		{`node_name = "a_b"`, []string{`config: node name "a_b" cannot be found over DNS: only letters, digits and dashes can, at most 63 of them.`}},
		{`addresses { http = "127.0.0.2 unix:///tmp/s" dns = "[::1]" }`, nil},
		{`client_addr = "0.0.0.0"  acl { enabled = true default_policy = "deny" }`, nil},
		{`client_addr = "0.0.0.0"  ports { http = -1 dns = -1 }`, nil},
		{`acl { default_policy = "deny" }`, []string{"config: acl.default_policy is deny, but ACLs are off, so that everything is allowed: " +
			"set acl { enabled = true }, or leave default_policy out."}},
		{`acl_default_policy = "deny"  acl_datacenter = "dc1"`, nil},
		{`client_addr = "0.0.0.0 10.0.0.7"`, []string{"config: the API on 0.0.0.0:8500, 10.0.0.7:8500 can be reached from other machines, and ACLs are off: " +
			"everybody may read and change everything; " + aclRemedy}},
		{`addresses { http = "::" }  enable_script_checks = true`, []string{"config: the API on [::]:8500 can be reached from other machines, and ACLs are off: " +
			"everybody may read and change everything, and run commands here, because of enable_script_checks; " + aclRemedy}},
		{`addresses { dns = "10.0.0.7" }  ports { dns = 53 }`, []string{"config: DNS on 10.0.0.7:53 can be reached from other machines, and ACLs are off: " +
			"everybody may look up nodes and services; " + aclRemedy}},
		{`client_addr = "10.0.0.7"  ports { dns = -1 }  acl { enabled = true }`, []string{"config: 10.0.0.7:8500 can be reached from other machines, and acl.default_policy is allow: " +
			`without a token everything is allowed that no rule forbids; set acl { default_policy = "deny" }, or bind to loopback with client_addr = "127.0.0.1".`}},
	} {
		_, got, err := loadHCL(`server = true  data_dir = "/nowhere"`, c.text)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("load %s: got warnings %q and error %v, want %q", c.text, got, err, c.want)
		}
	}
	l := &loader{c: Default()}
	l.text("x.json", []byte(`{"reporting": {"a": 1}, "cloud": {}}`), JSON)
	want := []string{`config: x.json: "reporting" has no effect yet (Of an edition that Curia does not have).`}
	if diff := cmp.Diff(want, l.c.unfinished()); diff != "" {
		t.Errorf("warnings of x.json (-want +got):\n%s", diff)
	}
}

func TestFileErrors(t *testing.T) {
	dir := write(t, map[string]string{
		"a.json": `{"foo": {"bar": 1}, "ports": {"htpp": 1, "http": "80"}, "node_name": 7}`,
		"b.hcl":  "Ports { HTTP = 1 }\ndata-dir = \"x\"",
		"c.conf": "server = true",
		"d.json": `{"server": tru}`,
		"e.json": `{"server": true} {}`,
		"f.hcl":  "server = # yes\n",
		"k.hcl":  "retry_join = [",
		"l.hcl":  "server",
		"m.hcl":  "ports {",
		"g.json": strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
		"h.hcl":  "services = " + strings.Repeat("[", 100000),
		"i.json": `{"node_meta": "` + strings.Repeat("x", maxFileSize) + `"}`,
		"j.hcl":  `x = "${a" y = 99999999999999999999999999`,
	})
	for _, c := range []struct{ file, want string }{
		{"a.json", `config: %s: invalid config key "foo"
config: %s: invalid config key "ports.htpp"
config: %s: node_name: 7 is not a string in quotes
config: %s: ports.http: "80" is not a whole number without quotes`},
		{"b.hcl", `config: %s: invalid config key "Ports" (did you mean "ports"?)
config: %s: invalid config key "data-dir" (did you mean "data_dir"?)`},
		{"c.conf", "config: %s: unknown format: name the file .json or .hcl, or give -config-format"},
		{"d.json", "config: %s: parse JSON at byte "},
		{"e.json", "more after the end of the object"},
		{"f.hcl", "config: %s: parse HCL: "},
		{"g.json", "nested deeper than 64 levels"},
		{"h.hcl", "nested deeper than 64 levels"},
		{"i.json", "larger than 4194304 bytes"},
		{"j.hcl", "config: %s: parse HCL: "},
		{"k.hcl", "config: %s: parse HCL: "},
		{"l.hcl", "config: %s: parse HCL: "},
		{"m.hcl", "config: %s: parse HCL: "},
		{"missing.json", "no such file or directory"},
	} {
		path := filepath.Join(dir, c.file)
		want := strings.ReplaceAll(c.want, "%s", path)
		_, _, err := Load(Sources{Dev: true, Files: []string{path}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("load %s: got error\n%v\nwant\n%s", c.file, err, want)
		}
	}
}

func TestFlagErrors(t *testing.T) {
	for _, c := range []struct {
		name, value, want string
	}{
		{"no-such", "1", "config: -no-such: unknown flag"},
		{"http-port", "many", `config: -http-port: "many" is not a whole number`},
		{"server", "perhaps", `config: -server: "perhaps" is not true or false`},
		{"retry-interval", "5", `config: -retry-interval: retry_interval: "5" is not a string with a unit, such as "10s"`},
		{"hcl", "nope = 1", `config: -hcl: invalid config key "nope"`},
	} {
		_, _, err := Load(Sources{Dev: true, Flags: []FlagValue{{c.name, c.value}}})
		if err == nil || err.Error() != c.want {
			t.Errorf("-%s=%s: got error %v, want %s", c.name, c.value, err, c.want)
		}
	}
}
