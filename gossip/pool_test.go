package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"curia/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; it is far more than anything takes.
const patience = 30 * time.Second

// peer is a pool of a test with the events that it has told.
type peer struct {
	*Pool
	t      *testing.T
	events chan Event
	stop   context.CancelFunc
	ended  chan struct{}
}

// config is that of a server of dc1; its node ID follows from its name.
func config(name string) Config {
	return Config{
		Name: name, Bind: "127.0.0.1", Timing: Local,
		Tags: map[string]string{"role": "consul", "dc": "dc1", "id": "id-of-" + name},
	}
}

// enter opens a pool and runs it until the end of the test.
func enter(t *testing.T, cfg Config) *peer {
	t.Helper()
	p, err := Open(cfg, discard)
	if err != nil {
		t.Fatalf("open %+v: %v", cfg, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	out := &peer{Pool: p, t: t, events: make(chan Event, 10000), stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(out.ended)
		if err := p.Run(ctx, func(e Event) { out.events <- e }); err != nil {
			t.Errorf("run %s: %v", cfg.Name, err)
		}
	}()
	t.Cleanup(out.kill)
	out.await(Joined, cfg.Name)
	return out
}

// kill ends a pool so that the others find that it has failed.
func (p *peer) kill() {
	p.stop()
	<-p.ended
}

// address is where the pool listens.
func (p *peer) address() string {
	self := p.Self()
	return net.JoinHostPort(self.Addr, strconv.Itoa(int(self.Port)))
}

// join joins others, and waits until both sides know.
func (p *peer) join(others ...*peer) {
	p.t.Helper()
	for _, o := range others {
		if n, err := p.Join([]string{o.address()}); n != 1 || err != nil {
			p.t.Fatalf("%s joins %s: got %d, %v, want 1", p.cfg.Name, o.cfg.Name, n, err)
		}
		p.await(Joined, o.cfg.Name)
		o.await(Joined, p.cfg.Name)
	}
}

// await waits for an event about a member and gives the member. Other events
// are passed over.
func (p *peer) await(kind EventKind, name string) *api.Member {
	p.t.Helper()
	return p.next(fmt.Sprintf("%s %s", kind, name), func(e Event) bool {
		return e.Kind == kind && (e.Member != nil && e.Member.Name == name || e.User != nil && e.User.Name == name)
	}).Member
}

func (p *peer) next(what string, fits func(Event) bool) Event {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-p.events:
			if fits(e) {
				return e
			}
		case <-deadline:
			p.t.Fatalf("%s never saw: %s; its members: %s", p.cfg.Name, what, p.statuses())
		}
	}
}

// statuses lists the members like "a=alive b=left".
func (p *peer) statuses() string {
	var out []string
	for _, m := range p.Members() {
		out = append(out, m.Name+"="+m.Status.String())
	}
	return strings.Join(out, " ")
}

// holds waits until the members are as wanted: some changes make no event.
func (p *peer) holds(want string) {
	p.t.Helper()
	if !eventually(func() bool { return p.statuses() == want }) {
		p.t.Fatalf("members that %s sees: got %q, want %q", p.cfg.Name, p.statuses(), want)
	}
}

// settle waits until all members have the same clock and nothing to tell. A
// leave that is as old as an unheard join would be neither refuted nor carried
// out.
func settle(all ...*peer) {
	all[0].t.Helper()
	var seen []string
	settled := eventually(func() bool {
		seen = nil
		for _, p := range all {
			s := p.Stats()
			seen = append(seen, s["member_time"]+" "+s["intent_queue"])
		}
		slices.Sort(seen)
		return strings.HasSuffix(seen[0], " 0") && seen[0] == seen[len(seen)-1]
	})
	if !settled {
		all[0].t.Fatalf("clocks and queues of the members: %q", seen)
	}
}

// eventually reports whether a condition comes true within the patience.
func eventually(holds func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

func TestMemberAlone(t *testing.T) {
	cfg := config("a")
	p := enter(t, cfg)
	want := []*api.Member{{
		Name: "a", Addr: "127.0.0.1", Status: api.MemberAlive,
		Tags:        map[string]string{"role": "consul", "dc": "dc1", "id": "id-of-a", "curia": "1"},
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 4,
	}}
	if diff := cmp.Diff(want, p.Members(), cmpopts.IgnoreFields(api.Member{}, "Port")); diff != "" {
		t.Errorf("members (-want +got)\n%s", diff)
	}
	if p.Self().Port == 0 || !p.Alone() {
		t.Errorf("got port %d, alone %t; want a port, and true", p.Self().Port, p.Alone())
	}
	if c := p.Coordinate(); c == nil || len(c.Vec) != 8 {
		t.Errorf("coordinate: got %+v, want 8 dimensions", c)
	}
	if _, ok := p.CachedCoordinate("nobody"); ok {
		t.Error("there is a coordinate of nobody")
	}
	if s := p.Stats(); s["members"] != "1" || s["encrypted"] != "false" {
		t.Errorf("stats: got %v", s)
	}
	// Whoever is alone has nobody to wait for.
	began := time.Now()
	if err := p.Leave(); err != nil || time.Since(began) > propagation {
		t.Errorf("leave: got %v after %v", err, time.Since(began))
	}
	if err := p.Leave(); err != nil {
		t.Errorf("leave again: %v", err)
	}
	p.kill()
	if err := p.Leave(); err == nil {
		t.Error("leave after the end: got no error")
	}
}

func TestJoinAndLeave(t *testing.T) {
	a, b, c := enter(t, config("a")), enter(t, config("b")), enter(t, config("c"))
	b.join(a)
	c.join(b)
	a.await(Joined, "c")
	for _, p := range []*peer{a, b, c} {
		p.holds("a=alive b=alive c=alive")
	}
	if a.Alone() {
		t.Error("a says that it is alone")
	}
	tags := map[string]string{"role": "consul", "dc": "dc1", "id": "id-of-c", "color": "red"}
	if err := c.SetTags(tags); err != nil {
		t.Fatal(err)
	}
	tags["curia"] = "1"
	if diff := cmp.Diff(tags, a.await(Updated, "c").Tags); diff != "" {
		t.Errorf("tags of c as a sees them (-want +got)\n%s", diff)
	}
	if err := c.Leave(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*peer{a, b} {
		if m := p.await(Left, "c"); m.Status != api.MemberLeft {
			t.Errorf("status of c after it has left: got %s", m.Status)
		}
	}
	if _, err := c.Join([]string{a.address()}); err == nil {
		t.Error("c joins after it has left")
	}
}

func TestFailForceLeaveAndReturn(t *testing.T) {
	a, b := enter(t, config("a")), enter(t, config("b"))
	b.join(a)
	b.kill()
	a.await(Failed, "b")
	a.holds("a=alive b=failed")
	if err := a.ForceLeave("b", Keep); err != nil {
		t.Fatal(err)
	}
	a.await(Left, "b")
	a.holds("a=alive b=left")
	if err := a.ForceLeave("nobody", Keep); !errors.Is(err, ErrUnknownMember) {
		t.Errorf("force nobody to leave: got %v, want %v", err, ErrUnknownMember)
	}
	// The same node on another port, and then pruned.
	b = enter(t, config("b"))
	b.join(a)
	b.kill()
	a.await(Failed, "b")
	if err := a.ForceLeave("b", Forget); err != nil {
		t.Fatal(err)
	}
	a.await(Reaped, "b")
	a.holds("a=alive")
}

func TestForceLeaveOfTheLiving(t *testing.T) {
	a, b, c := enter(t, config("a")), enter(t, config("b")), enter(t, config("c"))
	b.join(a)
	c.join(a)
	settle(a, b, c)
	for _, how := range []Pruning{Keep, Forget} {
		if err := a.ForceLeave("b", how); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*peer{a, b, c} {
			p.holds("a=alive b=alive c=alive")
		}
	}
}

func TestReap(t *testing.T) {
	cfg := config("a")
	cfg.ReconnectTimeout = time.Millisecond
	a, b, c := enter(t, cfg), enter(t, config("b")), enter(t, config("c"))
	b.join(a)
	c.join(a)
	if err := c.Leave(); err != nil {
		t.Fatal(err)
	}
	a.await(Reaped, "c")
	b.kill()
	a.await(Reaped, "b")
	a.holds("a=alive")
}

// TestReapOnRequest covers a member that says itself when it is to be forgotten.
func TestReapOnRequest(t *testing.T) {
	hasty := config("b")
	hasty.Tags[TagReconnectTimeout] = "1ms"
	a, b, c := enter(t, config("a")), enter(t, hasty), enter(t, config("c"))
	b.join(a)
	c.join(a)
	c.kill()
	a.await(Failed, "c")
	b.kill()
	a.await(Reaped, "b")
	a.holds("a=alive c=failed")
}

func TestPace(t *testing.T) {
	usual := (&Config{Area: WAN}).timed().MemberlistConfig
	want := *usual
	want.ProbeInterval, want.GossipNodes, want.SuspicionMult = 2*time.Second, 9, 8
	got := (&Config{Area: WAN, Pace: Pace{ProbeInterval: 2 * time.Second, GossipNodes: 9, SuspicionMult: 8}}).timed().MemberlistConfig
	if diff := cmp.Diff(&want, got, cmpopts.IgnoreUnexported(memberlist.Config{})); diff != "" {
		t.Errorf("configuration with a pace (-want +got)\n%s", diff)
	}
	want = *usual
	want.GossipInterval, want.ProbeTimeout, want.RetransmitMult = time.Second, 4*time.Second, 5
	got = (&Config{Area: WAN, Pace: Pace{GossipInterval: time.Second, ProbeTimeout: 4 * time.Second, RetransmitMult: 5}}).timed().MemberlistConfig
	if diff := cmp.Diff(&want, got, cmpopts.IgnoreUnexported(memberlist.Config{})); diff != "" {
		t.Errorf("configuration with the rest of a pace (-want +got)\n%s", diff)
	}
}

func TestRejoinAfterRestart(t *testing.T) {
	for _, c := range []struct {
		name   string
		leave  bool
		rejoin bool
		want   string
	}{
		{"killed", false, false, "a=alive b=alive"},
		{"left", true, false, "b=alive"},
		{"left, rejoin_after_leave", true, true, "a=alive b=alive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config("b")
			cfg.Snapshot, cfg.RejoinAfterLeave = filepath.Join(t.TempDir(), "local.snapshot"), c.rejoin
			a, b := enter(t, config("a")), enter(t, cfg)
			b.join(a)
			if c.leave {
				if err := b.Leave(); err != nil {
					t.Fatal(err)
				}
			}
			b.kill()
			if c.leave {
				a.holds("a=alive b=left")
			} else {
				a.await(Failed, "b")
			}
			b = enter(t, cfg)
			b.holds(c.want)
		})
	}
}

func TestOpenFails(t *testing.T) {
	busy := enter(t, config("busy"))
	long := config("long")
	long.Tags["long"] = strings.Repeat("x", 600)
	taken := config("b")
	taken.Port = int(busy.Self().Port)
	nowhere := config("c")
	nowhere.Bind = "everywhere"
	key := config("d")
	key.Encryption.Key = "c2hvcnQ="
	for _, c := range []struct {
		cfg  Config
		want []string
	}{
		{taken, []string{"LAN pool", busy.address(), "address already in use"}},
		{nowhere, []string{"LAN pool", `"everywhere" is not an IP address`}},
		{long, []string{"LAN pool on 127.0.0.1:0", "512 bytes"}},
		{key, []string{"LAN pool", "gossip key 1", "16, 24 or 32 bytes"}},
	} {
		p, err := Open(c.cfg, discard)
		if err == nil {
			p.Close()
			t.Errorf("open %s: got no error, want %q", c.cfg.Name, c.want)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("open %s: got %q, want it to say %q", c.cfg.Name, err, part)
			}
		}
	}
}

func TestCloseWithoutRun(t *testing.T) {
	p, err := Open(config("a"), discard)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close()
	if err := p.Run(context.Background(), func(Event) {}); err != nil {
		t.Errorf("run after close: %v", err)
	}
}

// TestCloseDuringJoin covers that nobody waits for an address that does not
// answer.
func TestCloseDuringJoin(t *testing.T) {
	a := enter(t, config("a"))
	// What is here for documentation is routed nowhere: the connection is either
	// refused at once or never answered.
	joined := make(chan error, 1)
	go func() {
		_, err := a.Join([]string{"192.0.2.1:8301"})
		joined <- err
	}()
	a.kill()
	select {
	case err := <-joined:
		if err == nil {
			t.Error("joined nobody: got no error")
		}
	case <-time.After(patience):
		t.Error("the join outlives the pool")
	}
}

func TestRetryJoin(t *testing.T) {
	a, b := enter(t, config("a")), enter(t, config("b"))
	log := discard
	// Nobody listens on port 1.
	err := RetryJoin(t.Context(), b.Pool, []string{"127.0.0.1:1"}, time.Millisecond, 3, log)
	if err == nil || !strings.Contains(err.Error(), "gave up after 3 attempts") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody answers: got %v", err)
	}
	cloud := []string{"127.0.0.1:1", "provider=aws secret_access_key=s3cret"}
	err = RetryJoin(t.Context(), b.Pool, cloud, time.Hour, 0, log)
	_, joined := b.Join(cloud)
	for _, err := range []error{err, joined} {
		if err == nil || !strings.Contains(err.Error(), "cloud") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("ask a cloud: got %v; want an error without the secret", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := RetryJoin(ctx, b.Pool, []string{"127.0.0.1:1"}, time.Hour, 0, log); err != nil {
		t.Errorf("the context ends: got %v, want nil", err)
	}
	if err := RetryJoin(t.Context(), b.Pool, []string{"127.0.0.1:1", a.address()}, time.Hour, 1, log); err != nil {
		t.Errorf("one answers: got %v", err)
	}
	b.await(Joined, "a")
}
