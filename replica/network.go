package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"curia/state"
)

// Network carries the log between servers. Addr is where others reach this one.
type Network interface {
	// Listener accepts the streams that other servers open.
	net.Listener
	// Dial opens a stream to a server, this one included.
	Dial(address string, timeout time.Duration) (net.Conn, error)
}

// Times and bounds of the network.
const (
	networkWait = 10 * time.Second // for one message, and each 256 KiB of a snapshot
	pooledConns = 3                // idle streams to each server
)

// transport carries raft's messages over the network of the configuration;
// without one it reaches this server alone.
func (r *Replica) transport(hlog hclog.Logger) raft.Transport {
	if r.cfg.Network == nil {
		_, t := raft.NewInmemTransport(raft.ServerAddress(r.cfg.Address))
		t.Connect(raft.ServerAddress(r.cfg.Address), t)
		return t
	}
	r.pipes = &pipes{open: map[*pipe]struct{}{}}
	r.pipes.NetworkTransport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		ServerAddressProvider: addresses(r.addressOf), Logger: hlog.Named("net"),
		Stream: streams{r.cfg.Network}, MaxPool: pooledConns, Timeout: networkWait, MsgpackUseNewTimeFormat: true,
	})
	return r.pipes
}

// pipes is raft's transport, with an end for pipelines that are stuck: when their
// reader has given up, a writer waits for room that nobody makes any more, and the
// server at the other end would get no entries while this one leads.
type pipes struct {
	*raft.NetworkTransport

	mu   sync.Mutex
	open map[*pipe]struct{}
}

// pipe is a pipeline to one server.
type pipe struct {
	raft.AppendPipeline
	of *pipes
}

// AppendEntriesPipeline implements raft.Transport.
func (p *pipes) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := p.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	one := &pipe{inner, p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[one] = struct{}{}
	return one, nil
}

// abort ends all pipelines.
func (p *pipes) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for one := range p.open {
		_ = one.AppendPipeline.Close()
	}
}

// AppendEntries implements raft.AppendPipeline.
func (p *pipe) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	stuck := time.AfterFunc(networkWait, func() { _ = p.AppendPipeline.Close() })
	defer stuck.Stop()
	return p.AppendPipeline.AppendEntries(args, resp)
}

// Close implements raft.AppendPipeline.
func (p *pipe) Close() error {
	p.of.mu.Lock()
	delete(p.of.open, p)
	p.of.mu.Unlock()
	return p.AppendPipeline.Close()
}

// addressOf finds where a server is now; what the log says of it may be old.
func (r *Replica) addressOf(id string) string {
	switch {
	case id == r.cfg.ID:
		return r.cfg.Address
	case r.cfg.AddressOf == nil:
		return ""
	}
	return r.cfg.AddressOf(id)
}

// streams is a Network as raft wants it.
type streams struct{ Network }

// Dial implements raft.StreamLayer.
func (s streams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return s.Network.Dial(string(address), timeout)
}

// addresses finds servers for raft.
type addresses func(id string) string

var errUnknownServer = errors.New("the address of the server is not known")

// ServerAddr implements raft.ServerAddressProvider. After an error raft takes
// the address of its log.
func (find addresses) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	if address := find(string(id)); address != "" {
		return raft.ServerAddress(address), nil
	}
	return "", errUnknownServer
}

// peersFile tells, when a quorum is lost for ever, who is left ("Outage
// Recovery").
const peersFile = "peers.json"

// recover makes the servers of peers.json the servers of the log, and removes
// the file. It reports whether there was one.
func (r *Replica) recover(rc *raft.Config, logs raft.LogStore, stable raft.StableStore, snaps raft.SnapshotStore, trans raft.Transport) (bool, error) {
	if r.cfg.Dir == "" {
		return false, nil
	}
	path := filepath.Join(r.cfg.Dir, "raft", peersFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	servers, err := raft.ReadConfigJSON(path)
	if err != nil {
		var old error
		if servers, old = raft.ReadPeersJSON(path); old != nil {
			return false, fmt.Errorf("recover from %s: %w; it must be a list of objects with id, address and non_voter", path, err)
		}
		// The oldest form knows addresses only, which were the names of servers.
		for i, s := range servers.Servers {
			if string(s.Address) == r.cfg.Address {
				servers.Servers[i].ID = rc.LocalID
			}
		}
	}
	r.log.Warn("taking over the servers of the recovery file", "file", path, "servers", len(servers.Servers))
	scratch := &fsm{store: state.NewStore(), failed: make(chan struct{})}
	if err := raft.RecoverCluster(rc, scratch, logs, stable, snaps, trans, servers); err != nil {
		return false, fmt.Errorf("recover from %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return false, fmt.Errorf("recover from %s: the log is recovered, but the file cannot be removed: %w", path, err)
	}
	return true, nil
}
