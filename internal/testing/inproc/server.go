package inproc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"curia/acl"
	"curia/agent"
	"curia/api"
	"curia/httpapi"
	"curia/replica"
	"curia/server"
	"curia/state"
)

// The names of every server of this package.
const (
	Datacenter = "dc1"
	NodeName   = "n1"
	NodeID     = "11111111-2222-4333-8444-555555555555"
	Address    = "127.0.0.1"
	ServerPort = 8300
)

// Options say what differs from a server with default settings in memory.
type Options struct {
	// Dir is where the log lies; empty keeps it in memory.
	Dir string
	// Authorizer resolves tokens; nil: everybody may do everything.
	Authorizer func(token string) acl.Authorizer
	// Tune changes the configuration of the server; nil leaves it as it is.
	Tune func(*server.Config)
	// TuneAgent changes the configuration of the agent; nil leaves it as it is.
	TuneAgent func(*agent.Config)
	// HTTP configures the handler. Raw verbs are bound by Start.
	HTTP httpapi.Config
	// Follower makes a server that never finds a leader.
	Follower bool
	// LocalChecks lets the agent run: its checks work, and the catalog follows what
	// is registered with it. Who writes to the catalog of this node must not.
	LocalChecks bool
}

// Server is an assembled server.
type Server struct {
	Store   *state.Store
	Replica *replica.Replica
	Server  *server.Server
	Agent   *agent.Agent // the Caller that faces ask
	Handler *httpapi.Handler
	Log     *Log

	t        testing.TB
	cancel   context.CancelFunc
	running  chan error // of replication, and of the agent
	parts    int        // that run
	listener *httptest.Server
	stopped  sync.Once
	drained  sync.Once
}

// startWait bounds the start of a server.
const startWait = 20 * time.Second

// Start assembles a server and waits until it leads. Cleanup stops it.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, Store: state.NewStore(), Log: &Log{}, running: make(chan error, 2)}
	log := slog.New(s.Log)
	var err error
	s.Replica, err = replica.Open(replica.Config{
		Dir: o.Dir, ID: NodeID, Address: Address + ":8300", Bootstrap: !o.Follower,
	}, s.Store, log)
	if err != nil {
		t.Fatalf("open replica: %v", err)
	}
	cfg := server.Config{
		Datacenter: Datacenter, Self: api.Node{ID: NodeID, Node: NodeName, Address: Address, Datacenter: Datacenter},
		ServerPort: ServerPort, Authorizer: resolver(o.Authorizer),
	}
	if o.Tune != nil {
		o.Tune(&cfg)
	}
	s.Server = server.New(cfg, s.Store, s.Replica, log)
	member := &api.Member{Name: NodeName, Addr: Address, Port: 8301, Tags: map[string]string{}, Status: api.MemberAlive}
	pool := func() []*api.Member { return []*api.Member{member} }
	own := agent.Config{
		Node: cfg.Self, Datacenter: Datacenter, LAN: pool, WAN: pool,
		About:  agent.About{Config: map[string]any{"Datacenter": Datacenter, "NodeName": NodeName}},
		Pools:  agent.Pools{JoinLAN: joined, JoinWAN: joined},
		Reload: func() error { return nil },
		Stats:  s.Server.Stats, Authorizer: s.Server.Resolve,
	}
	if o.TuneAgent != nil {
		o.TuneAgent(&own)
	}
	s.Agent = agent.New(own, s.Server, log)
	o.HTTP.Raw = s.rawVerbs()
	s.Handler = httpapi.New(o.HTTP, s.Agent, log)

	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.run(ctx, func(ctx context.Context) error { return s.Replica.Run(ctx, s.Server.Lead) })
	t.Cleanup(s.Stop)
	if !o.Follower {
		s.await(ctx)
	}
	if o.LocalChecks {
		s.run(ctx, s.Agent.Run)
		<-s.Agent.Started()
	}
	return s
}

// resolver resolves every token as f does; nil for nil.
func resolver(f func(token string) acl.Authorizer) acl.Resolver {
	if f == nil {
		return nil
	}
	return func(token string) (acl.Authorizer, error) { return f(token), nil }
}

// joined is the answer of every agent that is asked to let this one in.
func joined(string) error { return nil }

// run lets a part of the server run until Stop.
func (s *Server) run(ctx context.Context, part func(context.Context) error) {
	s.parts++
	go func() { s.running <- part(ctx) }()
}

// await waits until the server leads and has written itself into the catalog.
func (s *Server) await(ctx context.Context) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	if err := s.Replica.AwaitReady(ctx); err != nil {
		s.t.Fatalf("wait until the server leads: %v\n%s", err, s.Log)
	}
	for {
		v := s.Store.View()
		if len(v.ChecksOfNode(NodeName)) > 0 {
			return
		}
		select {
		case <-v.Watch().Changed[0]:
		case <-ctx.Done():
			s.t.Fatalf("wait until the server is in the catalog: %v\n%s", ctx.Err(), s.Log)
		}
	}
}

func (s *Server) rawVerbs() map[*api.Op]httpapi.RawFunc {
	return map[*api.Op]httpapi.RawFunc{
		api.OpenAPI.Op: httpapi.OpenAPI("test"),
		api.SnapshotSave.Op: func(w http.ResponseWriter, r *http.Request, req *api.Request) error {
			return s.Server.SaveSnapshot(r.Context(), req, func(m api.Meta) io.Writer {
				httpapi.SetMeta(w.Header(), &m)
				return w
			})
		},
		api.SnapshotRestore.Op: func(_ http.ResponseWriter, r *http.Request, req *api.Request) error {
			return s.Server.RestoreSnapshot(r.Context(), req, r.Body)
		},
		// Nothing is measured or sent in a test, but whoever asks must have the permission.
		api.AgentMetrics.Op:       s.permitted("{}"),
		api.AgentMetricsStream.Op: s.permitted("{}"),
		api.AgentMonitor.Op:       s.permitted(""),
		api.AgentProfile.Op:       s.permitted(""),
	}
}

// permitted answers a text to those who have the permission to ask.
func (s *Server) permitted(text string) httpapi.RawFunc {
	return func(w http.ResponseWriter, _ *http.Request, req *api.Request) error {
		if err := s.Agent.Authorize(req); err != nil {
			return err
		}
		_, err := io.WriteString(w, text)
		return err
	}
}

// Drain ends streams and the waits of blocking queries. It may be called more
// than once.
func (s *Server) Drain() {
	s.Handler.Drain()
	s.drained.Do(s.Server.Drain)
}

// Stop ends the server and returns when nothing of it is left. It may be
// called more than once.
func (s *Server) Stop() {
	s.stopped.Do(func() {
		s.Drain()
		if s.listener != nil {
			s.listener.Close()
		}
		s.Handler.Wait()
		s.cancel()
		for range s.parts {
			if err := <-s.running; err != nil && !errors.Is(err, context.Canceled) {
				s.t.Errorf("the server ended with: %v", err)
			}
		}
		if lines := s.Log.Find("panic"); len(lines) > 0 {
			s.t.Errorf("the log speaks of a panic:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// Listen answers on a socket of the loopback interface and returns its URL.
func (s *Server) Listen() string {
	if s.listener == nil {
		s.listener = httptest.NewServer(s.Handler)
	}
	return s.listener.URL
}

// Client is an HTTP client whose connections end with the listener.
func (s *Server) Client() *http.Client { return s.listener.Client() }

// Do carries out one request without a socket. A target is a path with a query.
func (s *Server) Do(method, target, body string) *httptest.ResponseRecorder {
	return s.DoContext(context.Background(), method, target, body)
}

// DoContext is Do for a client that may go away.
func (s *Server) DoContext(ctx context.Context, method, target, body string) *httptest.ResponseRecorder {
	var r io.Reader = http.NoBody
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(ctx, method, target, r)
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, req)
	return w
}

// Must carries out one request and fails the test unless it is answered with
// 200. It returns the body.
func (s *Server) Must(t testing.TB, method, target, body string) string {
	t.Helper()
	w := s.Do(method, target, body)
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s %s\n got %d %q\nwant 200", method, target, body, w.Code, w.Body)
	}
	return w.Body.String()
}
