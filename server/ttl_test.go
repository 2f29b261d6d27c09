package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

func ttlSession(id, ttl string) *api.Session { return &api.Session{ID: id, TTL: ttl} }

func TestDueSessions(t *testing.T) {
	t0 := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		what      string
		deadlines map[string]time.Time
		live      []*api.Session
		due       []string
		next      time.Time
		after     map[string]time.Time
	}{
		{"nobody", nil, nil, nil, at(60), map[string]time.Time{}},
		{"a new one has twice its TTL", nil, []*api.Session{ttlSession("a", "10s")}, nil, at(20), map[string]time.Time{"a": at(20)}},
		{"a long one is looked at within the minute", nil, []*api.Session{ttlSession("a", "24h")}, nil, at(60), map[string]time.Time{"a": t0.Add(48 * time.Hour)}},
		{"a known one keeps its deadline", map[string]time.Time{"a": at(5)}, []*api.Session{ttlSession("a", "10s")}, nil, at(5), map[string]time.Time{"a": at(5)}},
		{"one whose time is up", map[string]time.Time{"a": at(0), "b": at(-5), "c": at(1)},
			[]*api.Session{ttlSession("a", "10s"), ttlSession("b", "10s"), ttlSession("c", "10s")},
			[]string{"a", "b"}, at(1), map[string]time.Time{"a": at(0), "b": at(-5), "c": at(1)}},
		{"one that is gone is forgotten", map[string]time.Time{"a": at(0), "b": at(7)}, []*api.Session{ttlSession("b", "10s")}, nil, at(7), map[string]time.Time{"b": at(7)}},
	} {
		k := newTTLKeeper()
		k.reset(c.deadlines)
		due, next := k.due(c.live, t0)
		if diff := cmp.Diff(c.due, due); diff != "" || !next.Equal(c.next) {
			t.Errorf("%s: next look at %v; want %v (due: -want +got)\n%s", c.what, next, c.next, diff)
		}
		if diff := cmp.Diff(c.after, k.deadlines); diff != "" {
			t.Errorf("%s: deadlines (-want +got)\n%s", c.what, diff)
		}
	}
}

// TestRenew tells who keeps deadlines and who does not.
func TestRenew(t *testing.T) {
	k := newTTLKeeper()
	k.renew(ttlSession("a", "10s"))
	if k.deadlines != nil {
		t.Errorf("a server that does not lead keeps deadlines: %v", k.deadlines)
	}
	k.reset(map[string]time.Time{})
	k.renew(ttlSession("a", "10s"))
	k.renew(ttlSession("b", ""))
	if left := time.Until(k.deadlines["a"]); left < 19*time.Second || left > 20*time.Second || len(k.deadlines) != 1 {
		t.Errorf("after renewing a with 10s and b without: got %v; want a alone in 20 s", k.deadlines)
	}
}
