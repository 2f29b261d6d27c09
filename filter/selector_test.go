package filter

import (
	"strings"
	"testing"

	"curia/api"
)

func TestSelector(t *testing.T) {
	blank := Facts{"value": {"name": "", "env": ""}, "list": {"groups": []string{}}}
	is := Facts{"value": {"name": "web", "env": ""}, "list": {"groups": []string{"dev", "ops"}}}
	for expr, want := range map[string]bool{
		`value.name == "web"`:                                 true,
		`value.name == db`:                                    false,
		`value.name != db and value.env is empty`:             true,
		`dev in list.groups`:                                  true,
		`list.groups contains "admin"`:                        false,
		`not ("admin" in list.groups)`:                        true,
		`list.groups is not empty`:                            true,
		`value.name matches "^w" or value.env == prod`:        true,
		`any list.groups as g { g == "ops" }`:                 true,
		`all list.groups as i, g { g != "ops" and i != "9" }`: false,
		`"/value/name" == "web"`:                              true,
	} {
		s, err := NewSelector(expr, blank)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if got, err := s.Holds(is); got != want || err != nil {
			t.Errorf("%s: got %t, %v; want %t", expr, got, err, want)
		}
	}
	for expr, want := range map[string]string{
		``:                                     "no match found",
		`value.name`:                           "no match found",
		`value.nope == x`:                      `there is no "value.nope", only ["list.groups" "value.env" "value.name"]`,
		`value == x`:                           `there is no "value"`,
		`name == x`:                            `there is no "name"`,
		`value.name.x == x`:                    `there is no "value.name.x"`,
		`x in list.nope`:                       `there is no "list.nope"`,
		`not x in value.nope`:                  `there is no "value.nope"`,
		`value.name == "" and value.nope == x`: `there is no "value.nope"`,
		`value.name != "" and value.nope == x`: `there is no "value.nope"`,
		`any list.groups as g { h == "ops" }`:  `there is no "h"`,
		`any list.nope as g { g == "ops" }`:    `there is no "list.nope"`,
		`list.groups == x`:                     "",
		strings.Repeat(" ", maxFilter) + `value.name == "long one"`: "too long",
	} {
		_, err := NewSelector(expr, blank)
		if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %q", expr, err, want)
		}
	}
	if _, err := NewSelector(`value.x == y`, Facts{}); err == nil || !strings.Contains(err.Error(), "no claims are mapped") {
		t.Errorf("without facts: got %v, want it to be told that there are none", err)
	}
}

// FuzzSelector reads arbitrary expressions: an error or an answer, never a panic.
func FuzzSelector(f *testing.F) {
	for _, expr := range []string{`value.name == "web"`, `any list.groups as i, g { g matches "(" }`, `not (dev in list.groups)`, `"/value/~1" is nil`} {
		f.Add(expr)
	}
	facts := Facts{"value": {"name": "web"}, "list": {"groups": []string{"dev"}}}
	f.Fuzz(func(_ *testing.T, expr string) {
		if s, err := NewSelector(expr, facts); err == nil {
			_, _ = s.Holds(facts)
		}
	})
}
