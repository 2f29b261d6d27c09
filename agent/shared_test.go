package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
)

// board is an api.Caller with one key, whose answers wait as those of servers do.
type board struct {
	mu      sync.Mutex
	index   uint64
	err     error
	changed chan struct{}
	hurry   bool // nobody waits
	asked   []string
	waiting int
}

func newBoard() *board { return &board{index: 5, changed: make(chan struct{})} }

// set changes the key, or lets all questions fail.
func (b *board) set(index uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.index, b.err = index, err
	close(b.changed)
	b.changed = make(chan struct{})
}

// Call implements api.Caller.
func (b *board) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, fmt.Sprintf("%s>%d", req.Token, req.MinIndex))
	timer := time.NewTimer(req.MaxWait)
	defer timer.Stop()
	for b.index <= req.MinIndex && b.err == nil && !b.hurry {
		changed := b.changed
		b.waiting++
		b.mu.Unlock()
		var over bool
		select {
		case <-changed:
		case <-timer.C:
			over = true
		case <-ctx.Done():
		}
		b.mu.Lock()
		b.waiting--
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if over {
			break
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return &api.Response{Meta: api.Meta{Index: b.index}}, nil
}

// questions gives what was asked since the last time, and how many of them wait.
func (b *board) questions() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	out := fmt.Sprint(b.asked, " ", b.waiting, " wait")
	b.asked = nil
	return out
}

// told is the answer that somebody has.
type told struct {
	index uint64
	err   error
	after time.Duration
}

// watching asks in the background.
func watching(ctx context.Context, c api.Caller, q api.Query, token string) chan told {
	out := make(chan told, 1)
	began := time.Now()
	go func() {
		resp, err := c.Call(ctx, &api.Request{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: "a"}, Query: q, Token: token})
		t := told{err: err, after: time.Since(began)}
		if resp != nil {
			t.index = resp.Index
		}
		out <- t
	}()
	return out
}

func TestSharedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		s := NewShared(b, 0, 0)
		check := func(what, want string) {
			t.Helper()
			if got := b.questions(); got != want {
				t.Errorf("%s: asked %s; want %s", what, got, want)
			}
		}
		query := api.Query{MinIndex: 5, MaxWait: time.Minute}

		alone := watching(t.Context(), s, query, "")
		check("one who waits", "[>5] 1 wait")
		b.set(6, nil)
		if got := <-alone; got.index != 6 {
			t.Errorf("one who waits: got %+v; want index 6", got)
		}
		check("one who has waited", "[] 0 wait")

		query.MinIndex = 6
		var all []chan told
		for range 3 {
			all = append(all, watching(t.Context(), s, query, ""))
		}
		all = append(all, watching(t.Context(), s, query, "t"))
		late := watching(t.Context(), s, api.Query{MinIndex: 5, MaxWait: time.Minute}, "")
		if got := <-late; got.index != 6 {
			t.Errorf("one who is behind: got %+v; want index 6", got)
		}
		synctest.Wait()
		b.mu.Lock()
		waiting, asked := b.waiting, len(b.asked)
		b.asked = nil
		b.mu.Unlock()
		if waiting != 2 || asked != 3 {
			t.Errorf("three who wait, one with a token and one who is behind: %d questions, %d wait; want 3, 2", asked, waiting)
		}
		b.set(7, nil)
		for i, ch := range all {
			if got := <-ch; got.index != 7 || got.after != 0 {
				t.Errorf("waiter %d: got %+v; want index 7 at once", i, got)
			}
		}
		check("three who have waited share one more question", "[>0] 0 wait")

		b.set(7, errors.New("no leader"))
		if got := <-watching(t.Context(), s, api.Query{MinIndex: 7}, ""); got.err == nil {
			t.Errorf("a failure: got %+v", got)
		}
	})
}

// TestSharedWaitsEnd lets some go, some have waited for long enough, and a server
// send all away.
func TestSharedWaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard()
		s := NewShared(b, 0, 0)
		ctx, cancel := context.WithCancel(t.Context())
		long := watching(ctx, s, api.Query{MinIndex: 5, MaxWait: 20 * time.Minute}, "")
		time.Sleep(time.Minute)
		short := watching(t.Context(), s, api.Query{MinIndex: 5, MaxWait: 16 * time.Second}, "")
		if got := <-short; got.index != 5 || got.after < 16*time.Second || got.after > 17*time.Second {
			t.Errorf("one who waits for 16 s: got %+v; want the old index after 16 to 17 s", got)
		}
		if got := <-long; got.index != 5 || got.after < 10*time.Minute || got.after > 10*time.Minute+38*time.Second {
			t.Errorf("one who waits for 20 min: got %+v; want the old index after the longest wait", got)
		}
		b.questions()

		b.mu.Lock()
		b.hurry = true
		b.mu.Unlock()
		patient := watching(ctx, s, api.Query{MinIndex: 5, MaxWait: time.Minute}, "")
		time.Sleep(3500 * time.Millisecond)
		if got := b.questions(); got != "[>5 >5 >5 >5] 0 wait" {
			t.Errorf("a server that lets nobody wait, for 3.5 s: asked %s; want four questions", got)
		}
		b.mu.Lock()
		b.hurry = false
		b.mu.Unlock()
		time.Sleep(time.Second)
		other := watching(ctx, s, api.Query{MinIndex: 5, MaxWait: time.Minute}, "")
		if got := b.questions(); got != "[>5] 1 wait" {
			t.Errorf("afterwards: asked %s; want one question that waits", got)
		}
		cancel()
		for _, ch := range []chan told{patient, other} {
			if got := <-ch; !errors.Is(got.err, context.Canceled) {
				t.Errorf("who went away: got %+v", got)
			}
		}
		if got := b.questions(); got != "[] 0 wait" {
			t.Errorf("after all have gone: asked %s; want nobody to wait", got)
		}
	})
}

// rewound is an api.Caller whose index goes back while somebody waits, as that of a
// server does that restores a snapshot.
type rewound struct{ back chan struct{} }

// Call implements api.Caller.
func (r rewound) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	back := r.back
	select {
	case <-back:
		if req.MinIndex >= 3 {
			back = nil // what has not happened yet is waited for
		}
	default:
	}
	if req.MinIndex > 0 {
		select {
		case <-back:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &api.Response{Meta: api.Meta{Index: 3}}, nil
}

// TestSharedWaitsEndWithRestore wants all who wait to hear at once that the index
// has gone back.
func TestSharedWaitsEndWithRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rewound{make(chan struct{})}
		s := NewShared(r, 0, 0)
		var all []chan told
		for range 2 {
			all = append(all, watching(t.Context(), s, api.Query{MinIndex: 5, MaxWait: time.Minute}, ""))
			synctest.Wait()
		}
		close(r.back)
		for i, ch := range all {
			if got := <-ch; got.index != 3 || got.err != nil || got.after != 0 {
				t.Errorf("waiter %d: got %+v; want index 3 at once", i, got)
			}
		}
	})
}

// TestSharedWaitsDrain ends an agent while somebody waits, and somebody else comes.
func TestSharedWaitsDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{}, NewShared(newBoard(), 0, 0), slog.New(slog.DiscardHandler))
		waits := watching(t.Context(), a, api.Query{MinIndex: 5, MaxWait: time.Minute}, "")
		synctest.Wait()
		a.Drain()
		late := watching(t.Context(), a, api.Query{MinIndex: 5, MaxWait: time.Minute}, "")
		for who, ch := range map[string]chan told{"who waits": waits, "who comes later": late} {
			if got := <-ch; got.index != 5 || got.err != nil || got.after != 0 {
				t.Errorf("%s: got %+v; want what is there now, at once", who, got)
			}
		}
	})
}
