package cluster

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"curia/api"
	"curia/internal/pause"
	"curia/wire"
)

// Datacenter is the one that every node belongs to.
const Datacenter = "dc1"

// serverPort is what the catalog says of servers.
const serverPort = 8300

// Options say what differs from three servers with default settings.
type Options struct {
	// Servers is how many there are; 0 means 3.
	Servers int
	// Hold is how long requests wait for a leader; 0 means 7 s.
	Hold time.Duration
	// As in replica.Config; 0 means its defaults.
	SnapshotThreshold, TrailingLogs uint64
	SnapshotInterval                time.Duration
}

// Cluster is a number of servers that replicate to each other.
type Cluster struct {
	Nodes []*Node

	t       testing.TB
	net     *network
	options Options

	mu      sync.Mutex
	clients []*wire.Conns
}

// eventWait bounds the wait for anything that a cluster should come to by itself.
const eventWait = 30 * time.Second

// New starts servers, forms a cluster of them and waits until one leads. Cleanup
// ends them.
func New(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Servers == 0 {
		o.Servers = 3
	}
	if o.Hold == 0 {
		o.Hold = 7 * time.Second
	}
	c := &Cluster{t: t, options: o, net: newNetwork()}
	dir := t.TempDir()
	// Addresses that no outgoing connection takes while a node does not run.
	block := fmt.Sprintf("127.%d.%d.", 10+rand.IntN(240), 1+rand.IntN(250))
	for i := range o.Servers {
		l, err := net.Listen("tcp", fmt.Sprint(block, i+1, ":0"))
		if err != nil {
			t.Fatal(err)
		}
		n := &Node{
			Name: fmt.Sprint("s", i+1), ID: fmt.Sprintf("%08d-2222-4333-8444-555555555555", i+1), Address: l.Addr().String(),
			Log: &Log{}, cluster: c, dir: filepath.Join(dir, fmt.Sprint("s", i+1)),
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		c.Nodes = append(c.Nodes, n)
		c.net.names[n.Address] = n.Name
	}
	t.Cleanup(c.end)
	for _, n := range c.Nodes {
		if err := n.start(); err != nil {
			t.Fatal(err)
		}
	}
	var all []*api.RaftServer
	for _, n := range c.Nodes {
		all = append(all, &api.RaftServer{ID: n.ID, Address: n.Address})
	}
	if err := c.Nodes[0].now().Replica.Form(all); err != nil {
		t.Fatal(err)
	}
	c.Leader()
	return c
}

// end ends everything.
func (c *Cluster) end() {
	c.Heal()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conns := range c.clients {
		conns.Close()
	}
	var all sync.WaitGroup
	for _, n := range c.Nodes {
		all.Go(func() { c.stop(n) })
	}
	all.Wait()
	if c.t.Failed() {
		for _, n := range c.Nodes {
			c.t.Logf("log of %s:\n%s", n.Name, n.Log)
		}
	}
}

func (c *Cluster) servers() []wire.Server {
	var out []wire.Server
	for _, n := range c.Nodes {
		out = append(out, wire.Server{ID: n.ID, Name: n.Name, Datacenter: Datacenter, Address: n.Address})
	}
	return out
}

// Client makes a client agent: it knows no state and asks any server.
func (c *Cluster) Client(name string) *wire.Router {
	conns := wire.NewConns(c.net.dialer(name), wire.Security{}, nil)
	r := wire.NewRouter(Datacenter, conns, c.options.Hold)
	r.SetServers(c.servers())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients = append(c.clients, conns)
	return r
}

// Partition separates two nodes. What they send each other arrives after Heal, if
// anybody still waits for it.
func (c *Cluster) Partition(a, b string) {
	c.net.change(func() { c.net.faults[wayOf(a, b)] = stalled })
}

// Cut separates two nodes, and lets them know.
func (c *Cluster) Cut(a, b string) { c.net.change(func() { c.net.faults[wayOf(a, b)] = cut }) }

// Isolate separates a node from all servers, not from those who ask it.
func (c *Cluster) Isolate(n *Node) {
	for _, other := range c.Nodes {
		if other != n {
			c.Partition(n.Name, other.Name)
		}
	}
}

// Pause holds up everything to and from a node, which goes on running.
func (c *Cluster) Pause(n *Node) { c.net.change(func() { c.net.paused[n.Name] = true }) }

// Delay lets everything between two nodes take longer, in both directions.
func (c *Cluster) Delay(a, b string, d time.Duration) {
	c.net.change(func() { c.net.delays[wayOf(a, b)] = d })
}

// Heal ends everything that is wrong with the network. Who was killed stays so.
func (c *Cluster) Heal() {
	c.net.change(func() {
		clear(c.net.faults)
		clear(c.net.paused)
		clear(c.net.delays)
	})
}

// Kill ends a node at once: nobody hears of it any more.
func (c *Cluster) Kill(n *Node) {
	c.net.change(func() { c.net.dead[n.Name] = true })
	c.stop(n)
}

// stop ends a node in order.
func (c *Cluster) stop(n *Node) {
	n.mu.Lock()
	l := n.life
	n.life = nil
	n.mu.Unlock()
	if l == nil {
		return
	}
	done := make(chan error, 1)
	go func() { done <- n.end(l) }()
	select {
	case err := <-done:
		if err != nil {
			c.t.Error(err)
		}
	case <-time.After(eventWait):
		c.t.Errorf("%s does not end within %v", n.Name, eventWait)
	}
}

// Restart starts a node that was killed, on the data that it left.
func (c *Cluster) Restart(n *Node) {
	c.t.Helper()
	if n.Running() {
		return
	}
	c.net.change(func() { delete(c.net.dead, n.Name) })
	if err := n.start(); err != nil {
		c.t.Fatalf("restart %s: %v", n.Name, err)
	}
}

// Transfer asks the node that leads to let another lead. It does nothing while
// nobody leads.
func (c *Cluster) Transfer(ctx context.Context) error {
	for _, n := range c.Nodes {
		if l := n.now(); l != nil && l.Replica.Ready() {
			return l.Replica.Transfer(ctx, "", "")
		}
	}
	return nil
}

// Await waits until a condition is met.
func (c *Cluster) Await(what string, met func() error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), eventWait)
	defer cancel()
	for {
		err := met()
		if err == nil {
			return
		}
		if !pause.For(ctx, 5*time.Millisecond) {
			c.t.Fatalf("%s: not within %v: %v", what, eventWait, err)
		}
	}
}

// Leader waits until a node leads, and gives it.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	var leader *Node
	c.Await("a leader", func() error {
		for _, n := range c.Nodes {
			if n.Ready() {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("no node leads")
	})
	return leader
}

// Converge waits until all nodes run with the same state, to the byte.
func (c *Cluster) Converge() {
	c.t.Helper()
	c.Await("the same state on all servers", func() error {
		var first []byte
		for i, n := range c.Nodes {
			s := n.State()
			if s == nil {
				return n.errDown()
			}
			var b bytes.Buffer
			if _, err := s.Snapshot().WriteTo(&b); err != nil {
				return err
			}
			if i == 0 {
				first = b.Bytes()
			} else if !bytes.Equal(first, b.Bytes()) {
				return fmt.Errorf("%s is at index %d and %s at %d, and their states differ", c.Nodes[0].Name, c.Nodes[0].Index(), n.Name, n.Index())
			}
		}
		return nil
	})
}
