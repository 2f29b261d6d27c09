package cluster_test

import (
	"sync"
	"testing"
	"time"

	"curia/api"
	"curia/internal/testing/cluster"
)

// TestFollowersAnswer reads through servers that do not lead: they ask the leader
// how far it is, all who wait at once, and give their own results.
func TestFollowersAnswer(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{})
	leader := c.Leader()
	if _, err := api.Call(t.Context(), leader, api.KVPut, api.KVPutArgs{Key: "a", Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	c.Converge()
	const clients, each = 16, 25
	for _, mode := range []api.Consistency{api.Default, api.Consistent, api.Stale} {
		results, questions := leader.Asked.Count("kv.get"), leader.Asked.Count("server.index")
		var all sync.WaitGroup
		for i := range clients {
			node := c.Nodes[i%len(c.Nodes)]
			if node == leader {
				continue
			}
			all.Go(func() {
				for range each {
					pairs, _, err := api.Ask(t.Context(), node, api.KVGet, api.KeyArgs{Key: "a"}, api.Query{Consistency: mode})
					if err != nil || len(pairs) != 1 {
						t.Errorf("a read in mode %s through %s: got %+v, %v", mode, node.Name, pairs, err)
					}
				}
			})
		}
		all.Wait()
		results, questions = leader.Asked.Count("kv.get")-results, leader.Asked.Count("server.index")-questions
		t.Logf("mode %s: the leader was asked for %d results and %d times how far it is", mode, results, questions)
		if few := clients * each / 20; results > few { // a server that lags asks for them
			t.Errorf("mode %s: the leader was asked for %d results, wanted at most %d", mode, results, few)
		}
		if most := clients * each / 2; questions > most || mode == api.Stale && questions > 0 {
			t.Errorf("mode %s: the leader was asked %d times how far it is, wanted at most %d, and never for stale reads", mode, questions, most)
		}
	}
}

// TestFaults checks that the network does what schedules rely on.
func TestFaults(t *testing.T) {
	t.Parallel()
	c := cluster.New(t, cluster.Options{Hold: 200 * time.Millisecond})
	leader := c.Leader()
	write := func(through api.Caller, value string) error {
		_, err := api.Call(t.Context(), through, api.KVPut, api.KVPutArgs{Key: "a", Value: []byte(value)})
		return err
	}
	c.Isolate(leader)
	c.Await("another leader", func() error {
		for _, n := range c.Nodes {
			if n != leader && n.Ready() {
				return nil
			}
		}
		return api.ErrNoLeader
	})
	if err := write(leader, "old"); err == nil {
		t.Errorf("%s takes a write, though it is alone", leader.Name)
	}
	c.Heal()
	c.Await("a write through the old leader", func() error { return write(leader, "new") })
	c.Converge()

	gone := c.Leader()
	c.Kill(gone)
	if err := write(gone, "dead"); api.KindOf(err) != api.Unreached {
		t.Errorf("a write through a server that was killed: got %v", err)
	}
	agent := c.Client("agent")
	c.Await("a write through a client agent", func() error { return write(agent, "without") })
	c.Restart(gone)
	c.Converge()
	if got := string(gone.State().View().KV("a").Value); got != "without" {
		t.Errorf("%s has %q after its restart", gone.Name, got)
	}
}
