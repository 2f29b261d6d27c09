package dnsapi

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"curia/api"
)

// serve runs a server on sockets at host and gives their address.
func serve(t *testing.T, s *Server, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, []*net.UDPConn{pc.(*net.UDPConn)}, []net.Listener{l}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		if err := pc.Close(); err == nil {
			t.Error("Run left its UDP socket open")
		}
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

func TestSockets(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
		addr := serve(t, New(plainConfig(), crowd(12, nil), silent()), host)
		for network, want := range map[string]int{"udp": 3, "tcp": 12} {
			client := dns.Client{Net: network, Timeout: 10 * time.Second}
			r, _, err := client.Exchange(asking{name: "crowd.service.consul", qtype: dns.TypeA}.message(), addr)
			if err != nil || len(r.Answer) != want || r.Truncated != (want < 12) {
				t.Errorf("%s on %q: %v, %v; want %d answers", network, host, r, err, want)
			}
		}
	}
}

// On a socket that is bound to all addresses the answer comes from the one that
// was asked: a connected client takes no other.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	_, port, err := net.SplitHostPort(serve(t, New(plainConfig(), golden(), silent()), "0.0.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	client := dns.Client{Timeout: 10 * time.Second}
	r, _, err := client.Exchange(asking{name: "n1.node.consul", qtype: dns.TypeA}.message(), "127.0.0.9:"+port)
	if err != nil || len(r.Answer) != 1 {
		t.Errorf("asked 127.0.0.9: %v, %v", r, err)
	}
}

// A connection answers several questions, also when they come in one piece, and
// ends at what is no question.
func TestConnectionGoesOn(t *testing.T) {
	addr := serve(t, New(plainConfig(), golden(), silent()), "127.0.0.1")
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	packet, err := asking{name: "v2.web.service.consul", qtype: dns.TypeA}.message().Pack()
	if err != nil {
		t.Fatal(err)
	}
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	if _, err := c.Write(append(framed, framed...)); err != nil {
		t.Fatal(err)
	}
	conn := dns.Conn{Conn: c}
	for range 2 {
		if r, err := conn.ReadMsg(); err != nil || len(r.Answer) != 1 {
			t.Errorf("got %v, %v", r, err)
		}
	}
	if _, err := c.Write([]byte{0, 3, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if r, err := conn.ReadMsg(); err == nil {
		t.Errorf("three bytes were answered with %v", r)
	}
}

// Questions that wait do not keep others waiting, and the end of the server
// does not wait for them.
func TestWaitingQuestionsDoNotBlock(t *testing.T) {
	all := golden()
	all.hold = make(chan struct{})
	addr := serve(t, New(plainConfig(), all, silent()), "127.0.0.1")
	held, err := asking{name: "held.service.consul", qtype: dns.TypeA}.message().Pack()
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client := dns.Client{Timeout: 10 * time.Second}
	for range 2 * idleReaders {
		if _, err := c.Write(held); err != nil {
			t.Fatal(err)
		}
		r, _, err := client.Exchange(asking{name: "v2.web.service.consul", qtype: dns.TypeA}.message(), addr)
		if err != nil || len(r.Answer) != 1 {
			t.Fatalf("while others wait: %v, %v", r, err)
		}
	}
}

func TestRunFailsOnAClosedSocket(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = pc.Close()
	err = New(plainConfig(), &catalog{shared: map[string]*api.Response{}}, silent()).Run(t.Context(), []*net.UDPConn{pc.(*net.UDPConn)}, nil)
	if err == nil || !strings.Contains(err.Error(), "read DNS questions on 127.0.0.1") {
		t.Errorf("Run ended with %v", err)
	}
}
