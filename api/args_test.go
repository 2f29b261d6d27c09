package api

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestArgsOf(t *testing.T) {
	type inner struct {
		Name  string   `path:"name"`
		Tags  []string `query:"tag"`
		Other string
	}
	type body struct{ Field string }
	type outer struct {
		inner
		Passing Passed  `query:"passing"`
		CAS     *uint64 `query:"cas"`
		Spec    body    `body:"json,optional"`
		Strict  body    `body:"json,strict"`
		Raw     []byte  `body:"raw"`
	}
	want := []Arg{
		{Name: "name", Source: FromPath, Index: []int{0, 0}, Type: reflect.TypeFor[string]()},
		{Name: "tag", Source: FromQuery, Index: []int{0, 1}, Type: reflect.TypeFor[[]string]()},
		{Name: "passing", Source: FromQuery, Index: []int{1}, Type: reflect.TypeFor[Passed]()},
		{Name: "cas", Source: FromQuery, Index: []int{2}, Type: reflect.TypeFor[*uint64]()},
		{Name: "json", Source: FromBody, Index: []int{3}, Type: reflect.TypeFor[body](), Optional: true},
		{Name: "json", Source: FromBody, Index: []int{4}, Type: reflect.TypeFor[body](), Strict: true},
		{Name: "raw", Source: FromBody, Index: []int{5}, Type: reflect.TypeFor[[]byte]()},
	}
	for range 2 { // the second time from memory
		got := ArgsOf(reflect.TypeFor[outer]())
		if !reflect.DeepEqual(got, want) {
			t.Errorf("ArgsOf\n got %+v\nwant %+v", got, want)
		}
	}
}

// TestArgsAreFound reaches every field through its index, and wants each
// parameter of a path to have one.
func TestArgsAreFound(t *testing.T) {
	for _, op := range Ops() {
		v := reflect.ValueOf(op.NewArgs()).Elem()
		inPath := ""
		for _, a := range ArgsOf(op.Args) {
			if f := v.FieldByIndex(a.Index); f.Type() != a.Type || !f.CanSet() {
				t.Errorf("%s: argument %s leads to a %s that can be set: %t; want a %s", op.Name, a.Name, f.Type(), f.CanSet(), a.Type)
			}
			if a.Source == FromPath {
				inPath += "{" + a.Name + "}"
			}
		}
		want := ""
		for _, part := range strings.Split(op.Path, "/") {
			if strings.HasPrefix(part, "{") {
				want += part
			}
		}
		if inPath != want {
			t.Errorf("%s: its arguments have %q of its path %s; want %q", op.Name, inPath, op.Path, want)
		}
	}
}

func TestUnknownBodyTag(t *testing.T) {
	defer func() {
		if p := recover(); !strings.Contains(fmt.Sprint(p), `unknown body tag "xml"`) {
			t.Errorf("ArgsOf of a struct with body:\"xml\": got panic %v; want one that names the tag", p)
		}
	}()
	ArgsOf(reflect.TypeFor[struct {
		Field string `body:"xml"`
	}]())
}

// TestDeclarations holds what is said once of each verb to be well said.
func TestDeclarations(t *testing.T) {
	names := map[string]bool{}
	routes := map[string]bool{}
	raw := 0
	for _, op := range Ops() {
		if names[op.Name] {
			t.Errorf("two verbs are called %s", op.Name)
		}
		names[op.Name] = true
		for _, m := range append([]string{op.Method}, op.AlsoMethods...) {
			route := m + " " + op.Path + "?" + op.When
			if routes[route] {
				t.Errorf("two verbs have the route %s", route)
			}
			routes[route] = true
		}
		if !strings.HasSuffix(op.Doc, ".") || strings.Contains(op.Doc, "\n") {
			t.Errorf("%s: its documentation is no sentence of one line: %q", op.Name, op.Doc)
		}
		if op.Kind == KindRaw {
			raw++
		}
		op.Need(op.NewArgs()) // must take the arguments of its verb
	}
	if raw > 8 {
		t.Errorf("%d verbs write their answers themselves; want at most 8", raw)
	}
}
