package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/agent"
	"curia/api"
	"curia/config"
	"curia/gossip"
	"curia/wire"
)

// pools are this agent's places among the others.
type pools struct {
	cfg      *config.Config
	log      *slog.Logger
	lan      *gossip.Pool
	wan      *gossip.Pool  // nil when the agent has none
	departed chan struct{} // somebody wants the agent to leave and to end
	left     chan struct{} // closed when it has left
	flooded  chan struct{} // a member of the datacenter changed
	heard    func()        // called after each event about a member
	// changed tells the server which member an event is about; nil without a server.
	changed func(*api.Member)
}

// openPools listens for gossip. Nobody is contacted yet.
func openPools(cfg *config.Config, id string, log *slog.Logger) (*pools, error) {
	p := &pools{cfg: cfg, log: log, departed: make(chan struct{}, 1), left: make(chan struct{}), flooded: make(chan struct{}, 1)}
	if dir := cfg.Node.DataDir; dir != "" {
		if err := os.MkdirAll(filepath.Join(dir, "serf"), 0o700); err != nil {
			return nil, fmt.Errorf("cannot write to the data directory: %w", err)
		}
	}
	g, a := cfg.Gossip, cfg.Addresses
	var err error
	p.lan, err = gossip.Open(p.settings(gossip.Config{
		Area: gossip.LAN, Name: cfg.Node.Name, Tags: tags(cfg, id),
		Bind: cmp.Or(a.SerfLAN, a.Bind), Port: cfg.Ports.SerfLAN, Advertise: a.Advertise,
		ReconnectTimeout: g.ReconnectTimeout,
	}, "local"), log)
	if err != nil {
		return nil, fmt.Errorf("cannot %w; choose another address with -serf-lan-port, -serf-lan-bind or ports.serf_lan", err)
	}
	if !cfg.Mode.Server || cfg.Ports.SerfWAN < 0 {
		return p, nil
	}
	p.wan, err = gossip.Open(p.settings(gossip.Config{
		Area: gossip.WAN, Name: wanName(cfg.Node.Name, cfg), Tags: tags(cfg, id),
		Bind: cmp.Or(a.SerfWAN, a.Bind), Port: cfg.Ports.SerfWAN, Advertise: a.AdvertiseWAN,
		ReconnectTimeout: g.ReconnectTimeoutWAN,
	}, "remote"), log)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("cannot %w; choose another address with -serf-wan-port, -serf-wan-bind or ports.serf_wan, or turn it off with -serf-wan-port=-1", err)
	}
	return p, nil
}

// settings adds what both pools have in common. file is the beginning of the
// names of a pool's files.
func (p *pools) settings(c gossip.Config, file string) gossip.Config {
	g := p.cfg.Gossip
	c.Pace, c.Allowed = pace(&g.LAN), config.Networks(g.AllowedLAN)
	if c.Area == gossip.WAN {
		c.Pace, c.Allowed = pace(&g.WAN), config.Networks(g.AllowedWAN)
	}
	c.RejoinAfterLeave = p.cfg.Join.RejoinAfterLeave
	c.NoCoordinates = g.DisableCoordinates
	c.Encryption = gossip.Encryption{Key: g.EncryptKey, TakePlain: !g.EncryptVerifyIncoming, SendPlain: !g.EncryptVerifyOutgoing}
	if dir := p.cfg.Node.DataDir; dir != "" {
		c.Snapshot = filepath.Join(dir, "serf", file+".snapshot")
		if !g.DisableKeyringFile {
			c.Encryption.KeyringFile = filepath.Join(dir, "serf", file+".keyring")
		}
	}
	return c
}

// wanName is the name of a server among those of all datacenters.
func wanName(node string, cfg *config.Config) string { return node + "." + cfg.Node.Datacenter }

// tags are what the others learn of this agent.
func tags(cfg *config.Config, id string) map[string]string {
	t := map[string]string{
		"role": "node", "dc": cfg.Node.Datacenter, "id": id,
		"vsn": "2", "vsn_min": "2", "vsn_max": "3", "build": apiLevel + ":",
	}
	if d := cfg.Gossip.AdvertiseReconnectTimeout; d > 0 {
		t[gossip.TagReconnectTimeout] = d.String()
	}
	if !cfg.Mode.Server {
		return t
	}
	t["role"], t["port"], t["raft_vsn"] = "consul", strconv.Itoa(cfg.Ports.Server), "3"
	if cfg.Ports.SerfWAN > 0 {
		t["wan_join_port"] = strconv.Itoa(cfg.Ports.SerfWAN)
	}
	if cfg.Mode.ReadReplica {
		t["read_replica"], t["nonvoter"] = "1", "1"
	}
	switch {
	case cfg.Mode.Bootstrap:
		t["bootstrap"] = "1"
	case cfg.Mode.BootstrapExpect > 0:
		t["expect"] = strconv.Itoa(cfg.Mode.BootstrapExpect)
	}
	return t
}

func (p *pools) close() {
	p.lan.Close()
	if p.wan != nil {
		p.wan.Close()
	}
}

// run keeps the pools and joins others until ctx ends.
func (p *pools) run(ctx context.Context, group *errgroup.Group, a *agent.Agent) {
	group.Go(func() error { return p.lan.Run(ctx, func(e gossip.Event) { p.hear(e, a) }) })
	if p.wan != nil {
		group.Go(func() error { return p.wan.Run(ctx, func(gossip.Event) { p.heard() }) })
	}
	group.Go(func() error { return p.flood(ctx) })
	j := p.cfg.Join
	group.Go(func() error {
		if err := p.startJoin(ctx, p.lan, j.Start); err != nil || len(j.Retry) == 0 {
			return err
		}
		return gossip.RetryJoin(ctx, p.lan, j.Retry, j.RetryInterval, j.RetryMax, p.log)
	})
	group.Go(func() error {
		if p.wan == nil {
			return nil
		}
		if err := p.startJoin(ctx, p.wan, j.StartWAN); err != nil || len(j.RetryWAN) == 0 {
			return err
		}
		return gossip.RetryJoin(ctx, p.wan, j.RetryWAN, j.RetryIntervalWAN, j.RetryMaxWAN, p.log)
	})
}

// startJoin joins at once or not at all. At the end of the agent, a join that
// is under way fails, and nobody minds.
func (p *pools) startJoin(ctx context.Context, pool *gossip.Pool, addrs []string) error {
	if len(addrs) == 0 {
		return nil
	}
	n, err := pool.Join(addrs)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("cannot join: %w; use -retry-join to wait for others", err)
	}
	p.log.Info("joined", "members", n, "addresses", addrs)
	return nil
}

// hear takes notice of what happens in the datacenter.
func (p *pools) hear(e gossip.Event, a *agent.Agent) {
	if e.Kind == gossip.Fired {
		a.Hear(e.User.Name, e.User.LTime, e.User.Payload)
		return
	}
	p.heard()
	if p.changed != nil {
		p.changed(e.Member)
	}
	if e.Kind == gossip.Joined && e.Member.Tags["role"] == "consul" && e.Member.Name != p.cfg.Node.Name {
		a.ServerJoined()
	}
	select {
	case p.flooded <- struct{}{}:
	default: // it will look
	}
}

// servers lists the servers that are alive, of all datacenters.
func (p *pools) servers() []wire.Server {
	var out []wire.Server
	add := func(pool *gossip.Pool, name func(*api.Member) string, wanted func(dc string) bool) {
		for _, m := range pool.Members() {
			if dc := m.Tags["dc"]; m.Tags["role"] == "consul" && m.Status == api.MemberAlive && wanted(dc) {
				out = append(out, wire.Server{ID: m.Tags["id"], Name: name(m), Datacenter: dc, Address: memberServer(m)})
			}
		}
	}
	own := p.cfg.Node.Datacenter
	add(p.lan, func(m *api.Member) string { return m.Name }, func(dc string) bool { return dc == own })
	if p.wan != nil {
		add(p.wan, func(m *api.Member) string { return strings.TrimSuffix(m.Name, "."+m.Tags["dc"]) }, func(dc string) bool { return dc != own })
	}
	return out
}

// memberServer is the address of the server port of a member.
func memberServer(m *api.Member) string { return net.JoinHostPort(m.Addr, m.Tags["port"]) }

// asked is what the agent asks of the pools.
func (p *pools) asked() agent.Pools {
	out := agent.Pools{
		JoinLAN: func(addr string) error { return joinOne(p.lan, addr) }, ForceLeave: p.forceLeave,
		Fire: p.lan.Fire, Coordinate: p.lan.Coordinate,
		Leave: func() <-chan struct{} {
			select {
			case p.departed <- struct{}{}:
			default: // it is leaving
			}
			return p.left
		},
	}
	if p.wan != nil {
		out.JoinWAN = func(addr string) error { return joinOne(p.wan, addr) }
	}
	return out
}

func joinOne(pool *gossip.Pool, addr string) error {
	_, err := pool.Join([]string{addr})
	return err
}

// forceLeave makes a member leave both pools, or the WAN pool alone. The
// documents want success for members that nobody knows.
func (p *pools) forceLeave(q *api.ForceLeaveArgs) error {
	how := gossip.Keep
	if q.Prune {
		how = gossip.Forget
	}
	var errs []error
	try := func(pool *gossip.Pool, name string) {
		if pool == nil {
			return
		}
		if err := pool.ForceLeave(name, how); !errors.Is(err, gossip.ErrUnknownMember) {
			errs = append(errs, err)
		}
	}
	if q.WAN != "" {
		try(p.wan, q.Node)
		return errors.Join(errs...)
	}
	try(p.lan, q.Node)
	try(p.wan, wanName(q.Node, p.cfg))
	return errors.Join(errs...)
}

// lanMembers and wanMembers list the members of the pools.
func (p *pools) lanMembers() []*api.Member { return p.lan.Members() }

func (p *pools) wanMembers() []*api.Member {
	if p.wan == nil {
		return []*api.Member{}
	}
	return p.wan.Members()
}

// stats adds the figures of the pools to those of others.
func (p *pools) stats(of map[string]map[string]string) map[string]map[string]string {
	of["serf_lan"] = p.lan.Stats()
	if p.wan != nil {
		of["serf_wan"] = p.wan.Stats()
	}
	return of
}

// leave tells the others that this agent goes, and goes on answering for a
// while if there are any. It is called once.
func (p *pools) leave() {
	defer close(p.left)
	alone := p.lan.Alone()
	if p.wan != nil {
		if err := p.wan.Leave(); err != nil {
			p.log.Warn("not left as it should be", "err", err)
		}
	}
	if err := p.lan.Leave(); err != nil {
		p.log.Warn("not left as it should be", "err", err)
	}
	if p.cfg.Mode.Server && !alone {
		time.Sleep(p.cfg.Performance.LeaveDrainTime)
	}
}
