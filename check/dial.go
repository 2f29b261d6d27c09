package check

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"curia/api"
)

// dialer tries the addresses of all families that a name has.
type dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// dialerFor makes plain connections, or TLS when cfg is not nil.
func dialerFor(cfg *tls.Config) dialer {
	if cfg == nil {
		return &net.Dialer{}
	}
	return &tls.Dialer{Config: cfg}
}

// tcpProbe makes a connection ("TCP checks").
type tcpProbe struct {
	name, addr string
	dialer     dialer
}

func newTCP(def *api.CheckRegistration, opts Options) *tcpProbe {
	if def.TCPUseTLS {
		return &tcpProbe{"TCP+TLS", def.TCP, dialerFor(opts.tlsConfig(def))}
	}
	return &tcpProbe{"TCP", def.TCP, dialerFor(nil)}
}

func (p *tcpProbe) probe(ctx context.Context) Result {
	conn, err := p.dialer.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return failed(err)
	}
	conn.Close()
	return Result{api.Passing, fmt.Sprintf("%s connect %s: Success", p.name, p.addr)}
}

// udpProbe sends a datagram and waits for one ("UDP checks"). Silence is a good
// sign, too: only a refusal says that nobody is there.
type udpProbe struct{ addr string }

func (p *udpProbe) probe(ctx context.Context) Result {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", p.addr)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	if _, err := conn.Write([]byte("ping\n")); err != nil {
		return failed(err)
	}
	var reply [1]byte
	if _, err := conn.Read(reply[:]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return failed(err)
	}
	return Result{api.Passing, fmt.Sprintf("UDP connect %s: Success", p.addr)}
}
