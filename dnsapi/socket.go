package dnsapi

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sync/errgroup"
)

// Bounds of what is done at once, for each socket.
const (
	mostReaders = 1024 // questions over UDP that wait for their answers
	idleReaders = 16   // readers that stay; starting one costs as much as some answers
	mostConns   = 1024
	idleConn    = 10 * time.Second
	largestAsk  = 4096 // bytes of a question over UDP
)

// Run answers on the sockets until ctx ends, and closes them.
func (s *Server) Run(ctx context.Context, packets []*net.UDPConn, streams []net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range packets {
		group.Go(func() error { return s.runUDP(ctx, c) })
	}
	for _, l := range streams {
		group.Go(func() error { return s.runTCP(ctx, l) })
	}
	return group.Wait()
}

// datagrams is a UDP socket. Safe for concurrent use.
type datagrams struct {
	*net.UDPConn
	// wildcard says that it is bound to all addresses: answers must leave from the
	// one that was asked.
	wildcard bool
}

// peer is where a datagram came from.
type peer struct {
	addr    netip.AddrPort
	session *dns.SessionUDP // of wildcard sockets
}

func openDatagrams(c *net.UDPConn) (datagrams, error) {
	d := datagrams{UDPConn: c}
	if a, ok := c.LocalAddr().(*net.UDPAddr); !ok || !a.IP.IsUnspecified() {
		return d, nil
	}
	d.wildcard = true
	// A socket has one of the families, or both.
	err6 := ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
	err4 := ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
	if err6 != nil && err4 != nil {
		return d, fmt.Errorf("learn the address that is asked on %s: %w", c.LocalAddr(), err4)
	}
	return d, nil
}

func (d *datagrams) receive(b []byte) (n int, from peer, err error) {
	if d.wildcard {
		n, from.session, err = dns.ReadFromSessionUDP(d.UDPConn, b)
		return n, from, err
	}
	n, from.addr, err = d.ReadFromUDPAddrPort(b)
	return n, from, err
}

func (d *datagrams) send(b []byte, to peer) error {
	if d.wildcard {
		_, err := dns.WriteToSessionUDP(d.UDPConn, b, to.session)
		return err
	}
	_, err := d.WriteToUDPAddrPort(b, to.addr)
	return err
}

// runUDP answers datagrams. Most questions are answered at once, some have to
// wait for others: there is always one reader that waits for the next question.
func (s *Server) runUDP(ctx context.Context, c *net.UDPConn) error {
	defer c.Close()
	d, err := openDatagrams(c)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	readers := &errgroup.Group{}
	readers.SetLimit(mostReaders)
	var idle atomic.Int32
	var read func() error
	read = func() error {
		in, out, w := make([]byte, largestAsk), make([]byte, 0, largestAsk), &scratch{}
		for {
			idle.Add(1)
			n, from, err := d.receive(in)
			last := idle.Add(-1) == 0
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, net.ErrClosed):
				return fmt.Errorf("read DNS questions on %s: %w", c.LocalAddr(), err)
			case err != nil:
				continue // about one datagram; the socket is as good as before
			}
			if last {
				readers.TryGo(read)
			}
			if answer := s.respond(ctx, in[:n], udp, out[:0], w); len(answer) > 0 {
				out = answer[:0]
				_ = d.send(answer, from) // the client asks again
			}
			if idle.Load() >= idleReaders {
				return nil
			}
		}
	}
	readers.Go(read)
	return readers.Wait()
}

// runTCP answers connections.
func (s *Server) runTCP(ctx context.Context, l net.Listener) error {
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	conns := &errgroup.Group{}
	conns.SetLimit(mostConns)
	defer func() { _ = conns.Wait() }()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept DNS connections on %s: %w", l.Addr(), err)
		case err != nil: // such as too many open files
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if !conns.TryGo(func() error { s.converse(ctx, c); return nil }) {
			_ = c.Close()
		}
	}
}

// converse answers the questions of a connection, one after the other.
func (s *Server) converse(ctx context.Context, c net.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReader(c)
	w := &scratch{}
	var packet, out []byte
	for {
		if c.SetDeadline(time.Now().Add(idleConn)) != nil || ctx.Err() != nil {
			return
		}
		var length [2]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if cap(packet) < n {
			packet = make([]byte, n)
		}
		packet = packet[:n]
		if _, err := io.ReadFull(in, packet); err != nil {
			return
		}
		// The length goes before the answer, which does not know about it.
		out = s.respond(ctx, packet, tcp, out[:0], w)
		if len(out) == 0 {
			return
		}
		if c.SetDeadline(time.Now().Add(idleConn)) != nil || ctx.Err() != nil {
			return
		}
		if _, err := (&net.Buffers{binary.BigEndian.AppendUint16(nil, uint16(len(out))), out}).WriteTo(c); err != nil {
			return
		}
	}
}
