package gossip

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/serf/serf"

	"curia/api"
)

func TestUserEventsArriveInOrder(t *testing.T) {
	a, b := enter(t, config("a")), enter(t, config("b"))
	b.join(a)
	const count = 20
	var want []string
	for i := range count {
		want = append(want, fmt.Sprint(i))
		if err := a.Fire("count", []byte(want[i])); err != nil {
			t.Fatal(err)
		}
	}
	times := map[string]uint64{}
	fired := func(e Event) bool { return e.Kind == Fired }
	var got []string
	for i := range count {
		e := a.next("event of itself", fired).User
		if i > 0 && e.LTime <= times[got[i-1]] {
			t.Errorf("event %s has the time %d after %d", e.Payload, e.LTime, times[got[i-1]])
		}
		got = append(got, string(e.Payload))
		times[string(e.Payload)] = e.LTime
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events as they were fired (-want +got)\n%s", diff)
	}
	// The others get each of them once, with the same time.
	for range count {
		e := b.next("event of another", fired).User
		if times[string(e.Payload)] != e.LTime {
			t.Errorf("event %q: got time %d, want %d", e.Payload, e.LTime, times[string(e.Payload)])
		}
		delete(times, string(e.Payload))
	}
	if len(times) > 0 {
		t.Errorf("not all arrived, or some twice: %v", times)
	}
}

func TestNewcomersGetNoOldEvents(t *testing.T) {
	a, b := enter(t, config("a")), enter(t, config("b"))
	if err := a.Fire("old", nil); err != nil {
		t.Fatal(err)
	}
	a.await(Fired, "old")
	b.join(a)
	if err := a.Fire("new", nil); err != nil {
		t.Fatal(err)
	}
	e := b.next("an event", func(e Event) bool { return e.Kind == Fired })
	if e.User.Name != "new" {
		t.Errorf("the first event of the newcomer: got %q, want %q", e.User.Name, "new")
	}
}

func TestEventSize(t *testing.T) {
	a := enter(t, config("a"))
	if err := a.Fire("name", make([]byte, 508)); err != nil {
		t.Errorf("fire 512 bytes: %v", err)
	}
	err := a.Fire("name", make([]byte, 509))
	if err == nil || err.Error() != "user event exceeds limit of 512 bytes" || api.KindOf(err) != api.Rejected {
		t.Errorf("fire 513 bytes: got %v", err)
	}
	if e := a.next("the event", func(e Event) bool { return e.Kind == Fired }); len(e.User.Payload) != 508 {
		t.Errorf("payload: got %d bytes", len(e.User.Payload))
	}
}

// TestSlowHandler covers that a handler which does not return stops nobody but
// itself.
func TestSlowHandler(t *testing.T) {
	cfg := config("a")
	cfg.Tags["id"] = ""
	p, err := Open(cfg, discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	free, entered := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx, func(Event) {
			once.Do(func() { close(entered) })
			<-free
		})
	}()
	<-entered
	done := make(chan error, 1)
	go func() {
		for i := range 3 * queueLength {
			if err := p.Fire("flood", []byte(strings.Repeat("x", i%100))); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("firing waits for the handler")
	}
	if got := len(p.Members()); got != 1 {
		t.Errorf("members: got %d", got)
	}
	cancel()
	close(free)
	<-ended
}

func TestTyped(t *testing.T) {
	two := []serf.Member{{Name: "a", Status: serf.StatusFailed}, {Name: "b", Status: serf.StatusFailed}}
	for _, c := range []struct {
		in   serf.Event
		want []string
	}{
		{serf.MemberEvent{Type: serf.EventMemberFailed, Members: two}, []string{"failed a", "failed b"}},
		{serf.MemberEvent{Type: serf.EventMemberReap, Members: two[:1]}, []string{"reaped a"}},
		{serf.UserEvent{Name: "x", LTime: 7}, []string{"fired x 7"}},
		{&serf.Query{Name: "q"}, nil},
	} {
		var got []string
		typed(c.in, func(e Event) {
			if e.User != nil {
				got = append(got, fmt.Sprint(e.Kind, " ", e.User.Name, " ", e.User.LTime))
			} else {
				got = append(got, fmt.Sprint(e.Kind, " ", e.Member.Name))
			}
		})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got)\n%s", c.in, diff)
		}
	}
}
