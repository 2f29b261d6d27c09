package agent

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
)

func TestCoordinateInterval(t *testing.T) {
	for members, want := range map[int]time.Duration{
		0: 15 * time.Second, 1: 15 * time.Second, 960: 15 * time.Second, 961: 15*time.Second + time.Second/64, 6400: 100 * time.Second,
	} {
		if got := coordinateInterval(members); got != want {
			t.Errorf("interval of %d members: got %v, want %v", members, got, want)
		}
	}
}

// TestSendCoordinates wants the place of the agent at the servers again and
// again, also after it was refused.
func TestSendCoordinates(t *testing.T) {
	moved := &atomic.Int64{}
	where := func(c *Config) {
		c.Pools.Coordinate = func() *api.Coordinate { return &api.Coordinate{Vec: []float64{float64(moved.Load())}} }
	}
	play(t, where, func(t *testing.T, r *rig) {
		pass(15*time.Second - time.Millisecond)
		same(t, "writes before the first interval is over", r.catalog.taken(), nil)
		pass(15*time.Second + time.Millisecond)
		same(t, "writes after it", r.catalog.taken(), []string{"place n1 at [0] token=agent"})
		moved.Store(7)
		r.catalog.mu.Lock()
		r.catalog.refuse = func(op *api.Op, _, _ string) error {
			if op == api.CoordinateSet.Op {
				return api.Errorf(api.Denied, "lacks permission")
			}
			return nil
		}
		r.catalog.mu.Unlock()
		pass(31 * time.Second)
		same(t, "writes while it is denied", r.catalog.taken(), nil)
		if !strings.Contains(r.logged.String(), "cannot tell the servers where this agent is, trying again") {
			t.Errorf("log: got %s, want what was denied", r.logged)
		}
		r.catalog.mu.Lock()
		r.catalog.refuse = nil
		r.catalog.mu.Unlock()
		pass(30 * time.Second)
		if got := r.catalog.taken(); len(got) == 0 || got[0] != "place n1 at [7] token=agent" {
			t.Errorf("writes after the refusal: got %q", got)
		}
		r.stop()
		synctest.Wait()
	})
}

// TestNotMeasured wants silence from an agent that is nowhere.
func TestNotMeasured(t *testing.T) {
	nowhere := func(c *Config) { c.Pools.Coordinate = func() *api.Coordinate { return nil } }
	play(t, nowhere, func(t *testing.T, r *rig) {
		pass(time.Hour)
		same(t, "writes", r.catalog.taken(), nil)
	})
}
