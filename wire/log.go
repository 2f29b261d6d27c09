package wire

import (
	"context"
	"net"
	"time"
)

// LogNetwork carries the replicated log over the server port. It is the
// listener of the streams that others open.
type LogNetwork struct {
	*queueListener
	self       string
	datacenter string
	conns      *Conns
}

// Log gives the replicated log its network. self is the address that others know
// this server by. Streams arrive while Run runs; those that this server opens to
// itself arrive always.
func (p *Port) Log(self, datacenter string, conns *Conns) *LogNetwork {
	return &LogNetwork{queueListener: p.logConn, self: self, datacenter: datacenter, conns: conns}
}

// Addr implements net.Listener: it is where others reach this server.
func (n *LogNetwork) Addr() net.Addr { return serverAddr(n.self) }

// Dial opens a stream to a server.
func (n *LogNetwork) Dial(address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if address != n.self {
		return n.conns.DialLog(ctx, address, n.datacenter)
	}
	near, far := net.Pipe()
	if err := n.put(far); err != nil {
		return nil, err
	}
	return near, nil
}

// serverAddr is the host and the port of a server.
type serverAddr string

// Network implements net.Addr.
func (serverAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a serverAddr) String() string { return string(a) }
