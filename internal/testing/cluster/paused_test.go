package cluster_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"curia/api"
	"curia/internal/testing/cluster"
)

// TestPausedLeader stops a leader to which others have connections, or none yet:
// whoever waits for its answer hears soon after another leads, not when the
// connection is given up. What was not sent goes to the new leader.
func TestPausedLeader(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprint("connected=", connected), func(t *testing.T) {
			t.Parallel()
			pauseLeader(t, connected)
		})
	}
}

func pauseLeader(t *testing.T, connected bool) {
	const soon = 6 * time.Second
	c := cluster.New(t, cluster.Options{})
	leader := c.Leader()
	put := func(node *cluster.Node, key string) error {
		_, err := api.Call(t.Context(), node, api.KVPut, api.KVPutArgs{Key: key, Value: []byte("x")})
		return err
	}
	var followers []*cluster.Node
	for _, node := range c.Nodes {
		if node == leader {
			continue
		}
		followers = append(followers, node)
		if !connected {
			continue
		}
		if err := put(node, "before"); err != nil {
			t.Fatal(err)
		}
	}
	c.Pause(leader)
	var all sync.WaitGroup
	for _, node := range followers {
		all.Go(func() {
			began := time.Now()
			err := put(node, node.Name)
			took := time.Since(began)
			if connected && api.KindOf(err) != api.Lost || !connected && err != nil || took > soon {
				t.Errorf("a write through %s: got %v after %v, wanted an unknown outcome or success within %v", node.Name, err, took, soon)
			}
		})
		all.Go(func() {
			began := time.Now()
			_, _, err := api.Ask(t.Context(), node, api.KVGet, api.KeyArgs{Key: "none"}, api.Query{})
			if took := time.Since(began); api.KindOf(err) != api.NotFound || took > soon {
				t.Errorf("a read through %s: got %v after %v, wanted that there is no such key within %v", node.Name, err, took, soon)
			}
		})
	}
	all.Wait()
	for _, node := range followers {
		if err := put(node, "after"); err != nil {
			t.Errorf("a write through %s to the new leader: %v", node.Name, err)
		}
	}
	c.Heal()
	c.Converge()
}
