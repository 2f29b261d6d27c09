package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"time"

	"curia/acl"
	"curia/api"
	"curia/filter"
	"curia/state"
)

// answer is an evaluated read.
type answer struct {
	value    any
	err      error // *api.Error, or nil
	index    uint64
	missing  bool
	filtered bool
	watch    state.Watch
	encoded  *api.Encoded // nil: not shared
}

// read carries out a read: consistency, authorisation, evaluation, and waiting
// for a change.
func (s *Server) read(ctx context.Context, req *api.Request, b *binding) (*api.Response, error) {
	meta, resp, err := s.consistent(ctx, req)
	if err != nil || resp != nil {
		return resp, err
	}
	who, err := s.admit(req)
	if err != nil {
		return nil, err
	}
	a := s.evaluate(req, b, who)
	if req.MinIndex > 0 && a.index <= req.MinIndex && mayWait(a.err) {
		if a, resp, err = s.await(ctx, req, b, a); err != nil || resp != nil {
			return resp, err
		}
		if !s.replica.Ready() {
			s.describe(&meta) // time has passed since the leader was asked
		}
	}
	meta.Index, meta.Filtered = a.index, a.filtered && !acl.Nameless(who)
	found := &api.Response{Value: a.value, Meta: meta, Encoded: a.encoded}
	if b.other != nil && a.err == nil {
		return b.other(ctx, req, found)
	}
	return found, a.err
}

// await evaluates again whenever something changes that the query looks at,
// until the index of the answer is greater than the caller's or its time is up.
// When the leader has answered instead, the response is not nil.
func (s *Server) await(ctx context.Context, req *api.Request, b *binding, a *answer) (*answer, *api.Response, error) {
	s.figures.blocking.Add(1)
	defer s.figures.blocking.Add(-1)
	began := a
	timer := time.NewTimer(s.waitTime(req.MaxWait))
	defer timer.Stop()
	for {
		why, err := s.sleep(ctx, &a.watch, timer)
		if err != nil {
			return nil, nil, err
		}
		if req.Consistency == api.Consistent {
			if resp, err := s.fresh(ctx, req); err != nil || resp != nil {
				return nil, resp, err
			}
		}
		// The token may have lost its permissions while the query waited.
		who, err := s.admit(req)
		if err != nil {
			return nil, nil, err
		}
		a = s.evaluate(req, b, who)
		if why != changed || !mayWait(a.err) {
			return a, nil, nil
		}
		if a.index > req.MinIndex && !(began.missing && a.missing) {
			return a, nil, nil
		}
	}
}

// mayWait reports whether a wait for another answer than this makes sense.
func mayWait(err error) bool {
	var known *api.Error
	return err == nil || errors.As(err, &known) && known.Waits
}

// waitTime bounds a wait and adds up to a sixteenth, so that clients which
// began together do not return together.
func (s *Server) waitTime(d time.Duration) time.Duration {
	if d <= 0 {
		d = s.cfg.DefaultWait
	}
	d = min(d, s.cfg.MaxWait)
	return d + rand.N(d/16+1)
}

// waking is why a wait ended.
type waking uint8

const (
	changed  waking = iota // something that was looked at changed
	replaced               // a snapshot took the place of the state
	expired                // the time is up, or the server drains
)

// sleep returns when something in the watch fires, the timer does, the server
// drains or ctx ends; the last with an error.
func (s *Server) sleep(ctx context.Context, w *state.Watch, timer *time.Timer) (waking, error) {
	if len(w.Changed) == 1 {
		select {
		case <-w.Changed[0]:
			return changed, nil
		case <-w.Replaced:
			return replaced, nil
		case <-timer.C:
			return expired, nil
		case <-s.draining:
			return expired, nil
		case <-ctx.Done():
			return expired, ctx.Err()
		}
	}
	cases := make([]reflect.SelectCase, 0, 4+len(w.Changed))
	recv := func(ch any) {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ch)})
	}
	recv(ctx.Done())
	recv(timer.C)
	recv(s.draining)
	recv(w.Replaced)
	for _, ch := range w.Changed {
		recv(ch)
	}
	switch i, _, _ := reflect.Select(cases); i {
	case 0:
		return expired, ctx.Err()
	case 1, 2:
		return expired, nil
	case 3:
		return replaced, nil
	}
	return changed, nil
}

// evaluate answers a read from the current state.
func (s *Server) evaluate(req *api.Request, b *binding, who acl.Authorizer) *answer {
	if !b.shared {
		return s.compute(req, b, who)
	}
	return s.shared.get(req, who, func() *answer {
		a := s.compute(req, b, who)
		if a.err == nil {
			a.encoded = &api.Encoded{}
			_, a.err = a.encoded.JSON(a.value)
		}
		return a
	})
}

func (s *Server) compute(req *api.Request, b *binding, who acl.Authorizer) *answer {
	v := s.store.View()
	a := &answer{}
	a.value, a.err = b.read(v, req.Args)
	a.index, a.missing, a.watch = v.Index(), v.Missing(), v.Watch()
	if a.err != nil {
		return a
	}
	if !acl.All(who) {
		if a.value, a.filtered, a.err = readable(req.Args, a.value, who); a.err != nil {
			return a
		}
	}
	if b.last != nil {
		a.value = b.last(req.Args, a.value)
	}
	if req.Filter != "" {
		a.value, a.err = filter.Apply(a.value, req.Filter)
	}
	return a
}

// consistent makes sure that this server may answer in the mode of the request,
// and says what it knows of the leader. When the leader has answered instead,
// the response is not nil.
func (s *Server) consistent(ctx context.Context, req *api.Request) (api.Meta, *api.Response, error) {
	meta := api.Meta{Consistency: req.Consistency}
	if req.Consistency == api.Stale {
		s.describe(&meta)
		if req.MaxStale == 0 || meta.LastContact <= req.MaxStale {
			return meta, nil, nil
		}
		meta.Consistency = api.Default
	}
	meta.KnownLeader, meta.LastContact = true, 0
	resp, err := s.fresh(ctx, req)
	return meta, resp, err
}

// describe notes what is known of the leader.
func (s *Server) describe(m *api.Meta) {
	if s.replica.Ready() {
		m.KnownLeader, m.LastContact = true, 0
		return
	}
	m.KnownLeader = s.replica.Leader() != ""
	m.LastContact = s.replica.LastContact()
}

// reading is a command that turned out to change nothing: it is answered from
// the state without the log.
type reading interface {
	Read(v *state.View) (any, error)
}

// write carries out a write on the leader: it is checked against the state, then
// decided in log order.
func (s *Server) write(ctx context.Context, req *api.Request, b *binding, who acl.Authorizer) (*api.Response, error) {
	v := s.store.View()
	cmd, err := b.write(v, who, req.Args)
	if err != nil {
		return nil, err
	}
	if r, ok := cmd.(reading); ok {
		value, err := r.Read(v)
		return &api.Response{Value: value, Meta: api.Meta{KnownLeader: true}}, err
	}
	value, err := s.replica.Propose(ctx, cmd)
	return &api.Response{Value: value}, err
}
