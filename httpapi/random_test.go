package httpapi_test

import (
	"context"
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"curia/api"
	"curia/internal/testing/inproc"
)

var rounds = flag.Uint64("rounds", 40, "how many servers TestAnyArguments asks at random")

// TestAnyArguments calls verbs with arguments of the right shape and any
// content: chance chooses the verbs, which fields they have, and words for them.
func TestAnyArguments(t *testing.T) {
	for seed := range *rounds {
		anyArguments(t, seed)
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// callsPerRound is how many requests each server gets.
const callsPerRound = 60

func anyArguments(t *testing.T, seed uint64) {
	s := inproc.Start(t, inproc.Options{})
	defer s.Stop()
	for _, r := range fixture {
		s.Must(t, r.method, r.target, r.body)
	}
	c := &chooser{Rand: rand.New(rand.NewPCG(seed, 0)), words: slices.Clone(vocabulary)}
	c.words = append(c.words, strings.Split(s.Must(t, "PUT", "/v1/session/create", `{"Node":"n2","NodeChecks":["disk"]}`), `"`)[3])
	for range callsPerRound {
		op := api.Ops()[c.IntN(len(api.Ops()))]
		if op == api.AgentHost.Op {
			continue // reads files of the kernel, the same each time
		}
		method, target, body := c.request(op)
		ctx, cancel := context.WithTimeout(t.Context(), answerWait)
		r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
		w := httptest.NewRecorder()
		began := time.Now()
		s.Handler.ServeHTTP(w, r)
		cancel()
		if took := time.Since(began); took > answerWait/2 {
			t.Errorf("%s %s %s: answered after %v", method, target, body, took)
		}
		judge(t, s, r, w, []byte(body))
	}
	// Whatever was written can be saved and read again.
	all := func() string {
		return s.Must(t, "GET", "/v1/catalog/nodes", "") + s.Must(t, "GET", "/v1/health/state/any", "") +
			s.Must(t, "GET", "/v1/session/list", "") + s.Do("GET", "/v1/kv/?recurse", "").Body.String() + s.Must(t, "GET", "/v1/health/service/web", "") +
			s.Must(t, "GET", "/v1/query", "")
	}
	before := all()
	s.Must(t, "PUT", "/v1/snapshot", s.Must(t, "GET", "/v1/snapshot", ""))
	if after := all(); before != after {
		t.Errorf("before the snapshot\n%s\nafter it\n%s", before, after)
	}
}

// vocabulary are words that mean something somewhere.
var vocabulary = []string{
	"", "n1", "n2", "N2", "n3", "new", "web", "WEB", "web1", "db", "consul", "app/", "app/a", "app/b", "app/c", "none",
	"serfHealth", "disk", "web1-up", "passing", "warning", "critical", "unknown", "any", "release", "delete", "default", "team",
	"set", "cas", "lock", "unlock", "get", "get-or-empty", "get-tree", "check-index", "check-session", "check-not-exists",
	"delete-tree", "delete-cas", "10s", "24h", "-1s", "0", "1", "7", "true", "v1", "rack:r1", "a\x00b", "é", "\xff", "/", "10.0.0.9", "0.0.0.0",
	inproc.NodeID, "22222222-2222-4333-8444-555555555555", `Node == "n2"`, `Tags is empty`, `Service.Tags contains "v1"`,
	"find-web", "find-other", "find-", "name_prefix_match", "${name.suffix}", "${match(1)}", "^find-(.*)$", "!v1",
}

// chooser makes choices by chance.
type chooser struct {
	*rand.Rand
	words []string
}

func (c *chooser) word() string { return c.words[c.IntN(len(c.words))] }

// request makes a call of a verb.
func (c *chooser) request(op *api.Op) (method, target, body string) {
	q := url.Values{}
	if op.When != "" {
		q.Set(op.When, "")
	}
	segments := strings.Split(op.Path, "/")
	for i, part := range segments {
		if strings.HasPrefix(part, "{") {
			segments[i] = url.PathEscape(c.word())
		}
	}
	path := strings.Join(segments, "/")
	if op.Kind == api.KindRead {
		for _, name := range []string{"filter", "stale", "consistent", "index"} {
			if c.IntN(4) == 1 {
				q.Set(name, c.word())
			}
		}
		if q.Has("index") {
			q.Set("wait", "1ms")
		}
	}
	for _, a := range api.ArgsOf(op.Args) {
		switch a.Source {
		case api.FromQuery:
			if c.IntN(3) == 1 {
				q.Add(a.Name, c.word())
			}
		case api.FromBody:
			if a.Name == "raw" {
				body = c.word()
				continue
			}
			b, err := json.Marshal(c.value("", a.Type, 0))
			if err != nil {
				panic(err)
			}
			body = string(b)
		}
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return op.Method, path, body
}

// fitting are words that often make sense in a field.
var fitting = map[string][]string{
	"Node": {"n1", "n2", "n3", "new"}, "Address": {"10.0.0.9", "10.0.0.8"}, "Datacenter": {"", "dc1"}, "Namespace": {"", "default"}, "Partition": {"", "default"},
	"ID": {"", "", "web1", "db", inproc.NodeID, "22222222-2222-4333-8444-555555555555"}, "Service": {"web", "db", "WEB"}, "ServiceID": {"", "web1", "db"}, "Status": {"passing", "warning", "critical"},
	"CheckID": {"disk", "web1-up", "serfHealth"}, "Name": {"disk", "up"}, "Behavior": {"release", "delete"}, "TTL": {"", "10s"}, "LockDelay": {"0s", "10s"},
	"NodeChecks": {"disk"}, "Checks": {"disk"}, "Key": {"app/a", "app/b", "app/"}, "Type": {"", "", "name_prefix_match"}, "Session": {""},
	"Verb": {"set", "cas", "lock", "unlock", "get", "get-tree", "delete", "delete-tree", "delete-cas", "check-index"},
}

// fit chooses a word for a field: one that makes sense, or any.
func (c *chooser) fit(field string) string {
	if words := fitting[field]; len(words) > 0 && c.IntN(8) > 0 {
		return words[c.IntN(len(words))]
	}
	if c.IntN(3) > 0 {
		return ""
	}
	return c.word()
}

// value makes something that is decoded into a field of a type, most of the
// time.
func (c *chooser) value(field string, t reflect.Type, depth int) any {
	choice := c.IntN(1000)
	switch {
	case choice == 0:
		return nil
	case choice == 1:
		return c.word()
	case t == reflect.TypeFor[api.TxnOp]():
		f := t.Field(c.IntN(t.NumField()))
		return map[string]any{f.Name: c.value(f.Name, f.Type, depth+1)}
	case t == reflect.TypeFor[api.Opaque]() || depth > 6:
		return map[string]any{"x": 1}
	case t == reflect.TypeFor[api.LockDelay]() || t == reflect.TypeFor[api.ReadableDuration]():
		return "10s"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return c.value(field, t.Elem(), depth)
	case reflect.Struct:
		out := map[string]any{}
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous {
				embedded, _ := c.value("", f.Type, depth).(map[string]any)
				maps.Copy(out, embedded)
				continue
			}
			if _, usual := fitting[f.Name]; f.IsExported() && (usual && c.IntN(8) > 0 || c.IntN(3) == 0) {
				out[f.Name] = c.value(f.Name, f.Type, depth+1)
			}
		}
		return out
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return []byte(c.word())
		}
		out := []any{}
		for range 1 + c.IntN(3) {
			out = append(out, c.value(field, t.Elem(), depth+1))
		}
		return out
	case reflect.Map:
		return map[string]any{c.word(): c.value("", t.Elem(), depth+1)}
	case reflect.Bool:
		return choice%2 == 0
	case reflect.String:
		return c.fit(field)
	}
	return []int{0, 1, 5, 80, 12, 20}[c.IntN(6)]
}
