package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"curia/acl"
	"curia/api"
	"curia/bearer"
	"curia/replica"
	"curia/state"
)

// Config is what a server must know about itself. Zero durations mean the
// documented defaults.
type Config struct {
	Datacenter string
	// Self is this server's entry in the catalog: name, ID, address, metadata.
	Self api.Node
	// ServerPort is the port of the consul service.
	ServerPort int
	// SessionTTLMin is the shortest TTL of a session.
	SessionTTLMin time.Duration
	// DefaultWait and MaxWait bound blocking queries.
	DefaultWait, MaxWait time.Duration
	// HoldTimeout is how long a request waits for a leader.
	HoldTimeout time.Duration
	// MaxValue bounds the value of a key in a transaction, in bytes; 0: no bound.
	MaxValue int
	// ACL switches ACLs on; nil: everybody may do everything.
	ACL *ACLConfig
	// Authorizer, when not nil, resolves tokens in place of the server's own ACLs.
	Authorizer acl.Resolver
	// Autopilot is the configuration that the first leader writes; the zero value
	// means the documented one.
	Autopilot api.AutopilotConfiguration
	// NoCoordinates answers nothing about where nodes are (disable_coordinates).
	NoCoordinates bool
	// Pools is what is asked of gossip and of other servers.
	Pools Pools
	// Peers reaches other servers; nil: there are none.
	Peers Peers
}

// The documented defaults.
const (
	defaultSessionTTLMin = 10 * time.Second
	defaultWait          = 10 * time.Minute
	defaultHoldTimeout   = 7 * time.Second
)

// Server answers reads and writes. It implements api.Caller and may be called
// concurrently.
type Server struct {
	cfg     Config
	log     *slog.Logger
	store   *state.Store
	replica *replica.Replica
	door
	shared   *sharedResults
	ttl      *ttlKeeper
	places   placeKeeper
	steady   steadiness
	resolver *resolver // nil: ACLs are off
	verifier *bearer.Verifier
	figures  figures
	indexes  leaderIndexes
	memberNews
	draining chan struct{}
}

// door is what a request meets first.
type door struct {
	limits limits
	bound  map[*api.Op]*binding
}

// New makes a server over a store and its replica. It starts nothing.
func New(cfg Config, store *state.Store, rep *replica.Replica, log *slog.Logger) *Server {
	if cfg.SessionTTLMin <= 0 {
		cfg.SessionTTLMin = defaultSessionTTLMin
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = defaultWait
	}
	if cfg.DefaultWait <= 0 {
		cfg.DefaultWait = min(defaultWait, cfg.MaxWait)
	}
	if cfg.HoldTimeout <= 0 {
		cfg.HoldTimeout = defaultHoldTimeout
	}
	if cfg.Autopilot == (api.AutopilotConfiguration{}) {
		cfg.Autopilot = api.DefaultAutopilot()
	}
	s := &Server{
		cfg: cfg, log: log, store: store, replica: rep,
		door:     door{bound: map[*api.Op]*binding{}},
		shared:   newSharedResults(sharedBytes),
		ttl:      newTTLKeeper(),
		verifier: bearer.NewVerifier(),
		draining: make(chan struct{}),
	}
	s.changes = make(chan string, memberQueue)
	s.indexes.settled.Ask = func() (uint64, error) { return s.askIndex(false) }
	s.indexes.confirmed.Ask = func() (uint64, error) { return s.askIndex(true) }
	if cfg.ACL != nil {
		s.resolver = newResolver(cfg.ACL, cfg.Datacenter, store)
	}
	for _, group := range [][]binding{
		s.kvVerbs(), s.sessionVerbs(), s.catalogVerbs(), s.healthVerbs(), s.txnVerbs(), s.queryVerbs(), s.statusVerbs(),
		s.autopilotVerbs(), s.operatorVerbs(), s.keyringVerbs(), s.coordinateVerbs(), s.configVerbs(), s.aclVerbs(), s.forwardVerbs(),
	} {
		for _, b := range group {
			s.bound[b.op] = &b
		}
	}
	return s
}

// Drain ends the waits of all blocking queries: they answer what is there now.
// It is called once, before the faces close.
func (s *Server) Drain() { close(s.draining) }

// Call implements api.Caller for the verbs that the server is bound to.
func (s *Server) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if err := s.limit(req.Op); err != nil {
		return nil, err
	}
	if t, ok := req.Args.(api.Targeted); ok && t.TargetDatacenter() != "" {
		req.Datacenter = t.TargetDatacenter()
	}
	if s.secondary() {
		own, resp, err := s.callACL(ctx, req)
		if own == nil {
			return resp, err
		}
		req = own
	}
	if s.Foreign(req) {
		peers, err := s.passOn(req)
		if err != nil {
			return nil, err
		}
		return peers.Call(ctx, req)
	}
	b := s.bound[req.Op]
	switch {
	case b == nil:
		return nil, fmt.Errorf("verb %s is not bound", req.Op.Name)
	case b.bare != nil:
		if err := s.admitBare(req); err != nil {
			return nil, err
		}
		v, err := b.bare(ctx, req.Args)
		return &api.Response{Value: v}, err
	case b.read != nil:
		return s.read(ctx, req, b)
	default:
		return s.led(ctx, req, b)
	}
}
