package gossip

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is the library's, but nobody is called any more once ctx has ended:
// a join of an address that swallows packets would hold up the end.
type transport struct {
	*memberlist.NetTransport
	ctx  context.Context
	hang context.CancelFunc // ends ctx
}

// listen opens the sockets. With port 0 the system picks one for TCP, which may
// be taken for UDP, so it gets more than one chance.
func listen(cfg Config, c *memberlist.NetTransportConfig) (*transport, error) {
	if net.ParseIP(cfg.Bind) == nil {
		return nil, fmt.Errorf("open the %s pool: bind address %q is not an IP address", cfg.Area, cfg.Bind)
	}
	tries := 1
	if cfg.Port == 0 {
		tries = 10
	}
	for {
		opened, err := memberlist.NewNetTransport(c)
		if err == nil {
			t := &transport{NetTransport: opened}
			t.ctx, t.hang = context.WithCancel(context.Background())
			return t, nil
		}
		if tries--; tries == 0 {
			return nil, fmt.Errorf("open the %s pool on %s: %w", cfg.Area, address(cfg), err)
		}
	}
}

func address(cfg Config) string { return net.JoinHostPort(cfg.Bind, strconv.Itoa(cfg.Port)) }

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return (&net.Dialer{Timeout: timeout}).DialContext(t.ctx, "tcp", addr)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}
