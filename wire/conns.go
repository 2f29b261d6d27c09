package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"curia/api"
)

// Times of connections to others.
const (
	dialWait   = 3 * time.Second // until a connection is made
	redialMin  = 100 * time.Millisecond
	redialMax  = 2 * time.Second
	answerWait = time.Minute      // for an answer that does not wait for a change
	waitSlack  = 10 * time.Second // beyond the wait that a request asks for
	longestAsk = 10 * time.Minute // the wait of a request that names none
)

// Dialer opens a connection to an address; net.Dialer.DialContext is one.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Conns are the connections to other servers, one for each address. Make them
// with NewConns. Safe for concurrent use.
type Conns struct {
	dial     Dialer
	security Security
	patience func() time.Duration // for an answer; 0: answerWait

	mu     sync.Mutex
	byPeer map[peer]*link
	closed bool
}

// peer is where a connection goes.
type peer struct{ address, datacenter string }

// NewConns makes connections with dial; nil takes that of package net. patience
// is how long an answer may take that does not wait for a change; nil: a minute.
func NewConns(dial Dialer, security Security, patience func() time.Duration) *Conns {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &Conns{dial: dial, security: security, patience: patience, byPeer: map[peer]*link{}}
}

// Close ends all connections. Calls that are under way fail.
func (c *Conns) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for at, conn := range c.byPeer {
		_ = conn.Close()
		delete(c.byPeer, at)
	}
}

// Keep closes the connections to all addresses but these.
func (c *Conns) Keep(addresses map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, conn := range c.byPeer {
		if !addresses[at.address] {
			_ = conn.Close()
			delete(c.byPeer, at)
		}
	}
}

// to gives the connection to a server; it is made when it is first used.
func (c *Conns) to(at peer) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, api.Errorf(api.Unreached, "this agent is stopping")
	}
	if conn := c.byPeer[at]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+at.address,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // DialLog and DialCalls add TLS
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := c.open(ctx, at)
			if err != nil {
				return nil, err
			}
			if _, secured := conn.(*tls.Conn); secured {
				return &newConn{Conn: conn, ended: errEndedTLS}, nil
			}
			return &newConn{Conn: conn, ended: errEnded}, nil
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: redialMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: redialMax}, MinConnectTimeout: dialWait,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepAliveEvery, Timeout: keepAliveWait}),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(messages{}), grpc.MaxCallRecvMsgSize(maxReply), grpc.MaxCallSendMsgSize(maxQuestion)),
		grpc.WithStatsHandler(sentMarker{}), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
	)
	if err != nil {
		return nil, api.Errorf(api.Unreached, "cannot reach server %s: %v", at.address, err)
	}
	made := newLink(conn)
	c.byPeer[at] = made
	return made, nil
}

// open makes a connection, with TLS if that is configured.
func (c *Conns) open(ctx context.Context, at peer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	conn, err := c.dial(ctx, "tcp", at.address)
	if err != nil {
		return nil, err
	}
	var conf *tls.Config
	if c.security.Dial != nil {
		conf = c.security.Dial(at.datacenter)
	}
	if conf == nil {
		return conn, nil
	}
	secured := tls.Client(conn, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if errors.Is(err, io.EOF) {
			err = errors.New("it ends the connection: it may have no certificate, or not take ours")
		}
		return nil, fmt.Errorf("TLS handshake with %s: %w", at.address, err)
	}
	return secured, nil
}

// newConn is a connection to a server. It says what may be wrong when the other
// side ends it without a word. What we notice of that depends on who is faster: the
// end, when we read, or that it was too late, when we write.
type newConn struct {
	net.Conn
	ended error
	heard atomic.Bool // something was read
}

var (
	errEnded    = errors.New("it ended the connection: if it demands TLS, set verify_outgoing, ca_file, cert_file and key_file here")
	errEndedTLS = errors.New("it ended the connection after the TLS handshake: it may demand a certificate, or one of another authority than ours")
)

// Read implements net.Conn.
func (c *newConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	if !c.heard.Load() && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		return n, c.ended
	}
	return n, err
}

// Write implements net.Conn.
func (c *newConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.heard.Load() && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
		return n, c.ended
	}
	return n, err
}

// DialLog opens a stream for the replicated log to a server of this agent's
// datacenter.
func (c *Conns) DialLog(ctx context.Context, address, datacenter string) (net.Conn, error) {
	conn, err := c.open(ctx, peer{address, datacenter})
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write([]byte{byteLog}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// call asks one server.
func (c *Conns) call(ctx context.Context, at peer, req *api.Request) (*api.Response, error) {
	q, err := ask(req)
	if err != nil {
		return nil, err
	}
	conn, err := c.to(at)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, c.wait(req))
	defer cancel()
	if talkable(req, q) {
		answer, asked, err := conn.ask(bounded, q)
		switch {
		case err == nil:
			return answer.response(req)
		case !errors.Is(err, errMute):
			return nil, broken(ctx, at, err, asked)
		}
	}
	sent := &sentMark{}
	answer := &reply{}
	if err := conn.Invoke(context.WithValue(bounded, sentKey{}, sent), methodCall, q, answer); err != nil {
		return nil, broken(ctx, at, err, sent.yes())
	}
	return answer.response(req)
}

// wait bounds the time for an answer.
func (c *Conns) wait(req *api.Request) time.Duration {
	if req.MinIndex > 0 {
		d := req.MaxWait
		if d <= 0 {
			d = longestAsk
		}
		return d + d/16 + waitSlack // a server adds up to a sixteenth
	}
	if c.patience != nil {
		if d := c.patience(); d > 0 {
			return d
		}
	}
	return answerWait
}

// broken says what became of a call that has no answer.
func broken(ctx context.Context, at peer, err error, sent bool) error {
	var known *api.Error
	switch {
	case ctx.Err() != nil && !sent: // whoever cancelled it may try elsewhere
		return fmt.Errorf("%w (%w)", api.Errorf(api.Unreached, "cannot reach server %s", at.address), ctx.Err())
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &known):
		return err
	case !sent:
		return api.Errorf(api.Unreached, "cannot reach server %s: %s", at.address, status.Convert(err).Message())
	case status.Code(err) == codes.ResourceExhausted:
		return api.Errorf(api.TooLarge, "server %s: %s", at.address, status.Convert(err).Message())
	}
	return api.Errorf(api.Lost, "server %s did not answer: %s", at.address, status.Convert(err).Message())
}

// sentMark remembers whether anything of a call went out.
type sentMark struct {
	mu   sync.Mutex
	went bool
}

func (m *sentMark) yes() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.went
}

type sentKey struct{}

// sentMarker marks calls whose header goes out. An attempt that gRPC makes anew was
// not taken by the server, so that only the last one counts.
type sentMarker struct{}

// TagRPC implements stats.Handler.
func (sentMarker) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (sentMarker) HandleRPC(ctx context.Context, s stats.RPCStats) {
	_, begins := s.(*stats.Begin)
	_, goes := s.(*stats.OutHeader)
	if !begins && !goes {
		return
	}
	if mark, ok := ctx.Value(sentKey{}).(*sentMark); ok {
		mark.mu.Lock()
		mark.went = goes
		mark.mu.Unlock()
	}
}

// TagConn implements stats.Handler.
func (sentMarker) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (sentMarker) HandleConn(context.Context, stats.ConnStats) {}

// clientConn is a connection to a server.
type clientConn = *grpc.ClientConn

// isStatus reports whether an error is one of gRPC's own: the answer did not come.
func isStatus(err error) bool {
	var s interface{ GRPCStatus() *status.Status }
	return errors.As(err, &s)
}
