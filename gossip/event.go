package gossip

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/serf/serf"

	"curia/api"
)

// EventKind says what has happened.
type EventKind uint8

// The kinds of events. All but the last are about a member.
const (
	Joined  EventKind = iota // a member came, or came back
	Updated                  // the tags or the address of a member changed
	Left                     // a member left, or was made to
	Failed                   // a member does not answer any more
	Reaped                   // a member was forgotten
	Fired                    // a user fired an event
)

func (k EventKind) String() string {
	return [...]string{"joined", "updated", "left", "failed", "reaped", "fired"}[k]
}

// Event is something that happened in a pool.
type Event struct {
	Kind   EventKind
	Member *api.Member // nil when a user fired an event
	User   *UserEvent  // nil when it is about a member
}

// UserEvent is what a user fired somewhere in the pool.
type UserEvent struct {
	Name    string
	Payload []byte
	// LTime is the pool's logical time of the event: it rises from one event to
	// the next that was fired in its knowledge, and is the same at all members.
	LTime uint64
}

var memberKinds = map[serf.EventType]EventKind{
	serf.EventMemberJoin: Joined, serf.EventMemberUpdate: Updated, serf.EventMemberLeave: Left,
	serf.EventMemberFailed: Failed, serf.EventMemberReap: Reaped,
}

// queueLength is how many events may wait for the handler of Run.
const queueLength = 2048

// Run hands every event to handle, one after the other, until ctx ends. Then it
// closes the pool and returns nil. It may be called once.
func (p *Pool) Run(ctx context.Context, handle func(Event)) error {
	queue := make(chan Event, queueLength)
	var running sync.WaitGroup
	running.Go(func() {
		defer close(queue)
		p.drain(queue)
	})
	running.Go(func() {
		for e := range queue {
			if ctx.Err() == nil {
				handle(e)
			}
		}
	})
	select {
	case <-ctx.Done():
	case <-p.closed:
	}
	p.Close()
	running.Wait()
	return nil
}

// drain takes events from the library as soon as they are there: it holds its
// locks while it waits for that.
func (p *Pool) drain(queue chan<- Event) {
	dropped := 0
	put := func(e Event) {
		select {
		case queue <- e:
			if dropped > 0 {
				p.log.Warn("events of the pool were dropped", "pool", p.cfg.Area.String(), "count", dropped)
				dropped = 0
			}
		default:
			dropped++
		}
	}
	for {
		select {
		case e := <-p.events:
			typed(e, put)
		case <-p.closed:
			return
		}
	}
}

// discard frees a goroutine of the library that hands over its last event.
func (p *Pool) discard() {
	for {
		select {
		case <-p.events:
		default:
			return
		}
	}
}

// typed translates an event of the library, which may be about several members.
func typed(e serf.Event, put func(Event)) {
	switch e := e.(type) {
	case serf.MemberEvent:
		kind, ok := memberKinds[e.Type]
		for i := range e.Members {
			if ok {
				put(Event{Kind: kind, Member: member(&e.Members[i])})
			}
		}
	case serf.UserEvent:
		put(Event{Kind: Fired, User: &UserEvent{Name: e.Name, Payload: e.Payload, LTime: uint64(e.LTime)}})
	}
}

const (
	// eventLimit bounds name and payload of a user's event together, in bytes.
	eventLimit = 512
	// eventOverhead is what the library's own encoding may add.
	eventOverhead = 128
)

// Fire hands an event to every member, this one included. Members that join
// later do not get it. Name and payload have at most 512 bytes together; a
// larger event is refused with an *api.Error.
func (p *Pool) Fire(name string, payload []byte) error {
	if len(name)+len(payload) > eventLimit {
		return api.Errorf(api.Rejected, "user event exceeds limit of %d bytes", eventLimit)
	}
	if err := p.serf.UserEvent(name, payload, false); err != nil {
		return fmt.Errorf("fire %q in the %s pool: %w", name, p.cfg.Area, err)
	}
	return nil
}
