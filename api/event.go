package api

import (
	"regexp"
	"strconv"
	"strings"

	"curia/acl"
)

// UserEvent is an event that a user fired ("Event"). Events have no order among
// all agents, and may be lost.
type UserEvent struct {
	ID   string `cbor:"1,keyasint"` // a UUID
	Name string `cbor:"-"`          // travels outside
	// Payload is opaque; printed as base64, and null when empty.
	Payload []byte `cbor:"2,keyasint,omitempty"`
	// The filters are regular expressions: agents whose node, services or tags of
	// these services do not fit take no notice of the event.
	NodeFilter    string `cbor:"3,keyasint,omitempty"`
	ServiceFilter string `cbor:"4,keyasint,omitempty"`
	TagFilter     string `cbor:"5,keyasint,omitempty"`
	// Version of the event's own format.
	Version int `cbor:"6,keyasint"`
	// LTime is the logical time at which the event came to the pool; 0 in the
	// answer to firing it.
	LTime uint64 `cbor:"-"`
}

// EventVersion is the Version of events that are fired here.
const EventVersion = 1

// CanRead reports whether the holder of a may see the event.
func (e *UserEvent) CanRead(a acl.Authorizer) bool {
	return a.Allows(acl.Need{Resource: acl.Event, Access: acl.Read, Name: e.Name})
}

// Index stands for the event in blocking queries: it is made of the ID, and so
// neither rises nor falls. It is never 0.
func (e *UserEvent) Index() uint64 {
	digits := strings.ReplaceAll(e.ID, "-", "")
	if len(digits) != 32 {
		return 1
	}
	low, _ := strconv.ParseUint(digits[:16], 16, 64)
	high, _ := strconv.ParseUint(digits[16:], 16, 64)
	return max(low^high, 1)
}

// EventFilter says by regular expressions which agents, or whose events; empty
// ones fit everything.
type EventFilter struct {
	Node    string `query:"node"`
	Service string `query:"service"`
	Tag     string `query:"tag"`
}

// check compiles the expressions, to see that they can be.
func (f *EventFilter) check(kind ErrorKind) error {
	for _, part := range []struct{ name, expr string }{{"node", f.Node}, {"service", f.Service}, {"tag", f.Tag}} {
		if _, err := regexp.Compile(part.expr); err != nil {
			return Errorf(kind, "Invalid %s filter: %v", part.name, err)
		}
	}
	return nil
}

// EventFireArgs fire an event. The body is the payload.
type EventFireArgs struct {
	Name string `path:"name"`
	EventFilter
	Payload []byte `body:"raw"`
}

// Validate wants a name of the user's own, or that of remote execution, and
// filters that can be compiled.
// That a tag filter needs a service filter is for whoever fires to see.
func (a *EventFireArgs) Validate() error {
	switch {
	case a.Name == "":
		return Errorf(Invalid, "Missing name")
	case strings.HasPrefix(a.Name, "_") && a.Name != RemoteExecEvent:
		return Errorf(Invalid, "Invalid event name %q: names that begin with an underscore are reserved", a.Name)
	}
	return a.check(Rejected)
}

// EventListArgs list events: with this name, if one is given, and none at all
// if the filters do not fit the agent.
type EventListArgs struct {
	Name string `query:"name"`
	EventFilter
}

// Validate wants filters that can be compiled.
func (a *EventListArgs) Validate() error { return a.check(Invalid) }

// The verbs of events.
var (
	EventFire = Local[EventFireArgs, *UserEvent]("PUT /v1/event/fire/{name}", "event.fire",
		"Fires an event.",
		Needs(func(a *EventFireArgs) acl.Need {
			return acl.Need{Resource: acl.Event, Access: acl.Write, Name: a.Name}
		}))
	EventList = Local[EventListArgs, []*UserEvent]("GET /v1/event/list", "event.list",
		"Lists the newest events that the agent has taken notice of.", Blocking[EventListArgs]())
)
