package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"curia/api"
)

// Plan says what to watch. The zero values of all fields but Type, and of what
// Validate wants, are defaults.
type Plan struct {
	Type string // key, keyprefix, services, nodes, service, checks or event

	Key         string // of key
	Prefix      string // of keyprefix; empty for all keys
	Service     string // of service and checks
	Tags        []string
	PassingOnly bool
	State       string // of checks; empty means any
	Name        string // of event; empty for all events

	Filter     string // expression over the elements
	Token      string
	Datacenter string
	Stale      bool // not of event
}

// kind is one type of watch.
type kind struct {
	wants func(*Plan) error // nil when nothing is
	ask   func(*Plan) (op *api.Op, args any)
	// none is what a missing answer stands for, as JSON.
	none string
}

// kinds are the types that there are.
var kinds = map[string]kind{
	"key": {
		wants: func(p *Plan) error { return given("a key", p.Key) },
		ask:   func(p *Plan) (*api.Op, any) { return api.KVGet.Op, &api.KeyArgs{Key: p.Key} },
		none:  "null",
	},
	"keyprefix": {
		ask:  func(p *Plan) (*api.Op, any) { return api.KVList.Op, &api.PrefixArgs{Prefix: p.Prefix} },
		none: "[]",
	},
	"services": {ask: func(*Plan) (*api.Op, any) { return api.CatalogServices.Op, &api.NodeSelection{} }},
	"nodes":    {ask: func(*Plan) (*api.Op, any) { return api.CatalogNodes.Op, &api.NodeSelection{} }},
	"service": {
		wants: func(p *Plan) error { return given("a service", p.Service) },
		ask: func(p *Plan) (*api.Op, any) {
			return api.HealthService.Op, &api.HealthServiceArgs{
				ServiceArgs: api.ServiceArgs{Service: p.Service, Tags: p.Tags}, Passing: api.Passed(p.PassingOnly),
			}
		},
	},
	"checks": {
		wants: func(p *Plan) error {
			if p.Service != "" && p.State != "" {
				return fmt.Errorf("watch of type %q: service and state exclude each other", p.Type)
			}
			return nil
		},
		ask: func(p *Plan) (*api.Op, any) {
			switch {
			case p.Service != "":
				return api.HealthChecks.Op, &api.ServiceArgs{Service: p.Service}
			case p.State != "":
				return api.HealthState.Op, &api.StateArgs{State: p.State}
			}
			return api.HealthState.Op, &api.StateArgs{State: "any"}
		},
	},
	"event": {ask: func(p *Plan) (*api.Op, any) { return api.EventList.Op, &api.EventListArgs{Name: p.Name} }},
}

func given(what, text string) error {
	if text == "" {
		return fmt.Errorf("watch: %s must be given", what)
	}
	return nil
}

// Validate wants a type that there is, and what it is about.
func (p *Plan) Validate() error {
	if p.Type == "" {
		return api.Errorf(api.Invalid, "Watch type must be specified")
	}
	k, ok := kinds[p.Type]
	if !ok {
		return api.Errorf(api.Invalid, "Unsupported watch type: %s", p.Type)
	}
	if k.wants == nil {
		return nil
	}
	return k.wants(p)
}

// String names the watch in logs: its type, and what it is about.
func (p *Plan) String() string {
	return strings.TrimSpace(p.Type + " " + p.Key + p.Prefix + p.Service + p.State + p.Name)
}

// request is the query after an answer with this index; 0 for the first.
func (p *Plan) request(after uint64) *api.Request {
	op, args := kinds[p.Type].ask(p)
	req := &api.Request{Op: op, Args: args, Token: p.Token, Datacenter: p.Datacenter}
	req.MinIndex, req.Filter = after, p.Filter
	if p.Stale && op != api.EventList.Op {
		req.Consistency = api.Stale
	}
	return req
}

// ask asks once. The answer is JSON; where there is no answer it is what the
// type has for that.
func (p *Plan) ask(ctx context.Context, agent api.Caller, after uint64) (body []byte, index uint64, err error) {
	resp, err := agent.Call(ctx, p.request(after))
	none := kinds[p.Type].none
	if none != "" && resp != nil && api.KindOf(err) == api.NotFound {
		return []byte(none), resp.Index, nil
	}
	if err != nil {
		return nil, 0, err
	}
	value := resp.Value
	switch v := value.(type) {
	case []*api.KVPair:
		switch {
		case len(v) == 0:
			return []byte(none), resp.Index, nil
		case p.Type == "key":
			value = v[0]
		}
	case []*api.UserEvent:
		value = eventsAfter(v, after)
	}
	body, err = api.AppendJSON(nil, value)
	return body, resp.Index, err
}

// eventsAfter gives the events that are newer than the one with an index; all
// when it is not among them.
func eventsAfter(all []*api.UserEvent, index uint64) []*api.UserEvent {
	at := slices.IndexFunc(all, func(e *api.UserEvent) bool { return e.Index() == index })
	return all[at+1:]
}
