package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"curia/api"
	"curia/check"
)

// syncer wakes the loop that keeps the catalog in step.
type syncer struct {
	wake   chan struct{}        // of size 1: something changed
	whole  atomic.Bool          // the next pass compares everything
	joined chan struct{}        // of size 1: there is another server
	waits  chan chan<- struct{} // who waits for the next pass to end
}

func newSyncer() *syncer {
	return &syncer{wake: make(chan struct{}, 1), joined: make(chan struct{}, 1), waits: make(chan chan<- struct{})}
}

// kick lets the loop push what changed. It never blocks.
func (s *syncer) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// kickFull lets the loop compare everything: what the catalog refused before, it
// may take now. It never blocks.
func (s *syncer) kickFull() {
	s.whole.Store(true)
	s.kick()
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
	case <-a.ended:
		return
	case <-ctx.Done():
		a.sync.kick()
		return
	}
	select {
	case <-done:
	case <-a.ended:
	case <-ctx.Done():
	}
}

// syncLoop compares everything at the start and from time to time, and pushes
// changes at once.
func (a *Agent) syncLoop(ctx context.Context) error {
	full, retry := true, retryMin
	next := newAlarm(0)
	defer next.Stop()
	for {
		var waiting chan<- struct{}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.sync.joined:
			next.hurry(a.spread(joinWait))
			continue
		case <-next.C:
			full = true
		case <-a.sync.wake:
		case waiting = <-a.sync.waits:
		}
		full = a.sync.whole.Swap(false) || full
		err := a.syncPass(ctx, full)
		if waiting != nil {
			close(waiting)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if api.KindOf(err) != api.NoLeader {
				a.log.Warn("cannot bring the catalog in step, trying again", "err", err)
			}
			full = true
			next.set(retry + a.spread(retry))
			retry = min(2*retry, retryMax)
		case full:
			full, retry = false, retryMin
			next.set(syncEvery + a.spread(syncEvery))
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
	known, err := ask(ctx, a, api.CatalogNode, api.NodeName{Node: a.cfg.Node.Node}, a.tokens.get("agent"))
	if err != nil {
		return err
	}
	checks, err := ask(ctx, a, api.HealthNode, api.NodeName{Node: a.cfg.Node.Node}, a.tokens.get("agent"))
	if err != nil {
		return err
	}
	a.local.compareServices(known, &a.local.live.Load().node)
	a.local.compareChecks(checks)
	return nil
}

// compareServices compares the services and the node with what the catalog has,
// nil if it does not know the node.
func (l *local) compareServices(known *api.NodeServices, node *api.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := map[string]*api.Service{}
	l.staleNode = true
	if known != nil {
		there = known.Services
		l.staleNode = known.Node == nil || !sameNode(known.Node, node)
	}
	for id := range there {
		if _, removing := l.goneServices[id]; l.services[id] == nil && id != api.ConsulService && !removing {
			l.goneServices[id] = ""
		}
	}
	for id, s := range l.services {
		known := there[id]
		if known != nil && s.row.EnableTagOverride && !slices.Equal(known.Tags, s.row.Tags) {
			row := *s.row
			row.Tags = known.Tags
			s.row = &row
			l.touch(id)
		}
		if known != nil && sameService(s.row, known) {
			delete(l.staleServices, id)
		} else {
			l.staleServices[id] = s
		}
	}
}

func (l *local) compareChecks(known []*api.Check) {
	l.mu.Lock()
	defer l.mu.Unlock()
	there := map[string]*api.Check{}
	for _, c := range known {
		there[c.CheckID] = c
		if _, removing := l.goneChecks[c.CheckID]; l.checks[c.CheckID] == nil && c.CheckID != api.SerfHealth &&
			c.ServiceID != api.ConsulService && !removing {
			l.goneChecks[c.CheckID] = ""
		}
	}
	for id, c := range l.checks {
		if there[id] != nil && sameCheck(c.row, there[id], c.deferred != nil) {
			delete(l.staleChecks, id)
		} else {
			l.staleChecks[id] = c
		}
	}
}

func sameNode(a, b *api.Node) bool {
	return a.ID == b.ID && a.Address == b.Address && maps.Equal(a.TaggedAddresses, b.TaggedAddresses) && maps.Equal(a.Meta, b.Meta)
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
		a.ServiceID == b.ServiceID && a.ServiceName == b.ServiceName && a.Type == b.Type && a.Interval == b.Interval && a.Timeout == b.Timeout
}

// push writes to the catalog what is not in step. What the catalog refuses does
// not keep it from the rest; that it cannot be asked ends the pass.
func (a *Agent) push(ctx context.Context) error {
	var refused error
	live := a.local.live.Load()
	for _, e := range a.local.errands(&live.node) {
		var err error
		token := cmp.Or(e.token, a.tokens.get(e.instead))
		if e.register != nil {
			_, err = ask(ctx, a, api.CatalogRegister, *e.register, token)
		} else {
			_, err = ask(ctx, a, api.CatalogDeregister, *e.deregister, token)
		}
		switch api.KindOf(err) {
		case api.Denied:
			// Nothing will be better before somebody changes the token: the next
			// comparison tries again.
			a.log.Warn("the catalog refuses what this agent has", "what", e.what, "err", err)
		case api.Rejected, api.Invalid, api.NotFound, api.TooLarge:
			refused = cmp.Or(refused, fmt.Errorf("%s: %w", e.what, err))
			continue
		default:
			if err != nil {
				return fmt.Errorf("%s: %w", e.what, err)
			}
		}
		if e.register != nil && !e.register.Registration.SkipNodeUpdate {
			a.local.nodeWritten(live)
		}
		e.done()
	}
	return refused
}

// errand is one write to the catalog.
type errand struct {
	what       string
	register   *api.RegisterArgs
	deregister *api.DeregisterArgs
	token      string
	instead    string // the kind of the agent's token to use when there is none
	done       func() // notes that it was carried out
}

// errands lists the writes that bring the catalog in step: the node, removals,
// services with their checks, other checks, in this order. The node goes alone: who
// may register a service need not be allowed to change the node.
func (l *local) errands(node *api.Node) []errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []errand
	if l.staleNode {
		out = append(out, l.registration("register node "+node.Node, node, nil))
	}
	for id, token := range l.goneChecks {
		out = append(out, removal("remove check "+id, api.Deregistration{Node: node.Node, CheckID: id}, token, l.forgotten(l.goneChecks, id)))
	}
	for id, token := range l.goneServices {
		out = append(out, removal("remove service "+id, api.Deregistration{Node: node.Node, ServiceID: id}, token, l.forgotten(l.goneServices, id)))
	}
	// A service never appears without the checks that may keep it from being used.
	with := map[string][]*localCheck{}
	var alone []*localCheck
	for _, c := range l.staleChecks {
		if s := l.staleServices[c.row.ServiceID]; s != nil && s.token == c.token && s.from == c.from {
			with[s.row.ID] = append(with[s.row.ID], c)
		} else {
			alone = append(alone, c)
		}
	}
	for id, s := range l.staleServices {
		out = append(out, l.registration("register service "+id, node, s, with[id]...))
	}
	for _, c := range alone {
		out = append(out, l.registration("register check "+c.row.CheckID, node, nil, c))
	}
	return out
}

func removal(what string, d api.Deregistration, token string, done func()) errand {
	return errand{what, nil, &api.DeregisterArgs{Deregistration: d}, token, "agent", done}
}

// forgotten notes that a removal was carried out.
func (l *local) forgotten(gone map[string]string, id string) func() {
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(gone, id)
	}
}

// insteadOf gives the kind of token with which something is registered that has
// none of its own.
func insteadOf(from check.Origin) string {
	if from == check.FromFile {
		return "config_file_service_registration"
	}
	return "default"
}

// registration registers the node with a service, which may be nil, and checks
// of the same token and origin. It needs the lock. What changes until it is carried out stays
// out of step.
func (l *local) registration(what string, node *api.Node, s *localService, checks ...*localCheck) errand {
	reg := api.Registration{
		ID: node.ID, Node: node.Node, Address: node.Address,
		TaggedAddresses: node.TaggedAddresses, NodeMeta: node.Meta,
		SkipNodeUpdate: s != nil || len(checks) > 0,
	}
	e := errand{what: what, instead: "agent"}
	var service *api.Service
	if s != nil {
		service, e.token, e.instead = s.row, s.token, insteadOf(s.from)
		reg.Service = &api.ServiceSpec{Service: *service, Weights: &service.Weights}
	}
	rows := make([]*api.Check, len(checks))
	for i, c := range checks {
		rows[i], e.token, e.instead = c.row, c.token, insteadOf(c.from)
		reg.Checks = append(reg.Checks, &api.CheckSpec{Check: *c.row})
	}
	e.register = &api.RegisterArgs{Registration: reg}
	e.done = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if s != nil && s.row == service && l.staleServices[service.ID] == s {
			delete(l.staleServices, service.ID)
		}
		for i, c := range checks {
			if c.row == rows[i] && l.staleChecks[c.row.CheckID] == c {
				delete(l.staleChecks, c.row.CheckID)
				c.stopDeferred()
			}
		}
	}
	return e
}
