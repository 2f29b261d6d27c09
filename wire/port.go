package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"curia/api"
	"curia/internal/pause"
)

// The first byte of a connection says what it is for.
const (
	byteLog  = 0x01 // the replicated log
	byteTLS  = 0x16 // a TLS handshake; the kind follows inside it
	byteCall = 'P'  // calls: the preface of HTTP/2
)

// Security says how connections to the server port are protected. The zero value
// takes and makes plain ones.
type Security struct {
	// Accept is asked for the configuration of each connection that begins with
	// TLS; nil: there is no certificate, and such connections are refused.
	Accept func() *tls.Config
	// Demand refuses connections without TLS (verify_incoming).
	Demand func() bool
	// Dial gives the configuration of connections to servers of a datacenter; nil,
	// or a nil configuration: they are made without TLS.
	Dial func(datacenter string) *tls.Config
	// Server tells why the holder of a certificate is no server of this datacenter,
	// and so may not replicate the log; nil: everybody may.
	Server func(tls.ConnectionState) error
}

// Limits bound what others may ask of the port. Zero values mean no bound.
type Limits struct {
	// Handshake is the time until the kind of a connection must be known.
	Handshake time.Duration
	// PerAddress is how many connections one IP address may hold.
	PerAddress int
}

// Bounds of messages and streams.
const (
	maxQuestion = 64 << 20  // bytes of a request
	maxReply    = 512 << 20 // bytes of an answer
	maxStreams  = 1 << 16   // requests that one connection has under way
)

// Service is what the port answers with.
type Service interface {
	api.Caller
	Archivist
}

// Port is the server port. Make one with NewPort.
type Port struct {
	listener net.Listener
	security Security
	limits   func() Limits
	log      *slog.Logger
	callee   *callee
	calls    *grpc.Server
	callConn *queueListener
	logConn  *queueListener
	guests   guests
	begun    sync.WaitGroup // connections whose kind is not known yet
}

// NewPort makes a port of a listener, which Run closes. Nothing is accepted
// before Run. limits is asked for each connection.
func NewPort(l net.Listener, security Security, limits func() Limits, service Service, log *slog.Logger) *Port {
	p := &Port{
		listener: l, security: security, limits: limits, log: log,
		callConn: newQueueListener(l.Addr()), logConn: newQueueListener(l.Addr()),
	}
	p.callee = &callee{service, make(chan struct{})}
	p.calls = newCalls(p.callee)
	return p
}

// Run answers until ctx ends, and returns when every call has ended. Those that
// are under way then have a moment to end by themselves; others are told to go
// elsewhere.
func (p *Port) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := p.calls.Serve(p.callConn)
		if ctx.Err() != nil || errors.Is(err, grpc.ErrServerStopped) {
			return nil
		}
		return err
	})
	group.Go(func() error { return p.accept(ctx) })
	group.Go(func() error {
		<-ctx.Done()
		_ = p.listener.Close()
		p.finish()
		_ = p.callConn.Close()
		_ = p.logConn.Close()
		p.guests.closeAll()
		p.begun.Wait()
		return nil
	})
	return group.Wait()
}

// finishWait is how long calls may go on that are under way at the end.
const finishWait = time.Second

// finish returns when every call has ended.
func (p *Port) finish() {
	timer := time.AfterFunc(finishWait, p.calls.Stop)
	defer timer.Stop()
	close(p.callee.ending)
	p.calls.GracefulStop()
}

// accept takes connections until the listener is closed.
func (p *Port) accept(ctx context.Context) error {
	for {
		conn, err := p.listener.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("answer on the server port: %w", err)
		case err != nil:
			// Out of file descriptors, or the peer has gone: others may succeed.
			p.log.Warn("cannot accept a connection on the server port", "err", err)
			pause.For(ctx, acceptPause)
			continue
		}
		limits := p.limits()
		guest, ok := p.guests.admit(conn, limits.PerAddress)
		if !ok {
			p.refuse(conn, fmt.Errorf("it has %d connections already (limits.rpc_max_conns_per_client)", limits.PerAddress))
			continue
		}
		p.begun.Go(func() { p.begin(guest, limits.Handshake) })
	}
}

// acceptPause is how long accept waits after a failure.
const acceptPause = 50 * time.Millisecond

// begin finds out what a connection is for, and hands it on.
func (p *Port) begin(conn net.Conn, patience time.Duration) {
	if patience > 0 {
		_ = conn.SetDeadline(time.Now().Add(patience))
	}
	if err := p.sort(conn); err != nil {
		p.refuse(conn, err)
	}
}

var errPlain = errors.New("it speaks without TLS, which is demanded here: set verify_outgoing, ca_file, cert_file and key_file there")

// sort hands a connection to those who serve its kind, or tells why nobody does.
func (p *Port) sort(conn net.Conn) error {
	first, err := peek(conn)
	if err != nil {
		return err
	}
	if first.kind != byteTLS {
		if p.security.Demand != nil && p.security.Demand() {
			return errPlain
		}
		return p.hand(first, nil)
	}
	if p.security.Accept == nil {
		return errNoCertificate
	}
	conf := p.security.Accept()
	if conf == nil {
		return errNoCertificate
	}
	secured := tls.Server(first, conf)
	if err := secured.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	state := secured.ConnectionState()
	inside, err := peek(secured)
	if err != nil {
		return err
	}
	return p.hand(inside, &state)
}

var errNoCertificate = errors.New("it speaks TLS, but this agent has no certificate: set cert_file and key_file here, or turn verify_outgoing off there")

// hand gives a connection whose kind is known to those who serve it.
func (p *Port) hand(conn *peeked, state *tls.ConnectionState) error {
	to := p.callConn
	switch conn.kind {
	case byteCall:
	case byteLog:
		if p.security.Server != nil && state != nil {
			if err := p.security.Server(*state); err != nil {
				return fmt.Errorf("it may not replicate the log: %w", err)
			}
		}
		conn.taken = true
		to = p.logConn
	default:
		return fmt.Errorf("it speaks no protocol that is known here (its first byte is %#x)", conn.kind)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return to.put(conn)
}

// refuse cuts a connection off. An address is named in the log once in a while.
func (p *Port) refuse(conn net.Conn, err error) {
	_ = conn.Close()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || !p.guests.unheard(conn.RemoteAddr()) {
		return
	}
	p.log.Warn("refused a connection on the server port", "from", conn.RemoteAddr().String(), "err", err)
}

// peeked is a connection whose first byte has been looked at.
type peeked struct {
	net.Conn
	kind  byte
	taken bool // the first byte has been read by its reader
}

func peek(conn net.Conn) (*peeked, error) {
	var b [1]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return nil, err
	}
	return &peeked{Conn: conn, kind: b[0]}, nil
}

// Read gives the first byte back before the rest.
func (c *peeked) Read(b []byte) (int, error) {
	if c.taken || len(b) == 0 {
		return c.Conn.Read(b)
	}
	c.taken = true
	b[0] = c.kind
	return 1, nil
}
