package api

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	consul "github.com/hashicorp/consul/api"
)

func TestCheckRegistrationDecodes(t *testing.T) {
	no := false
	second := ReadableDuration(time.Second)
	for _, c := range []struct {
		body string
		want CheckRegistration
	}{
		{`{"ID":"mem","Name":"Memory","Notes":"n","TTL":"15s","service_id":"redis","Status":"passing"}`,
			CheckRegistration{ID: "mem", Name: "Memory", Notes: "n", TTL: 15 * second, ServiceID: "redis", Status: Passing}},
		{`{"name":"m","ttl":15000000000,"interval":"","timeout":null}`, CheckRegistration{Name: "m", TTL: 15 * second}},
		{`{"Name":"s","ScriptArgs":["true"],"Interval":"1s","docker_container_id":"c","shell":"/bin/ash"}`,
			CheckRegistration{Name: "s", Interval: second, CheckProbe: CheckProbe{CommandProbe: CommandProbe{
				Args: []string{"true"}, DockerContainerID: "c", Shell: "/bin/ash"}}}},
		{`{"args":["a"],"script":"b"}`, CheckRegistration{CheckProbe: CheckProbe{CommandProbe: CommandProbe{Args: []string{"a"}, Script: "b"}}}},
		{`{"http":"http://h/","header":{"X-A":["b"]},"method":"PUT","body":"b","disable_redirects":true,"tls_skip_verify":true,"tls_server_name":"n"}`,
			CheckRegistration{CheckProbe: CheckProbe{TLSSkipVerify: true, TLSServerName: "n", HTTPProbe: HTTPProbe{
				HTTP: "http://h/", Header: map[string][]string{"X-A": {"b"}}, Method: "PUT", Body: "b", DisableRedirects: true}}}},
		{`{"tcp":"a:1","tcp_use_tls":true,"udp":"b:1","os_service":"o","alias_node":"n","alias_service":"s"}`,
			CheckRegistration{CheckProbe: CheckProbe{TCP: "a:1", TCPUseTLS: true, UDP: "b:1", OSService: "o", AliasNode: "n", AliasService: "s"}}},
		{`{"grpc":"g:1/s","grpc_use_tls":true,"h2ping":"h:1","h2ping_use_tls":false}`,
			CheckRegistration{CheckProbe: CheckProbe{GRPCProbe: GRPCProbe{GRPC: "g:1/s", GRPCUseTLS: true, H2PING: "h:1", H2PingUseTLS: &no}}}},
		{`{"check_id":"c","success_before_passing":1,"failures_before_warning":2,"failures_before_critical":3,"output_max_size":4,
			"deregister_critical_service_after":"90m","Token":"t","Namespace":"default"}`,
			CheckRegistration{CheckID: "c", CheckThresholds: CheckThresholds{1, 2, 3}, OutputMaxSize: 4,
				DeregisterCriticalServiceAfter: 5400 * second, Token: "t", Tenancy: Tenancy{Namespace: "default"}}},
	} {
		var got CheckRegistration
		if err := DecodeRelaxed([]byte(c.body), &got); err != nil {
			t.Errorf("%s: got error %v", c.body, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.body, diff)
		}
		printed, err := json.Marshal(&got)
		if err != nil {
			t.Errorf("%s: got error %v when printed", c.body, err)
		}
		var again CheckRegistration
		if err := DecodeRelaxed(printed, &again); err != nil {
			t.Errorf("%s: got error %v when read again", printed, err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("%s: read again (-first +second)\n%s", printed, diff)
		}
	}
}

func TestCheckRegistrationPrintsDefaultsOfNothing(t *testing.T) {
	got, err := json.Marshal(&CheckRegistration{Name: "m", TTL: ReadableDuration(time.Minute)})
	if want := `{"Name":"m","TTL":"1m0s","Namespace":"","Partition":""}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestCheckRegistrationValidate(t *testing.T) {
	const needInterval = "Invalid check: Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
	for _, c := range []struct{ body, kind, err string }{
		{`{"Name":"n","TTL":"1s"}`, "ttl", ""},
		{`{"Name":"n","TTL":"1s","Status":"warning"}`, "ttl", ""},
		{`{"Name":"n","HTTP":"http://h/","Interval":"1s"}`, "http", ""},
		{`{"Name":"n","TCP":"h:1","Interval":"1s"}`, "tcp", ""},
		{`{"Name":"n","UDP":"h:1","Interval":"1s"}`, "udp", ""},
		{`{"Name":"n","GRPC":"h:1","Interval":"1s"}`, "grpc", ""},
		{`{"Name":"n","H2PING":"h:1","Interval":"1s"}`, "h2ping", ""},
		{`{"Name":"n","Args":["true"],"Interval":"1s"}`, "script", ""},
		{`{"Name":"n","Script":"true","Interval":"1s"}`, "script", ""},
		{`{"Name":"n","Script":"true","DockerContainerID":"c","Interval":"1s"}`, "docker", ""},
		{`{"Name":"n","OSService":"o","Interval":"1s"}`, "os_service", ""},
		{`{"Name":"n","AliasService":"s"}`, "alias", ""},
		{`{"Name":"n","AliasNode":"m"}`, "alias", ""},
		{`{"Name":"n","HTTP":"http://h/","Interval":"1s","FailuresBeforeWarning":2,"FailuresBeforeCritical":2}`, "http", ""},
		{`{"Name":"n","TTL":"1s","Namespace":"default","Partition":"default"}`, "ttl", ""},

		{`{"ID":"n","TTL":"1s"}`, "ttl", "Missing check name"},
		{`{"Name":"n","TTL":"1s","Status":"fluffy"}`, "ttl", "Bad check status"},
		{`{"Name":"n","TTL":"1s","Status":"unknown"}`, "ttl", "Bad check status"},
		{`{"Name":"n","TTL":"1s","Namespace":"x"}`, "ttl", `Invalid Namespace "x": namespaces are not supported, leave it out or use "default"`},
		{`{"Name":"n"}`, "", "Invalid check: TTL must be > 0 for TTL checks"},
		{`{"Name":"n","Interval":"1s"}`, "", "Invalid check: TTL must be > 0 for TTL checks"},
		{`{"Name":"n","TTL":"-1s"}`, "ttl", "Invalid check: TTL must be > 0 for TTL checks"},
		{`{"Name":"n","TTL":"1s","Interval":"1s"}`, "ttl", "Invalid check: Interval and TTL cannot both be specified"},
		{`{"Name":"n","HTTP":"h","TTL":"1s","Interval":"1s"}`, "ttl", "Invalid check: Interval and TTL cannot both be specified"},
		{`{"Name":"n","HTTP":"h","TTL":"1s"}`, "ttl", "Invalid check: only one kind of check may be given, not ttl and http"},
		{`{"Name":"n","HTTP":"h","TCP":"h:1","Script":"true","Interval":"1s"}`, "http", "Invalid check: only one kind of check may be given, not http and tcp and script"},
		{`{"Name":"n","AliasService":"s","TTL":"1s"}`, "ttl", "Invalid check: only one kind of check may be given, not ttl and alias"},
		{`{"Name":"n","AliasService":"s","Interval":"1s"}`, "alias", "Invalid check: Interval cannot be set for Alias checks"},
		{`{"Name":"n","Script":"true","Args":["true"],"Interval":"1s"}`, "script", "Invalid check: Script and Args cannot both be specified"},
		{`{"Name":"n","DockerContainerID":"c","Interval":"1s"}`, "docker", "Invalid check: Args must be given for Docker checks"},
		{`{"Name":"n","HTTP":"h"}`, "http", needInterval},
		{`{"Name":"n","TCP":"h:1"}`, "tcp", needInterval},
		{`{"Name":"n","Args":["true"],"Interval":"-1s"}`, "script", needInterval},
		{`{"Name":"n","GRPC":"h:1"}`, "grpc", needInterval},
		{`{"Name":"n","TTL":"1s","OutputMaxSize":-1}`, "ttl", "Invalid check: MaxOutputMaxSize must be positive"},
		{`{"Name":"n","TTL":"1s","FailuresBeforeWarning":3,"FailuresBeforeCritical":2}`, "ttl",
			"Invalid check: FailuresBeforeWarning can't be higher than FailuresBeforeCritical"},
	} {
		var def CheckRegistration
		if err := DecodeRelaxed([]byte(c.body), &def); err != nil {
			t.Errorf("%s: got error %v", c.body, err)
		}
		if got := def.Type(); got != c.kind {
			t.Errorf("%s: got type %q, want %q", c.body, got, c.kind)
		}
		err := def.Validate()
		if text := errText(err); text != c.err {
			t.Errorf("%s:\n got error %q\nwant error %q", c.body, text, c.err)
		}
		if err != nil && KindOf(err) != Invalid {
			t.Errorf("%s: got kind %v of %v, want Invalid", c.body, KindOf(err), err)
		}
	}
}

func TestCheckRegistrationDefaults(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		p    *bool
		want bool
	}{{nil, true}, {&yes, true}, {&no, false}} {
		if got := (&GRPCProbe{H2PingUseTLS: c.p}).PingUsesTLS(); got != c.want {
			t.Errorf("H2PingUseTLS %v: got %v, want %v", c.p, got, c.want)
		}
	}
	for _, c := range []struct{ given, want time.Duration }{{0, 0}, {-1, 0}, {time.Second, time.Minute}, {time.Hour, time.Hour}} {
		def := CheckRegistration{DeregisterCriticalServiceAfter: ReadableDuration(c.given)}
		if got := def.ReapAfter(); got != c.want {
			t.Errorf("reap after %v: got %v, want %v", c.given, got, c.want)
		}
	}
	for _, c := range []struct {
		def  CheckRegistration
		want string
	}{
		{CheckRegistration{ID: "i", CheckID: "c", Name: "n"}, "i"},
		{CheckRegistration{CheckID: "c", Name: "n"}, "c"},
		{CheckRegistration{Name: "n"}, "n"},
	} {
		if got := c.def.Key(); got != c.want {
			t.Errorf("key of %+v: got %q, want %q", c.def, got, c.want)
		}
	}
}

// TestCheckRegistrationReadsTheRealClient holds the names of fields against those
// that HashiCorp's client sends.
func TestCheckRegistrationReadsTheRealClient(t *testing.T) {
	sent := consul.AgentCheckRegistration{ID: "i", Name: "n", Notes: "o", ServiceID: "s"}
	fields := reflect.ValueOf(&sent.AgentServiceCheck).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Interface().(type) {
		case string:
			f.SetString("1s") // a duration, where one is wanted
		case bool:
			f.SetBool(true)
		case int:
			f.SetInt(1)
		case []string:
			f.Set(reflect.ValueOf([]string{"a"}))
		case map[string][]string:
			f.Set(reflect.ValueOf(map[string][]string{"a_b": {"c"}}))
		default:
			t.Fatalf("field %s has a type that this test does not know", fields.Type().Field(i).Name)
		}
	}
	body, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got CheckRegistration
	if err := DecodeRelaxed(body, &got); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	want := CheckRegistration{ID: "i", CheckID: "1s", Name: "n", Notes: "o", ServiceID: "s", Status: "1s"}
	second, yes := ReadableDuration(time.Second), true
	want.Interval, want.Timeout, want.TTL, want.DeregisterCriticalServiceAfter = second, second, second, second
	want.CommandProbe = CommandProbe{Args: []string{"a"}, DockerContainerID: "1s", Shell: "1s"}
	want.HTTPProbe = HTTPProbe{HTTP: "1s", Header: map[string][]string{"a_b": {"c"}}, Method: "1s", Body: "1s"}
	want.GRPCProbe = GRPCProbe{GRPC: "1s", GRPCUseTLS: true, H2PING: "1s", H2PingUseTLS: &yes}
	want.TCP, want.TCPUseTLS, want.UDP, want.AliasNode, want.AliasService = "1s", true, "1s", "1s", "1s"
	want.TLSSkipVerify, want.TLSServerName, want.CheckThresholds = true, "1s", CheckThresholds{1, 1, 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", body, diff)
	}
}
