package agent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// Shared passes requests on to a Caller, such as the servers of a client agent, and
// lets all who wait for the same thing share one blocking query there. Make one
// with NewShared. Safe for concurrent use.
//
// Whoever asks gets an answer to a question that was put after they asked: when the
// query that several share has an answer, it is put once more for all of them.
type Shared struct {
	next           api.Caller
	usual, longest time.Duration
	draining       chan struct{}

	mu    sync.Mutex
	waits map[string]*sharedWait
}

// sharedWait is a blocking query that is under way.
type sharedWait struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when there is an answer, or nobody waits

	callers int  // guarded by Shared.mu
	joined  bool // somebody came after it had begun; guarded by Shared.mu

	resp *api.Response
	err  error
}

// documentedWait is how long a query waits that does not say, and any at most.
const documentedWait = 10 * time.Minute

// NewShared makes a Shared. usual is how long a query waits that does not say, and
// longest how long any does (default_query_time, max_query_time); 0 means 10 minutes.
func NewShared(next api.Caller, usual, longest time.Duration) *Shared {
	if longest <= 0 {
		longest = documentedWait
	}
	if usual <= 0 {
		usual = min(documentedWait, longest)
	}
	return &Shared{next: next, usual: usual, longest: longest, draining: make(chan struct{}), waits: map[string]*sharedWait{}}
}

// Drain ends all waits, those that begin later too: they answer what is there now.
// It is called once.
func (s *Shared) Drain() { close(s.draining) }

// Call implements api.Caller.
func (s *Shared) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if req.MinIndex == 0 || req.Op.Kind != api.KindRead || req.Op.Bare || req.Op.Drawn {
		return s.next.Call(ctx, req)
	}
	w, leave := s.join(req)
	defer leave()
	timer := time.NewTimer(s.waitTime(req.MaxWait))
	defer timer.Stop()
	select {
	case <-w.done:
		if w.resp == nil {
			return nil, w.err
		}
		own := *w.resp
		return &own, w.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	case <-s.draining:
	}
	return s.next.Call(ctx, atOnce(req))
}

// atOnce is a query that does not wait.
func atOnce(req *api.Request) *api.Request {
	now := *req
	now.MinIndex, now.MaxWait = 0, 0
	return &now
}

// waitTime bounds a wait and adds up to a sixteenth, as servers do.
func (s *Shared) waitTime(d time.Duration) time.Duration {
	if d <= 0 {
		d = s.usual
	}
	d = min(d, s.longest)
	return d + rand.N(d/16+1)
}

// join finds the query for a request, or begins one. The last to leave waits for
// its end.
func (s *Shared) join(req *api.Request) (w *sharedWait, leave func()) {
	key := req.Question()
	s.mu.Lock()
	defer s.mu.Unlock()
	w = s.waits[key]
	if w == nil {
		w = &sharedWait{done: make(chan struct{})}
		s.waits[key] = w
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(context.Background())
		asked := *req
		asked.MaxWait = s.longest
		go func() {
			defer close(w.done)
			w.resp, w.err = s.wait(ctx, w, key, &asked)
		}()
	} else {
		w.joined = true
	}
	w.callers++
	return w, func() {
		s.mu.Lock()
		w.callers--
		last := w.callers == 0
		if last {
			s.close(w, key)
		}
		s.mu.Unlock()
		if last {
			w.cancel()
			<-w.done
		}
	}
}

// close lets nobody join a query any more. It needs the lock.
func (s *Shared) close(w *sharedWait, key string) {
	if s.waits[key] == w {
		delete(s.waits, key)
	}
}

// wait asks until something has changed, an error comes or nobody waits any more.
func (s *Shared) wait(ctx context.Context, w *sharedWait, key string, req *api.Request) (*api.Response, error) {
	for {
		began := time.Now()
		resp, err := s.next.Call(ctx, req)
		if resp == nil || resp.Index != req.MinIndex {
			s.mu.Lock()
			s.close(w, key)
			joined := w.joined
			s.mu.Unlock()
			if resp == nil || !joined || req.Consistency == api.Stale {
				return resp, err
			}
			return s.next.Call(ctx, atOnce(req)) // after a restore the index may be lower than the one that it waited for
		}
		// A server that is about to stop lets nobody wait.
		if time.Since(began) < againWait && !pause.For(ctx, againWait) {
			return nil, ctx.Err()
		}
	}
}

// againWait is the pause before a query is put again that came back early and with
// nothing new.
const againWait = time.Second
