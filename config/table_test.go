package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample is for each kind a value as JSON and as HCL, the same as a flag where
// flags can say it, and what it decodes to.
var sample = map[Kind]struct {
	json, hcl, flag string
	want            any
}{
	String:      {`"x y"`, `"x y"`, "x y", "x y"},
	Bool:        {`true`, `true`, "", true},
	Int:         {`7`, `7`, "7", 7},
	Float:       {`1.5`, `1.5`, "1.5", 1.5},
	Duration:    {`"90s"`, `"90s"`, "1m30s", any(nil)},
	AddressList: {`"10.0.0.1"`, `"10.0.0.1"`, "10.0.0.1", Addrs{"10.0.0.1"}},
	StringList:  {`["a","b"]`, `["a","b"]`, "", []string{"a", "b"}},
	StringMap:   {`{"k":"v"}`, `{ k = "v" }`, "k:v", map[string]string{"k": "v"}},
	DurationMap: {`{"k":"90s"}`, `{ k = "90s" }`, "", any(nil)},
	Object:      {`{"k":{"l":[1,"a",{"m":true}]}}`, `{ k { l = [1, "a", { m = true }] } }`, "", map[string]any{"k": map[string]any{"l": []any{int64(1), "a", map[string]any{"m": true}}}}},
	Blocks:      {`[{"a":{"b":1}},{"a":2.5}]`, `[{ a { b = 1 } }, { a = 2.5 }]`, "", []map[string]any{{"a": map[string]any{"b": int64(1)}}, {"a": 2.5}}},
}

// Every setting, by its key and by each alias, can be given in JSON and in
// HCL, nested as files write it, and both mean the same.
func TestEverySettingFromFiles(t *testing.T) {
	for _, s := range Settings() {
		for _, key := range append([]string{s.Key}, s.Aliases...) {
			if strings.HasSuffix(key, "compat_1.9") {
				continue // not nested at its last dot; TestDottedKey
			}
			v := sample[s.Kind]
			var got [2]any
			for i, text := range []string{nest(key, v.json, `{"%s": %s}`), nest(key, v.hcl, `"%s" %s`)} {
				l := &loader{c: Default()}
				l.text("file", []byte(text), []Format{JSON, HCL}[i])
				if len(l.errs) > 0 {
					t.Errorf("%s: %v", text, l.errs)
				}
				if o := l.c.given[s.Key]; o.key != key {
					t.Errorf("%s: given is %v, want %q", text, o, key)
				}
				got[i] = s.value(l.c)
			}
			if !reflect.DeepEqual(got[0], got[1]) || v.want != nil && !reflect.DeepEqual(got[0], v.want) {
				t.Errorf("%s: got %#v from JSON and %#v from HCL, want %#v", key, got[0], got[1], v.want)
			}
		}
	}
}

// nest writes a dotted key as objects within each other.
func nest(key, value, format string) string {
	parts := strings.Split(key, ".")
	slices.Reverse(parts)
	for i, part := range parts {
		switch {
		case strings.HasPrefix(format, "{"):
			value = fmt.Sprintf(format, part, value)
		case i == 0:
			value = fmt.Sprintf(`"%s" = %s`, part, value)
		default:
			value = fmt.Sprintf(format, part, "{ "+value+" }")
		}
	}
	return value
}

func TestDottedKey(t *testing.T) {
	const key = "telemetry.disable_compat_1.9"
	c := must(t, `telemetry { "disable_compat_1.9" = true }`)
	if got := c.Sanitized()[key]; got != true {
		t.Errorf("%s: got %v, want true", key, got)
	}
}

// Every flag means the same as its setting in a file.
func TestEveryFlag(t *testing.T) {
	for _, s := range Flags() {
		text := sample[s.Kind].flag
		if s.Kind == StringList {
			text = "a"
		}
		for _, name := range append([]string{s.Flag}, s.FlagAliases...) {
			l := &loader{c: Default()}
			l.flag(FlagValue{name, text})
			if s.Kind == StringList {
				l.flag(FlagValue{name, "b"})
			}
			want := &loader{c: Default()}
			want.text("file", []byte(nest(s.Key, sample[s.Kind].json, `{"%s": %s}`)), JSON)
			if got := s.value(l.c); len(l.errs) > 0 || !reflect.DeepEqual(got, s.value(want.c)) {
				t.Errorf("-%s=%s: got %#v, errors %v, want %#v", name, text, got, l.errs, s.value(want.c))
			}
		}
	}
}

// Every kind refuses the values of other shapes, and says what it wants.
func TestWrongKinds(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"node_name": 7}`, "node_name: 7 is not a string in quotes"},
		{`{"server": "true"}`, `server: "true" is not true or false, without quotes`},
		{`{"ports": {"http": 1.5}}`, "ports.http: 1.5 is not a whole number without quotes"},
		{`{"limits": {"rpc_rate": "1"}}`, `limits.rpc_rate: "1" is not a number without quotes`},
		{`{"session_ttl_min": 10}`, `session_ttl_min: 10 is not a string with a unit, such as "10s"`},
		{`{"session_ttl_min": "10"}`, `session_ttl_min: "10" is not a string with a unit, such as "10s"`},
		{`{"client_addr": 1}`, "client_addr: 1 is not a list of strings"},
		{`{"retry_join": ["a", 1]}`, "retry_join: this list is not a list of strings"},
		{`{"node_meta": {"a": 1}}`, `node_meta: "a": 1 is not strings in quotes as its values`},
		{`{"node_meta": ["a"]}`, "node_meta: this list is not an object"},
		{`{"dns_config": {"service_ttl": {"a": 5}}}`, `dns_config.service_ttl: "a": 5 is not a string with a unit, such as "10s"`},
		{`{"services": "web"}`, `services: "web" is not an object`},
		{`{"ports": 80}`, "ports: 80 is not an object"},
		{`{"ports": {"http": {"a": 1}}}`, "ports.http: an object is not a whole number without quotes"},
	} {
		l := &loader{c: Default()}
		l.text("x.json", []byte(c.text), JSON)
		if got := fmt.Sprint(l.errs); got != "[config: x.json: "+c.want+"]" {
			t.Errorf("%s: got %s, want [config: x.json: %s]", c.text, got, c.want)
		}
	}
}

// HCL can write one thing in several ways.
func TestHCLShapes(t *testing.T) {
	for _, c := range []struct{ hcl, json string }{
		{`ports { http = 1 dns = 2 }`, `{"ports": {"http": 1, "dns": 2}}`},
		{"ports = { http = 0x1 } // http\nports { # dns\n dns = 2, }", `{"ports": {"http": 1, "dns": 2}}`},
		{`services = [{ name = "a" meta { x = "1" } }, { name = "b" }]`, `{"services": [{"name": "a", "meta": {"x": "1"}}, {"name": "b"}]}`},
		{`service { name = "a" meta = { x = "1" } } service { name = "b" }`, `{"services": [{"name": "a", "meta": {"x": "1"}}, {"name": "b"}]}`},
		{`node_meta { a = "1" } node_meta { b = "2" }`, `{"node_meta": {"a": "1", "b": "2"}}`},
		{`connect { ca_config "a" "b" { c = [1.5, -2] } }`, `{"connect": {"ca_config": {"a": {"b": {"c": [1.5, -2]}}}}}`},
		{"retry_join = [\"p\", <<E\nq\nE\n,]", `{"retry_join": ["p", "q\n"]}`},
		{`{"node_name": "json in a file of the other name"}`, `{"node_name": "json in a file of the other name"}`},
	} {
		got, want := &loader{c: Default()}, &loader{c: Default()}
		got.text("x", []byte(c.hcl), HCL)
		want.text("x", []byte(c.json), JSON)
		reload, restart := Diff(want.c, got.c)
		if len(got.errs)+len(want.errs)+len(reload)+len(restart) > 0 {
			t.Errorf("%s: errors %v %v; differs from %s in %v %v", c.hcl, got.errs, want.errs, c.json, reload, restart)
		}
	}
}

func TestDiff(t *testing.T) {
	base := `node_name = "a"  node_meta { x = "1" }  services { name = "s" }`
	for _, c := range []struct {
		text            string
		reload, restart []string
	}{
		{``, nil, nil},
		{`services = []  recursors = []  dns_config { service_ttl {} }`, nil, nil},
		{`node_meta { y = "2" }  log_level = "WARN"`, []string{"node_meta", "log_level"}, nil},
		{`services { name = "t" }`, []string{"services"}, nil},
		{`node_name = "b"  raft_trailing_logs = 5  connect { enabled = true }`, []string{"raft_trailing_logs"}, []string{"node_name", "connect.enabled"}},
		{`bind_addr = "10.0.0.7"`, nil, []string{"bind_addr", "serf_lan", "serf_wan"}},
	} {
		reload, restart := Diff(must(t, base), must(t, base, c.text))
		if !cmp.Equal(reload, c.reload) || !cmp.Equal(restart, c.restart) {
			t.Errorf("diff of %s: got %q and %q, want %q and %q", c.text, reload, restart, c.reload, c.restart)
		}
	}
}

func TestSanitized(t *testing.T) {
	c := must(t, `encrypt = "MDEyMzQ1Njc4OWFiY2RlZg=="  acl { tokens { default = "s3cret" agent = "s3cret" } }  retry_join = ["10.0.0.9", "provider=aws secret_access_key=s3cret"]
		services { name = "web" token = "s3cret" connect { native = true } check { header { Authorization = ["s3cret"] } } }
		connect { ca_config { private_key = "s3cret" } }  session_ttl_min = "90s"  telemetry { circonus_api_token = "s3cret" }
		dns_config { service_ttl { web = "5s" } }`)
	all := c.Sanitized()
	text, err := json.Marshal(all)
	if err != nil || strings.Contains(string(text), "s3cret") || strings.Contains(string(text), "MDEy") {
		t.Errorf("sanitized: error %v, or a secret in %s", err, text)
	}
	for key, want := range map[string]any{
		"encrypt": "hidden", "acl.tokens.default": "hidden", "acl.tokens.replication": "", "session_ttl_min": "1m30s",
		"ports.http": 8500, "retry_join": []string{"10.0.0.9", "hidden"}, "retry_join_wan": []string{}, "node_meta": map[string]any{},
		"dns_config.service_ttl": map[string]any{"web": "5s"}, "client_addr": []string{"127.0.0.1"}, "connect.ca_config": "hidden",
		"services": []any{map[string]any{"name": "web", "token": "hidden", "connect": map[string]any{"native": true}, "check": map[string]any{"header": map[string]any{"Authorization": []any{"hidden"}}}}},
	} {
		if diff := cmp.Diff(want, all[key]); diff != "" {
			t.Errorf("sanitized %s (-want +got):\n%s", key, diff)
		}
	}
	if len(all) != len(Settings()) {
		t.Errorf("sanitized has %d keys, the table %d", len(all), len(Settings()))
	}
}

// Two configurations must not share what one of them could change.
func TestDefaultsAreNotShared(t *testing.T) {
	a, b := Default(), Default()
	a.Addresses.Client[0] = "10.0.0.1"
	if b.Addresses.Client[0] != "127.0.0.1" {
		t.Errorf("a changed default shows in another configuration: %v", b.Addresses.Client)
	}
}

func TestRows(t *testing.T) {
	for _, s := range Settings() {
		// Sanitized hides nested values by name alone: the rule must know the names that the table calls secret.
		if s.Kind == String && isSecretName(s.Key) && !s.Secret {
			t.Errorf("%s is named like a secret, and is not marked as one", s.Key)
		}
		// Default copies scalars and Addrs; anything else would be shared between configurations.
		if s.Default != nil && s.Kind > AddressList {
			t.Errorf("%s: a %s cannot have a default", s.Key, s.Kind)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"ports": {"http": 8500}, "node_meta": [{"a": "b"}]}`, `ports { http = 8500 } service "a" "b" { x = [1, {}] }`,
		"a = <<E\nx\nE\n", "a = <<-E\n", `a = "${b("c")}"`, `"a" = 0x`, "a = 1e", "x = [\"", "{{}}", "a b c = {}", "/* ", `{"a":1e999}`,
		`services = [{checks = [{a = true}]}]`, "\"\\x\" = 1", `ports = [[[]]]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, format := range []Format{JSON, HCL} {
			l := &loader{c: Default()}
			l.text("fuzz", text, format)
			if _, _, err := l.finish(aHost("10.0.0.7")); err == nil {
				l.c.Sanitized()
				Diff(l.c, Default())
			}
		}
	})
}
