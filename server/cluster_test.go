package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/internal/testing/inproc"
	"curia/replica"
	"curia/server"
	"curia/state"
)

// cluster is several servers in one bubble: their logs talk through pipes, and
// a roster stands for gossip.
type cluster struct {
	t      *testing.T
	roster *roster
	log    *inproc.Log
	tune   func(*server.Config) // of every server; nil leaves it as it is
	mu     sync.Mutex
	nodes  map[string]*clusterNode // by address
}

type clusterNode struct {
	*server.Server
	name, id string
	replica  *replica.Replica
	store    *state.Store
	streams  chan net.Conn
	closed   chan struct{}
	stop     func()

	mu    sync.Mutex
	ended bool
	pipes []net.Conn
}

// keep notes a pipe that ends with the node.
func (n *clusterNode) keep(pipe net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pipes = append(n.pipes, pipe); n.ended {
		_ = pipe.Close()
	}
}

// hangUp closes all pipes of the node.
func (n *clusterNode) hangUp() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	for _, p := range n.pipes {
		_ = p.Close()
	}
}

func newCluster(t *testing.T) *cluster {
	return &cluster{t: t, roster: &roster{}, log: &inproc.Log{}, nodes: map[string]*clusterNode{}}
}

// nodeNetwork is the place of a node on the network of a cluster.
type nodeNetwork struct {
	*clusterNode
	cluster *cluster
	address string
}

// Accept implements net.Listener.
func (n nodeNetwork) Accept() (net.Conn, error) {
	select {
	case c := <-n.streams:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n nodeNetwork) Close() error {
	select {
	case <-n.closed:
	default:
		close(n.closed)
	}
	return nil
}

// Addr implements net.Listener.
func (n nodeNetwork) Addr() net.Addr { return &net.TCPAddr{IP: net.ParseIP("10.0.0.1"), Port: 8300} }

// Dial implements replica.Network.
func (n nodeNetwork) Dial(address string, timeout time.Duration) (net.Conn, error) {
	to := n.cluster.at(address)
	if to == nil {
		return nil, fmt.Errorf("dial %s: nobody is there", address)
	}
	near, far := net.Pipe()
	select {
	case to.streams <- far:
		n.keep(near)
		to.keep(far)
		return near, nil
	case <-to.closed:
		return nil, fmt.Errorf("dial %s: refused", address)
	case <-time.After(timeout):
		return nil, fmt.Errorf("dial %s: timeout", address)
	}
}

func (c *cluster) at(address string) *clusterNode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[address]
}

// elsewhere is the tag of a server that has formed a cluster of its own.
const elsewhere = "elsewhere=1"

// start starts server number i; the first forms the cluster. Tags are added to
// those of its member ("nonvoter=1").
func (c *cluster) start(i int, tags ...string) *clusterNode {
	c.t.Helper()
	addr := fmt.Sprintf("10.0.0.%d", i)
	n := &clusterNode{name: fmt.Sprintf("s%d", i), id: fmt.Sprintf("id%d", i), store: state.NewStore(),
		streams: make(chan net.Conn), closed: make(chan struct{})}
	c.mu.Lock()
	c.nodes[addr+":8300"] = n
	c.mu.Unlock()
	log := slog.New(c.log)
	var err error
	n.replica, err = replica.Open(replica.Config{
		ID: n.id, Address: addr + ":8300", Bootstrap: i == 1 || slices.Contains(tags, elsewhere), Network: nodeNetwork{n, c, addr + ":8300"},
	}, n.store, log)
	if err != nil {
		c.t.Fatalf("start %s: %v", n.name, err)
	}
	cfg := server.Config{
		Datacenter: inproc.Datacenter, Self: api.Node{ID: n.id, Node: n.name, Address: addr, Datacenter: inproc.Datacenter}, ServerPort: 8300,
		Pools: server.Pools{Members: c.roster.list, ForceLeave: c.roster.forceLeave, Facts: c.facts},
	}
	if c.tune != nil {
		c.tune(&cfg)
	}
	n.Server = server.New(cfg, n.store, n.replica, log)
	c.roster.listen(n.Server)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.replica.Run(ctx, n.Lead) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		n.hangUp()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			c.t.Errorf("%s ended with: %v", n.name, err)
		}
	})
	c.t.Cleanup(n.stop)
	m := serverNamed(n.name, n.id, addr, "8300")
	for _, tag := range tags {
		k, v, _ := strings.Cut(tag, "=")
		m.Tags[k] = v
	}
	c.roster.set(m)
	return n
}

// facts is for Pools.Facts: it asks a server of the cluster.
func (c *cluster) facts(ctx context.Context, id string) server.ServerFacts {
	n := c.at("10.0.0." + strings.TrimPrefix(id, "id") + ":8300")
	if n == nil {
		return server.ServerFacts{}
	}
	resp, err := n.Call(ctx, &api.Request{Op: api.ServerStatus.Op, Args: &api.None{}, Final: true})
	if err != nil {
		return server.ServerFacts{}
	}
	r := resp.Value.(*api.ServerReport)
	return server.ServerFacts{LastContact: r.LastContact, LastTerm: r.LastTerm, LastIndex: r.LastIndex, Answered: true, Servers: r.Servers}
}

// kill ends a server without a word.
func (c *cluster) kill(n *clusterNode) {
	n.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for address, o := range c.nodes {
		if o == n {
			delete(c.nodes, address)
		}
	}
}

// leader finds who leads; it waits a minute of the bubble at most.
func (c *cluster) leader() *clusterNode {
	c.t.Helper()
	for range 600 {
		synctest.Wait()
		c.mu.Lock()
		for _, n := range c.nodes {
			if n.replica.Ready() {
				c.mu.Unlock()
				return n
			}
		}
		c.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Fatalf("nobody leads\n%s", c.log)
	return nil
}

// peers shows the servers of the log as the leader sees them.
func (c *cluster) peers() string {
	c.t.Helper()
	resp, err := c.leader().Call(c.t.Context(), &api.Request{Op: api.OperatorRaftConfiguration.Op, Args: &api.StaleArgs{}, Token: rootSecret})
	if err != nil {
		c.t.Fatalf("list the servers of the log: %v", err)
	}
	var out []string
	for _, s := range resp.Value.(*api.RaftConfiguration).Servers {
		word := s.Node
		if !s.Voter {
			word += "-"
		}
		out = append(out, word)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// within waits until the servers of the log are as wanted, for so long of the
// bubble's time at least and at most.
func (c *cluster) within(least, most time.Duration, want string) {
	c.t.Helper()
	began, got := time.Now(), ""
	for time.Since(began) < most {
		if got = c.peers(); got == want {
			if took := time.Since(began); took < least {
				c.t.Errorf("the servers were %s after %v already, want %v at least", want, took, least)
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.t.Fatalf("the servers after %v: got %s, want %s\n%s", most, got, want, c.log)
}

// TestServersComeAndGo follows the servers of a log from one to many and back.
func TestServersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.start(1)
		c.within(0, time.Second, "s1")
		s2, s3 := c.start(2), c.start(3)
		c.within(0, time.Second, "s1 s2- s3-")
		c.within(8*time.Second, 15*time.Second, "s1 s2 s3")
		copies := c.start(4, "read_replica=1")
		c.within(0, time.Second, "s1 s2 s3 s4-")
		time.Sleep(time.Minute)
		c.within(0, time.Second, "s1 s2 s3 s4-")

		state, err := api.Call(t.Context(), c.leader(), api.AutopilotStateGet, api.None{})
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]string{}
		for id, s := range state.Servers {
			told[id] = fmt.Sprint(s.Name, " ", s.NodeStatus, " ", s.Version, " ", s.Status, " ", s.NodeType, " ", s.Healthy, " ", s.ReadReplica)
		}
		if diff := cmp.Diff(map[string]string{
			"id1": "s1 alive 1.21.4 leader voter true false", "id2": "s2 alive 1.21.4 voter voter true false",
			"id3": "s3 alive 1.21.4 voter voter true false", "id4": "s4 alive 1.21.4 non-voter read-replica true true",
		}, told); diff != "" || state.FailureTolerance != 1 || !state.Healthy || len(state.Voters) != 3 {
			t.Errorf("state of autopilot: %+v (-want +got)\n%s", state, diff)
		}
		if diff := cmp.Diff(s2.store.Index(), c.leader().store.Index()); diff != "" {
			t.Errorf("the copies differ from the leader (-s2 +leader)\n%s", diff)
		}

		c.kill(s3)
		c.roster.mark("s3", api.MemberFailed)
		if _, err := api.Call(t.Context(), c.leader(), api.AutopilotHealthGet, api.None{}); api.KindOf(err) != api.TooMany {
			t.Errorf("health while a server has failed: got %v, want an error of kind TooMany", err)
		}
		c.within(0, 12*time.Second, "s1 s2 s4-")
		if diff := cmp.Diff([]string{"s3"}, c.roster.left); diff != "" {
			t.Errorf("forced to leave (-want +got)\n%s", diff)
		}
		synctest.Wait()
		for _, n := range c.leader().store.View().Nodes() {
			if n.Node == "s3" {
				t.Error("a server that was removed is still in the catalog")
			}
		}

		c.roster.mark("s4", api.MemberLeft)
		c.within(0, time.Second, "s1 s2")
		c.kill(copies)
		s5 := c.start(5)
		c.within(8*time.Second, 15*time.Second, "s1 s2 s5")
		c.roster.mark("s2", api.MemberLeft)
		c.within(0, time.Second, "s1 s5")
		c.kill(s2)
		c.kill(s5)
		c.roster.mark("s5", api.MemberFailed)
	})
}

// TestLeaderDies removes the leader that died, by its successor.
func TestLeaderDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		s1 := c.start(1)
		c.start(2)
		c.start(3)
		c.within(0, 20*time.Second, "s1 s2 s3")
		if c.leader() != s1 {
			t.Fatalf("%s leads, want s1", c.leader().name)
		}
		c.kill(s1)
		c.roster.mark("s1", api.MemberFailed)
		if next := c.leader(); next == s1 {
			t.Fatal("the leader that was killed still leads")
		}
		c.within(0, 15*time.Second, "s2 s3")
		synctest.Wait()
		if diff := cmp.Diff([]string{"s1"}, c.roster.left); diff != "" {
			t.Errorf("forced to leave (-want +got)\n%s", diff)
		}
	})
}

// TestCleanupIsOff keeps the dead when it is told to.
func TestCleanupIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.start(1)
		c.start(2)
		s3 := c.start(3)
		c.within(0, 20*time.Second, "s1 s2 s3")
		conf := api.DefaultAutopilot()
		conf.CleanupDeadServers = false
		if _, err := api.Call(t.Context(), c.leader(), api.AutopilotConfigurationSet, api.AutopilotSetArgs{Conf: conf}); err != nil {
			t.Fatal(err)
		}
		c.kill(s3)
		c.roster.mark("s3", api.MemberFailed)
		time.Sleep(2 * time.Minute)
		c.within(0, time.Second, "s1 s2 s3")
		c.roster.mark("s3", api.MemberLeft)
		c.within(0, time.Second, "s1 s2")
	})
}

// TestTwoClusters lets the members of two clusters meet: neither takes the servers
// of the other in, until one of them has forgotten what it knew.
func TestTwoClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		s1, s2 := c.start(1), c.start(2)
		c.within(0, 20*time.Second, "s1 s2")
		other := c.start(9, elsewhere)
		time.Sleep(2 * time.Minute)
		for _, n := range []*clusterNode{s1, s2, other} {
			want := []string{"id1", "id2"}
			if n == other {
				want = []string{"id9"}
			}
			servers, _ := n.replica.Servers()
			var got []string
			for _, s := range servers {
				got = append(got, s.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the servers that %s knows (-want +got)\n%s", n.name, diff)
			}
		}
		for _, want := range []string{"it belongs to another cluster, whose servers are id9: stop it", "it belongs to another cluster, whose servers are id1, id2: stop it"} {
			if len(c.log.Find(want)) == 0 {
				t.Errorf("the log does not say %q:\n%s", want, c.log)
			}
		}
		c.kill(other)
		c.start(9)
		c.within(0, 2*time.Minute, "s1 s2 s9")
	})
}

// TestSilentServer lets a server be alive in gossip that does not answer: it is asked
// again and again, and not more often the longer that goes on.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.start(1)
		c.within(0, 20*time.Second, "s1")
		c.roster.set(serverNamed("s2", "id2", "10.0.0.2", "8300"))
		const minutes, most = 20, 60/5 + 2 // a minute, with the looks at all members
		time.Sleep(minutes * time.Minute)
		if got := len(c.log.Find("cannot let a server take part in the log yet")); got < minutes || got > minutes*most {
			t.Errorf("asked a silent server %d times in %d minutes, want %d at most", got, minutes, minutes*most)
		}
	})
}
