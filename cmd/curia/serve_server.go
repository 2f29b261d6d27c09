package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/agent"
	"curia/api"
	"curia/config"
	"curia/replica"
	"curia/server"
	"curia/state"
	"curia/wire"
)

// upstream answers what is not about this agent: the server of this process, or
// any server of the datacenter.
type upstream interface {
	api.Caller
	wire.Archivist
}

// serving is what a server has and a client agent has not. It is the service of
// its port.
type serving struct {
	*server.Server
	local   api.Caller // the agent of this process
	replica *replica.Replica
	port    *wire.Port
	applied *server.ApplyTimes
}

// Call implements wire.Service and api.Caller. An event of another datacenter is
// fired by the agent of this process; its own tokens are not the asker's.
func (s *serving) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if req.Op != api.EventFire.Op || s.Foreign(req) {
		return s.Server.Call(ctx, req)
	}
	asked := *req
	if asked.Token == "" {
		asked.Token = api.AnonymousSecret
	}
	return s.local.Call(ctx, &asked)
}

// openLinks makes the way to the servers.
func (n *node) openLinks(cfg *config.Config) {
	conns := wire.NewConns(nil, n.security(cfg), func() time.Duration { return n.limits.Load().RPCClientTimeout })
	n.undo = append(n.undo, conns.Close)
	n.conns = conns
	n.router = wire.NewRouter(cfg.Node.Datacenter, conns, cfg.Performance.RPCHoldTimeout)
	if !cfg.Mode.Server {
		n.router.Relay()
	}
	n.pools.heard = func() { n.router.SetServers(n.pools.servers()) }
	n.pools.heard()
}

// openServer opens the log and the server port.
func (n *node) openServer(cfg *config.Config, log *slog.Logger) error {
	at := net.JoinHostPort(cfg.Addresses.Bind, strconv.Itoa(cfg.Ports.Server))
	listener, err := net.Listen("tcp", at)
	if err != nil {
		return fmt.Errorf("cannot listen for other agents on %s: %w; choose another address with -server-port, -bind or ports.server", at, err)
	}
	n.undo = append(n.undo, func() { _ = listener.Close() })
	s := &serving{applied: &server.ApplyTimes{}}
	limits := func() wire.Limits {
		l := n.limits.Load()
		return wire.Limits{Handshake: l.RPCHandshakeTimeout, PerAddress: l.RPCMaxConnsPerClient}
	}
	s.port = wire.NewPort(listener, n.security(cfg), limits, s, log)
	store := state.NewStore()
	s.replica, err = replica.Open(replica.Config{
		Dir: cfg.Node.DataDir, ID: n.id, Address: serverAddress(cfg),
		Bootstrap: cfg.Mode.Bootstrap, Multiplier: cfg.Performance.RaftMultiplier,
		Network: s.port.Log(serverAddress(cfg), cfg.Node.Datacenter, n.conns), AddressOf: n.router.AddressOf,
		SnapshotThreshold: uint64(cfg.Raft.SnapshotThreshold), SnapshotInterval: cfg.Raft.SnapshotInterval,
		TrailingLogs: uint64(cfg.Raft.TrailingLogs), Applied: s.applied.Applied,
	}, store, log)
	if err != nil {
		return err
	}
	conf := serverConfig(cfg, n.id)
	conf.Peers = n.router
	if primary := cfg.Node.PrimaryDatacenter; conf.ACL != nil && primary != cfg.Node.Datacenter {
		conf.ACL.Elsewhere = n.asking(cfg, primary).ResolveKnown
		conf.ACL.Copy = n.copying(&cfg.ACL)
	}
	conf.Pools = server.Pools{
		Members: n.pools.lanMembers, Facts: n.serverFacts,
		ForceLeave: func(node string) error {
			return n.pools.forceLeave(&api.ForceLeaveArgs{NodeName: api.NodeName{Node: node}})
		},
	}
	s.Server = server.New(n.pools.told(conf), store, s.replica, log)
	n.pools.changed = s.MemberChanged
	n.serving = s
	return nil
}

// upstream gives who answers what is not about this agent.
func (n *node) upstream() upstream {
	if n.serving != nil {
		return n.serving
	}
	return n.router
}

// answers gives who the agent asks: the server of this process, or the servers of
// the datacenter, where all who wait for the same share one query.
func (n *node) answers(cfg *config.Config) api.Caller {
	if n.serving != nil {
		return n.serving
	}
	return agent.NewShared(n.router, cfg.Query.DefaultTime, cfg.Query.MaxTime)
}

// factsWait bounds the question how far another server is.
const factsWait = time.Second

// serverFacts asks another server of the datacenter how far it is.
func (n *node) serverFacts(ctx context.Context, id string) server.ServerFacts {
	facts := server.ServerFacts{}
	address := n.router.AddressOf(id)
	if address == "" {
		return facts
	}
	report, err := n.serverReport(ctx, address)
	if err != nil {
		return facts
	}
	facts.LastContact, facts.LastTerm, facts.LastIndex = report.LastContact, report.LastTerm, report.LastIndex
	facts.Answered, facts.Servers = true, report.Servers
	return facts
}

func (n *node) serverReport(ctx context.Context, address string) (*api.ServerReport, error) {
	ctx, cancel := context.WithTimeout(ctx, factsWait)
	defer cancel()
	resp, err := n.router.CallAt(ctx, address, &api.Request{Op: api.ServerStatus.Op, Args: &api.None{}, Final: true})
	if err != nil {
		return nil, err
	}
	if report, _ := resp.Value.(*api.ServerReport); report != nil {
		return report, nil
	}
	return nil, fmt.Errorf("server %s answers with nothing", address)
}

// runServer lets the server answer others and keep the log until ctx ends; the
// log goes on until replicating ends, and everybody who asked over the server port
// has an answer: a log that is stopped before leaves them waiting.
func (n *node) runServer(ctx, replicating context.Context, group *errgroup.Group, cfg *config.Config) {
	s := n.serving
	answering, stopReplica := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return s.replica.Run(answering, s.Lead) })
	group.Go(func() error {
		defer stopReplica()
		return s.port.Run(replicating)
	})
	group.Go(func() error { return n.formCluster(ctx, cfg) })
}

// handOverWait bounds the search for another leader.
const handOverWait = 5 * time.Second

// handOver lets another server lead before this one leaves or stops: they need not
// find out first that it is gone.
func (n *node) handOver() {
	if n.serving == nil || !n.serving.replica.Leads() {
		return
	}
	servers, _ := n.serving.replica.Servers()
	if !slices.ContainsFunc(servers, func(s *api.RaftServer) bool { return s.Voter && s.ID != n.id }) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverWait)
	defer cancel()
	if err := n.serving.replica.Transfer(ctx, "", ""); err != nil {
		n.log.Warn("no other server leads yet, ending all the same", "err", err)
	}
}
