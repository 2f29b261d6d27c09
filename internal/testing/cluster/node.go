package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/api"
	"curia/internal/pause"
	"curia/replica"
	"curia/server"
	"curia/state"
	"curia/wire"
)

// Node is a server of a cluster. It implements api.Caller for those who ask this
// server; while it is killed they are not answered. Safe for concurrent use.
type Node struct {
	Name, ID, Address string
	Log               *Log // of all its lives
	Asked             Asked

	cluster *Cluster
	dir     string
	router  *wire.Router
	conns   *wire.Conns

	mu   sync.Mutex
	life *life // nil while it does not run
}

// life is a node from its start to its end.
type life struct {
	*server.Server
	Replica *replica.Replica
	Store   *state.Store

	ended   context.Context // by Kill or Stop, before anything else ends
	end     context.CancelFunc
	stop    context.CancelFunc
	running errgroup.Group
}

// startWait bounds the time until the address of a node that was killed is free.
const startWait = 10 * time.Second

// start lets the node run.
func (n *Node) start() error {
	deadline, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	var listener net.Listener
	var err error
	for {
		listener, err = net.Listen("tcp", n.Address)
		if err == nil {
			break
		}
		if !pause.For(deadline, 10*time.Millisecond) {
			return err
		}
	}
	log := n.Log.logger()
	l := &life{Store: state.NewStore()}
	n.conns = wire.NewConns(n.cluster.net.dialer(n.Name), wire.Security{}, nil)
	n.router = wire.NewRouter(Datacenter, n.conns, n.cluster.options.Hold)
	n.router.SetServers(n.cluster.servers())
	open := wire.NewPort(listener, wire.Security{}, func() wire.Limits { return wire.Limits{Handshake: 5 * time.Second} }, &port{l, &n.Asked}, log)
	l.Replica, err = replica.Open(replica.Config{
		Dir: n.dir, ID: n.ID, Address: n.Address, Multiplier: 1,
		Network: open.Log(n.Address, Datacenter, n.conns), AddressOf: n.router.AddressOf,
		SnapshotThreshold: n.cluster.options.SnapshotThreshold, TrailingLogs: n.cluster.options.TrailingLogs,
		SnapshotInterval: n.cluster.options.SnapshotInterval,
	}, l.Store, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	host, _, _ := net.SplitHostPort(n.Address)
	l.Server = server.New(server.Config{
		Datacenter: Datacenter, Self: api.Node{ID: n.ID, Node: n.Name, Address: host, Datacenter: Datacenter},
		ServerPort: serverPort, HoldTimeout: n.cluster.options.Hold, Peers: n.router,
	}, l.Store, l.Replica, log)
	l.ended, l.end = context.WithCancel(context.Background())
	answering, stopAnswering := context.WithCancel(context.Background())
	replicating, stopReplica := context.WithCancel(context.Background())
	l.stop = stopAnswering
	l.running.Go(func() error { return l.Replica.Run(replicating, l.Lead) })
	l.running.Go(func() error {
		defer stopReplica()
		return open.Run(answering)
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life = l
	return nil
}

// Asked counts what other agents have asked a node over the network, by the names
// of verbs. The zero value is ready. Safe for concurrent use.
type Asked struct {
	mu    sync.Mutex
	count map[string]int
}

// Count is how often a verb was asked for.
func (a *Asked) Count(verb string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count[verb]
}

// port is what the server port of a node answers with.
type port struct {
	*life
	asked *Asked
}

// Call implements api.Caller.
func (p *port) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	p.asked.mu.Lock()
	if p.asked.count == nil {
		p.asked.count = map[string]int{}
	}
	p.asked.count[req.Op.Name]++
	p.asked.mu.Unlock()
	return p.life.Call(ctx, req)
}

// now gives the node's life; nil while it does not run.
func (n *Node) now() *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.life
}

// Running reports whether the node runs.
func (n *Node) Running() bool { return n.now() != nil }

// errDown is what somebody sees who asks a node that does not run.
func (n *Node) errDown() error { return api.Errorf(api.Unreached, "%s does not run", n.Name) }

// errDied is what somebody sees whose request was under way.
func (n *Node) errDied() error {
	return api.Errorf(api.Lost, "%s ended before it answered", n.Name)
}

// Call implements api.Caller: it is what a client of this server's own API sees.
func (n *Node) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	l := n.now()
	if l == nil {
		return nil, n.errDown()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ended, cancel)()
	resp, err := l.Call(ctx, req)
	if l.ended.Err() != nil {
		return nil, n.errDied()
	}
	return resp, err
}

// SaveSnapshot lets the server write an archive.
func (n *Node) SaveSnapshot(ctx context.Context, to io.Writer) error {
	l := n.now()
	if l == nil {
		return n.errDown()
	}
	req := &api.Request{Op: api.SnapshotSave.Op, Args: &api.StaleArgs{}}
	return l.SaveSnapshot(ctx, req, func(api.Meta) io.Writer { return to })
}

// RestoreSnapshot hands the server an archive.
func (n *Node) RestoreSnapshot(ctx context.Context, from io.Reader) error {
	l := n.now()
	if l == nil {
		return n.errDown()
	}
	return l.RestoreSnapshot(ctx, &api.Request{Op: api.SnapshotRestore.Op, Args: &api.None{}}, from)
}

// Ready reports whether the node leads, and may answer.
func (n *Node) Ready() bool {
	l := n.now()
	return l != nil && l.Replica.Ready()
}

// Index is how far the node's state is; 0 while it does not run.
func (n *Node) Index() uint64 {
	if l := n.now(); l != nil {
		return l.Replica.Applied()
	}
	return 0
}

// State gives the node's whole state; nil while it does not run.
func (n *Node) State() *state.Store {
	if l := n.now(); l != nil {
		return l.Store
	}
	return nil
}

// end ends the node; the network decides what others see of it.
func (n *Node) end(l *life) error {
	l.end()
	n.conns.Close()
	l.stop()
	if err := l.running.Wait(); err != nil {
		return fmt.Errorf("end %s: %w", n.Name, err)
	}
	return nil
}
