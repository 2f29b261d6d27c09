package check

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"

	"curia/api"
)

// h2Probe sends an HTTP/2 ping and waits for its answer ("H2ping checks").
type h2Probe struct {
	addr   string
	dialer dialer
}

func newH2Ping(def *api.CheckRegistration, opts Options) *h2Probe {
	if !def.PingUsesTLS() {
		return &h2Probe{def.H2PING, dialerFor(nil)}
	}
	cfg := opts.tlsConfig(def)
	cfg.NextProtos = []string{http2.NextProtoTLS}
	return &h2Probe{def.H2PING, dialerFor(cfg)}
}

func (p *h2Probe) probe(ctx context.Context) Result {
	conn, err := p.dialer.DialContext(ctx, "tcp", p.addr)
	if err != nil {
		return Result{api.Critical, fmt.Sprintf("Failed to dial to %s: %v", p.addr, err)}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	if err := ping(conn); err != nil {
		return Result{api.Critical, fmt.Sprintf("HTTP2 ping failed: %v", cmp.Or(ctx.Err(), err))}
	}
	return Result{api.Passing, "HTTP2 ping was successful"}
}

// ping opens HTTP/2 on a connection, sends a ping and waits until it comes back.
func ping(conn net.Conn) error {
	data := [8]byte([]byte("curiapng"))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	if err := framer.WritePing(false, data); err != nil {
		return err
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if f.IsAck() && f.Data == data {
				return nil
			}
		case *http2.GoAwayFrame:
			err = fmt.Errorf("the server closes the connection: %v", f.ErrCode)
		}
		if err != nil {
			return err
		}
	}
}
