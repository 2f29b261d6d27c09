package agent

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/api"
	"curia/check"
)

// fire fires an event that has to be taken.
func fire(t testing.TB, a *Agent, q api.EventFireArgs) *api.UserEvent {
	t.Helper()
	e, err := api.Call(t.Context(), a, api.EventFire, q)
	if err != nil {
		t.Fatalf("fire %+v: %v", q, err)
	}
	return e
}

// listed gives the names of the events that an agent lists.
func listed(t *testing.T, a *Agent, q api.EventListArgs) []string {
	t.Helper()
	all, err := api.Call(t.Context(), a, api.EventList, q)
	if err != nil {
		t.Fatalf("list %+v: %v", q, err)
	}
	names := []string{}
	for _, e := range all {
		names = append(names, e.Name)
	}
	return names
}

func TestFiredEvent(t *testing.T) {
	a := newAgent(&next{})
	e := fire(t, a, api.EventFireArgs{Name: "deploy", EventFilter: api.EventFilter{Node: "n.*"}, Payload: []byte("x")})
	want := &api.UserEvent{ID: e.ID, Name: "deploy", Payload: []byte("x"), NodeFilter: "n.*", Version: 1}
	if diff := cmp.Diff(want, e); diff != "" || len(e.ID) != 36 {
		t.Errorf("the answer (-want +got)\n%s", diff)
	}
	want.LTime = 1
	all, meta, err := api.Ask(t.Context(), a, api.EventList, api.EventListArgs{}, api.Query{})
	if diff := cmp.Diff([]*api.UserEvent{want}, all); diff != "" || err != nil {
		t.Errorf("the list: %v (-want +got)\n%s", err, diff)
	}
	if meta.Index != e.Index() || meta.Filtered {
		t.Errorf("the list says %+v; want the index %d", meta, e.Index())
	}
	if e := fire(t, a, api.EventFireArgs{Name: "empty", Payload: []byte{}}); e.Payload != nil {
		t.Errorf("an empty payload: got %v, want null", e.Payload)
	}
}

func TestEventIndex(t *testing.T) {
	for _, c := range []struct {
		id   string
		want uint64
	}{
		{"b54fe110-7af5-cafc-d1fb-afc8ba432b1c", 0xb54fe1107af5cafc ^ 0xd1fbafc8ba432b1c},
		{"00000000-0000-0001-0000-000000000001", 1}, // never 0
		{"short", 1},
	} {
		if got := (&api.UserEvent{ID: c.id}).Index(); got != c.want {
			t.Errorf("index of %s: got %d, want %d", c.id, got, c.want)
		}
	}
}

func TestEventRefusals(t *testing.T) {
	a := newAgent(&next{})
	for _, c := range []struct {
		q    api.EventFireArgs
		dc   string
		kind api.ErrorKind
		want string
	}{
		{api.EventFireArgs{}, "", api.Invalid, "Missing name"},
		{api.EventFireArgs{Name: "_other"}, "", api.Invalid, `Invalid event name "_other"`},
		{api.EventFireArgs{Name: "x", EventFilter: api.EventFilter{Tag: "v1"}}, "", api.Rejected, "Cannot provide tag filter without service filter"},
		{api.EventFireArgs{Name: "x", EventFilter: api.EventFilter{Node: "("}}, "", api.Rejected, "Invalid node filter: "},
		{api.EventFireArgs{Name: "x", EventFilter: api.EventFilter{Service: "("}}, "", api.Rejected, "Invalid service filter: "},
		{api.EventFireArgs{Name: "x", EventFilter: api.EventFilter{Service: "a", Tag: "("}}, "", api.Rejected, "Invalid tag filter: "},
		{api.EventFireArgs{Name: "x"}, "dc9", api.Internal, errNext.Error()}, // others know the way, or do not
	} {
		err := c.q.Validate()
		if err == nil {
			_, err = a.Call(t.Context(), &api.Request{Op: api.EventFire.Op, Args: &c.q, Datacenter: c.dc})
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || api.KindOf(err) != c.kind {
			t.Errorf("fire %+v: got %v of kind %d, want %q of kind %d", c.q, err, api.KindOf(err), c.want, c.kind)
		}
	}
	if got := listed(t, a, api.EventListArgs{}); len(got) != 0 {
		t.Errorf("events: got %v, want none", got)
	}
	if err := (&api.EventListArgs{EventFilter: api.EventFilter{Node: "("}}).Validate(); api.KindOf(err) != api.Invalid {
		t.Errorf("list with a bad filter: got %v", err)
	}
}

func TestEventFilters(t *testing.T) {
	a := newAgent(&next{})
	for _, s := range []*api.Service{{ID: "web-1", Service: "web", Tags: []string{"v2"}}, {ID: "db", Service: "db", Tags: []string{"v1"}}} {
		a.local.putService(s, "", check.FromAPI)
	}
	for _, c := range []struct {
		f    api.EventFilter
		mine bool
	}{
		{api.EventFilter{}, true},
		{api.EventFilter{Node: "^n1$"}, true},
		{api.EventFilter{Node: "1"}, true}, // not anchored
		{api.EventFilter{Node: "other"}, false},
		{api.EventFilter{Service: "web"}, true},
		{api.EventFilter{Service: "-1$"}, true}, // the ID
		{api.EventFilter{Service: "mail"}, false},
		{api.EventFilter{Service: "web", Tag: "v[0-9]"}, true},
		{api.EventFilter{Service: "web", Tag: "v1"}, false}, // of another service
		{api.EventFilter{Node: "n9", Service: "web"}, false},
	} {
		before := len(listed(t, a, api.EventListArgs{}))
		fire(t, a, api.EventFireArgs{Name: "x", EventFilter: c.f})
		if got := len(listed(t, a, api.EventListArgs{})) > before; got != c.mine {
			t.Errorf("fire with %+v: taken notice of: %t, want %t", c.f, got, c.mine)
		}
		if got := len(listed(t, a, api.EventListArgs{EventFilter: c.f})) > 0; got != c.mine {
			t.Errorf("list with %+v: anything: %t, want %t", c.f, got, c.mine)
		}
	}
}

func TestEventBuffer(t *testing.T) {
	a := newAgent(&next{})
	var want []string
	for i := range maxEvents + 20 {
		name := fmt.Sprint("e", i)
		fire(t, a, api.EventFireArgs{Name: name})
		if i >= 20 {
			want = append(want, name)
		}
	}
	if diff := cmp.Diff(want, listed(t, a, api.EventListArgs{})); diff != "" {
		t.Errorf("the newest %d, oldest first (-want +got)\n%s", maxEvents, diff)
	}
	if got := listed(t, a, api.EventListArgs{Name: "e100"}); len(got) != 1 {
		t.Errorf("by name: got %v", got)
	}
}

func TestHear(t *testing.T) {
	a := newAgent(&next{})
	body := func(e api.UserEvent) []byte {
		b, err := cbor.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a.Hear("keyring", 1, nil)
	a.Hear("event:broken", 2, []byte{0xff})
	a.Hear("event:filter", 3, body(api.UserEvent{NodeFilter: "("}))
	a.Hear("event:newer", 4, body(api.UserEvent{Version: 9}))
	a.Hear("event:event:odd", 5, body(api.UserEvent{Version: 1}))
	if diff := cmp.Diff([]string{"newer", "event:odd"}, listed(t, a, api.EventListArgs{})); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
}

func TestEventsFromThePool(t *testing.T) {
	a := newAgent(&next{})
	var sent []byte
	a.cfg.Pools.Fire = func(name string, payload []byte) error {
		if name != "event:deploy" {
			return errors.New("pool is gone")
		}
		sent = payload
		return nil
	}
	e := fire(t, a, api.EventFireArgs{Name: "deploy"})
	if got := listed(t, a, api.EventListArgs{}); len(got) != 0 {
		t.Errorf("before the pool has it: got %v", got)
	}
	a.Hear("event:deploy", 42, sent)
	all, _ := api.Call(t.Context(), a, api.EventList, api.EventListArgs{})
	if len(all) != 1 || all[0].ID != e.ID || all[0].LTime != 42 {
		t.Errorf("after it: got %+v", all)
	}
	if _, err := api.Call(t.Context(), a, api.EventFire, api.EventFireArgs{Name: "other"}); err == nil {
		t.Error("the pool fails: got no error")
	}
}

// denyEvents hides events whose names fit.
type denyEvents struct{ *regexp.Regexp }

func (d denyEvents) Allows(n acl.Need) bool { return n.Resource != acl.Event || !d.MatchString(n.Name) }
func (d denyEvents) ID() string             { return d.String() }

func TestHiddenEvents(t *testing.T) {
	a := newAgent(&next{})
	fire(t, a, api.EventFireArgs{Name: "open"})
	fire(t, a, api.EventFireArgs{Name: "secret"})
	a.cfg.Authorizer = func(string) (acl.Authorizer, error) { return denyEvents{regexp.MustCompile("secret")}, nil }
	all, meta, err := api.Ask(t.Context(), a, api.EventList, api.EventListArgs{}, api.Query{})
	if err != nil || len(all) != 1 || all[0].Name != "open" || !meta.Filtered || meta.Index != all[0].Index() {
		t.Errorf("list: got %+v, %+v, %v; want the open one, and that something is hidden", all, meta, err)
	}
	_, err = api.Call(t.Context(), a, api.EventFire, api.EventFireArgs{Name: "secret"})
	if api.KindOf(err) != api.Denied || !strings.HasPrefix(err.Error(), "Permission denied") {
		t.Errorf("fire: got %v", err)
	}
}

func TestWaitForEvents(t *testing.T) {
	type answer struct {
		names []string
		took  time.Duration
	}
	wait := func(t *testing.T, a *Agent, name string, index uint64, d time.Duration) <-chan answer {
		out := make(chan answer, 1)
		began := time.Now()
		go func() {
			all, _, _ := api.Ask(t.Context(), a, api.EventList, api.EventListArgs{Name: name}, api.Query{MinIndex: index, MaxWait: d})
			got := answer{took: time.Since(began)}
			for _, e := range all {
				got.names = append(got.names, e.Name)
			}
			out <- got
		}()
		synctest.Wait()
		return out
	}
	run := func(name string, f func(t *testing.T, a *Agent)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newAgent(&next{})) })
		})
	}
	want := func(t *testing.T, got <-chan answer, took time.Duration, names ...string) {
		t.Helper()
		if a := <-got; a.took != took || !cmp.Equal(a.names, names) {
			t.Errorf("got %v after %v, want %v after %v", a.names, a.took, names, took)
		}
	}
	run("the first event", func(t *testing.T, a *Agent) {
		got := wait(t, a, "", 1, 0)
		<-time.After(time.Minute) // of the bubble
		fire(t, a, api.EventFireArgs{Name: "x"})
		want(t, got, time.Minute, "x")
	})
	run("another name", func(t *testing.T, a *Agent) {
		e := fire(t, a, api.EventFireArgs{Name: "mine"})
		got := wait(t, a, "mine", e.Index(), 0)
		fire(t, a, api.EventFireArgs{Name: "other"})
		synctest.Wait()
		if len(got) > 0 {
			t.Error("an event of another name ends the wait")
		}
		fire(t, a, api.EventFireArgs{Name: "mine"})
		want(t, got, 0, "mine", "mine")
	})
	run("an index that is not the newest", func(t *testing.T, a *Agent) {
		fire(t, a, api.EventFireArgs{Name: "x"})
		want(t, wait(t, a, "", 1<<63, time.Hour), 0, "x")
	})
	run("nothing", func(t *testing.T, a *Agent) {
		want(t, wait(t, a, "", 1, 3*time.Second), 3*time.Second)
		want(t, wait(t, a, "", 1, 0), 10*time.Minute)
		want(t, wait(t, a, "", 1, time.Hour), 10*time.Minute)
	})
	run("drained", func(t *testing.T, a *Agent) {
		e := fire(t, a, api.EventFireArgs{Name: "x"})
		got := wait(t, a, "", e.Index(), 0)
		a.Drain()
		want(t, got, 0, "x")
	})
}

// TestWaitersForOtherEvents wants who waits for a name to sleep on when others
// come, and nothing to be left of those who do not wait any more.
func TestWaitersForOtherEvents(t *testing.T) {
	b := newEventBuffer()
	woken := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	_, rare, leaveRare := b.follow("rare")
	_, same, leaveSame := b.follow("rare")
	_, whichever, leaveAny := b.follow("")
	b.add(&api.UserEvent{Name: "frequent"})
	if woken(rare) || !woken(whichever) {
		t.Errorf("another event: who waits for a name woken: %t, want false; who waits for any: %t, want true", woken(rare), woken(whichever))
	}
	leaveAny()
	leaveRare()
	all, again, leaveAgain := b.follow("rare")
	if len(all) != 1 || len(b.waiting) != 1 || b.waiting["rare"].waiters != 2 {
		t.Errorf("one of two left, and one came: got %d events, and waiting %v", len(all), b.waiting)
	}
	b.add(&api.UserEvent{Name: "rare"})
	if !woken(same) || !woken(again) {
		t.Error("the event that they wait for wakes not all")
	}
	_, _, leaveLast := b.follow("rare")
	leaveSame()
	leaveAgain() // of the event before: the last one still waits
	if len(b.waiting) != 1 {
		t.Errorf("one waits: got %v", b.waiting)
	}
	leaveLast()
	if len(b.waiting) != 0 {
		t.Errorf("nobody waits: got %v", b.waiting)
	}
}
