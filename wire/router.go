package wire

import (
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// Server is a server that others can be asked through.
type Server struct {
	ID         string
	Name       string
	Datacenter string
	Address    string // host:port of its server port
}

// Router knows which servers there are, and asks one of them. It implements
// api.Caller and Archivist for agents that have no state. Make one with
// NewRouter. Safe for concurrent use.
type Router struct {
	datacenter string
	conns      *Conns
	hold       time.Duration
	pace       pace

	mu      sync.Mutex
	relay   bool                // see Relay
	servers map[string][]Server // by datacenter; the first is asked first
}

// NewRouter makes a router of an agent of a datacenter. hold is how long it looks
// for a server that answers (rpc_hold_timeout).
func NewRouter(datacenter string, conns *Conns, hold time.Duration) *Router {
	r := &Router{datacenter: datacenter, conns: conns, hold: hold, servers: map[string][]Server{}}
	r.SetRate(-1, 0)
	return r
}

// SetServers says which servers there are, of all datacenters. Those that are
// known keep their place; new ones come at random places, so that the agents of a
// datacenter ask different servers.
func (r *Router) SetServers(all []Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string][]Server{}
	addresses := map[string]bool{}
	for dc, known := range r.servers {
		for _, s := range known {
			if i := slices.IndexFunc(all, func(o Server) bool { return o.ID == s.ID && o.Datacenter == dc }); i >= 0 {
				next[dc] = append(next[dc], all[i])
			}
		}
	}
	for _, s := range all {
		addresses[s.Address] = true
		known := next[s.Datacenter]
		if !slices.ContainsFunc(known, func(o Server) bool { return o.ID == s.ID }) {
			next[s.Datacenter] = slices.Insert(known, rand.IntN(len(known)+1), s)
		}
	}
	r.servers = next
	r.conns.Keep(addresses)
}

// Servers lists the servers of a datacenter, the one that is asked first before
// the others.
func (r *Router) Servers(datacenter string) []Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.servers[datacenter])
}

// Datacenters lists the datacenters that have servers, by name.
func (r *Router) Datacenters() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]string, 0, len(r.servers))
	for dc, servers := range r.servers {
		if len(servers) > 0 {
			out = append(out, dc)
		}
	}
	slices.Sort(out)
	return out
}

// AddressOf finds a server of this datacenter by its ID; empty when it is not
// known.
func (r *Router) AddressOf(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.servers[r.datacenter] {
		if s.ID == id {
			return s.Address
		}
	}
	return ""
}

// demote moves a server that does not answer behind the others.
func (r *Router) demote(failed Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.servers[failed.Datacenter]
	if len(known) > 1 && known[0].ID == failed.ID {
		r.servers[failed.Datacenter] = append(slices.Clone(known[1:]), known[0])
	}
}

// errNoServers is the documented answer of an agent that knows no server.
var errNoServers = &api.Error{Kind: api.Unreached, Msg: "No known Consul servers"}

// Call implements api.Caller: it asks a server of the request's datacenter.
func (r *Router) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	var resp *api.Response
	err := r.try(ctx, req, func(ctx context.Context, at peer) (err error) {
		resp, err = r.conns.call(ctx, at, req)
		return err
	})
	return resp, err
}

// CallAt asks the server at an address of this datacenter.
func (r *Router) CallAt(ctx context.Context, address string, req *api.Request) (*api.Response, error) {
	return r.conns.call(ctx, peer{address, r.datacenter}, req)
}

// SaveSnapshot implements Archivist.
func (r *Router) SaveSnapshot(ctx context.Context, req *api.Request, begin func(api.Meta) io.Writer) error {
	return r.try(ctx, req, func(ctx context.Context, at peer) error { return r.save(ctx, at, req, begin) })
}

// SaveSnapshotAt lets the server at an address of this datacenter write an archive.
func (r *Router) SaveSnapshotAt(ctx context.Context, address string, req *api.Request, begin func(api.Meta) io.Writer) error {
	return r.save(ctx, peer{address, r.datacenter}, req, begin)
}

func (r *Router) save(ctx context.Context, at peer, req *api.Request, begin func(api.Meta) io.Writer) error {
	return r.stream(ctx, at, func(ctx context.Context, conn clientConn) error { return saveAt(ctx, conn, req, begin) })
}

// RestoreSnapshot implements Archivist.
func (r *Router) RestoreSnapshot(ctx context.Context, req *api.Request, archive io.Reader) error {
	return r.try(ctx, req, func(ctx context.Context, at peer) error { return r.load(ctx, at, req, archive) })
}

// RestoreSnapshotAt hands an archive to the server at an address of this
// datacenter.
func (r *Router) RestoreSnapshotAt(ctx context.Context, address string, req *api.Request, archive io.Reader) error {
	return r.load(ctx, peer{address, r.datacenter}, req, archive)
}

// load hands an archive to a server. After an error it has been read, and can be
// offered to nobody else.
func (r *Router) load(ctx context.Context, at peer, req *api.Request, archive io.Reader) error {
	read := &readMark{Reader: archive}
	err := r.stream(ctx, at, func(ctx context.Context, conn clientConn) error { return loadAt(ctx, conn, req, read) })
	if read.begun && api.Untried(err) {
		return api.Errorf(api.Lost, "the snapshot was not restored: %v", err)
	}
	return err
}

// readMark remembers whether somebody has begun to read.
type readMark struct {
	io.Reader
	begun bool
}

// Read implements io.Reader.
func (r *readMark) Read(b []byte) (int, error) {
	r.begun = true
	return r.Reader.Read(b)
}

// stream carries out a call whose argument or result is a stream.
func (r *Router) stream(ctx context.Context, at peer, f func(context.Context, clientConn) error) error {
	conn, err := r.conns.to(at)
	if err != nil {
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := &sentMark{}
	err = f(context.WithValue(ended, sentKey{}, sent), conn.ClientConn)
	if err == nil || !isStatus(err) {
		return err
	}
	return broken(ctx, at, err, sent.yes())
}

// Times between two looks for a server that answers.
const (
	retryMin = 20 * time.Millisecond
	retryMax = 500 * time.Millisecond
)

// Relay lets the servers of this datacenter pass on what is for others: a client
// agent knows no others.
func (r *Router) Relay() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.relay = true
}

// through gives the datacenter whose servers are asked for another.
func (r *Router) through(datacenter string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.relay {
		return r.datacenter
	}
	return datacenter
}

// try asks the servers of the request's datacenter one after the other, until
// one answers or the hold timeout has passed. What may have been carried out is
// not asked again, unless it is a read.
func (r *Router) try(ctx context.Context, req *api.Request, ask func(context.Context, peer) error) error {
	return r.pace.keep(func() error { return r.search(ctx, req, ask) })
}

func (r *Router) search(ctx context.Context, req *api.Request, ask func(context.Context, peer) error) error {
	dc := req.Datacenter
	if dc == "" {
		dc = r.datacenter
	}
	began, delay := time.Now(), retryMin
	for {
		servers := r.Servers(r.through(dc))
		err := error(errNoServers)
		for _, s := range servers {
			err = ask(ctx, peer{s.Address, s.Datacenter})
			again := api.KindOf(err) == api.Unreached || api.KindOf(err) == api.Lost && req.Op.Kind == api.KindRead
			if !again || ctx.Err() != nil {
				return err
			}
			r.demote(s)
		}
		switch {
		case len(servers) == 0 && r.through(dc) != r.datacenter:
			return api.ErrNoPath
		case time.Since(began) > r.hold:
			return err
		}
		pause.For(ctx, delay+rand.N(delay))
		delay = min(2*delay, retryMax)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
