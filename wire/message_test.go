package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// filler fills values by reflection, each with another content.
type filler struct {
	n     int
	empty bool // slices, maps and pointers are there, but with nothing in them
	depth int
}

const maxDepth = 5

func (f *filler) fill(v reflect.Value) {
	f.depth++
	defer func() { f.depth-- }()
	f.n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!f.empty)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if !f.empty {
			v.SetInt(int64(f.n % 100))
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if !f.empty {
			v.SetUint(uint64(f.n % 100))
		}
	case reflect.Float32, reflect.Float64:
		if !f.empty {
			v.SetFloat(float64(f.n) + 0.5)
		}
	case reflect.String:
		if !f.empty {
			v.SetString(fmt.Sprintf("\x00text %d \xff\xfe ü/%%2F", f.n))
		}
	case reflect.Pointer:
		if f.depth < maxDepth {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem())
		}
	case reflect.Slice:
		f.slice(v)
	case reflect.Map:
		f.table(v)
	case reflect.Interface:
		if !f.empty && v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(fmt.Sprint("any ", f.n)))
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(f.n), 123456789).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				f.fill(v.Field(i))
			}
		}
		hide(v)
	}
}

// hide empties what no encoding sees: fields of an embedded struct whose names the
// outer struct has too.
func hide(v reflect.Value) {
	for i := range v.NumField() {
		inner := v.Type().Field(i)
		if !inner.Anonymous || inner.Type.Kind() != reflect.Struct {
			continue
		}
		for k := range v.NumField() {
			if hidden := v.Field(i).FieldByName(v.Type().Field(k).Name); k != i && hidden.IsValid() && hidden.CanSet() {
				hidden.SetZero()
			}
		}
	}
}

func (f *filler) slice(v reflect.Value) {
	n := 2
	if f.empty || f.depth >= maxDepth {
		n = 0
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		f.fill(v.Index(i))
	}
}

func (f *filler) table(v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	if f.empty || f.depth >= maxDepth {
		return
	}
	for range 2 {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		f.fill(key)
		f.fill(value)
		v.SetMapIndex(key, value)
	}
}

// verbs are all that the wire may carry.
func verbs() []*api.Op {
	return append(api.Ops(), api.LeaderIndex.Op, api.ServerStatus.Op, api.ACLIdentify.Op, api.ACLDigestGet.Op, api.ACLMarksGet.Op, api.ACLRowsGet.Op)
}

// exact compares all fields, also those that nobody sees.
var exact = cmp.Exporter(func(reflect.Type) bool { return true })

// across sends a message through its encoding.
func across[T any](t *testing.T, in *T) *T {
	t.Helper()
	b, err := messages{}.Marshal(in)
	if err != nil {
		t.Fatalf("encode %+v: %v", in, err)
	}
	out := new(T)
	if err := (messages{}).Unmarshal(b, out); err != nil {
		t.Fatalf("decode %+v: %v", in, err)
	}
	return out
}

// TestArgumentsSurvive sends the arguments of every verb across: full ones, zero
// ones, and such that are there with nothing in them.
func TestArgumentsSurvive(t *testing.T) {
	for _, op := range verbs() {
		for name, f := range map[string]*filler{"full": {}, "zero": nil, "empty": {empty: true}} {
			args := op.NewArgs()
			if f != nil {
				f.fill(reflect.ValueOf(args).Elem())
			}
			req := &api.Request{Op: op, Args: args}
			q, err := ask(req)
			if err != nil {
				t.Errorf("%s, %s arguments: %v", op.Name, name, err)
				continue
			}
			got, err := across(t, q).request()
			if err != nil {
				t.Errorf("%s, %s arguments: %v", op.Name, name, err)
				continue
			}
			if diff := cmp.Diff(args, got.Args, exact); diff != "" {
				t.Errorf("%s, %s arguments (-sent +arrived):\n%s", op.Name, name, diff)
			}
		}
	}
}

// TestRequestSurvives sends the options of a request across.
func TestRequestSurvives(t *testing.T) {
	key := make([]byte, 256)
	for i := range key {
		key[i] = byte(i)
	}
	zero := uint64(0)
	for _, want := range []*api.Request{
		{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: string(key)}, JSON: true},
		{Op: api.KVPut.Op, Args: &api.KVPutArgs{Key: "a/../b//%2F", Value: key, CAS: &zero}, JSON: true},
		{Op: api.KVPut.Op, Args: &api.KVPutArgs{Key: "a", Value: []byte{}, Acquire: new(string)}, JSON: true},
		{
			Op: api.KVList.Op, Args: &api.PrefixArgs{}, JSON: true, Token: "secret", Datacenter: "dc2", Final: true, Passed: true,
			Query: api.Query{Consistency: api.Stale, MaxStale: 3 * time.Second, MinIndex: 1<<64 - 1, MaxWait: time.Hour, Filter: `Key == "ü"`},
		},
	} {
		q, err := ask(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := across(t, q).request()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *api.Op) bool { return a == b }), exact); diff != "" {
			t.Errorf("%s (-sent +arrived):\n%s", want.Op.Name, diff)
		}
	}
}

// TestUnknownRequests are refused with an error that says why.
func TestUnknownRequests(t *testing.T) {
	for _, c := range []struct {
		q    question
		want string
	}{
		{question{Op: "no.such"}, `verb "no.such" is unknown here: this server is of another version`},
		{question{Op: "kv.get", Consistency: 9}, "consistency mode 9 is unknown here: this server is of another version"},
		{question{Op: "kv.get", Args: []byte{0xc1}}, "cannot read the arguments of kv.get: "},
	} {
		_, err := c.q.request()
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || api.KindOf(err) != api.Invalid {
			t.Errorf("%+v: got %v, wanted an error of kind Invalid: %s", c.q, err, c.want)
		}
	}
}

// TestResultsSurvive sends results across as JSON, and as what they were.
func TestResultsSurvive(t *testing.T) {
	pairs := []*api.KVPair{{Key: "a", Value: []byte("\x00\xff"), ModifyIndex: 3}}
	for _, c := range []struct {
		op    *api.Op
		value any
	}{
		{api.KVGet.Op, pairs},
		{api.KVRaw.Op, api.RawValue("\x00\xff\n<&>")},
		{api.KVRaw.Op, api.RawValue{}},
		{api.KVPut.Op, true},
		{api.KVKeys.Op, []string{}},
		{api.SessionCreate.Op, api.SessionID{ID: "x"}},
		{api.LeaderIndex.Op, uint64(1<<64 - 1)},
		{api.ServerStatus.Op, &api.ServerReport{Formed: true, Servers: []string{"a"}, LastContact: time.Second, LastTerm: 3, LastIndex: 4}},
	} {
		meta := api.Meta{Index: 1 << 63, KnownLeader: true, LastContact: time.Second, Consistency: api.Stale, Filtered: true}
		for _, asJSON := range []bool{false, true} {
			got, err := across(t, tell(&api.Response{Value: c.value, Meta: meta}, nil)).response(&api.Request{Op: c.op, JSON: asJSON})
			if err != nil {
				t.Errorf("%s: %v", c.op.Name, err)
				continue
			}
			if diff := cmp.Diff(meta, got.Meta); diff != "" {
				t.Errorf("%s: what the answer says about itself (-sent +arrived):\n%s", c.op.Name, diff)
			}
			if got.Encoded != nil {
				b, _ := got.Encoded.JSON(nil)
				if want, _ := api.AppendJSON(nil, c.value); string(b) != string(want) || !asJSON {
					t.Errorf("%s: got %s, wanted %s", c.op.Name, b, want)
				}
				continue
			}
			want, value := fmt.Sprintf("%#v", asText(c.value)), fmt.Sprintf("%#v", asText(got.Value))
			if want != value || reflect.TypeOf(got.Value) != c.op.Result {
				t.Errorf("%s: got %T %s, wanted %s", c.op.Name, got.Value, value, want)
			}
		}
	}
}

func asText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestErrorsSurvive sends errors across as kinds.
func TestErrorsSurvive(t *testing.T) {
	for kind := api.Internal; kind <= api.Lost; kind++ {
		sent := &api.Error{Kind: kind, Msg: "what happened", Waits: kind%2 == 0, Detail: map[string]any{"Errors": []any{"one"}}}
		got, err := across(t, tell(nil, fmt.Errorf("wrapped: %w", sent))).response(&api.Request{Op: api.KVGet.Op})
		if (got != nil) != (kind == api.NotFound) {
			t.Errorf("kind %d: got the answer %+v beside the error; only NotFound has one", kind, got)
		}
		if kind == api.Internal {
			if err == nil || err.Error() != "wrapped: what happened" || api.KindOf(err) != api.Internal {
				t.Errorf("an internal error: got %v", err)
			}
			continue
		}
		var known *api.Error
		if !errors.As(err, &known) {
			t.Fatalf("kind %d: got %v, wanted an *api.Error", kind, err)
		}
		detail, _ := json.Marshal(known.Detail)
		if known.Kind != kind || known.Waits != sent.Waits || string(detail) != `{"Errors":["one"]}` {
			t.Errorf("kind %d: got %+v with detail %s, wanted %+v", kind, known, detail, sent)
		}
	}
	meta := api.Meta{Index: 9, KnownLeader: true}
	resp, err := across(t, tell(&api.Response{Meta: meta}, api.ErrNotFound)).response(&api.Request{Op: api.KVGet.Op})
	if !errors.Is(err, api.ErrNotFound) || resp == nil || resp.Meta != meta {
		t.Errorf("nothing there, at index 9: got %+v, %v", resp, err)
	}
}

// TestTornMessages are refused.
func TestTornMessages(t *testing.T) {
	q, err := ask(&api.Request{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := messages{}.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		torn := &question{}
		if err := (messages{}).Unmarshal(whole[:n], torn); err != nil {
			continue
		}
		if _, err := torn.request(); err == nil {
			t.Errorf("%d of %d bytes of a question are taken for a whole one", n, len(whole))
		}
	}
	if err := (messages{}).Unmarshal([]byte("\xff\xff\xff\xffx"), &question{}); err == nil {
		t.Error("a length beyond the end is taken for true")
	}
}

// TestDecodersForget reads nothing after a message of which a part was left.
func TestDecodersForget(t *testing.T) {
	var both []byte
	for _, v := range []string{"first", "second"} {
		b, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	for range 100 { // decoders are taken from any of several pools
		var first, second string
		if err := decode(both, &first); err != nil || first != "first" {
			t.Fatalf("the first of two: got %q, %v", first, err)
		}
		if err := decode(nil, &second); err == nil {
			t.Fatalf("nothing was read as %q; want an error", second)
		}
	}
}
