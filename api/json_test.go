package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// awkward are strings on which encoders disagree.
var awkward = []string{
	"", "plain", "häßlich 日本 🎉", "<a href=\"x\">&amp;</a>", "back\\slash", "\x00\x01\x1f\x7f", "\b\f\n\r\t",
	"\u2028\u2029", "\xff\xfe", "a\xc3", "\xed\xa0\x80", "\ufffd", strings.Repeat("é\xff", 50),
}

// TestAppendJSONOfStrings holds the encoder of strings against encoding/json.
func TestAppendJSONOfStrings(t *testing.T) {
	for _, s := range awkward {
		sameAsEncodingJSON(t, []string{s, "x", s})
	}
	for c := range 256 {
		sameAsEncodingJSON(t, []string{string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'})})
	}
	for _, r := range []rune{0x7f, 0x80, 0x7ff, 0x800, 0x2027, 0x202a, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff} {
		sameAsEncodingJSON(t, []string{string(r), "a" + string(r) + "b"})
	}
}

// TestAppendJSONOfResults does the same for the results of all verbs, filled
// with something and empty.
func TestAppendJSONOfResults(t *testing.T) {
	for _, op := range Ops() {
		if op.Kind == KindRaw || op.Result == reflect.TypeFor[RawValue]() {
			continue
		}
		v := reflect.New(op.Result).Elem()
		fill(v, 3)
		sameAsEncodingJSON(t, v.Interface())
		zero := reflect.Zero(op.Result).Interface()
		got, err := AppendJSON([]byte("x"), zero)
		want := "x[]"
		if op.Result.Kind() != reflect.Slice {
			b, err := json.Marshal(zero)
			if err != nil {
				t.Fatal(err)
			}
			want = "x" + string(b)
		}
		if string(got) != want || err != nil {
			t.Errorf("AppendJSON of a zero %s\n got %s, %v\nwant %s", op.Result, got, err, want)
		}
	}
}

// sameAsEncodingJSON wants AppendJSON to append what encoding/json gives.
func sameAsEncodingJSON(t *testing.T, v any) {
	t.Helper()
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("json.Marshal(%#v): %v", v, err)
	}
	got, err := AppendJSON([]byte("head"), v)
	if err != nil || string(got) != "head"+string(want) {
		t.Errorf("AppendJSON(%#v)\n got %s, %v\nwant head%s", v, got, err, want)
	}
}

// fill sets everything that a value holds, so that no field is left out as
// empty. Depth bounds lists in lists.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.Unix(1_000_000_000, 5).UTC()
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), depth)
		}
	case reflect.String:
		v.SetString("a<b>")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		v.SetUint(200)
	case reflect.Float64:
		v.SetFloat(1.5e-5)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[Opaque]() {
			v.SetBytes([]byte(`{"any":["thing",1]}`))
			return
		}
		if depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), depth-1)
		}
	case reflect.Map:
		if depth > 0 && v.Type().Elem().Kind() != reflect.Interface {
			v.Set(reflect.MakeMap(v.Type()))
			for _, k := range []string{"z", "a<"} {
				e := reflect.New(v.Type().Elem()).Elem()
				fill(e, depth-1)
				v.SetMapIndex(reflect.ValueOf(k), e)
			}
		}
	}
}

// TestNounsOnTheWire shows what clients get of each noun.
func TestNounsOnTheWire(t *testing.T) {
	var got strings.Builder
	for _, noun := range []any{
		&KVPair{}, &Node{}, &Service{}, &ServiceNode{}, &NodeServices{}, &NodeServiceList{}, &Check{}, &ServiceHealth{},
		&Session{}, &SessionID{}, &TxnResponse{}, &RaftConfiguration{}, &Member{}, &Version{},
	} {
		for _, depth := range []int{0, 3} {
			v := reflect.New(reflect.TypeOf(noun).Elem())
			if depth > 0 {
				fill(v.Elem(), depth)
			}
			b, err := AppendJSON(nil, v.Interface())
			if err != nil {
				t.Fatalf("%T: %v", noun, err)
			}
			got.WriteString(strings.TrimPrefix(v.Type().String(), "*api.") + "\n  " + string(b) + "\n")
		}
	}
	golden(t, "nouns.txt", got.String())
}

// golden compares a text with a file of testdata; UPDATE=1 in the environment
// writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what it was (-want +got); UPDATE=1 accepts it\n%s", path, diff)
	}
}

func FuzzAppendJSON(f *testing.F) {
	for _, s := range awkward {
		f.Add(s, []byte(s), s, uint64(0), uint64(1<<63))
	}
	f.Add("k", []byte(nil), "", uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, key string, value []byte, session string, flags, index uint64) {
		p := &KVPair{Key: key, Value: value, Session: session, Flags: flags, LockIndex: index, CreateIndex: flags, ModifyIndex: index}
		sameAsEncodingJSON(t, []*KVPair{p, {Key: key}})
		sameAsEncodingJSON(t, []string{key, session})
		if b, _ := AppendJSON(nil, []string{key}); !json.Valid(b) || !utf8.Valid(b) {
			t.Errorf("AppendJSON of %q is no JSON: %s", key, b)
		}
	})
}
