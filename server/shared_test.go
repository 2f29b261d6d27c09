package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// named is an authorizer that is told from others by its name alone.
type named string

func (named) Allows(acl.Need) bool { return true }
func (n named) ID() string         { return string(n) }

// sharedQuery is a listing of keys.
func sharedQuery(prefix, filter string) *api.Request {
	return &api.Request{Op: api.KVList.Op, Args: &api.PrefixArgs{Prefix: prefix}, Query: api.Query{Filter: filter}}
}

// evaluation makes an answer of some bytes that is good until changed closes.
func evaluation(bytes int, changed chan struct{}) *answer {
	a := &answer{value: strings.Repeat("x", max(bytes-2, 0)), encoded: &api.Encoded{}, watch: state.Watch{Changed: []<-chan struct{}{changed}}}
	if _, err := a.encoded.JSON(a.value); err != nil {
		panic(err)
	}
	return a
}

func TestWhatQueriesShare(t *testing.T) {
	s := newSharedResults(1 << 20)
	count := 0
	get := func(req *api.Request, who acl.Authorizer) {
		s.get(req, who, func() *answer { count++; return evaluation(10, nil) })
	}
	for i, c := range []struct {
		req  *api.Request
		who  acl.Authorizer
		want int // evaluations so far
	}{
		{sharedQuery("a", ""), named("x"), 1},
		{sharedQuery("a", ""), named("x"), 1},
		{sharedQuery("b", ""), named("x"), 2},
		{sharedQuery("a", "f"), named("x"), 3},
		{sharedQuery("a", ""), named("y"), 4},
		{&api.Request{Op: api.KVKeys.Op, Args: &api.KVKeysArgs{Prefix: "a"}}, named("x"), 5},
		{&api.Request{Op: api.KVKeys.Op, Args: &api.KVKeysArgs{Prefix: "a", Separator: "/"}}, named("x"), 6},
		// What concerns the waiting alone is no difference.
		{&api.Request{Op: api.KVList.Op, Args: &api.PrefixArgs{Prefix: "a"}, Token: "t",
			Query: api.Query{MinIndex: 5, MaxWait: time.Second, Consistency: api.Stale}}, named("x"), 6},
	} {
		if get(c.req, c.who); count != c.want {
			t.Errorf("query %d, %s %+v as %s: got %d evaluations; want %d", i, c.req.Op.Name, c.req.Args, c.who.ID(), count, c.want)
		}
	}
}

func TestSharedUntilSomethingChanges(t *testing.T) {
	s := newSharedResults(1 << 20)
	changed := make(chan struct{})
	count := 0
	get := func() *answer {
		return s.get(sharedQuery("a", ""), named("x"), func() *answer { count++; return evaluation(10, changed) })
	}
	first := get()
	if get() != first || count != 1 {
		t.Errorf("two queries of the same: got %d evaluations; want 1", count)
	}
	close(changed)
	changed = make(chan struct{})
	if get() == first || count != 2 {
		t.Errorf("a query after a change: got %d evaluations and the old answer: %t; want 2 and another", count, get() == first)
	}
}

// TestNotShared lists what must not be kept.
func TestNotShared(t *testing.T) {
	for what, a := range map[string]*answer{
		"errors":             {err: api.ErrNotFound, encoded: &api.Encoded{}},
		"what is not there":  {missing: true, encoded: &api.Encoded{}},
		"a refused question": {err: api.Errorf(api.Invalid, "x")},
	} {
		s := newSharedResults(1 << 20)
		count := 0
		for range 3 {
			if got := s.get(sharedQuery("a", ""), named("x"), func() *answer { count++; return a }); got != a {
				t.Errorf("%s: got %v; want the answer", what, got)
			}
		}
		if count != 3 {
			t.Errorf("%s: got %d evaluations of 3 queries; want 3", what, count)
		}
	}
}

func TestSharedResultsAreBounded(t *testing.T) {
	const limit = 100_000
	s := newSharedResults(limit)
	count := 0
	get := func(prefix string, bytes int) {
		s.get(sharedQuery(prefix, ""), named("x"), func() *answer { count++; return evaluation(bytes, nil) })
	}
	for i := range 1000 {
		get(fmt.Sprint(i), 1000)
		get("often", 1000)
		if s.size > limit || len(s.byKey) != s.used.Len() {
			t.Fatalf("after %d queries: %d bytes in %d entries of which %d in order; want at most %d bytes", 2*i+2, s.size, len(s.byKey), s.used.Len(), limit)
		}
	}
	if count != 1001 {
		t.Errorf("got %d evaluations; want 1001: what is asked often stays", count)
	}
	if n := len(s.byKey); n < 50 || n > 100 {
		t.Errorf("%d entries of 1000 bytes are kept under a limit of %d; want nearly 100", n, limit)
	}
	get("large", 2*limit)
	if s.size > limit {
		t.Errorf("after an answer over the limit: %d bytes; want at most %d", s.size, limit)
	}
	total := 0
	for e := s.used.Front(); e != nil; e = e.Next() {
		total += e.Value.(*sharedResult).size
	}
	if total != s.size {
		t.Errorf("the entries have %d bytes, the count says %d", total, s.size)
	}
}

// TestManyKeysWithoutResults asks for ever new things that are not there.
func TestManyKeysWithoutResults(t *testing.T) {
	const limit = 10_000
	s := newSharedResults(limit)
	for i := range 10_000 {
		s.get(sharedQuery(fmt.Sprintf("missing-%d", i), ""), named("x"), func() *answer { return &answer{missing: true} })
	}
	if s.size > limit || len(s.byKey) > limit/10 {
		t.Errorf("10,000 queries without results left %d entries of %d bytes; want at most %d bytes", len(s.byKey), s.size, limit)
	}
}

// TestOneEvaluationForAll lets many ask at once.
func TestOneEvaluationForAll(t *testing.T) {
	s := newSharedResults(1 << 20)
	var mu sync.Mutex
	count := 0
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			s.get(sharedQuery("a", ""), named("x"), func() *answer {
				mu.Lock()
				defer mu.Unlock()
				count++
				return evaluation(10, nil)
			})
		})
	}
	wg.Wait()
	if count != 1 {
		t.Errorf("100 queries at once: got %d evaluations; want 1", count)
	}
}
