package realtest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// failoverWait bounds a failover. It is generous; what is aimed at is two seconds.
const failoverWait = 10 * time.Second

// failoverRounds is how often the leader is killed; CURIA_TEST_FAILOVERS says
// otherwise.
func failoverRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CURIA_TEST_FAILOVERS")
	if text == "" {
		return scale(1, 3)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("CURIA_TEST_FAILOVERS: %v", err)
	}
	return n
}

// TestFailover kills the leader again and again. Who writes through a server that
// is left, or through a client agent, has an answer not much later. At most the
// first write fails: it may have gone out on a connection to the leader that died.
func TestFailover(t *testing.T) {
	t.Parallel()
	dc := startDatacenter(t, nil)
	took := map[string][]time.Duration{}
	for round := range failoverRounds(t) {
		survivor := dc.followers()[0]
		leader := dc.leader()
		began := time.Now()
		leader.kill()
		var both sync.WaitGroup
		var mu sync.Mutex
		for name, a := range map[string]*agent{"through a server": survivor, "through a client agent": dc.client} {
			both.Go(func() {
				key := fmt.Sprintf("failover/%d/%s", round, strings.ReplaceAll(name, " ", "-"))
				fails := retry(t, a, key)
				mu.Lock()
				defer mu.Unlock()
				took[name] = append(took[name], time.Since(began))
				if len(fails) > 1 {
					t.Errorf("round %d: writes %s after the leader was killed failed: %q", round, name, fails)
				}
			})
		}
		both.Wait()
		leader.launch()
		dc.settle()
		last := fmt.Sprint("round/", round)
		survivor.must("PUT", "/v1/kv/"+last, "end")
		for _, a := range dc.servers {
			dc.sees(a, last, "end")
		}
	}
	for name, all := range took {
		slices.Sort(all)
		t.Logf("writes %s after a kill: median %v, longest %v of %d", name, all[len(all)/2], all[len(all)-1], len(all))
		if longest := all[len(all)-1]; longest > failoverWait {
			t.Errorf("a write %s took %v after the leader was killed", name, longest)
		}
	}
}

// retry writes a key until that is acknowledged, and gives the answers before.
func retry(t *testing.T, a *agent, key string) (fails []string) {
	t.Helper()
	eventually(t, failoverWait, func() error {
		status, _, text, err := a.ask("PUT", "/v1/kv/"+key, "x")
		if status == 200 && text == "true" {
			return nil
		}
		fails = append(fails, fmt.Sprint(status, " ", text, " ", err))
		return fmt.Errorf("writes through %s: %q", a.addr, fails)
	})
	return fails
}

// TestStoppedLeader stops the process of the leader, so that its connections stay
// but nothing answers, and lets it go on later.
func TestStoppedLeader(t *testing.T) {
	t.Parallel()
	dc := startDatacenter(t, nil)
	l := dc.load(func() {
		leader, others := dc.leader(), dc.followers()
		leader.signal(syscall.SIGSTOP)
		brief := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}}
		defer brief.CloseIdleConnections()
		for _, a := range append(others, dc.client) {
			eventually(t, thingWait, func() error {
				status, _, text, err := askCtx(t.Context(), brief, "PUT", "http://"+a.addr+"/v1/kv/stopped", "x")
				if err == nil && (status != 200 || text != "true") {
					err = fmt.Errorf("a write through %s: %d %q", a.addr, status, text)
				}
				return err
			})
		}
		leader.signal(syscall.SIGCONT)
		dc.settle()
		if now := dc.leader(); now == leader {
			t.Errorf("%s leads again, although others had an election", leader.addr)
		}
	})
	dc.client.must("PUT", "/v1/kv/last", "end")
	for _, a := range dc.servers {
		dc.sees(a, "last", "end")
	}
	dc.verify(l)
}

// TestRollingRestart restarts one server after the other under load; then all
// move to other addresses; then two of three are lost for ever.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	dc := startDatacenter(t, nil)
	l := dc.load(func() {
		for i, a := range dc.servers {
			a.stop(syscall.SIGTERM)
			a.launch()
			dc.settle()
			key := fmt.Sprint("rolling/", i)
			eventually(t, thingWait, func() error { // a new leader may have begun just now
				status, _, text, err := dc.client.ask("PUT", "/v1/kv/"+key, "end")
				if err == nil && status != 200 {
					err = fmt.Errorf("%d %s", status, text)
				}
				return err
			})
			dc.sees(a, key, "end")
		}
	})
	dc.verify(l)
	moved(t, dc)
	dc.verify(l)
	recovered(t, dc)
	dc.verify(l)
}

// moved starts all agents at other addresses, on the data that they had.
func moved(t *testing.T, dc *datacenter) {
	t.Helper()
	for _, a := range dc.all() {
		a.kill()
	}
	dc.place(20)
	for _, a := range dc.all() {
		a.launch()
	}
	dc.settle()
	dc.client.must("PUT", "/v1/kv/moved", "yes")
	for _, a := range dc.servers {
		dc.sees(a, "moved", "yes")
	}
}

// recovered loses two servers for ever, and lets the third lead by itself.
func recovered(t *testing.T, dc *datacenter) {
	t.Helper()
	for _, a := range dc.servers {
		a.kill()
	}
	left := dc.servers[1]
	id, err := os.ReadFile(filepath.Join(left.dir, "node-id"))
	check(t, err)
	host, _, _ := strings.Cut(left.addr, ":")
	peers := fmt.Sprintf(`[{"id": %q, "address": "%s:%d", "non_voter": false}]`, strings.TrimSpace(string(id)), host, dcRPC)
	file := filepath.Join(left.dir, "raft", "peers.json")
	check(t, os.WriteFile(file, []byte(peers), 0o600))
	left.launch()
	dc.settle()
	if _, err := os.Stat(file); err == nil {
		t.Errorf("%s is still there", file)
	}
	dc.client.must("PUT", "/v1/kv/recovered", "yes")
	dc.sees(left, "recovered", "yes")
	// Gossip may not have noticed yet that the others are dead: the leader may take
	// them in again, but gives them no vote.
	conf, err := left.client().Operator().RaftGetConfiguration(nil)
	check(t, err)
	for _, s := range conf.Servers {
		if s.Voter != (s.ID == strings.TrimSpace(string(id))) {
			t.Errorf("after the recovery server %s at %s votes: %t", s.ID, s.Address, s.Voter)
		}
	}
}

// TestSnapshotsOfDatacenter saves and restores through those who do not lead, and
// lets servers catch up that only a snapshot can help.
func TestSnapshotsOfDatacenter(t *testing.T) {
	t.Parallel()
	dc := startDatacenter(t, map[string]any{"raft_snapshot_threshold": 50, "raft_snapshot_interval": "1s", "raft_trailing_logs": 10})
	for _, c := range []struct {
		name       string
		save, load *agent
	}{{"a follower", dc.followers()[0], dc.followers()[1]}, {"a client agent", dc.client, dc.client}} {
		c.save.must("PUT", "/v1/kv/saved", c.name)
		archive := download(t, c.save)
		c.save.must("PUT", "/v1/kv/saved", "later")
		status, _, text, err := c.load.ask("PUT", "/v1/snapshot", archive)
		if status != 200 {
			t.Errorf("restore through %s: got %d %q, %v", c.name, status, text, err)
		}
		for _, a := range dc.servers {
			dc.sees(a, "saved", c.name)
		}
		if status, _, _, _ := c.load.ask("PUT", "/v1/snapshot", archive[:len(archive)/2]); status == 200 {
			t.Errorf("half an archive is restored through %s", c.name)
		}
	}

	away := dc.followers()[0]
	away.kill()
	backup := filepath.Join(t.TempDir(), "backup")
	check(t, os.CopyFS(backup, os.DirFS(away.dir)))
	catchUp(t, dc, away, "away")

	// Its directory as it was before.
	away.kill()
	check(t, os.RemoveAll(away.dir))
	check(t, os.CopyFS(away.dir, os.DirFS(backup)))
	catchUp(t, dc, away, "restored")

	leader := dc.leader()
	leader.kill()
	dc.settle()
	catchUp(t, dc, leader, "led")
}

// catchUp replaces the state while a server is away, and starts it again: no log
// leads from what it has to what there is.
func catchUp(t *testing.T, dc *datacenter, away *agent, key string) {
	t.Helper()
	leader := dc.leader()
	for i := range 100 {
		leader.must("PUT", fmt.Sprintf("/v1/kv/%s/%d", key, i), "x")
	}
	leader.must("PUT", "/v1/snapshot", download(t, leader))
	leader.must("PUT", "/v1/kv/"+key, "end")
	mark := len(away.output())
	away.launch()
	dc.sees(away, key, "end")
	dc.sees(away, key+"/99", "x")
	eventually(t, thingWait, func() error {
		if !strings.Contains(away.output()[mark:], "nstalled remote snapshot") {
			return fmt.Errorf("%s caught up without a snapshot", away.addr)
		}
		return nil
	})
	dc.settle()
}

// download saves a snapshot.
func download(t *testing.T, a *agent) string {
	t.Helper()
	resp, err := plain.Get("http://" + a.addr + "/v1/snapshot")
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	if resp.StatusCode != 200 || len(b) == 0 {
		t.Fatalf("save a snapshot from %s: got %d, %d bytes", a.addr, resp.StatusCode, len(b))
	}
	return string(b)
}
