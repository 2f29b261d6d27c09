package metrics

import (
	"runtime"
	"sync"
)

// Runtime makes a source of the figures of the Go runtime (runtime.…).
func Runtime() func(*Scrape) {
	p := &pauses{}
	return func(to *Scrape) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		to.Gauge("runtime.alloc_bytes", float64(m.Alloc))
		to.Gauge("runtime.sys_bytes", float64(m.Sys))
		to.Gauge("runtime.malloc_count", float64(m.Mallocs))
		to.Gauge("runtime.free_count", float64(m.Frees))
		to.Gauge("runtime.heap_objects", float64(m.HeapObjects))
		to.Gauge("runtime.num_goroutines", float64(runtime.NumGoroutine()))
		to.Gauge("runtime.total_gc_pause_ns", float64(m.PauseTotalNs))
		to.Gauge("runtime.total_gc_runs", float64(m.NumGC))
		p.take(&m)
		to.Sample("runtime.gc_pause_ns", &p.sample)
	}
}

// pauses gathers the pauses of the garbage collector, in nanoseconds. The
// runtime remembers a limited number; older ones that nobody asked for in time
// are lost.
type pauses struct {
	sample Sample
	mu     sync.Mutex
	seen   uint32 // collections that are in the sample
}

func (p *pauses) take(m *runtime.MemStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const ring = uint32(len(m.PauseNs))
	if m.NumGC > ring {
		p.seen = max(p.seen, m.NumGC-ring)
	}
	for ; p.seen < m.NumGC; p.seen++ {
		p.sample.Add(float64(m.PauseNs[p.seen%ring]))
	}
}
