package watch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// answers is a Caller that gives one answer after the other, and then waits for
// ever.
type answers struct {
	left  []answer
	asked []string // verb, index and the like
	began time.Time
}

type answer struct {
	value any
	index uint64
	err   error
}

func (a *answers) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	line := fmt.Sprintf("%v %s index=%d", time.Since(a.began), req.Op.Name, req.MinIndex)
	a.asked = append(a.asked, line)
	if len(a.left) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	next := a.left[0]
	a.left = a.left[1:]
	return &api.Response{Value: next.value, Meta: api.Meta{Index: next.index}}, next.err
}

// follow gives what a follower is told, until nothing is left to answer.
func follow(t *testing.T, p *Plan, a *answers) (told []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		a.began = time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- p.Follow(ctx, a, Follower{
				Changed: func(_ context.Context, c Change) error {
					told = append(told, fmt.Sprintf("%d %s", c.Index, c.Body))
					return nil
				},
				Failed: func(err error, next time.Duration) {
					told = append(told, fmt.Sprintf("%v, again in %v", err, next))
				},
			})
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v; want the error of the context", err)
		}
	})
	return told
}

// TestFollow lets answers come and looks at what is told, and what is asked.
func TestFollow(t *testing.T) {
	names := func(n ...string) map[string][]string {
		out := map[string][]string{}
		for _, name := range n {
			out[name] = []string{}
		}
		return out
	}
	broken := errors.New("broken")
	tests := []struct {
		name  string
		left  []answer
		told  []string
		asked []string
	}{
		{
			name: "changes",
			left: []answer{{names("a"), 3, nil}, {names("a"), 3, nil}, {names("a"), 5, nil}, {names("b"), 6, nil}, {names("a"), 7, nil}},
			told: []string{`3 {"a":[]}`, `6 {"b":[]}`, `7 {"a":[]}`},
			asked: []string{"0s catalog.services index=0", "0s catalog.services index=3", "0s catalog.services index=3",
				"0s catalog.services index=5", "0s catalog.services index=6", "0s catalog.services index=7"},
		},
		{
			name: "backwards",
			left: []answer{{names("a"), 9, nil}, {names("b"), 2, nil}, {names("b"), 2, nil}, {names("c"), 3, nil}},
			told: []string{`9 {"a":[]}`, `2 {"b":[]}`, `3 {"c":[]}`},
			asked: []string{"0s catalog.services index=0", "0s catalog.services index=9", "0s catalog.services index=0",
				"0s catalog.services index=2", "0s catalog.services index=3"},
		},
		{
			name: "errors",
			left: []answer{{nil, 0, broken}, {nil, 0, broken}, {names("a"), 4, nil}, {nil, 0, broken}, {names("a"), 0, nil}, {names("a"), 4, nil}},
			told: []string{"broken, again in 5s", "broken, again in 20s", `4 {"a":[]}`, "broken, again in 5s", errNoIndex.Error() + ", again in 20s"},
			asked: []string{"0s catalog.services index=0", "5s catalog.services index=0", "25s catalog.services index=0",
				"25s catalog.services index=4", "30s catalog.services index=4", "50s catalog.services index=4", "50s catalog.services index=4"},
		},
	}
	for _, tt := range tests {
		a := &answers{left: tt.left}
		told := follow(t, &Plan{Type: "services"}, a)
		if diff := cmp.Diff(tt.told, told); diff != "" {
			t.Errorf("%s: told (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.asked, a.asked); diff != "" {
			t.Errorf("%s: asked (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestBackoff wants the pause between attempts to grow up to a bound.
func TestBackoff(t *testing.T) {
	a := &answers{}
	for range 14 {
		a.left = append(a.left, answer{nil, 0, errors.New("broken")})
	}
	var waits []string
	for _, line := range follow(t, &Plan{Type: "nodes"}, a) {
		_, wait, _ := strings.Cut(line, "again in ")
		waits = append(waits, wait)
	}
	want := "5s 20s 45s 1m20s 2m5s 3m0s 3m0s"
	if got := strings.Join(waits[:7], " "); got != want || waits[len(waits)-1] != "3m0s" {
		t.Errorf("pauses: got %v; want %s and so on", waits, want)
	}
}

// TestKinds looks at the result of each type: what there is, and what there is
// not.
func TestKinds(t *testing.T) {
	missing := api.Errorf(api.NotFound, "")
	event := func(n int) *api.UserEvent {
		return &api.UserEvent{ID: fmt.Sprintf("00000000-0000-0000-0000-%012d", n), Name: fmt.Sprint("e", n)}
	}
	names := func(told []string) string {
		var out []string
		for _, line := range told {
			for _, field := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(`",`, r) }) {
				if len(field) == 2 && field[0] == 'e' {
					out = append(out, field)
				}
			}
			out = append(out, "|")
		}
		return strings.Join(out, " ")
	}
	got := follow(t, &Plan{Type: "key", Key: "a"}, &answers{left: []answer{
		{nil, 2, missing}, {[]*api.KVPair{{Key: "a", Value: []byte("x"), CreateIndex: 3, ModifyIndex: 3}}, 3, nil},
	}})
	want := []string{"2 null", `3 {"LockIndex":0,"Key":"a","Flags":0,"Value":"eA==","CreateIndex":3,"ModifyIndex":3}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("key (-want +got):\n%s", diff)
	}
	got = follow(t, &Plan{Type: "keyprefix", Prefix: "a"}, &answers{left: []answer{{nil, 2, missing}, {[]*api.KVPair{{Key: "a"}}, 3, nil}, {nil, 4, missing}}})
	want = []string{"2 []", `3 [{"LockIndex":0,"Key":"a","Flags":0,"Value":null,"CreateIndex":0,"ModifyIndex":0}]`, "4 []"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keyprefix (-want +got):\n%s", diff)
	}
	got = follow(t, &Plan{Type: "event"}, &answers{left: []answer{
		{[]*api.UserEvent{}, 1, nil},
		{[]*api.UserEvent{event(5)}, event(5).Index(), nil},
		{[]*api.UserEvent{event(5), event(3), event(4)}, event(4).Index(), nil}, // indexes of events may fall
		{[]*api.UserEvent{event(7), event(8)}, event(8).Index(), nil},           // the last one is not remembered any more
	}})
	if text := names(got); text != "| e5 | e3 e4 | e7 e8 |" {
		t.Errorf("event: got %s from %v", text, got)
	}
}

// TestRequests looks at the queries that plans stand for.
func TestRequests(t *testing.T) {
	tests := []struct {
		plan Plan
		op   *api.Op
		args any
		err  string
	}{
		{plan: Plan{Type: "key", Key: "k"}, op: api.KVGet.Op, args: &api.KeyArgs{Key: "k"}},
		{plan: Plan{Type: "key"}, err: "a key must be given"},
		{plan: Plan{Type: "keyprefix", Prefix: "p/"}, op: api.KVList.Op, args: &api.PrefixArgs{Prefix: "p/"}},
		{plan: Plan{Type: "services"}, op: api.CatalogServices.Op, args: &api.NodeSelection{}},
		{plan: Plan{Type: "nodes"}, op: api.CatalogNodes.Op, args: &api.NodeSelection{}},
		{
			plan: Plan{Type: "service", Service: "web", Tags: []string{"a", "b"}, PassingOnly: true}, op: api.HealthService.Op,
			args: &api.HealthServiceArgs{ServiceArgs: api.ServiceArgs{Service: "web", Tags: []string{"a", "b"}}, Passing: true},
		},
		{plan: Plan{Type: "service"}, err: "a service must be given"},
		{plan: Plan{Type: "checks"}, op: api.HealthState.Op, args: &api.StateArgs{State: "any"}},
		{plan: Plan{Type: "checks", State: "critical"}, op: api.HealthState.Op, args: &api.StateArgs{State: "critical"}},
		{plan: Plan{Type: "checks", Service: "web"}, op: api.HealthChecks.Op, args: &api.ServiceArgs{Service: "web"}},
		{plan: Plan{Type: "checks", Service: "web", State: "any"}, err: "exclude each other"},
		{plan: Plan{Type: "event", Name: "deploy"}, op: api.EventList.Op, args: &api.EventListArgs{Name: "deploy"}},
		{plan: Plan{}, err: "Watch type must be specified"},
		{plan: Plan{Type: "connect_leaf"}, err: "Unsupported watch type: connect_leaf"},
	}
	for _, tt := range tests {
		err := tt.plan.Validate()
		if tt.err != "" || err != nil {
			if err == nil || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%+v: got %v; want %q", tt.plan, err, tt.err)
			}
			continue
		}
		tt.plan.Filter, tt.plan.Token, tt.plan.Datacenter, tt.plan.Stale = "f", "t", "dc2", true
		mode := api.Stale
		if tt.plan.Type == "event" {
			mode = api.Default
		}
		want := &api.Request{Op: tt.op, Args: tt.args, Token: "t", Datacenter: "dc2", Query: api.Query{Consistency: mode, MinIndex: 7, Filter: "f"}}
		if diff := cmp.Diff(want, tt.plan.request(7), cmp.Comparer(func(a, b *api.Op) bool { return a == b })); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.plan, diff)
		}
	}
}
