package cluster_test

import (
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var (
	schedules = flag.Int("schedules", 0, "how many `schedules` of faults to play; 0: 50, and 5 with -short")
	together  = flag.Int("together", 4, "how many `schedules` to play at the same time")
	seed      = flag.Uint64("seed", 0, "the `seed` of the first schedule; 0: another one each time")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scale gives the size of a test: a small one with -short.
func scale(short, full int) int {
	if testing.Short() {
		return short
	}
	return full
}

// firstSeed gives the seed that the flags ask for, or a new one.
func firstSeed() uint64 {
	if *seed != 0 {
		return *seed
	}
	return uint64(time.Now().UnixNano()) % 1_000_000_000
}
