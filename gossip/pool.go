package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"curia/api"
)

// Area says which pool it is, and so who is let in.
type Area uint8

// The pools.
const (
	LAN Area = iota // the agents of one datacenter
	WAN             // the servers of all datacenters
)

func (a Area) String() string { return [...]string{"LAN", "WAN"}[a] }

// Config says what a pool is, and who this agent is in it.
type Config struct {
	Area Area
	// Name is this agent's in the pool, unique there.
	Name string
	// Tags are what the others learn of this agent: at least role, dc and id.
	// Encoded they take at most 512 bytes.
	Tags map[string]string
	// Bind is the IP address to listen on; Port is for UDP and TCP, 0 takes any.
	Bind string
	Port int
	// Advertise is the IP address that the others are told; empty means Bind.
	Advertise string
	// Timing is that of the area unless it says otherwise.
	Timing Timing
	Pace   Pace
	// Allowed are the networks that members may come from, this one included; none
	// means any.
	Allowed []netip.Prefix
	// ReconnectTimeout is when a failed or departed member is forgotten; 0 means
	// 72 hours.
	ReconnectTimeout time.Duration
	// Snapshot is the file that keeps the members and the clocks over a restart,
	// so that the agent finds the others again; empty keeps nothing.
	Snapshot string
	// RejoinAfterLeave uses the snapshot even if the agent has left before.
	RejoinAfterLeave bool
	Encryption       Encryption
	// NoCoordinates leaves the distances to the others unmeasured.
	NoCoordinates bool
	// Network, unless nil, is given what carries packets and streams, and returns
	// what carries them instead: tests put a bad network there.
	Network func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport
}

// Pool is this agent's place in a pool. Make one with Open.
type Pool struct {
	cfg    Config
	log    *slog.Logger
	serf   *serf.Serf
	gate   *gate
	net    *transport
	events chan serf.Event
	closed chan struct{} // closed when the library has ended

	// ending is held while the pool is left or closed: the library panics when
	// both happen at once.
	ending sync.Mutex
}

// eventBuffer is how many events the library may be ahead of Run.
const eventBuffer = 512

// Open listens, and enters a pool that has no other member yet. Errors name the
// address and the port. Close or Run must be called.
func Open(cfg Config, log *slog.Logger) (*Pool, error) {
	p := &Pool{cfg: cfg, log: log, gate: newGate(cfg), events: make(chan serf.Event, eventBuffer), closed: make(chan struct{})}
	keys, err := cfg.Encryption.open(log)
	if err != nil {
		return nil, fmt.Errorf("open the %s pool: %w", cfg.Area, err)
	}
	lines := lines(log, cfg.Area)
	p.net, err = listen(cfg, &memberlist.NetTransportConfig{BindAddrs: []string{cfg.Bind}, BindPort: cfg.Port, Logger: lines})
	if err != nil {
		return nil, err
	}
	c := cfg.timed()
	c.NodeName, c.Tags, c.EventCh = cfg.Name, p.gate.tag(cfg.Tags), p.events
	c.Logger = lines
	c.SnapshotPath, c.RejoinAfterLeave = cfg.Snapshot, cfg.RejoinAfterLeave
	c.DisableCoordinates = cfg.NoCoordinates
	c.KeyringFile = cfg.Encryption.KeyringFile
	// The losers of a vote about a name would end themselves.
	c.EnableNameConflictResolution = false
	c.UserEventSizeLimit = eventLimit + eventOverhead
	m := c.MemberlistConfig
	m.Logger, m.Transport = lines, p.net
	if cfg.Network != nil {
		m.Transport = cfg.Network(p.net)
	}
	m.BindAddr, m.BindPort = cfg.Bind, p.net.GetAutoBindPort()
	m.AdvertiseAddr, m.AdvertisePort = cfg.Advertise, m.BindPort
	m.Keyring = keys
	m.GossipVerifyIncoming, m.GossipVerifyOutgoing = !cfg.Encryption.TakePlain, !cfg.Encryption.SendPlain
	m.Merge, m.Alive = p.gate, p.gate
	m.CIDRsAllowed = cfg.networks()
	if p.serf, err = serf.Create(c); err != nil {
		p.net.hang()
		_ = p.net.Shutdown()
		return nil, fmt.Errorf("open the %s pool on %s: %w", cfg.Area, address(cfg), err)
	}
	p.gate.watch(p.serf.Members)
	return p, nil
}

// networks are the allowed ones as the library wants them.
func (cfg *Config) networks() (out []net.IPNet) {
	for _, n := range cfg.Allowed {
		ip := n.Masked().Addr()
		out = append(out, net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(n.Bits(), ip.BitLen())})
	}
	return out
}

// Close ends this agent's part in the pool without a word: to the others it has
// failed, unless it has left. A second call does nothing.
func (p *Pool) Close() {
	p.net.hang()
	p.ending.Lock()
	defer p.ending.Unlock()
	select {
	case <-p.closed:
		return
	default:
	}
	if err := p.serf.Shutdown(); err != nil {
		p.log.Warn("pool not closed cleanly", "pool", p.cfg.Area.String(), "err", err)
	}
	close(p.closed)
	p.discard()
}

// Self is this agent's own entry.
func (p *Pool) Self() *api.Member {
	m := p.serf.LocalMember()
	return member(&m)
}

// Members lists all members by name, those that have failed or left included
// until they are forgotten ("agent/members"). The tags are not to be changed.
func (p *Pool) Members() []*api.Member {
	all := p.serf.Members()
	out := make([]*api.Member, 0, len(all))
	for i := range all {
		out = append(out, member(&all[i]))
	}
	slices.SortFunc(out, func(a, b *api.Member) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// member is the library's member in the words of the API.
func member(m *serf.Member) *api.Member {
	return &api.Member{
		Name: m.Name, Addr: m.Addr.String(), Port: m.Port, Tags: m.Tags, Status: api.MemberStatus(m.Status),
		ProtocolMin: m.ProtocolMin, ProtocolMax: m.ProtocolMax, ProtocolCur: m.ProtocolCur,
		DelegateMin: m.DelegateMin, DelegateMax: m.DelegateMax, DelegateCur: m.DelegateCur,
	}
}

// Join contacts members of another pool, which then becomes one with this. It
// returns how many answered, and an error only if none did: the library's, with
// one line for each address. Events fired before the join are not delivered. An
// address without a port takes the port of this pool.
func (p *Pool) Join(addrs []string) (int, error) {
	if err := known(addrs); err != nil {
		return 0, err
	}
	n, err := p.serf.Join(addrs, true)
	if err != nil {
		err = errors.New(strings.TrimSpace(err.Error())) // it ends with empty lines
	}
	return n, err
}

// propagation is how long an agent that leaves answers those who have not heard
// of it yet.
const propagation = time.Second

// Leave tells the others that this agent goes. The pool must still be closed,
// and cannot be joined again. A second call does nothing.
func (p *Pool) Leave() error {
	p.ending.Lock()
	defer p.ending.Unlock()
	alone := p.Alone()
	select {
	case <-p.closed:
		return fmt.Errorf("leave the %s pool: it is closed", p.cfg.Area)
	default:
	}
	if p.serf.State() == serf.SerfLeft {
		return nil
	}
	if err := p.serf.Leave(); err != nil {
		return fmt.Errorf("leave the %s pool: %w", p.cfg.Area, err)
	}
	if !alone {
		time.Sleep(min(propagation, p.cfg.Timing.patience()))
	}
	return nil
}

// Alone reports whether no other member is alive.
func (p *Pool) Alone() bool {
	return !slices.ContainsFunc(p.serf.Members(), func(m serf.Member) bool {
		return m.Name != p.cfg.Name && m.Status == serf.StatusAlive
	})
}

// Pruning says whether a member that is made to leave is forgotten at once.
type Pruning uint8

// The ways to make a member leave.
const (
	Keep   Pruning = iota // it is listed as having left until it is forgotten
	Forget                // it is forgotten at once
)

// ErrUnknownMember says that a pool has no member of a name.
var ErrUnknownMember = errors.New("no such member")

// ForceLeave makes a failed member one that has left. A member that is alive
// objects, and stays: it is not forgotten either, for who has forgotten a member
// that is there never hears of it again.
func (p *Pool) ForceLeave(name string, how Pruning) error {
	members := p.serf.Members()
	i := slices.IndexFunc(members, func(m serf.Member) bool { return m.Name == name })
	if i < 0 {
		return fmt.Errorf("force %q to leave the %s pool: %w", name, p.cfg.Area, ErrUnknownMember)
	}
	leave := p.serf.RemoveFailedNode
	if how == Forget && members[i].Status != serf.StatusAlive {
		leave = p.serf.RemoveFailedNodePrune
	}
	if err := leave(name); err != nil {
		return fmt.Errorf("force %q to leave the %s pool: %w", name, p.cfg.Area, err)
	}
	return nil
}

// SetTags replaces what the others know of this agent.
func (p *Pool) SetTags(tags map[string]string) error {
	if err := p.serf.SetTags(p.gate.tag(tags)); err != nil {
		return fmt.Errorf("change the tags in the %s pool: %w", p.cfg.Area, err)
	}
	return nil
}

// Coordinate is this agent's place in the network; nil when it is not measured.
func (p *Pool) Coordinate() *api.Coordinate {
	c, err := p.serf.GetCoordinate()
	if err != nil {
		return nil
	}
	return &api.Coordinate{Vec: c.Vec, Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}
}

// CachedCoordinate is the place of another member as it was last heard of, and
// false when it was not.
func (p *Pool) CachedCoordinate(name string) (*api.Coordinate, bool) {
	c, ok := p.serf.GetCachedCoordinate(name)
	if !ok {
		return nil, false
	}
	return &api.Coordinate{Vec: c.Vec, Error: c.Error, Adjustment: c.Adjustment, Height: c.Height}, true
}

// Stats are figures for people ("agent/self", sections serf_lan and serf_wan).
func (p *Pool) Stats() map[string]string { return p.serf.Stats() }
