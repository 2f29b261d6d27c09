package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"curia/agent"
	"curia/api"
	"curia/internal/testing/cluster"
)

// Times of watching. A watcher whose wake-up is lost would sleep for longer than
// the test waits.
const (
	watchWait = 5 * time.Minute  // that each blocking query asks for
	seenWait  = 20 * time.Second // until all watchers have seen the last value
)

// watcher follows a counter with blocking queries.
type watcher struct {
	name    string
	through api.Caller
	list    bool // watches a prefix, whose result others share
	mode    api.Consistency

	mu   sync.Mutex
	last int
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	var index uint64
	for ctx.Err() == nil {
		q := api.Query{MinIndex: index, MaxWait: watchWait, Consistency: w.mode}
		var pairs []*api.KVPair
		var meta api.Meta
		var err error
		if w.list {
			pairs, meta, err = api.Ask(ctx, w.through, api.KVList, api.PrefixArgs{Prefix: "counter"}, q)
		} else {
			pairs, meta, err = api.Ask(ctx, w.through, api.KVGet, api.KeyArgs{Key: "counter/1"}, q)
		}
		if err != nil && api.KindOf(err) != api.NotFound {
			await(5 * time.Millisecond)
			continue
		}
		if meta.Index < index {
			index = 0 // as the documentation tells clients to do
		} else {
			index = meta.Index
		}
		if len(pairs) > 0 {
			n, _ := strconv.Atoi(string(pairs[0].Value))
			w.mu.Lock()
			w.last = n
			w.mu.Unlock()
		}
	}
}

// TestWatchersMissNothing lets a counter grow while leaders change. Every watcher
// sees its last value, though none asks again before something has changed.
func TestWatchersMissNothing(t *testing.T) {
	t.Parallel()
	n := firstSeed()
	t.Logf("repeat with -seed %d", n)
	r := rand.New(rand.NewPCG(n, 2))
	c := cluster.New(t, cluster.Options{Hold: 2 * time.Second})
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	watchers := watchersOf(c)
	for _, w := range watchers {
		all.Go(func() { w.run(ctx) })
	}
	for round := range scale(2, 6) {
		count(c, r, round)
		c.Heal()
		for _, node := range c.Nodes {
			c.Restart(node)
		}
		within := time.Now().Add(seenWait)
		for _, w := range watchers {
			c.Await(w.name+" sees the last value", func() error {
				// A write that was lost may come after the last that was acknowledged.
				last, _ := strconv.Atoi(string(c.Leader().State().View().KV("counter/1").Value))
				w.mu.Lock()
				defer w.mu.Unlock()
				switch {
				case w.last == last:
					return nil
				case time.Now().After(within):
					t.Fatalf("round %d: %s has seen %d; the counter is %d for %v", round, w.name, w.last, last, seenWait)
				}
				return fmt.Errorf("it has seen %d of %d", w.last, last)
			})
		}
	}
}

func watchersOf(c *cluster.Cluster) (out []*watcher) {
	add := func(name string, through api.Caller) {
		for _, mode := range []api.Consistency{api.Default, api.Consistent, api.Stale} {
			out = append(out,
				&watcher{name: fmt.Sprint(name, " key ", mode), through: through, mode: mode},
				&watcher{name: fmt.Sprint(name, " list ", mode), through: through, mode: mode, list: true})
		}
	}
	for _, n := range c.Nodes {
		add(n.Name, n)
	}
	shared := agent.NewShared(c.Client("agent-1"), 0, 0)
	add("agent-1", shared)
	add("agent-1 again", shared)
	add("agent-2", c.Client("agent-2"))
	return out
}

// count lets the counter grow while a schedule is played, and until a write after
// it is acknowledged.
func count(c *cluster.Cluster, r *rand.Rand, round int) {
	played := make(chan struct{})
	go func() {
		defer close(played)
		schedule(c, r)
	}()
	through := c.Client(fmt.Sprint("writer-", round))
	for n := (round + 1) * 1_000_000; ; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), opWait)
		_, err := api.Call(ctx, through, api.KVPut, api.KVPutArgs{Key: "counter/1", Value: []byte(strconv.Itoa(n))})
		cancel()
		await(3 * time.Millisecond)
		if err != nil {
			continue
		}
		select {
		case <-played:
			return
		default:
		}
	}
}
