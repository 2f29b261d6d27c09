package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// sources are the questions that streams follow. Streams with the same question
// share one source: a change is asked for, encoded and framed once for all of them,
// and upstream only one query waits. Safe for concurrent use.
type sources struct {
	caller api.Caller
	log    *slog.Logger
	open   context.Context // ends all of them

	mu    sync.Mutex
	byKey map[string]*source
}

// source asks one question again and again while somebody follows the answer.
type source struct {
	of    *sources
	key   string // empty: it is not shared
	round atomic.Uint64
	now   atomic.Pointer[tidings]
	done  chan struct{} // closed when it has ended

	// Guarded by sources.mu.
	seats  int
	cancel context.CancelFunc // nil: it has not begun
	first  uint64             // index that it went on from
}

// tidings are what a source has to say at one time. They are never changed.
type tidings struct {
	answer *answer // the latest that was another one; nil: none yet
	index  uint64  // of the latest answer, which may be that of answer again
	beats  uint64  // how often a heartbeat was due
	err    error   // the end
	next   chan struct{}
}

// seat is the place of one stream at a source.
type seat struct {
	*source
	seen  *tidings
	since uint64 // the round that was under way when the stream had its first answer
}

// join finds the source of a question. The seat is to be left.
func (s *sources) join(req *api.Request) *seat {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := ""
	if !req.Op.Drawn {
		key = req.Question()
	}
	at := s.byKey[key]
	if at == nil {
		at = s.add(key)
	}
	return at.sit()
}

// add makes a source. It needs the lock.
func (s *sources) add(key string) *source {
	at := &source{of: s, key: key, done: make(chan struct{})}
	at.now.Store(&tidings{next: make(chan struct{})})
	if key != "" {
		s.byKey[key] = at
	}
	return at
}

// sit takes a seat. It needs the lock.
func (s *source) sit() *seat {
	s.seats++
	return &seat{source: s, seen: s.now.Load()}
}

// forget lets nobody join any more. It needs the lock.
func (s *source) forget() {
	if s.of.byKey[s.key] == s {
		delete(s.of.byKey, s.key)
	}
}

// begin lets the source go on from an answer that this stream has, if it has not
// begun. Who has an older answer than the source, as a stale read may, or finds
// that it has ended, goes on alone.
func (s *seat) begin(req *api.Request, from mark) {
	all := s.of
	var deserted *source
	all.mu.Lock()
	if s.cancel != nil && (s.seen.err != nil || max(s.seen.index, s.first) > from.index) {
		if s.stand() {
			deserted = s.source
		}
		*s = *all.add("").sit()
	}
	s.since = s.round.Load()
	if s.cancel == nil {
		ctx, cancel := context.WithCancel(all.open)
		s.cancel, s.first = cancel, from.index
		asked := *req
		go s.run(ctx, &asked, from)
	}
	all.mu.Unlock()
	if deserted != nil {
		deserted.end()
	}
}

// end ends a source that nobody follows any more.
func (s *source) end() {
	s.cancel()
	<-s.done
}

// leave gives the seat back. The last to leave waits for the end of the source.
func (s *seat) leave() {
	s.of.mu.Lock()
	last := s.stand()
	s.of.mu.Unlock()
	if last {
		s.end()
	}
}

// stand gives up the seat, and reports whether nobody is left of a source that has
// begun. It needs the lock.
func (s *seat) stand() bool {
	if latest := s.now.Load().answer; latest != s.seen.answer {
		latest.release()
	}
	s.seats--
	if s.seats > 0 {
		return false
	}
	s.forget()
	return s.cancel != nil
}

// look gives what there is to say now. An answer that has not been seen is to be
// released.
func (s *seat) look() (before, now *tidings) {
	before, s.seen = s.seen, s.now.Load()
	return before, s.seen
}

// outdated reports whether an answer may be older than one with an index that the
// stream had first.
func (s *seat) outdated(a *answer, index uint64) bool {
	return a.round <= s.since && a.index < index
}

// run asks from an answer on, each time until something changes or a heartbeat is
// due, until its context ends or the question fails. Each round is a call of its
// own, which admits the token anew.
func (s *source) run(ctx context.Context, req *api.Request, from mark) {
	defer close(s.done)
	due := nextBeat()
	for ctx.Err() == nil {
		left := time.Until(due)
		if left <= 0 {
			s.tell(func(t *tidings, _ int) { t.beats++ })
			due = nextBeat()
			continue
		}
		known, asked := from.index, time.Now()
		req.MinIndex, req.MaxWait = max(known, 1), left
		err := s.ask(ctx, req, &from)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.tell(func(t *tidings, _ int) {
				t.err = err
				s.forget()
			})
			return
		}
		if from.index == known && time.Since(asked) < againWait {
			pause.For(ctx, againWait)
		}
	}
}

func nextBeat() time.Time { return time.Now().Add(beatMin + rand.N(beatMax-beatMin)) }

// ask waits for an answer and tells what is new about it.
func (s *source) ask(ctx context.Context, req *api.Request, from *mark) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.of.log.Error("panic in a stream", "op", req.Op.Name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errInternal
		}
	}()
	round := s.round.Add(1)
	resp, err := s.of.caller.Call(ctx, req)
	missing := absent(resp, err)
	if err != nil && !missing {
		return err
	}
	text, err := textOf(resp, missing, nil)
	if err != nil {
		return err
	}
	known := from.index
	latest := markOf(resp.Index, text, missing)
	another := from.note(latest)
	switch {
	case another:
		s.tell(func(t *tidings, seats int) {
			t.index, t.answer = latest.index, &answer{mark: latest, round: round, text: text}
			t.answer.left.Store(int64(seats))
		})
	case latest.index != known:
		s.tell(func(t *tidings, _ int) { t.index = latest.index })
	}
	return nil
}

// tell says something new to all who have a seat.
func (s *source) tell(change func(t *tidings, seats int)) {
	s.of.mu.Lock()
	before := s.now.Load()
	now := *before
	now.next = make(chan struct{})
	change(&now, s.seats)
	s.now.Store(&now)
	s.of.mu.Unlock()
	close(before.next)
}

// answer is what a source came to say. Its text is kept until all have it who had
// a seat when it came: a source may be idle for long.
type answer struct {
	mark
	round uint64
	left  atomic.Int64

	mu     sync.Mutex
	text   []byte // JSON
	framed map[framing]frame
}

// frame gives the answer as it is sent. It may be called before release.
func (a *answer) frame(as framing) frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.framed[as]
	if !ok {
		f = a.mark.frame(as, a.text)
		if a.framed == nil {
			a.framed = map[framing]frame{}
		}
		a.framed[as] = f
	}
	return f
}

// release says that one more has taken the answer.
func (a *answer) release() {
	if a.left.Add(-1) > 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text, a.framed = nil, nil
}
