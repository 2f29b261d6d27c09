package realtest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// holders counts who is inside, and remembers when there were too many.
type holders struct{ now, most atomic.Int64 }

func (h *holders) enter() {
	n := h.now.Add(1)
	for {
		most := h.most.Load()
		if n <= most || h.most.CompareAndSwap(most, n) {
			return
		}
	}
}

func (h *holders) leave() { h.now.Add(-1) }

// TestClientLock lets several contend for one lock: one at a time has it, and
// each gets it.
func TestClientLock(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	var in holders
	var all sync.WaitGroup
	for i := range 4 {
		c := a.client()
		all.Go(func() {
			for range 3 {
				lock, err := c.LockOpts(&consul.LockOptions{Key: "lock/contended", Value: fmt.Append(nil, i), LockDelay: time.Millisecond})
				if err != nil {
					t.Error(err)
					return
				}
				if lost, err := lock.Lock(after(thingWait)); err != nil || lost == nil {
					t.Errorf("lock by %d: got %v, %v", i, lost, err)
					return
				}
				in.enter()
				in.leave()
				if err := lock.Unlock(); err != nil {
					t.Errorf("unlock by %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	same(t, "holders at a time", in.most.Load(), int64(1))
}

// TestClientLockLost destroys the session of a holder: the holder learns it,
// and the one who waits gets the lock.
func TestClientLockLost(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	id, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{LockDelay: time.Millisecond}, nil)
	check(t, err)
	lock, err := c.LockOpts(&consul.LockOptions{Key: "lock/lost", Session: id})
	check(t, err)
	lost, err := lock.Lock(nil)
	check(t, err)
	next, err := c.LockOpts(&consul.LockOptions{Key: "lock/lost", LockTryOnce: true, LockWaitTime: 100 * time.Millisecond})
	check(t, err)
	got, err := next.Lock(nil)
	if got != nil || err != nil {
		t.Fatalf("try once while it is held: got %v, %v, wanted neither", got, err)
	}
	_, err = c.Session().Destroy(id, nil)
	check(t, err)
	await(t, "the holder is told", lost)
	next, err = c.LockKey("lock/lost")
	check(t, err)
	if got, err = next.Lock(after(thingWait)); err != nil || got == nil {
		t.Fatalf("lock after the holder's session is gone: got %v, %v", got, err)
	}
	check(t, next.Unlock())
	check(t, next.Destroy())
	if p, _, err := c.KV().Get("lock/lost", nil); p != nil || err != nil {
		t.Errorf("the key of a destroyed lock: got %v, %v", p, err)
	}
}

func TestClientSemaphore(t *testing.T) {
	t.Parallel()
	const limit = 2
	a := start(t, option{})
	var in holders
	var all sync.WaitGroup
	for i := range 5 {
		c := a.client()
		all.Go(func() {
			for range 2 {
				sem, err := c.SemaphoreOpts(&consul.SemaphoreOptions{Prefix: "sem/contended", Limit: limit})
				if err != nil {
					t.Error(err)
					return
				}
				if lost, err := sem.Acquire(after(thingWait)); err != nil || lost == nil {
					t.Errorf("acquire by %d: got %v, %v", i, lost, err)
					return
				}
				in.enter()
				in.leave()
				if err := sem.Release(); err != nil {
					t.Errorf("release by %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	if most := in.most.Load(); most < 1 || most > limit {
		t.Errorf("holders at a time: got %d, wanted at most %d", most, limit)
	}

	c := a.client()
	id, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{LockDelay: time.Millisecond}, nil)
	check(t, err)
	sem, err := c.SemaphoreOpts(&consul.SemaphoreOptions{Prefix: "sem/lost", Limit: 1, Session: id})
	check(t, err)
	lost, err := sem.Acquire(nil)
	check(t, err)
	_, err = c.Session().Destroy(id, nil)
	check(t, err)
	await(t, "the holder is told", lost)
	other, err := c.SemaphorePrefix("sem/lost", 1)
	check(t, err)
	if got, err := other.Acquire(after(thingWait)); err != nil || got == nil {
		t.Fatalf("acquire after the holder's session is gone: got %v, %v", got, err)
	}
	check(t, other.Release())
	check(t, other.Destroy())
}

// after gives a channel that is closed after d, as the client wants it.
func after(d time.Duration) <-chan struct{} {
	ch := make(chan struct{})
	time.AfterFunc(d, func() { close(ch) })
	return ch
}

// await waits for a channel.
func await[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(thingWait):
		t.Fatalf("%s: not within %v", what, thingWait)
	}
	panic("unreachable")
}
