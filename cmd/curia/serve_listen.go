package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/google/uuid"

	"curia/config"
	"curia/internal/atomicfile"
)

// listener is a socket of the HTTP API.
type listener struct {
	net.Listener
	name    string
	limited *limitedListener
}

func (n *node) closeListeners() {
	for _, l := range n.listeners {
		_ = l.Close()
	}
}

// listenHTTP opens the sockets of the HTTP API. Without a port only those that
// are files are left.
func (n *node) listenHTTP(cfg *config.Config) error {
	for _, addr := range cfg.Addresses.HTTP {
		if cfg.Ports.HTTP < 1 && !strings.HasPrefix(addr, "unix://") {
			continue
		}
		l, name, err := listen(addr, cfg.Ports.HTTP, cfg)
		if err != nil {
			return fmt.Errorf("cannot listen for HTTP on %s: %w; choose another with -http-port, -client or addresses.http", name, err)
		}
		limited := limitConns(l, cfg.Limits.HTTPMaxConnsPerClient, tooManyConns)
		n.listeners = append(n.listeners, listener{limited, name, limited})
	}
	return nil
}

func listen(addr string, port int, cfg *config.Config) (net.Listener, string, error) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		l, err := listenUnix(path, cfg.UnixSockets)
		return l, addr, err
	}
	name := net.JoinHostPort(addr, strconv.Itoa(port))
	l, err := net.Listen("tcp", name)
	return l, name, err
}

// listenUnix opens a socket in place of one that a dead agent has left behind.
func listenUnix(path string, u config.UnixSockets) (net.Listener, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("another process listens there")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := ownSocket(path, u); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// ownSocket gives a socket its owner and mode (unix_sockets).
func ownSocket(path string, u config.UnixSockets) error {
	uid, gid := -1, -1
	if u.User != "" {
		id := u.User
		if found, err := user.Lookup(u.User); err == nil {
			id = found.Uid
		}
		n, err := strconv.Atoi(id)
		if err != nil {
			return fmt.Errorf("unix_sockets.user: unknown user %q", u.User)
		}
		uid = n
	}
	if u.Group != "" {
		id := u.Group
		if found, err := user.LookupGroup(u.Group); err == nil {
			id = found.Gid
		}
		n, err := strconv.Atoi(id)
		if err != nil {
			return fmt.Errorf("unix_sockets.group: unknown group %q", u.Group)
		}
		gid = n
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return err
	}
	if u.Mode == "" {
		return nil
	}
	mode, err := strconv.ParseUint(u.Mode, 8, 32)
	if err != nil {
		return fmt.Errorf("unix_sockets.mode: %q is not an octal number", u.Mode)
	}
	return os.Chmod(path, os.FileMode(mode))
}

// limitedListener bounds the connections of each client address. Those over the
// bound are answered with a refusal and closed.
type limitedListener struct {
	net.Listener
	refusal string
	most    atomic.Int64 // 0 or less: no bound
	mu      sync.Mutex
	open    map[string]int64
}

// limitConns bounds the connections of each client, but not those of local
// sockets; most is 0 for no bound. The refusal is what others get, "" under TLS.
func limitConns(l net.Listener, most int, refusal string) *limitedListener {
	limited := &limitedListener{Listener: l, refusal: refusal, open: map[string]int64{}}
	limited.allow(most)
	return limited
}

// allow changes the bound.
func (l *limitedListener) allow(most int) {
	if l.Addr().Network() != "unix" {
		l.most.Store(int64(most))
	}
}

// setConnLimit changes the bound of all sockets.
func (n *node) setConnLimit(most int) {
	for _, l := range n.listeners {
		l.limited.allow(most)
	}
}

const tooManyConns = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"Your IP is issuing too many concurrent connections, please rate limit your calls\n"

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		l.mu.Lock()
		most := l.most.Load()
		over := most > 0 && l.open[host] >= most
		if !over {
			l.open[host]++
		}
		l.mu.Unlock()
		if !over {
			return &limitedConn{Conn: c, done: func() { l.release(host) }}, nil
		}
		_, _ = io.WriteString(c, l.refusal)
		_ = c.Close()
	}
}

func (l *limitedListener) release(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[host]--; l.open[host] == 0 {
		delete(l.open, host)
	}
}

type limitedConn struct {
	net.Conn
	once sync.Once
	done func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

// openDataDir makes the data directory ready, keeps other agents out of it and
// finds the ID of this node.
func (n *node) openDataDir(cfg *config.Config) error {
	n.id = cfg.Node.ID
	dir := cfg.Node.DataDir
	if dir == "" {
		if n.id == "" {
			n.id = uuid.NewString()
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the data directory: %w; choose another with -data-dir", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write to the data directory: %w; choose another with -data-dir", err)
	}
	n.undo = append(n.undo, func() { _ = lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("the data directory %s is used by another agent; stop it or choose another with -data-dir", dir)
	}
	path := filepath.Join(dir, "node-id")
	if kept, err := os.ReadFile(path); err == nil && n.id == "" {
		id, err := uuid.Parse(strings.TrimSpace(string(kept)))
		if err != nil {
			return fmt.Errorf("%s does not hold a node ID (%w); remove the file to get a new one", path, err)
		}
		n.id = id.String()
		return nil
	}
	if n.id == "" {
		n.id = uuid.NewString()
	}
	return atomicfile.Write(path, []byte(n.id))
}

// writePID writes the file that names this process.
func (n *node) writePID(path string) error {
	if path == "" {
		return nil
	}
	if err := atomicfile.Write(path, []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return fmt.Errorf("pid_file: %w", err)
	}
	n.undo = append(n.undo, func() { _ = os.Remove(path) })
	return nil
}
