package agent

import (
	"errors"
	"testing"
	"time"

	"curia/api"
)

func TestScale(t *testing.T) {
	for _, c := range []struct {
		members int
		want    time.Duration
	}{{0, 1}, {1, 1}, {128, 1}, {129, 2}, {256, 2}, {257, 3}, {512, 3}, {513, 4}, {1024, 4}, {8192, 7}, {8193, 8}} {
		if got := scale(c.members); got != c.want {
			t.Errorf("scale(%d): got %d, want %d", c.members, got, c.want)
		}
	}
}

// among lets an agent have so many members of its datacenter.
func among(members int) func(*Config) {
	return func(c *Config) { c.LAN = func() []*api.Member { return make([]*api.Member, members) } }
}

// gaps lets time go by and gives the shortest and the longest time between two
// comparisons.
func (r *rig) gaps(during time.Duration, answer error) (shortest, longest time.Duration) {
	last := time.Time{}
	r.catalog.mu.Lock()
	r.catalog.refuse = func(op *api.Op, _, _ string) error {
		if op == api.CatalogNode.Op {
			if gap := time.Since(last); !last.IsZero() {
				longest = max(longest, gap)
				if shortest == 0 || gap < shortest {
					shortest = gap
				}
			}
			last = time.Now()
		}
		return answer
	}
	r.catalog.mu.Unlock()
	pass(during)
	return shortest, longest
}

// TestPace wants comparisons, and attempts that failed, to be spread over more
// time in a large datacenter.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		name        string
		members     int
		answer      error
		least, most time.Duration
	}{
		{"few members", 3, nil, syncEvery, 2 * syncEvery},
		{"a thousand members", 1000, nil, syncEvery, 5 * syncEvery},
		{"few members and no answers", 3, errors.New("away"), retryMin, 2 * retryMax},
		{"a thousand members and no answers", 1000, errors.New("away"), retryMin, 5 * retryMax},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, among(c.members), func(t *testing.T, r *rig) {
				shortest, longest := r.gaps(24*time.Hour, c.answer)
				if shortest < c.least || longest > c.most || longest < c.most*9/10 {
					t.Errorf("between two comparisons: got %v to %v, want %v to nearly %v", shortest, longest, c.least, c.most)
				}
			})
		})
	}
}

// TestServerJoined wants a comparison soon after a server has joined, however
// many join meanwhile.
func TestServerJoined(t *testing.T) {
	for name, members := range map[string]int{"few members": 3, "a thousand members": 1000} {
		t.Run(name, func(t *testing.T) {
			play(t, among(members), func(t *testing.T, r *rig) {
				most := joinWait * scale(members)
				longest := time.Duration(0)
				for range 50 {
					before, began := r.catalog.comparisons(), time.Now()
					for r.catalog.comparisons() == before && time.Since(began) < syncEvery {
						r.ServerJoined()
						pass(10 * time.Millisecond)
					}
					longest = max(longest, time.Since(began))
				}
				if longest > most+10*time.Millisecond {
					t.Errorf("a comparison came %v after a server, want at most %v", longest, most)
				}
				before := r.catalog.comparisons()
				r.ServerJoined()
				pass(most)
				same(t, "comparisons after one server", r.catalog.comparisons()-before, 1)
			})
		})
	}
}
