package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"curia/api"
	"curia/gossip"
	"curia/watch"
)

// lossPatience bounds what a test on a bad network waits for.
const lossPatience = 60 * time.Second

// badNetwork loses, delays and repeats packets, and refuses connections. How many
// of each follows from the seed.
type badNetwork struct {
	mu   sync.Mutex
	dice *rand.Rand

	// Shares of 1.
	lost, delayed, repeated, refused float64

	sent, dropped, doubled, deferred, failed atomic.Int64
}

// maxDelay is how late a packet may be; many are sent within it.
const maxDelay = 60 * time.Millisecond

func (n *badNetwork) roll() float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dice.Float64()
}

// between puts the network between a member and the others.
func (n *badNetwork) between(to memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
	return &badTransport{to, n}
}

type badTransport struct {
	memberlist.NodeAwareTransport
	net *badNetwork
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *badTransport) WriteToAddress(packet []byte, to memberlist.Address) (time.Time, error) {
	n := t.net
	n.sent.Add(1)
	if n.roll() < n.lost {
		n.dropped.Add(1)
		return time.Now(), nil
	}
	copies := 1
	if n.roll() < n.repeated {
		n.doubled.Add(1)
		copies = 2
	}
	for range copies {
		if n.roll() >= n.delayed {
			if _, err := t.NodeAwareTransport.WriteToAddress(packet, to); err != nil {
				return time.Now(), err
			}
			continue
		}
		n.deferred.Add(1)
		later, wait := slices.Clone(packet), time.Duration(n.roll()*float64(maxDelay))
		go func() {
			<-time.After(wait)
			_, _ = t.NodeAwareTransport.WriteToAddress(later, to) // the member may be gone
		}()
	}
	return time.Now(), nil
}

// WriteTo implements memberlist.Transport.
func (t *badTransport) WriteTo(packet []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(packet, memberlist.Address{Addr: addr})
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *badTransport) DialAddressTimeout(to memberlist.Address, within time.Duration) (net.Conn, error) {
	if t.net.roll() < t.net.refused {
		t.net.failed.Add(1)
		return nil, fmt.Errorf("dial %s: the network of the test refuses", to.Addr)
	}
	return t.NodeAwareTransport.DialAddressTimeout(to, within)
}

// lossy is an agent on a bad network.
type lossy struct {
	*Agent
	name string
	pool *gossip.Pool

	mu      sync.Mutex
	arrived []string // IDs of events, as the pool handed them over
	watched []string // IDs that a watch was told
}

// note keeps an ID in one of the lists.
func (l *lossy) note(list *[]string, id ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, id...)
}

func (l *lossy) noted(list *[]string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(*list)
}

// enterLossy starts an agent with a watch for events, until the end of the test.
func enterLossy(t *testing.T, name string, n *badNetwork) *lossy {
	t.Helper()
	cfg := gossip.Config{
		Name: name, Bind: "127.0.0.1", Timing: gossip.Local, Network: n.between,
		Tags: map[string]string{"role": "node", "dc": "dc1", "id": "id-of-" + name},
	}
	pool, err := gossip.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{Agent: newAgent(&next{}), name: name, pool: pool}
	l.cfg.Node.Node, l.cfg.Pools.Fire = name, pool.Fire
	plan := &watch.Plan{Type: "event"}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		_ = pool.Run(ctx, func(e gossip.Event) {
			if e.Kind != gossip.Fired {
				return
			}
			before := l.events.latest()
			l.Hear(e.User.Name, e.User.LTime, e.User.Payload)
			if after := l.events.latest(); len(before) < len(after) || after[len(after)-1] != before[len(before)-1] {
				l.note(&l.arrived, after[len(after)-1].ID)
			}
		})
	})
	running.Go(func() {
		_ = plan.Follow(ctx, l.Agent, watch.Follower{
			Changed: func(_ context.Context, c watch.Change) error {
				var all []*api.UserEvent
				if err := json.Unmarshal(c.Body, &all); err != nil {
					return err
				}
				for _, e := range all {
					l.note(&l.watched, e.ID)
				}
				return nil
			},
			Failed: func(err error, _ time.Duration) { t.Errorf("watch of %s: %v", name, err) },
		})
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return l
}

// join joins another member; a connection that is refused is tried again.
func (l *lossy) join(t *testing.T, other *lossy) {
	t.Helper()
	self := other.pool.Self()
	addr := net.JoinHostPort(self.Addr, strconv.Itoa(int(self.Port)))
	await(t, l.name+" joins "+other.name, func() bool {
		n, _ := l.pool.Join([]string{addr})
		return n == 1
	})
}

// await waits until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(lossPatience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, lossPatience)
		}
	}
}

// list is what an agent lists by now, by a query as clients ask it.
func (l *lossy) list(t *testing.T) []*api.UserEvent {
	t.Helper()
	all, err := api.Call(t.Context(), l.Agent, api.EventList, api.EventListArgs{})
	if err != nil {
		t.Fatalf("list of %s: %v", l.name, err)
	}
	return all
}

func ids(all []*api.UserEvent) (out []string) {
	for _, e := range all {
		out = append(out, e.ID)
	}
	return out
}

// unordered are the same, to be compared without their order.
func unordered(all []string) []string { return slices.Sorted(slices.Values(all)) }

// TestEventsOnABadNetwork fires events from several members of a pool that loses
// a quarter of its packets. Every agent lists every event once, in the order in
// which it came there, and the newest 256 of them; a watch is told each once
// ("Event"). There is no order among events of different members but that of
// knowledge: who has heard of an event fires the next at a later time.
func TestEventsOnABadNetwork(t *testing.T) {
	n := &badNetwork{dice: rand.New(rand.NewPCG(54, 1)), lost: 0.25, delayed: 0.3, repeated: 0.1, refused: 0.1}
	others := goleak.IgnoreCurrent()
	// After the pools have ended: probes and late packets are still under way.
	t.Cleanup(func() { await(t, "the last probes end", func() bool { return goleak.Find(others) == nil }) })
	var all []*lossy
	for i := range 9 {
		l := enterLossy(t, fmt.Sprint("m", i+1), n)
		if i > 0 {
			l.join(t, all[i-1])
		}
		all = append(all, l)
	}
	for _, l := range all {
		await(t, l.name+" knows all members", func() bool { return len(l.pool.Members()) == len(all) })
	}
	fired := fireFrom(t, all[:4], 25)
	everybodyHas(t, all, fired)
	sameTimes(t, all, fired)

	// All have heard of all: whatever is fired now is later.
	newest := uint64(0)
	for _, e := range all[0].list(t) {
		newest = max(newest, e.LTime)
	}
	second := fireFrom(t, all, 20)
	everybodyHas(t, all, append(second, fired...))
	for _, l := range all {
		for _, e := range l.list(t) {
			if slices.Contains(second, e.ID) && e.LTime <= newest {
				t.Errorf("%s: event %s has the time %d, but was fired after one of %d was known", l.name, e.Name, e.LTime, newest)
			}
		}
	}
	t.Logf("of %d packets %d lost, %d repeated, %d late; %d connections refused",
		n.sent.Load(), n.dropped.Load(), n.doubled.Load(), n.deferred.Load(), n.failed.Load())
	if share := float64(n.dropped.Load()) / float64(n.sent.Load()); share < 0.2 || n.doubled.Load() == 0 || n.deferred.Load() == 0 {
		t.Errorf("the network was better than it should be: lost %.2f of the packets", share)
	}
}

// fireFrom fires a number of events from each of some agents at the same time,
// and returns their IDs.
func fireFrom(t *testing.T, from []*lossy, count int) (fired []string) {
	t.Helper()
	var mu sync.Mutex
	var firing sync.WaitGroup
	for _, l := range from {
		firing.Go(func() {
			for i := range count {
				e, err := api.Call(t.Context(), l.Agent, api.EventFire, api.EventFireArgs{Name: fmt.Sprintf("%s-%d", l.name, i)})
				if err != nil {
					t.Errorf("fire event %d from %s: %v", i, l.name, err)
					return
				}
				mu.Lock()
				fired = append(fired, e.ID)
				mu.Unlock()
			}
		})
	}
	firing.Wait()
	return fired
}

// everybodyHas wants all agents to list the newest of the events that were fired,
// once and as they arrived, and their watches to have told them all.
func everybodyHas(t *testing.T, all []*lossy, fired []string) {
	t.Helper()
	for _, l := range all {
		await(t, fmt.Sprintf("%s hears of %d events", l.name, len(fired)), func() bool {
			return len(l.noted(&l.arrived)) >= len(fired) && len(l.noted(&l.watched)) >= len(fired)
		})
		arrived := l.noted(&l.arrived)
		if diff := cmp.Diff(unordered(fired), unordered(arrived)); diff != "" {
			t.Errorf("events that came to %s (-want +got)\n%s", l.name, diff)
		}
		if diff := cmp.Diff(arrived, l.noted(&l.watched)); diff != "" {
			t.Errorf("events that a watch of %s told (-want +got)\n%s", l.name, diff)
		}
		listed := ids(l.list(t))
		if diff := cmp.Diff(arrived[max(0, len(arrived)-256):], listed); diff != "" {
			t.Errorf("events that %s lists (-want +got)\n%s", l.name, diff)
		}
	}
}

// sameTimes wants an event to have the same time everywhere, and the events of a
// member to have times that rise as they were fired, which is how it lists them.
func sameTimes(t *testing.T, all []*lossy, fired []string) {
	t.Helper()
	times := map[string]uint64{} // by name
	for _, l := range all {
		for _, e := range l.list(t) {
			if was, ok := times[e.Name]; ok && was != e.LTime {
				t.Errorf("event %s: %s says time %d, another %d", e.Name, l.name, e.LTime, was)
			}
			times[e.Name] = e.LTime
		}
	}
	if len(times) != len(fired) {
		t.Errorf("events with a time: got %d, want %d", len(times), len(fired))
	}
	for _, l := range all {
		number := 0
		for _, e := range l.list(t) {
			if from, i, _ := strings.Cut(e.Name, "-"); from != l.name {
				continue
			} else if i != strconv.Itoa(number) {
				t.Errorf("%s lists its event %s where it fired %d", l.name, i, number)
			}
			number++
		}
		for i := 1; ; i++ {
			at, ok := times[fmt.Sprintf("%s-%d", l.name, i)]
			if !ok {
				break
			}
			if before := times[fmt.Sprintf("%s-%d", l.name, i-1)]; at <= before {
				t.Errorf("event %d of %s has the time %d, the one before it %d", i, l.name, at, before)
			}
		}
	}
}
