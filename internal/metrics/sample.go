package metrics

import (
	"math"
	"sync/atomic"
	"time"
)

// Sample sums up values: how many, their sum, extremes and spread. The zero
// Sample is empty and ready. It may be used concurrently, and must not be copied.
type Sample struct {
	count atomic.Uint64
	sum   atomic.Uint64 // this and the following are bits of float64s
	sumSq atomic.Uint64
	max   atomic.Uint64
	less  atomic.Uint64 // how much less than +Inf the least value's bits are; 0: none yet
}

var infBits = math.Float64bits(math.Inf(1))

// Observe adds a time, in milliseconds.
func (s *Sample) Observe(took time.Duration) { s.Add(float64(took) / float64(time.Millisecond)) }

// Add adds a value; those below zero count as zero.
func (s *Sample) Add(v float64) {
	if !(v > 0) {
		v = 0
	}
	bits := math.Float64bits(v) // ordered like the values, as none is negative
	raise(&s.max, bits)
	raise(&s.less, infBits-bits)
	addFloat(&s.sum, v)
	addFloat(&s.sumSq, v*v)
	s.count.Add(1)
}

// raise lifts a to at least b. Most values are no extremes and cost a load.
func raise(a *atomic.Uint64, b uint64) {
	for {
		old := a.Load()
		if b <= old || a.CompareAndSwap(old, b) {
			return
		}
	}
}

func addFloat(a *atomic.Uint64, v float64) {
	for {
		old := a.Load()
		if a.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

// Summary is what a Sample knows at a moment. The zero Summary is that of no
// values.
type Summary struct {
	Count                uint64
	Sum, SumSq, Min, Max float64
}

// Summary reads the figures.
func (s *Sample) Summary() Summary {
	out := Summary{Count: s.count.Load()}
	if out.Count == 0 {
		return out
	}
	out.Sum = math.Float64frombits(s.sum.Load())
	out.SumSq = math.Float64frombits(s.sumSq.Load())
	out.Min = math.Float64frombits(infBits - s.less.Load())
	out.Max = math.Float64frombits(s.max.Load())
	return out
}

// times is the summary of n values of 1: that of a counter.
func times(n uint64) Summary {
	if n == 0 {
		return Summary{}
	}
	return Summary{Count: n, Sum: float64(n), SumSq: float64(n), Min: 1, Max: 1}
}

// and is the summary of the values of both.
func (s Summary) and(o Summary) Summary {
	switch {
	case s.Count == 0:
		return o
	case o.Count == 0:
		return s
	}
	return Summary{
		Count: s.Count + o.Count, Sum: s.Sum + o.Sum, SumSq: s.SumSq + o.SumSq,
		Min: min(s.Min, o.Min), Max: max(s.Max, o.Max),
	}
}

// Mean is 0 without values.
func (s Summary) Mean() float64 {
	if s.Count == 0 {
		return 0
	}
	return s.Sum / float64(s.Count)
}

// Stddev is the standard deviation of a sample, 0 with fewer than two values.
func (s Summary) Stddev() float64 {
	if s.Count < 2 {
		return 0
	}
	n := float64(s.Count)
	return math.Sqrt(max(0, n*s.SumSq-s.Sum*s.Sum) / (n * (n - 1)))
}
