package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"curia/wire"
)

// fault is what is wrong with the way between two nodes. Greater is worse.
type fault uint8

const (
	open    fault = iota
	stalled       // nothing arrives, and nobody is told: it arrives later
	cut           // connections are reset, and new ones refused
)

// way is an unordered pair of nodes.
type way struct{ a, b string }

func wayOf(a, b string) way {
	if a > b {
		a, b = b, a
	}
	return way{a, b}
}

// network is what all nodes are connected by. Safe for concurrent use.
type network struct {
	mu      sync.Mutex
	names   map[string]string // of nodes, by address
	faults  map[way]fault
	paused  map[string]bool
	dead    map[string]bool
	delays  map[way]time.Duration
	links   map[*link]struct{}
	changed chan struct{} // closed when anything of the above changes
}

func newNetwork() *network {
	return &network{
		names: map[string]string{}, faults: map[way]fault{}, paused: map[string]bool{}, dead: map[string]bool{},
		delays: map[way]time.Duration{}, links: map[*link]struct{}{}, changed: make(chan struct{}),
	}
}

// change changes what is wrong, and resets the connections that are cut by it.
func (n *network) change(f func()) {
	n.mu.Lock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
	var broken []*link
	for l := range n.links {
		if n.between(l.from, l.to) == cut {
			broken = append(broken, l)
		}
	}
	n.mu.Unlock()
	for _, l := range broken {
		_ = l.Close()
	}
}

// between says what is wrong between two nodes; the caller holds the lock.
func (n *network) between(a, b string) fault {
	switch {
	case n.dead[a] || n.dead[b]:
		return cut
	case n.paused[a] || n.paused[b]:
		return max(stalled, n.faults[wayOf(a, b)])
	}
	return n.faults[wayOf(a, b)]
}

// pass waits until something may go from one node to another.
func (n *network) pass(a, b string, ended <-chan struct{}, deadline func() (time.Time, <-chan struct{})) error {
	for {
		n.mu.Lock()
		is, delay, changed := n.between(a, b), n.delays[wayOf(a, b)], n.changed
		n.mu.Unlock()
		switch {
		case is == cut:
			return syscall.ECONNRESET
		case is == open && delay == 0:
			return nil
		}
		until, moved := deadline()
		var late, slow <-chan time.Time
		if !until.IsZero() {
			t := time.NewTimer(time.Until(until))
			defer t.Stop()
			late = t.C
		}
		if is == open {
			t := time.NewTimer(delay)
			defer t.Stop()
			slow, changed = t.C, nil
		}
		select {
		case <-slow:
			return nil
		case <-changed:
		case <-moved:
		case <-late:
			return os.ErrDeadlineExceeded
		case <-ended:
			return net.ErrClosed
		}
	}
}

// dialer opens connections of a node to others.
func (n *network) dialer(from string) wire.Dialer {
	return func(ctx context.Context, kind, address string) (net.Conn, error) {
		n.mu.Lock()
		to := n.names[address]
		n.mu.Unlock()
		never := func() (time.Time, <-chan struct{}) { return time.Time{}, nil }
		if err := n.pass(from, to, ctx.Done(), never); err != nil {
			if errors.Is(err, net.ErrClosed) {
				err = ctx.Err()
			}
			return nil, fmt.Errorf("dial %s: %w", to, err)
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, kind, address)
		if err != nil {
			return nil, err
		}
		l := &link{Conn: conn, net: n, from: from, to: to, ended: make(chan struct{})}
		n.mu.Lock()
		n.links[l] = struct{}{}
		n.mu.Unlock()
		n.change(func() {}) // a cut that came meanwhile concerns it too
		return l, nil
	}
}

// link is a connection that the faults of its way hold up or break.
type link struct {
	net.Conn
	net      *network
	from, to string
	ended    chan struct{}
	once     sync.Once
	reads    limit
	writes   limit
}

// limit is a deadline that may be moved while somebody waits for it.
type limit struct {
	mu    sync.Mutex
	at    time.Time
	moved chan struct{} // nil while nobody waits
}

func (d *limit) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
}

func (d *limit) get() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moved == nil {
		d.moved = make(chan struct{})
	}
	return d.at, d.moved
}

// Read implements net.Conn. What has arrived is held back while the way is
// stalled; when its deadline passes meanwhile, the connection is of no use any
// more.
func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 {
		if held := l.net.pass(l.from, l.to, l.ended, l.reads.get); held != nil {
			_ = l.Close()
			return 0, held
		}
	}
	return n, err
}

// Write implements net.Conn.
func (l *link) Write(b []byte) (int, error) {
	if err := l.net.pass(l.from, l.to, l.ended, l.writes.get); err != nil {
		_ = l.Close()
		return 0, err
	}
	return l.Conn.Write(b)
}

// SetDeadline implements net.Conn.
func (l *link) SetDeadline(t time.Time) error {
	l.reads.set(t)
	l.writes.set(t)
	return l.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (l *link) SetReadDeadline(t time.Time) error {
	l.reads.set(t)
	return l.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (l *link) SetWriteDeadline(t time.Time) error {
	l.writes.set(t)
	return l.Conn.SetWriteDeadline(t)
}

// Close implements net.Conn. What was cut is reset rather than ended in order.
func (l *link) Close() error {
	l.once.Do(func() {
		close(l.ended)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		delete(l.net.links, l)
		if tcp, ok := l.Conn.(*net.TCPConn); ok && l.net.between(l.from, l.to) == cut {
			_ = tcp.SetLinger(0)
		}
	})
	return l.Conn.Close()
}
