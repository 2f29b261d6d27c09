package agent

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
)

const (
	// maxEvents is how many events an agent remembers.
	maxEvents = 256
	// maxEventWait bounds a wait for events, and is the default.
	maxEventWait = 10 * time.Minute
	// eventPrefix marks the events of users among all that a pool carries.
	eventPrefix = "event:"
)

// eventBuffer remembers the newest events. Safe for concurrent use.
type eventBuffer struct {
	mu      sync.Mutex
	all     []*api.UserEvent          // oldest first
	waiting map[string]*eventsAwaited // by name, as long as somebody waits; "" is any name
	alone   uint64                    // time of events that went to no pool

	jobs chan api.RemoteExec // that events asked for
}

// eventsAwaited is an event that somebody waits for.
type eventsAwaited struct {
	came    chan struct{} // closed by the event
	waiters int
}

func newEventBuffer() *eventBuffer {
	return &eventBuffer{waiting: map[string]*eventsAwaited{}, jobs: make(chan api.RemoteExec, maxJobs)}
}

// add wakes those alone who wait for the name, or for any: otherwise a thousand
// who wait for rare events would make frequent ones dear.
func (b *eventBuffer) add(e *api.UserEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, e) // where no reader looks: their slices end before
	if extra := len(b.all) - maxEvents; extra > 0 {
		b.all = b.all[extra:]
	}
	for _, name := range []string{e.Name, ""} {
		if w := b.waiting[name]; w != nil {
			close(w.came)
			delete(b.waiting, name)
		}
	}
}

// latest gives the events.
func (b *eventBuffer) latest() []*api.UserEvent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[:len(b.all):len(b.all)]
}

// follow gives the events, and what is closed when there is another of a name; ""
// is any. Who does not wait any more says so with leave.
func (b *eventBuffer) follow(name string) (all []*api.UserEvent, came <-chan struct{}, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.waiting[name]
	if w == nil {
		w = &eventsAwaited{came: make(chan struct{})}
		b.waiting[name] = w
	}
	w.waiters++
	return b.all[:len(b.all):len(b.all)], w.came, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if w.waiters--; w.waiters == 0 && b.waiting[name] == w {
			delete(b.waiting, name)
		}
	}
}

// tick counts the events of an agent that is alone.
func (b *eventBuffer) tick() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alone++
	return b.alone
}

// Hear takes notice of an event of the pool, unless its filters are about
// others ("Event"). Those that are not from users are passed over.
func (a *Agent) Hear(name string, ltime uint64, payload []byte) {
	name, ok := strings.CutPrefix(name, eventPrefix)
	if !ok {
		return
	}
	e := &api.UserEvent{}
	if err := cbor.Unmarshal(payload, e); err != nil {
		a.log.Warn("event cannot be read", "event", name, "err", err)
		return
	}
	e.Name, e.LTime = name, ltime
	if e.Version > api.EventVersion {
		a.log.Warn("event of a newer version", "event", name, "version", e.Version)
	}
	mine, err := a.concerns(api.EventFilter{Node: e.NodeFilter, Service: e.ServiceFilter, Tag: e.TagFilter})
	switch {
	case err != nil:
		a.log.Warn("event with a filter that cannot be used", "event", name, "err", err)
	case !mine:
	case name == api.RemoteExecEvent:
		a.hearJob(e.Payload)
	default:
		a.events.add(e)
	}
}

// concerns reports whether a filter fits this agent: its name, and one of its
// services with one of its tags.
func (a *Agent) concerns(f api.EventFilter) (bool, error) {
	var exprs [3]*regexp.Regexp
	for i, text := range []string{f.Node, f.Service, f.Tag} {
		var err error
		if exprs[i], err = regexp.Compile(text); err != nil {
			return false, err
		}
	}
	node, service, tag := exprs[0], exprs[1], exprs[2]
	if !node.MatchString(a.cfg.Node.Node) {
		return false, nil
	}
	if f.Service == "" && f.Tag == "" {
		return true, nil
	}
	return slices.ContainsFunc(a.local.instances(), func(s *api.Service) bool {
		return (service.MatchString(s.Service) || service.MatchString(s.ID)) &&
			(f.Tag == "" || slices.ContainsFunc(s.Tags, tag.MatchString))
	}), nil
}

// eventFire fires an event ("event/fire").
func (a *Agent) eventFire(ctx context.Context, _ caller, req *api.Request) (*api.Response, error) {
	q := req.Args.(*api.EventFireArgs)
	if req.Datacenter != "" && req.Datacenter != a.cfg.Datacenter {
		return a.next.Call(ctx, req) // an agent there fires it
	}
	if q.Tag != "" && q.Service == "" {
		return nil, api.Errorf(api.Rejected, "Cannot provide tag filter without service filter")
	}
	e := &api.UserEvent{
		ID: uuid.NewString(), Name: q.Name, NodeFilter: q.Node, ServiceFilter: q.Service, TagFilter: q.Tag,
		Version: api.EventVersion,
	}
	if len(q.Payload) > 0 {
		e.Payload = q.Payload
	}
	body, err := cbor.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("fire event %q: %w", q.Name, err)
	}
	if fire := a.cfg.Pools.Fire; fire != nil {
		err = fire(eventPrefix+q.Name, body)
	} else {
		a.Hear(eventPrefix+q.Name, a.events.tick(), body)
	}
	if err != nil {
		return nil, err
	}
	return &api.Response{Value: e}, nil
}

// eventList lists the events that the agent remembers ("event/list"). It waits
// while the newest one is that whose index the caller has.
func (a *Agent) eventList(ctx context.Context, who caller, req *api.Request) (*api.Response, error) {
	q := req.Args.(*api.EventListArgs)
	wait := maxEventWait
	if req.MaxWait > 0 {
		wait = min(req.MaxWait, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for may, waiting := who.Authorizer, true; ; {
		all, came, leave := a.events.follow(q.Name)
		resp, err := a.selectEvents(all, q, may)
		if err != nil || resp.Index != req.MinIndex || !waiting {
			leave()
			return resp, err
		}
		select {
		case <-came:
		case <-timer.C:
			waiting = false
		case <-a.draining:
			waiting = false
		case <-ctx.Done():
		}
		leave()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		// The token may have lost its permissions while the query waited.
		if may, err = a.admit(req); err != nil {
			return nil, err
		}
	}
}

// selectEvents keeps the events that were asked for and may be seen.
func (a *Agent) selectEvents(all []*api.UserEvent, q *api.EventListArgs, who acl.Authorizer) (*api.Response, error) {
	resp := &api.Response{Meta: api.Meta{Index: 1}}
	kept := []*api.UserEvent{}
	mine, err := a.concerns(q.EventFilter)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "Invalid filter: %v", err)
	}
	for _, e := range all {
		switch {
		case !mine || q.Name != "" && e.Name != q.Name:
		case !e.CanRead(who):
			resp.Filtered = !acl.Nameless(who)
		default:
			kept = append(kept, e)
		}
	}
	if len(kept) > 0 {
		resp.Index = kept[len(kept)-1].Index()
	}
	resp.Value = kept
	return resp, nil
}
