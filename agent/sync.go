package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"curia/api"
)

// Times of anti-entropy ("Anti-Entropy").
const (
	syncEvery = time.Minute            // between comparisons of all that there is, and up to twice that
	retryMin  = 500 * time.Millisecond // after the first failure
	retryMax  = 15 * time.Second       // after several
	syncWait  = time.Second            // that a registration waits to see itself in the catalog
	callWait  = 10 * time.Second       // for one answer of the catalog
)

// syncer wakes the loop that keeps the catalog in step.
type syncer struct {
	wake  chan struct{}        // of size 1: something changed
	waits chan chan<- struct{} // who waits for the next pass to end
}

func newSyncer() *syncer {
	return &syncer{wake: make(chan struct{}, 1), waits: make(chan chan<- struct{})}
}

// kick lets the loop push what changed. It never blocks.
func (s *syncer) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pushed waits until what changed before has been pushed, but not for long: the
// catalog may not be reachable, and follows when it is.
func (a *Agent) pushed(ctx context.Context) {
	if !a.runs() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, syncWait)
	defer cancel()
	done := make(chan struct{})
	select {
	case a.sync.waits <- done:
	case <-ctx.Done():
		a.sync.kick()
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// syncLoop compares everything at the start and from time to time, and pushes
// changes at once.
func (a *Agent) syncLoop(ctx context.Context) error {
	full, retry := true, retryMin
	timer := time.NewTimer(0)
	defer timer.Stop()
	var waiting chan<- struct{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			full = true
		case <-a.sync.wake:
		case waiting = <-a.sync.waits:
		}
		err := a.syncPass(ctx, full)
		if waiting != nil {
			close(waiting)
			waiting = nil
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if api.KindOf(err) != api.NoLeader {
				a.log.Warn("cannot bring the catalog in step, trying again", "err", err)
			}
			full = true
			timer.Reset(retry + rand.N(retry))
			retry = min(2*retry, retryMax)
		case full:
			full, retry = false, retryMin
			timer.Reset(syncEvery + rand.N(syncEvery))
		}
	}
}

// syncPass pushes what differs from the catalog; a full one looks first.
func (a *Agent) syncPass(ctx context.Context, full bool) error {
	if full {
		if err := a.compare(ctx); err != nil {
			return err
		}
	}
	return a.push(ctx)
}

// ask carries out a verb with the token and a deadline.
func ask[Q, R any](ctx context.Context, a *Agent, verb api.Verb[Q, R], args Q, token string) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	resp, err := a.next.Call(ctx, &api.Request{Op: verb.Op, Args: &args, Token: token})
	if err != nil {
		var zero R
		return zero, err
	}
	r, _ := resp.Value.(R)
	return r, nil
}

// compare marks what differs from the catalog.
func (a *Agent) compare(ctx context.Context) error {
	known, err := ask(ctx, a, api.CatalogNode, api.NodeName{Node: a.cfg.Node.Node}, a.cfg.Token)
	if err != nil {
		return err
	}
	checks, err := ask(ctx, a, api.HealthNode, api.NodeName{Node: a.cfg.Node.Node}, a.cfg.Token)
	if err != nil {
		return err
	}
	services := map[string]*api.Service{}
	if known != nil {
		services = known.Services
	}
	a.local.compareServices(services)
	a.local.compareChecks(checks)
	return nil
}

func (l *local) compareServices(known map[string]*api.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range known {
		if l.services[id] == nil && id != api.ConsulService {
			l.goneServices[id] = ""
		}
	}
	for id, s := range l.services {
		there := known[id]
		if there != nil && s.row.EnableTagOverride && !slices.Equal(there.Tags, s.row.Tags) {
			row := *s.row
			row.Tags = there.Tags
			s.row = &row
		}
		s.synced = there != nil && sameService(s.row, there)
	}
}

func (l *local) compareChecks(known []*api.Check) {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := map[string]*api.Check{}
	for _, c := range known {
		there[c.CheckID] = c
		if l.checks[c.CheckID] == nil && c.CheckID != api.SerfHealth && c.ServiceID != api.ConsulService {
			l.goneChecks[c.CheckID] = ""
		}
	}
	for id, c := range l.checks {
		c.synced = there[id] != nil && sameCheck(c.row, there[id], c.deferred != nil)
	}
}

func sameService(a, b *api.Service) bool {
	return a.Service == b.Service && slices.Equal(a.Tags, b.Tags) && a.Address == b.Address && a.Port == b.Port &&
		a.EnableTagOverride == b.EnableTagOverride && maps.Equal(a.Meta, b.Meta) && a.Weights == b.Weights && a.Kind == b.Kind &&
		maps.Equal(a.TaggedAddresses, b.TaggedAddresses) && string(a.Proxy) == string(b.Proxy) &&
		string(a.Connect) == string(b.Connect) && a.SocketPath == b.SocketPath
}

// sameCheck compares what the agent says of a check; without its output while
// that is deferred.
func sameCheck(a, b *api.Check, outputDeferred bool) bool {
	return a.Name == b.Name && a.Status == b.Status && a.Notes == b.Notes && (outputDeferred || a.Output == b.Output) &&
		a.ServiceID == b.ServiceID && a.Type == b.Type && a.Interval == b.Interval && a.Timeout == b.Timeout
}

// push writes to the catalog what is not in step. One failure of another kind
// than a missing permission ends it: the next pass goes on.
func (a *Agent) push(ctx context.Context) error {
	for _, e := range a.local.errands(&a.cfg.Node) {
		var err error
		if e.register != nil {
			_, err = ask(ctx, a, api.CatalogRegister, *e.register, cmp.Or(e.token, a.cfg.Token))
		} else {
			_, err = ask(ctx, a, api.CatalogDeregister, *e.deregister, cmp.Or(e.token, a.cfg.Token))
		}
		if err != nil && api.KindOf(err) == api.Denied {
			a.log.Warn("the catalog refuses what this agent has", "what", e.what, "err", err)
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.what, err)
		}
		e.done()
	}
	return nil
}

// errand is one write to the catalog.
type errand struct {
	what       string
	register   *api.RegisterArgs
	deregister *api.DeregisterArgs
	token      string
	done       func() // notes that it was carried out
}

// errands lists the writes that bring the catalog in step: removals, services,
// checks, in this order.
func (l *local) errands(node *api.Node) []errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []errand
	for id, token := range l.goneChecks {
		out = append(out, removal("remove check "+id, api.Deregistration{Node: node.Node, CheckID: id}, token, l.forgotten(l.goneChecks, id)))
	}
	for id, token := range l.goneServices {
		out = append(out, removal("remove service "+id, api.Deregistration{Node: node.Node, ServiceID: id}, token, l.forgotten(l.goneServices, id)))
	}
	for id, s := range l.services {
		if s.synced {
			continue
		}
		reg := registration(node)
		reg.Service = &api.ServiceSpec{Service: *s.row, Weights: &s.row.Weights}
		out = append(out, errand{"register service " + id, &api.RegisterArgs{Registration: reg}, nil, s.token, l.pushedService(s, s.row)})
	}
	for id, c := range l.checks {
		if c.synced {
			continue
		}
		reg := registration(node)
		reg.Check = &api.CheckSpec{Check: *c.row}
		out = append(out, errand{"register check " + id, &api.RegisterArgs{Registration: reg}, nil, c.token, l.pushedCheck(c, c.row)})
	}
	return out
}

func removal(what string, d api.Deregistration, token string, done func()) errand {
	return errand{what, nil, &api.DeregisterArgs{Deregistration: d}, token, done}
}

func registration(node *api.Node) api.Registration {
	return api.Registration{
		ID: node.ID, Node: node.Node, Address: node.Address,
		TaggedAddresses: node.TaggedAddresses, NodeMeta: node.Meta,
	}
}

// What an errand notes when it was carried out. Rows that changed meanwhile stay
// out of step.

func (l *local) forgotten(gone map[string]string, id string) func() {
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(gone, id)
	}
}

func (l *local) pushedService(s *localService, row *api.Service) func() {
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		s.synced = s.row == row
	}
}

func (l *local) pushedCheck(c *localCheck, row *api.Check) func() {
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.synced = c.row == row
	}
}
