package realtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// keyName and keyValue are those of the keys that fillKeys writes.
func keyName(i int) string  { return fmt.Sprintf("many/%06d", i) }
func keyValue(i int) string { return strings.Repeat(fmt.Sprint("v", i, ";"), 16) }

// fillKeys writes n keys, 64 in a transaction.
func fillKeys(t *testing.T, a *agent, n int) {
	t.Helper()
	const together, clients = 64, 4
	batches := make(chan int)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for from := range batches {
				var ops []map[string]any
				for i := from; i < min(from+together, n); i++ {
					ops = append(ops, map[string]any{"KV": map[string]any{
						"Verb": "set", "Key": keyName(i), "Value": base64.StdEncoding.EncodeToString([]byte(keyValue(i))),
					}})
				}
				body, err := json.Marshal(ops)
				if err == nil {
					var status int
					var text string
					if status, _, text, err = a.ask("PUT", "/v1/txn", string(body)); status != 200 {
						err = fmt.Errorf("%d %.200s %w", status, text, err)
					}
				}
				if err != nil {
					t.Errorf("transaction from %d: %v", from, err)
				}
			}
		})
	}
	for from := 0; from < n; from += together {
		batches <- from
	}
	close(batches)
	all.Wait()
}

// seen is what a client has seen of the keys.
type seen struct {
	index    uint64 // of the list
	modified map[int]uint64
}

// look checks that all keys are there, with nothing behind what was seen before.
func look(t *testing.T, a *agent, n int, before *seen) *seen {
	t.Helper()
	header, body := a.must("GET", "/v1/kv/many/?keys", "")
	var keys []string
	check(t, json.Unmarshal([]byte(body), &keys))
	if len(keys) != n || keys[0] != keyName(0) || keys[n-1] != keyName(n-1) {
		t.Fatalf("got %d keys, wanted %d", len(keys), n)
	}
	now := &seen{number(header), map[int]uint64{}}
	for i := 0; i < n; i += max(n/50, 1) {
		p, _, err := a.client().KV().Get(keyName(i), nil)
		check(t, err)
		if p == nil || string(p.Value) != keyValue(i) {
			t.Fatalf("%s: got %v", keyName(i), p)
		}
		now.modified[i] = p.ModifyIndex
	}
	if before == nil {
		return now
	}
	if now.index < before.index {
		t.Errorf("index of the list: got %d after %d", now.index, before.index)
	}
	same(t, "indexes of the keys", now.modified, before.modified)
	return now
}

// restartEager restarts the agent and asks for a key from the first moment on:
// an answer that it is not there would be one from before the log was read.
func (a *agent) restartEager(key, want string) {
	a.t.Helper()
	began := time.Now()
	a.launch()
	eventually(a.t, startWait, func() error {
		status, _, text, err := a.ask("GET", "/v1/kv/"+key+"?raw", "")
		if err != nil {
			return err
		}
		if status == 404 || status == 200 && text != want {
			a.t.Fatalf("%v after the start, %s: got %d %.50q", time.Since(began), key, status, text)
		}
		if status != 200 {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
	a.t.Logf("answered %v after the start", time.Since(began))
}

// TestRestart restarts an agent with many keys: first all from the log, then
// from a snapshot and the short log behind it.
func TestRestart(t *testing.T) {
	t.Parallel()
	n := scale(5_000, 100_000)
	a := start(t, option{})
	fillKeys(t, a, n)
	had := look(t, a, n, nil)
	a.kill()
	a.restartEager(keyName(n-1), keyValue(n-1))
	had = look(t, a, n, had)

	a.stop(15)
	a.configure(map[string]any{"raft_snapshot_threshold": 10, "raft_snapshot_interval": "1s", "raft_trailing_logs": 5})
	a.restartEager(keyName(n-1), keyValue(n-1))
	for i := range 50 {
		a.must("PUT", fmt.Sprint("/v1/kv/other/", i), "x")
	}
	eventually(t, thingWait, func() error { return a.said("compacting logs") })
	a.awaitSnapshot()
	had = look(t, a, n, had)
	a.kill()
	mark := len(a.output())
	a.restartEager(keyName(n-1), keyValue(n-1))
	had = look(t, a, n, had)
	if !strings.Contains(a.output()[mark:], "restored from snapshot") {
		t.Error("the agent did not begin with its snapshot")
	}

	// What a kill leaves of a snapshot is deleted.
	a.kill()
	left := filepath.Join(a.dir, "raft", "snapshots", "9-9-9.tmp")
	check(t, os.Mkdir(left, 0o700))
	a.restartEager(keyName(n-1), keyValue(n-1))
	if _, err := os.Stat(left); err == nil {
		t.Errorf("%s is still there", left)
	}
	look(t, a, n, had)
}

// TestRestartKeepsAll restarts an agent with something of everything.
func TestRestartKeepsAll(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	register(t, c)
	id, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{Name: "kept", TTL: "60s", LockDelay: time.Minute}, nil)
	check(t, err)
	ok, _, err := c.KV().Acquire(&consul.KVPair{Key: "lock", Value: []byte("held"), Session: id}, nil)
	same(t, "acquire", []any{ok, err}, []any{true, nil})
	_, err = c.KV().Put(&consul.KVPair{Key: "gone/1", Value: []byte("1")}, nil)
	check(t, err)
	_, err = c.KV().DeleteTree("gone/", nil)
	check(t, err)

	paths := []string{
		"/v1/kv/lock", "/v1/kv/?recurse", "/v1/kv/gone/?recurse", "/v1/kv/gone/?keys", "/v1/session/list", "/v1/session/info/" + id,
		"/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/service/web", "/v1/health/service/web", "/v1/health/state/any",
		"/v1/health/node/w1", "/v1/catalog/node/w2", "/v1/status/peers",
	}
	answers := func() map[string]string {
		out := map[string]string{}
		for _, p := range paths {
			status, header, body, err := a.ask("GET", p, "")
			check(t, err)
			out[p] = fmt.Sprint(status, " ", number(header), " ", body)
		}
		return out
	}
	self, err := c.Agent().Self()
	check(t, err)
	before := answers()
	a.kill()
	a.restart()
	same(t, "answers after a restart", answers(), before)
	again, err := a.client().Agent().Self()
	check(t, err)
	same(t, "node ID", again["Config"]["NodeID"], self["Config"]["NodeID"])
	renewed, _, err := a.client().Session().Renew(id, nil)
	if err != nil || renewed == nil {
		t.Errorf("renew after a restart: got %v, %v", renewed, err)
	}
}
