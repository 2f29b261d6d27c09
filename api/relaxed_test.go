package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type relaxedInner struct {
	CheckID string
	TTL     ReadableDuration
	Args    []string `alias:"ScriptArgs"`
}

type relaxedBase struct {
	ServiceID string
	Port      string // hidden by the outer Port
}

type relaxedOuter struct {
	relaxedHidden
	relaxedBase
	Name          string
	Port          int
	TLSSkipVerify bool
	Header        map[string][]string
	Meta          map[string]string `alias:"ServiceMeta"`
	Check         *relaxedInner
	Checks        []*relaxedInner
	ByName        map[string]relaxedInner
	Proxy         Opaque
	Renamed       string `json:"OtherName"`
	Ignored       string `json:"-"`
}

type relaxedHidden struct{ Exported string }

func TestDecodeRelaxed(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       relaxedOuter
		err        string
	}{
		{"as documented", `{"Name":"a","Port":1}`, relaxedOuter{Name: "a", Port: 1}, ""},
		{"any case", `{"nAME":"a","PORT":1}`, relaxedOuter{Name: "a", Port: 1}, ""},
		{"underscores", `{"tls_skip_verify":true,"service_id":"s"}`,
			relaxedOuter{TLSSkipVerify: true, relaxedBase: relaxedBase{ServiceID: "s"}}, ""},
		{"alias", `{"service_meta":{"a":"b"}}`, relaxedOuter{Meta: map[string]string{"a": "b"}}, ""},
		{"json name", `{"other_name":"x"}`, relaxedOuter{Renamed: "x"}, ""},
		{"nested", `{"check":{"check_id":"c","ScriptArgs":["a"],"ttl":"1s"},"checks":[{"check_id":"d"},null]}`,
			relaxedOuter{Check: &relaxedInner{CheckID: "c", Args: []string{"a"}, TTL: ReadableDuration(time.Second)},
				Checks: []*relaxedInner{{CheckID: "d"}, nil}}, ""},
		{"keys of maps stay", `{"service_id":"s","header":{"X_Under_Score":["1"],"name":["2"]},"by_name":{"check_id":{"check_id":"c"}}}`,
			relaxedOuter{relaxedBase: relaxedBase{ServiceID: "s"}, Header: map[string][]string{"X_Under_Score": {"1"}, "name": {"2"}},
				ByName: map[string]relaxedInner{"check_id": {CheckID: "c"}}}, ""},
		{"opaque stays", `{"service_id":"s","proxy":{"some_key":1,"z":{"a_b":[]}}}`,
			relaxedOuter{relaxedBase: relaxedBase{ServiceID: "s"}, Proxy: Opaque(`{"some_key":1,"z":{"a_b":[]}}`)}, ""},
		{"the last of two spellings", `{"service_id":"a","ServiceID":"b"}`, relaxedOuter{relaxedBase: relaxedBase{ServiceID: "b"}}, ""},
		{"what follows is not read", `{"service_id":"a"} {`, relaxedOuter{relaxedBase: relaxedBase{ServiceID: "a"}}, ""},
		{"null", `null`, relaxedOuter{}, ""},
		{"quoted name", `{"service\u005fid":"a"}`, relaxedOuter{relaxedBase: relaxedBase{ServiceID: "a"}}, ""},

		{"unknown", `{"Name":"a","Fluff":1}`, relaxedOuter{}, `json: unknown field "Fluff"`},
		{"unknown, nested", `{"check":{"flu_ff":1}}`, relaxedOuter{}, `json: unknown field "flu_ff"`},
		{"ignored is unknown", `{"Ignored":"a"}`, relaxedOuter{}, `json: unknown field "Ignored"`},
		{"unexported type of an embedded struct", `{"exported":"a","relaxed_hidden":{}}`, relaxedOuter{}, `json: unknown field "relaxed_hidden"`},
		{"wrong type", `{"service_id":1}`, relaxedOuter{}, "json: cannot unmarshal number into Go struct field relaxedOuter.relaxedBase.ServiceID of type string"},
		{"wrong shape", `{"check":[{"check_id":1}]}`, relaxedOuter{}, "json: cannot unmarshal array into Go struct field relaxedOuter.Check of type api.relaxedInner"},
		{"empty", ``, relaxedOuter{}, "EOF"},
		{"cut off", `{"Name":"a"`, relaxedOuter{}, "unexpected EOF"},
		{"no JSON", `fluff`, relaxedOuter{}, "invalid character 'l' in literal false (expecting 'a')"},
	} {
		got := relaxedOuter{}
		err := DecodeRelaxed([]byte(c.body), &got)
		if text := errText(err); text != c.err {
			t.Errorf("%s: %s\n got error %q\nwant error %q", c.name, c.body, text, c.err)
		}
		if diff := cmp.Diff(c.want, got, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", c.name, c.body, diff)
		}
	}
}

func TestDecodeRelaxedLeavesTheTargetOnErrors(t *testing.T) {
	got := relaxedOuter{Name: "before"}
	if err := DecodeRelaxed([]byte(`{"Name":"after","Fluff":1}`), &got); err == nil {
		t.Error("got no error for an unknown field")
	}
	if got.Name != "before" {
		t.Errorf("got name %q, want it untouched", got.Name)
	}
}

func TestDecodeRelaxedBoundsNesting(t *testing.T) {
	type list struct{ Next []json.RawMessage }
	type tree struct{ Down []*tree }
	body := strings.Repeat(`{"d_own":[`, 200) + strings.Repeat(`]}`, 200)
	if err := DecodeRelaxed([]byte(body), new(tree)); err == nil {
		t.Error("got no error for 200 levels")
	}
	if err := DecodeRelaxed([]byte(`{"ne_xt":[{"a_b":[[[]]]}]}`), new(list)); err != nil {
		t.Errorf("got %v for raw values, want none", err)
	}
}

func FuzzDecodeRelaxed(f *testing.F) {
	for _, s := range []string{`{"service_id":"s","Args":["a"]}`, `{"header":{"A":["b"]}}`, `[`, `{"a":`, `{"ttl":"1s","TTL":1e9}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var relaxed, strict CheckRegistration
		err := DecodeRelaxed(body, &relaxed)
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.DisallowUnknownFields()
		if dec.Decode(&strict) != nil {
			return
		}
		if err != nil {
			t.Fatalf("%q: got error %v where strict decoding has none", body, err)
		}
		if diff := cmp.Diff(strict, relaxed); diff != "" {
			t.Fatalf("%q: (-strict +relaxed)\n%s", body, diff)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
