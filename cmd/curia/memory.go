package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Bounds of the collector's pace. A small heap is collected each time it has
// doubled, which for a server with little data means hundreds of times a second;
// it may grow by a fixed amount instead. A large one is kept closer to what is
// alive in it.
const (
	garbageTarget = 96 << 20 // bytes of garbage between two collections of a small heap
	leastPercent  = 50       // of what is alive: garbage in a large heap
	mostPercent   = 800
	quietBytes    = 2 << 20 // allocated in a second by an agent that has nothing to do
	worthFreeing  = 8 << 20 // garbage of a quiet agent that is given back to the system, at least
)

// paceGarbage sets the pace of the collector until ctx ends, and gives memory
// back in quiet times.
func paceGarbage(ctx context.Context) error {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last, freed uint64
	percent := 0
	for {
		metrics.Read(samples)
		live, allocated := samples[0].Value.Uint64(), samples[1].Value.Uint64()
		if p := pacePercent(live); p != percent {
			debug.SetGCPercent(p)
			percent = p
		}
		// An agent without state lives in 4 MiB, and gossip alone leaves as much garbage
		// in a quarter of a minute.
		if allocated-last < quietBytes && allocated-freed > max(worthFreeing, live/2) {
			debug.FreeOSMemory()
			freed = allocated
		}
		last = allocated
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pacePercent gives the collector's percentage for so many live bytes.
func pacePercent(live uint64) int {
	p := int(garbageTarget * 100 / max(live, 1<<20))
	return min(max(p, leastPercent), mostPercent)
}
