package httpapi

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

func TestCleanPath(t *testing.T) {
	for _, c := range []struct {
		path, want string
	}{
		{"/", "/"},
		{"/v1/kv/a", "/v1/kv/a"},
		{"/v1/kv/a/", "/v1/kv/a/"},
		{"/v1/kv//a", "/v1/kv/a"},
		{"//v1/kv/a", "/v1/kv/a"},
		{"/v1/kv/a//", "/v1/kv/a/"},
		{"/v1/kv/./a", "/v1/kv/a"},
		{"/v1/kv/a/.", "/v1/kv/a/"},
		{"/v1/kv/a/..", "/v1/kv/"},
		{"/v1/kv/x/../a", "/v1/kv/a"},
		{"/../../v1/kv/a", "/v1/kv/a"},
		{"/..", "/"},
		{"/.", "/"},
		{"//", "/"},
		{"/v1/kv/../../..", "/"},
		// Names that only look so.
		{"/v1/kv/.hidden", "/v1/kv/.hidden"},
		{"/v1/kv/a/.b", "/v1/kv/a/.b"},
		{"/v1/kv/...", "/v1/kv/..."},
		{"/v1/kv/a..", "/v1/kv/a.."},
		{"/v1/kv/..a/b", "/v1/kv/..a/b"},
		// What is percent-encoded belongs to the name.
		{"/v1/kv/%2F%2Fa", "/v1/kv/%2F%2Fa"},
		{"/v1/kv/%2E%2E/a", "/v1/kv/%2E%2E/a"},
		{"/v1/kv/%2e/a", "/v1/kv/%2e/a"},
	} {
		got, dirty := cleanPath(c.path)
		if got != c.want || dirty != (c.want != c.path) {
			t.Errorf("cleanPath(%s): got %s, %t; want %s, %t", c.path, got, dirty, c.want, c.want != c.path)
		}
		if again, dirty := cleanPath(got); dirty {
			t.Errorf("cleanPath(%s): its result %s is not clean: %s", c.path, got, again)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, p := range []string{"/a//b", "/a/../..", "/./", "/a/.", "/..//../x/", "/.../"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		path = "/" + path
		got, dirty := cleanPath(path)
		if !dirty && got != path {
			t.Errorf("cleanPath(%q) is %q and says that nothing changed", path, got)
		}
		if again, dirty := cleanPath(got); dirty || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Errorf("cleanPath(%q) is %q, of which cleanPath is %q: not clean", path, got, again)
		}
	})
}

func TestFindRoute(t *testing.T) {
	verb := func(method, path, when string) *api.Op {
		return &api.Op{Name: method + path + when, Method: method, Path: path, When: when, Args: api.KVGet.Args}
	}
	rs := newRoutes([]*api.Op{
		verb("GET", "/v1/kv/{key}", ""), verb("GET", "/v1/kv/{key}", "raw"), verb("GET", "/v1/kv/{key}", "keys"), verb("GET", "/v1/kv/{key}", "recurse"),
		verb("PUT", "/v1/kv/{key}", ""), verb("GET", "/v1/query", ""), verb("GET", "/v1/query/{key}", ""), verb("GET", "/v1/query/{key}/execute", ""),
		verb("GET", "/v1/query/special", ""),
		verb("GET", "/v1/config/{kind}", ""), verb("GET", "/v1/config/{kind}/{name}", ""), verb("PUT", "/v1/config", ""),
	})
	for _, c := range []struct{ method, target, want, value string }{
		{"GET", "/v1/kv/a", "GET/v1/kv/{key}", "a"},
		{"GET", "/v1/kv/", "GET/v1/kv/{key}", ""},
		{"GET", "/v1/kv/a/b/", "GET/v1/kv/{key}", "a/b/"},
		{"GET", "/v1/kv/a%2Fb%20c+d%25", "GET/v1/kv/{key}", "a/b c+d%"},
		{"GET", "/v1/kv/%2F%2E%2E%2F", "GET/v1/kv/{key}", "/../"},
		{"GET", "/v1/kv/a/execute", "GET/v1/kv/{key}", "a/execute"},
		{"GET", "/v1/kv/a?raw", "GET/v1/kv/{key}raw", "a"},
		{"GET", "/v1/kv/a?raw&recurse", "GET/v1/kv/{key}recurse", "a"},
		{"GET", "/v1/kv/a?recurse&keys", "GET/v1/kv/{key}keys", "a"},
		{"PUT", "/v1/kv/a?raw", "PUT/v1/kv/{key}", "a"},
		{"DELETE", "/v1/kv/a", "", ""},
		{"GET", "/v1/query", "GET/v1/query", ""},
		{"GET", "/v1/query/", "GET/v1/query/{key}", ""},
		{"GET", "/v1/query/special", "GET/v1/query/special", ""},
		{"GET", "/v1/query/x/execute", "GET/v1/query/{key}/execute", "x"},
		{"GET", "/v1/query/x%2Fexecute", "GET/v1/query/{key}", "x/execute"},
		{"GET", "/v1/query/x/y/execute", "GET/v1/query/{key}/execute", "x/y"},
		{"GET", "/v1/query/x/explain", "GET/v1/query/{key}", "x/explain"},
		{"GET", "/v1/config/a", "GET/v1/config/{kind}", "a"},
		{"GET", "/v1/config/a%2Fb", "GET/v1/config/{kind}", "a/b"},
		{"GET", "/v1/config/a/b", "GET/v1/config/{kind}/{name}", "a|b"},
		{"GET", "/v1/config/a/", "GET/v1/config/{kind}/{name}", "a|"},
		{"GET", "/v1/config/a%2Fb/c/d%20", "GET/v1/config/{kind}/{name}", "a/b|c/d "},
		{"GET", "/v1/config/a/%zz", "", ""},
		{"PUT", "/v1/config", "PUT/v1/config", ""},
		{"PUT", "/v1/config/a", "", ""},
		{"GET", "/v1/kv", "", ""},
		{"GET", "/v1/k", "", ""},
		{"GET", "/v1/kv%2Fa", "", ""},
		{"GET", "", "", ""},
	} {
		path, raw, _ := strings.Cut(c.target, "?")
		q, err := parseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, value := "", ""
		if r, params, ok := rs.find(path); ok {
			if b := r.choose(c.method, &q); b != nil {
				got = b.Name
				if len(params) >= 2 {
					value = params[len(params)-1]
				}
				if len(params) == 4 {
					value += "|" + params[1]
				}
			}
		}
		if got != c.want || value != c.value {
			t.Errorf("%s %s: got verb %q of %q; want %q of %q", c.method, c.target, got, value, c.want, c.value)
		}
	}
	if !rs.has("/v1/kv/") || rs.has("/v1/kv") || rs.has("/v1/") {
		t.Error("has: want /v1/kv/ alone to begin a path with parameters")
	}
}

func TestParseQuery(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want []pair // nil: an error
	}{
		{"", []pair{}},
		{"&&", []pair{}},
		{"a", []pair{{"a", ""}}},
		{"a=", []pair{{"a", ""}}},
		{"a=1&b=2&a=3", []pair{{"a", "1"}, {"b", "2"}, {"a", "3"}}},
		{"a=x=y", []pair{{"a", "x=y"}}},
		{"a=%20+%2B", []pair{{"a", "  +"}}},
		{"%61=%62", []pair{{"a", "b"}}},
		{"=v", []pair{{"", "v"}}},
		{"a;b", nil},
		{"a=%zz", nil},
		{"%=1", nil},
		{strings.Repeat("a&", maxPairs), nilPairs(maxPairs)},
		{strings.Repeat("a&", maxPairs+1), nil},
	} {
		q, err := parseQuery(c.raw)
		if c.want == nil {
			if err == nil {
				t.Errorf("parseQuery(%.40q): got %v; want an error", c.raw, q.pairs)
			}
			continue
		}
		if diff := cmp.Diff(c.want, append([]pair{}, q.pairs...), cmp.AllowUnexported(pair{})); diff != "" || err != nil {
			t.Errorf("parseQuery(%.40q): %v (-want +got)\n%s", c.raw, err, diff)
		}
	}
	q, _ := parseQuery("a=1&b=2&a=3")
	if v, ok := q.get("a"); v != "1" || !ok {
		t.Errorf("get(a): got %q, %t; want the first", v, ok)
	}
	if diff := cmp.Diff([]string{"1", "3"}, q.all("a")); diff != "" || q.all("c") != nil || q.has("c") {
		t.Errorf("all(a) (-want +got)\n%s", diff)
	}
}

func nilPairs(n int) []pair {
	out := make([]pair, n)
	for i := range out {
		out[i].name = "a"
	}
	return out
}

// FuzzParseQuery holds the parser against that of net/url.
func FuzzParseQuery(f *testing.F) {
	for _, q := range []string{"a=1&b", "%zz", "a;b", "=&=", "a=%20+", "a=b=c&&d"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw)
		want, wantErr := url.ParseQuery(raw)
		if (err == nil) != (wantErr == nil) && len(q.pairs) < maxPairs {
			t.Fatalf("parseQuery(%q): got error %v; net/url: %v", raw, err, wantErr)
		}
		if err != nil {
			return
		}
		got := url.Values{}
		for _, p := range q.pairs {
			got.Add(p.name, p.value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parseQuery(%q) (-net/url +got)\n%s", raw, diff)
		}
	})
}
