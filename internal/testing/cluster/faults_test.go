package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curia/internal/testing/cluster"
)

// Times of a schedule.
const (
	calmMin, calmMax   = 20 * time.Millisecond, 400 * time.Millisecond // before a fault
	faultMin, faultMax = 50 * time.Millisecond, 700 * time.Millisecond // until it ends
	faultsMin          = 2
	faultsMax          = 4
)

// fault breaks something, and returns how to repair it.
type fault struct {
	name  string
	begin func(c *cluster.Cluster, r *rand.Rand) (end func())
}

func heals(f func(c *cluster.Cluster, r *rand.Rand)) func(*cluster.Cluster, *rand.Rand) func() {
	return func(c *cluster.Cluster, r *rand.Rand) func() {
		f(c, r)
		return c.Heal
	}
}

// anyNode chooses a node, more often one that leads.
func anyNode(c *cluster.Cluster, r *rand.Rand) *cluster.Node {
	for _, n := range c.Nodes {
		if n.Ready() && r.IntN(2) == 0 {
			return n
		}
	}
	return c.Nodes[r.IntN(len(c.Nodes))]
}

// others are two nodes in any order, the first chosen by anyNode.
func others(c *cluster.Cluster, r *rand.Rand) (a, b string) {
	first := anyNode(c, r)
	for {
		if second := c.Nodes[r.IntN(len(c.Nodes))]; second != first {
			return first.Name, second.Name
		}
	}
}

var faults = []fault{
	{"isolate", heals(func(c *cluster.Cluster, r *rand.Rand) { c.Isolate(anyNode(c, r)) })},
	{"partition", heals(func(c *cluster.Cluster, r *rand.Rand) { c.Partition(others(c, r)) })},
	{"cut", heals(func(c *cluster.Cluster, r *rand.Rand) { c.Cut(others(c, r)) })},
	{"pause", heals(func(c *cluster.Cluster, r *rand.Rand) { c.Pause(anyNode(c, r)) })},
	{"delay", heals(func(c *cluster.Cluster, r *rand.Rand) {
		a, b := others(c, r)
		c.Delay(a, b, span(r, 80*time.Millisecond))
	})},
	{"kill", func(c *cluster.Cluster, r *rand.Rand) func() {
		n := anyNode(c, r)
		c.Kill(n)
		return func() { c.Restart(n) }
	}},
	{"kill two", func(c *cluster.Cluster, r *rand.Rand) func() {
		n := r.IntN(len(c.Nodes))
		var both sync.WaitGroup
		for i, node := range c.Nodes {
			if i != n {
				both.Go(func() { c.Kill(node) })
			}
		}
		both.Wait()
		return func() {
			for _, node := range c.Nodes {
				c.Restart(node)
			}
		}
	}},
	{"transfer", func(c *cluster.Cluster, r *rand.Rand) func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Transfer(ctx) // whether it succeeds is not the question
		return func() {}
	}},
}

// schedule is a number of faults, one after the other; now and then the next
// comes before the last has ended.
func schedule(c *cluster.Cluster, r *rand.Rand) (names []string) {
	var ends []func()
	for range faultsMin + r.IntN(faultsMax-faultsMin+1) {
		await(calmMin + span(r, calmMax-calmMin))
		f := faults[r.IntN(len(faults))]
		names = append(names, f.name)
		ends = append(ends, f.begin(c, r))
		if r.IntN(4) == 0 {
			continue
		}
		await(faultMin + span(r, faultMax-faultMin))
		for _, end := range ends {
			end()
		}
		ends = nil
	}
	for _, end := range ends {
		end()
	}
	await(calmMin)
	return names
}

// span is a random time below d.
func span(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// await lets time pass: that is what schedules are made of.
func await(d time.Duration) { <-time.After(d) }

// TestLinearizable plays schedules of faults while clients read and write, and
// looks for an order of everything that explains all answers.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	count := *schedules
	if count == 0 {
		count = scale(5, 50)
	}
	first := firstSeed()
	var answers, lost atomic.Int64
	var all sync.WaitGroup
	slots := make(chan struct{}, *together)
	for i := range count {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			n := first + uint64(i)
			t.Run(fmt.Sprint("seed=", n), func(t *testing.T) {
				h := playSchedule(t, n)
				answers.Add(int64(h.answers))
				lost.Add(int64(h.lost))
			})
		})
	}
	all.Wait()
	t.Logf("%d schedules, %d answers, %d writes of unknown outcome", count, answers.Load(), lost.Load())
	if got, want := answers.Load(), int64(count)*20; got < want {
		t.Errorf("got %d answers in %d schedules, wanted at least %d: the clients hardly worked", got, count, want)
	}
}

func playSchedule(t *testing.T, n uint64) *history {
	r := rand.New(rand.NewPCG(n, 0))
	o := cluster.Options{Hold: 500 * time.Millisecond}
	if r.IntN(3) == 0 { // who was away gets a snapshot
		o.SnapshotThreshold, o.TrailingLogs, o.SnapshotInterval = 50, 10, 50*time.Millisecond
	}
	c := cluster.New(t, o)
	h := newHistory(t)
	sessions := h.sessions(c, 6)
	ctx, cancel := context.WithCancel(context.Background())
	played := make(chan struct{})
	clients := rand.New(rand.NewPCG(n, 1))
	go func() {
		defer close(played)
		h.play(ctx, c, clients, sessions)
	}()
	names := schedule(c, r)
	cancel()
	<-played
	c.Heal()
	for _, node := range c.Nodes {
		c.Restart(node)
	}
	c.Leader()
	c.Converge()
	h.verify(c)
	t.Logf("%v: %d answers, %d lost", names, h.answers, h.lost)
	return h
}
