package api

import (
	"encoding/json"
	"testing"

	"curia/acl"
)

// TestConfigEntryNames reads entries in either spelling and prints them in the
// documented one; what was printed is read the same way.
func TestConfigEntryNames(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{}`, `{"Kind":"","Name":"","CreateIndex":0,"ModifyIndex":0}`},
		{`{"Kind":"mesh","Namespace":"default","Partition":""}`, `{"Kind":"mesh","Name":"","CreateIndex":0,"ModifyIndex":0}`},
		{`{"kind":"service-defaults","name":"web","protocol":"http","create_index":3,"ModifyIndex":4}`,
			`{"Kind":"service-defaults","Name":"web","Protocol":"http","CreateIndex":3,"ModifyIndex":4}`},
		{`{"Kind":"k","Name":"<&>","b_c":1.50,"a":12345678901234567890}`,
			`{"Kind":"k","Name":"\u003c\u0026\u003e","A":12345678901234567890,"BC":1.50,"CreateIndex":0,"ModifyIndex":0}`},
		{`{"Kind":"k","Name":"n","upstream_config":{"overrides":[{"connect_timeout_ms":1,"passive_health_check":null}]},"tls_min_version":"x"}`,
			`{"Kind":"k","Name":"n","TLSMinVersion":"x","UpstreamConfig":{"Overrides":[{"ConnectTimeoutMs":1,"PassiveHealthCheck":null}]},"CreateIndex":0,"ModifyIndex":0}`},
		// What is data keeps its names.
		{`{"Kind":"k","Name":"n","meta":{"owned_by":"us"},"config":{"envoy_x":{"y_z":1}}}`,
			`{"Kind":"k","Name":"n","Config":{"envoy_x":{"y_z":1}},"Meta":{"owned_by":"us"},"CreateIndex":0,"ModifyIndex":0}`},
		{`{"Kind":"k","Name":"n","subsets":{"v_1":{"only_passing":true}},"failover":{"*":{"service_subset":"v_1"}}}`,
			`{"Kind":"k","Name":"n","Failover":{"*":{"ServiceSubset":"v_1"}},"Subsets":{"v_1":{"OnlyPassing":true}},"CreateIndex":0,"ModifyIndex":0}`},
		{`{"Kind":"k","Name":"n","routes":[{"request_headers":{"set":{"x_y":"1"}}}]}`,
			`{"Kind":"k","Name":"n","Routes":[{"RequestHeaders":{"Set":{"x_y":"1"}}}],"CreateIndex":0,"ModifyIndex":0}`},
		{`{"Kind":"k","Name":"n","":1,"_":2,"a_é":3,"Protocol":"a","protocol":"b"}`,
			`{"Kind":"k","Name":"n","":1,"Aé":3,"Protocol":"b","_":2,"CreateIndex":0,"ModifyIndex":0}`},
	} {
		for _, text := range []string{c.in, c.want} {
			var e ConfigEntry
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Errorf("read %s: %v", text, err)
				continue
			}
			if got, err := json.Marshal(e); err != nil || string(got) != c.want {
				t.Errorf("read and print %s\n got %s, %v\nwant %s", text, got, err, c.want)
			}
		}
	}
	for _, text := range []string{`[]`, `"x"`, `{"Kind":1}`, `{"Meta":{"a":1}}`, `{"Namespace":"team"}`, `{"CreateIndex":"x"}`, `{"a":`} {
		if err := json.Unmarshal([]byte(text), &ConfigEntry{}); err == nil {
			t.Errorf("read %s: no error", text)
		}
	}
}

// TestConfigEntryComplete tries each kind without a name and with one.
func TestConfigEntryComplete(t *testing.T) {
	only := map[string]string{"proxy-defaults": "global", "mesh": "mesh", "exported-services": "default"}
	for _, kind := range append(ConfigKinds(), "fluff", "") {
		bare, named := ConfigEntry{Kind: kind}, ConfigEntry{Kind: kind, Name: "web"}
		bareErr, namedErr := bare.Complete(), named.Complete()
		_, known := configKinds[kind]
		switch name := only[kind]; {
		case !known:
			if KindOf(bareErr) != Invalid || bareErr.Error() != "invalid config entry kind: "+kind || namedErr == nil {
				t.Errorf("unknown kind %q: got %v and %v", kind, bareErr, namedErr)
			}
		case name != "":
			if bareErr != nil || bare.Name != name || namedErr == nil {
				t.Errorf("%s: got name %q, %v, and for web %v; want %q and a refusal", kind, bare.Name, bareErr, namedErr, name)
			}
		default:
			if namedErr != nil || bareErr == nil || bareErr.Error() != "Name is required" {
				t.Errorf("%s: got %v for web, %v without a name", kind, namedErr, bareErr)
			}
		}
	}
}

// one grants a single need.
type one acl.Need

func (o one) Allows(n acl.Need) bool { return n == acl.Need(o) }
func (one) ID() string               { return "one" }

// TestConfigEntryNeeds wants reading and writing to need the documented rules.
func TestConfigEntryNeeds(t *testing.T) {
	for _, c := range []struct{ kind, read, write string }{
		{"service-defaults", `service:read on "web"`, `service:write on "web"`},
		{"service-intentions", `service:read on "web"`, `service:write on "web"`},
		{"ingress-gateway", `service:read on "web"`, `operator:write`},
		{"proxy-defaults", "", `operator:write`},
		{"mesh", "", `operator:write`},
		{"jwt-provider", `operator:read`, `operator:write`},
	} {
		e := &ConfigEntry{Kind: c.kind, Name: "web"}
		read, write := ConfigGet.Need(&ConfigEntryArgs{e.Kind, e.Name}), ConfigPut.Need(&ConfigPutArgs{Entry: *e})
		gone := ConfigDelete.Need(&ConfigDeleteArgs{ConfigEntryArgs: ConfigEntryArgs{e.Kind, e.Name}})
		text := read.String()
		if read == (acl.Need{}) {
			text = ""
		}
		if text != c.read || write.String() != c.write || gone != write {
			t.Errorf("%s: reading needs %s, writing %s, deleting %s; want %s and %s", c.kind, text, write, gone, c.read, c.write)
		}
		if !e.CanRead(one(read)) || e.CanRead(one{}) != (c.read == "") {
			t.Errorf("%s: who may %s cannot see it, or who may nothing can", c.kind, read)
		}
	}
}
