package server

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

func TestFillIn(t *testing.T) {
	for _, c := range []struct{ prefix, regexp, name, text, want string }{
		{"", "", "x", "plain", "plain"},
		{"", "", "x", "", ""},
		{"", "", "x", "$ } {} $$ $x ${name.full}$", "$ } {} $$ $x x$"},
		{"geo-", "", "geo-db-1", "${name.full}|${name.prefix}|${name.suffix}|${agent.segment}|", "geo-db-1|geo-|db-1||"},
		{"geo-", "", "GEO-Db", "${name.full}|${name.prefix}|${name.suffix}", "GEO-Db|geo-|Db"},
		{"geo-", "", "geo-", "a${name.suffix}b", "ab"},
		{"", "", "all", "${name.prefix}${name.suffix}", "all"},
		{"İ", "", "ix", "${name.suffix}", "x"}, // lower case has fewer bytes
		{"geo-", "", "geo-x", "${  name.suffix\t}", "x"},
		{"geo-", "", "geo-x", "$${name.suffix} ${name.suffix}", "${name.suffix} x"},
		{"geo-", "", "geo-${name.full}", "${name.suffix}", "${name.full}"}, // once is enough
		{"geo-", "^geo-(.*?)-([^-]+?)$", "geo-a-b-c", "${match(0)}|${match(1)}|${match(2)}|${match(3)}", "geo-a-b-c|a-b|c|"},
		{"geo-", "^nothing$", "geo-a", "<${match(0)}>", "<>"},
		{"geo-", "", "geo-a", "<${match( 0 )}>", "<>"},
	} {
		q := &api.PreparedQuery{
			Name: c.prefix, Template: api.QueryTemplate{Type: api.NamePrefixMatch, Regexp: c.regexp}, Service: api.ServiceQuery{Service: c.text},
		}
		got, err := fillIn(q, c.name)
		if err != nil || got.Service.Service != c.want {
			t.Errorf("%q of template %q, %q under %q: got %+v, %v; want %q", c.text, c.prefix, c.regexp, c.name, got, err, c.want)
		}
	}
	for _, text := range []string{
		"${", "${name.full", "${}", "${ }", "${name}", "${name.Full}", "${NAME.FULL}", "${name.full + 1}", "${node.name}", "${match}", "${match()}",
		"${match(-1)}", "${match(x)}", "${match(1}", "${match(99999999999999999999)}", "${${name.full}}", "ok ${name.full} ${nope}",
	} {
		q := &api.PreparedQuery{Template: api.QueryTemplate{Type: api.NamePrefixMatch}, Service: api.ServiceQuery{Service: text}}
		if got, err := fillIn(q, "x"); api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "Invalid template ") {
			t.Errorf("%q: got %+v, %v; want an error of kind Invalid", text, got, err)
		}
	}
}

// TestFillInEverywhere looks at every text that is filled in, and wants the
// template to stay as it is.
func TestFillInEverywhere(t *testing.T) {
	q := &api.PreparedQuery{ID: "1", Name: "a-", Token: "${name.full}", Template: api.QueryTemplate{Type: api.NamePrefixMatch, RemoveEmptyTags: true}}
	const text = "${name.suffix}"
	q.Service = api.ServiceQuery{
		Service: text, Near: text, Tags: []string{"", text, "!" + text, "${match(1)}"}, IgnoreCheckIDs: []string{text},
		NodeMeta: map[string]string{text: text}, ServiceMeta: map[string]string{"k": text}, Failover: api.QueryFailover{NearestN: 2, Datacenters: []string{text}},
	}
	kept := *q
	got, err := fillIn(q, "a-b")
	want := *q
	want.Service = api.ServiceQuery{
		Service: "b", Near: "b", Tags: []string{"b", "!b"}, IgnoreCheckIDs: []string{"b"},
		NodeMeta: map[string]string{text: "b"}, ServiceMeta: map[string]string{"k": "b"}, Failover: api.QueryFailover{NearestN: 2, Datacenters: []string{"b"}},
	}
	if diff := cmp.Diff(&want, got); err != nil || diff != "" {
		t.Errorf("filled in: %v (-want +got)\n%s", err, diff)
	}
	if diff := cmp.Diff(&kept, q); diff != "" {
		t.Errorf("the template was changed (-before +after)\n%s", diff)
	}
	q.Template.RemoveEmptyTags = false
	if got, err = fillIn(q, "a-b"); err != nil || len(got.Service.Tags) != 4 {
		t.Errorf("with empty tags: got %q, %v; want four", got.Service.Tags, err)
	}
}

// TestFillInIsBounded fills a long name into a text many times.
func TestFillInIsBounded(t *testing.T) {
	q := &api.PreparedQuery{Template: api.QueryTemplate{Type: api.NamePrefixMatch}}
	q.Service.Service = strings.Repeat("${name.full}", 1000)
	if got, err := fillIn(q, strings.Repeat("x", 60)); err != nil || len(got.Service.Service) != 60_000 {
		t.Errorf("1000 times 60 bytes: got %v; want 60000 bytes", err)
	}
	if got, err := fillIn(q, strings.Repeat("x", 100)); api.KindOf(err) != api.Invalid {
		t.Errorf("1000 times 100 bytes: got %v, %v; want an error of kind Invalid", got, err)
	}
}

// FuzzFill fills any name into any text: a refusal, or a text that has every
// part of the template which is none of ours, in bounds.
func FuzzFill(f *testing.F) {
	for _, text := range []string{"", "${name.full}", "a${name.suffix}b$${x}", "${match(1)}${match(0)}", "${", "$${", "$$${name.full}", "${ agent.segment }"} {
		f.Add(text, "geo-", "geo-db", "^geo-(.*)$")
	}
	f.Fuzz(func(t *testing.T, text, prefix, name, expr string) {
		q := &api.PreparedQuery{Name: prefix, Template: api.QueryTemplate{Type: api.NamePrefixMatch, Regexp: expr}, Service: api.ServiceQuery{Service: text}}
		got, err := fillIn(q, name)
		if err != nil {
			if api.KindOf(err) != api.Invalid {
				t.Fatalf("%q under %q: %v, want an error of kind Invalid", text, name, err)
			}
			return
		}
		filled := got.Service.Service
		if !strings.Contains(text, "${") && filled != text {
			t.Fatalf("%q under %q: got %q, there is nothing to fill in", text, name, filled)
		}
		if len(filled) > longestFilled+len(text) {
			t.Fatalf("%q under %q: got %d bytes", text, name, len(filled))
		}
		if again, err := fillIn(q, name); err != nil || again.Service.Service != filled {
			t.Fatalf("%q under %q: got %q, then %q, %v", text, name, filled, again.Service.Service, err)
		}
		literal := strings.ReplaceAll(text, "${", "$${")
		q.Service.Service = literal
		if !strings.Contains(text, "$${") {
			if back, err := fillIn(q, name); err != nil || back.Service.Service != text {
				t.Fatalf("%q: got %q, %v; want %q", literal, back.Service.Service, err, text)
			}
		}
	})
}
