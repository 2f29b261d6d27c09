package realtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Ports of the agents of a datacenter. Each agent has an address of its own.
const (
	dcHTTP = 31500
	dcRPC  = 31300
	dcSerf = 31301
	dcWAN  = 31302
)

// datacenter is three servers and a client agent, each at an address of the
// loopback network.
type datacenter struct {
	t       *testing.T
	servers []*agent
	client  *agent
	block   string // of addresses, up to the last dot
}

// startDatacenter starts one and waits until everybody answers. config is merged
// over that of every agent.
func startDatacenter(t *testing.T, config map[string]any) *datacenter {
	t.Helper()
	dc := &datacenter{t: t, block: freeBlock(t)}
	for i := range 4 {
		a := prepare(t, option{config: config})
		if i < 3 {
			dc.servers = append(dc.servers, a)
		} else {
			dc.client = a
		}
	}
	dc.place(10)
	for _, a := range dc.all() {
		a.launch()
	}
	dc.settle()
	return dc
}

// freeBlock gives the beginning of 256 addresses that no other test uses.
func freeBlock(t *testing.T) string {
	t.Helper()
	for range 100 {
		block := fmt.Sprintf("127.%d.%d.", 10+rand.IntN(240), 1+rand.IntN(250))
		l, err := net.Listen("tcp", block+"10:"+strconv.Itoa(dcRPC))
		if err == nil {
			_ = l.Close()
			return block
		}
	}
	t.Fatal("no free addresses")
	return ""
}

func (dc *datacenter) all() []*agent { return append(slices.Clone(dc.servers), dc.client) }

// place gives the agents addresses, the first ending with from, and lets them join
// each other there.
func (dc *datacenter) place(from int) {
	dc.t.Helper()
	var join []string
	for i := range dc.servers {
		join = append(join, fmt.Sprintf("%s%d:%d", dc.block, from+i, dcSerf))
	}
	for i, a := range dc.all() {
		ip := fmt.Sprint(dc.block, from+i)
		a.addr = net.JoinHostPort(ip, strconv.Itoa(dcHTTP))
		conf := map[string]any{
			"node_name": fmt.Sprint("n", i+1), "bind_addr": ip, "client_addr": ip, "retry_join": join, "retry_interval": "1s",
			"performance": map[string]any{},
			"ports":       map[string]any{"http": dcHTTP, "server": dcRPC, "serf_lan": dcSerf, "serf_wan": dcWAN, "dns": -1, "grpc": -1, "grpc_tls": -1},
		}
		if a == dc.client {
			conf["server"], conf["bootstrap_expect"] = false, 0
		} else {
			conf["bootstrap_expect"] = len(dc.servers)
		}
		a.configure(conf)
	}
}

// settle waits until every agent that runs answers reads, and there is one leader.
func (dc *datacenter) settle() {
	dc.t.Helper()
	for _, a := range dc.all() {
		if a.running() {
			a.awaitLeader()
		}
	}
	dc.leader()
}

// leader finds the server that leads, as all who run see it.
func (dc *datacenter) leader() *agent {
	dc.t.Helper()
	var found *agent
	eventually(dc.t, startWait, func() error {
		found = nil
		seen := map[string]bool{}
		for _, a := range dc.servers {
			if !a.running() {
				continue
			}
			_, _, text, err := a.ask("GET", "/v1/status/leader", "")
			if err != nil {
				return err
			}
			seen[text] = true
			if host, _, _ := strings.Cut(strings.Trim(text, "\"\n"), ":"); strings.HasPrefix(a.addr, host+":") {
				found = a
			}
		}
		if found == nil || len(seen) != 1 {
			return fmt.Errorf("leaders: %v", seen)
		}
		return nil
	})
	return found
}

// followers are the servers that run and do not lead.
func (dc *datacenter) followers() (out []*agent) {
	leader := dc.leader()
	for _, a := range dc.servers {
		if a != leader && a.running() {
			out = append(out, a)
		}
	}
	return out
}

// sees waits until a server has a value in its own state.
func (dc *datacenter) sees(a *agent, key, value string) {
	dc.t.Helper()
	eventually(dc.t, thingWait, func() error {
		status, _, text, err := a.ask("GET", "/v1/kv/"+key+"?raw&stale", "")
		if err == nil && (status != 200 || text != value) {
			err = fmt.Errorf("%s at %s: %d %.50q, wanted %.50q", key, a.addr, status, text, value)
		}
		return err
	})
}

// ledger is what writers were told.
type ledger struct {
	mu    sync.Mutex
	acked map[string]string
	fails map[string]int // by text
}

// write writes keys that nobody else writes, through one agent after the other,
// until ctx ends. What fails is counted and left alone.
func (l *ledger) write(ctx context.Context, id int, through []*agent) {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		key, value := fmt.Sprintf("ledger/%d/%06d", id, i), fmt.Sprint("v", i)
		a := through[i%len(through)]
		status, _, text, err := askCtx(ctx, client, "PUT", "http://"+a.addr+"/v1/kv/"+key, value)
		l.mu.Lock()
		switch {
		case status == 200 && text == "true":
			l.acked[key] = value
		case ctx.Err() == nil:
			what := fmt.Sprint(status, " ", text)
			if err != nil {
				for next := err; next != nil; next = errors.Unwrap(next) {
					what = next.Error()
				}
			}
			l.fails[what]++
		}
		l.mu.Unlock()
		if err != nil && ctx.Err() == nil { // nobody listens there just now
			wait := time.NewTimer(5 * time.Millisecond)
			<-wait.C
		}
	}
}

// load lets writers write through all agents while f runs.
func (dc *datacenter) load(f func()) *ledger {
	l := &ledger{acked: map[string]string{}, fails: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for id := range 4 {
		all.Go(func() { l.write(ctx, id, dc.all()) })
	}
	defer all.Wait()
	defer cancel()
	l.grow(dc.t)
	f()
	l.grow(dc.t)
	return l
}

// grow waits until more was acknowledged.
func (l *ledger) grow(t *testing.T) {
	t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acked)
	}
	before := count()
	eventually(t, thingWait, func() error {
		if now := count(); now < before+50 {
			return fmt.Errorf("%d writes were acknowledged", now-before)
		}
		return nil
	})
}

// verify checks on every server that nothing is lost that was acknowledged.
func (dc *datacenter) verify(l *ledger) {
	dc.t.Helper()
	dc.t.Logf("%d writes were acknowledged; failed: %v", len(l.acked), l.fails)
	for _, a := range dc.servers {
		if !a.running() {
			continue
		}
		_, body := a.must("GET", "/v1/kv/ledger/?recurse", "")
		var pairs []struct {
			Key   string
			Value []byte
		}
		check(dc.t, json.Unmarshal([]byte(body), &pairs))
		there := map[string]string{}
		for _, p := range pairs {
			there[p.Key] = string(p.Value)
		}
		lost := 0
		for key, value := range l.acked {
			if there[key] != value {
				lost++
				dc.t.Logf("%s has %q for %s, acknowledged was %q", a.addr, there[key], key, value)
			}
		}
		if lost > 0 {
			dc.t.Errorf("%s has lost %d of %d acknowledged writes", a.addr, lost, len(l.acked))
		}
	}
}
