package wire

import (
	"net"
	"sync"
	"time"
)

// guests are the connections that others have opened. The zero value has none.
// Safe for concurrent use.
type guests struct {
	mu     sync.Mutex
	open   map[*guest]struct{}
	count  map[string]int       // by IP address
	blamed map[string]time.Time // when the log last spoke of an address
}

// guest is one connection. Closing it makes room for another of its address.
type guest struct {
	net.Conn
	of   *guests
	from string
	once sync.Once
}

// admit takes a connection in, unless its address has as many as it may; 0 means
// no bound.
func (g *guests) admit(conn net.Conn, most int) (*guest, bool) {
	from := host(conn.RemoteAddr())
	g.mu.Lock()
	defer g.mu.Unlock()
	if most > 0 && g.count[from] >= most {
		return nil, false
	}
	if g.open == nil {
		g.open, g.count = map[*guest]struct{}{}, map[string]int{}
	}
	c := &guest{Conn: conn, of: g, from: from}
	g.open[c] = struct{}{}
	g.count[from]++
	return c, true
}

// Close implements net.Conn.
func (c *guest) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		delete(c.of.open, c)
		if c.of.count[c.from]--; c.of.count[c.from] == 0 {
			delete(c.of.count, c.from)
		}
	})
	return c.Conn.Close()
}

// closeAll ends every connection.
func (g *guests) closeAll() {
	g.mu.Lock()
	all := make([]*guest, 0, len(g.open))
	for c := range g.open {
		all = append(all, c)
	}
	g.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}

const (
	blameEvery = time.Minute // between two lines of the log about one address
	maxBlamed  = 1024        // addresses that are remembered
)

// unheard reports whether the log has not spoken of an address for a while, and
// remembers that it does now.
func (g *guests) unheard(addr net.Addr) bool {
	from, now := host(addr), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.blamed[from]) < blameEvery {
		return false
	}
	if g.blamed == nil || len(g.blamed) >= maxBlamed {
		g.blamed = map[string]time.Time{}
	}
	g.blamed[from] = now
	return true
}

// host is an address without its port.
func host(addr net.Addr) string {
	h, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return h
}

// queueListener is a listener whose connections were accepted elsewhere.
type queueListener struct {
	addr   net.Addr
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newQueueListener(addr net.Addr) *queueListener {
	return &queueListener{addr: addr, queue: make(chan net.Conn), closed: make(chan struct{})}
}

// put waits until somebody accepts the connection.
func (l *queueListener) put(conn net.Conn) error {
	select {
	case l.queue <- conn:
		return nil
	case <-l.closed:
		return net.ErrClosed
	}
}

// Accept implements net.Listener.
func (l *queueListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.queue:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It may be called more than once.
func (l *queueListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *queueListener) Addr() net.Addr { return l.addr }
