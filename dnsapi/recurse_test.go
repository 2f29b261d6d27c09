package dnsapi

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"curia/api"
)

// recursor is a DNS server of a test, over UDP and TCP.
type recursor struct {
	addr string
	mu   sync.Mutex
	nets []string // over which it was asked
}

func (r *recursor) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nets
}

// recurses starts a server that answers as answer says; nil: not at all.
func recurses(t *testing.T, answer func(q *dns.Msg) *dns.Msg) *recursor {
	t.Helper()
	pc, l := pair(t)
	r := &recursor{addr: pc.LocalAddr().String()}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r.mu.Lock()
		r.nets = append(r.nets, w.LocalAddr().Network())
		r.mu.Unlock()
		if m := answer(q); m != nil {
			_ = w.WriteMsg(m)
		}
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
		started, done := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
	return r
}

// pair opens a UDP and a TCP socket on one port. The port that is free for one
// may be taken for the other, so it tries some.
func pair(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, l
		}
		_ = pc.Close()
	}
	t.Fatal("found no port that is free for UDP and TCP")
	return nil, nil
}

// addresses answers every question with n addresses.
func addresses(n int) func(q *dns.Msg) *dns.Msg {
	return func(q *dns.Msg) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		for i := range n {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
				A:   net.IPv4(192, 0, 2, byte(i)),
			})
		}
		return m
	}
}

func code(rcode int) func(q *dns.Msg) *dns.Msg {
	return func(q *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(q, rcode) }
}

func serverWith(all api.Caller, timeout time.Duration, recursors ...*recursor) *Server {
	cfg := plainConfig()
	cfg.Recursion.Timeout = timeout
	for _, r := range recursors {
		cfg.Recursion.Servers = append(cfg.Recursion.Servers, r.addr)
	}
	return New(cfg, all, silent())
}

func TestRecursion(t *testing.T) {
	good := addresses(1)
	truncated := func(q *dns.Msg) *dns.Msg { m := good(q); m.Truncated = true; return m }
	other := func(q *dns.Msg) *dns.Msg { m := good(q); m.Question[0].Name = "other.example."; return m }
	none := func(*dns.Msg) *dns.Msg { return nil }
	long := 10 * time.Second
	for _, c := range []struct {
		name      string
		recursors []func(*dns.Msg) *dns.Msg
		timeout   time.Duration
		ask       asking
		want      string
		asked     []int // how often each was
	}{
		{"one that knows", []func(*dns.Msg) *dns.Msg{good}, long, asking{name: "www.example.com", qtype: dns.TypeA},
			"NOERROR ra\n  www.example.com. 60 IN A 192.0.2.0\n", []int{1}},
		{"the first that knows", []func(*dns.Msg) *dns.Msg{good, good}, long, asking{name: "www.example.com", qtype: dns.TypeA},
			"NOERROR ra\n  www.example.com. 60 IN A 192.0.2.0\n", []int{1, 0}},
		{"nothing is an answer", []func(*dns.Msg) *dns.Msg{code(dns.RcodeNameError), good}, long, asking{name: "www.example.com", qtype: dns.TypeA},
			"NXDOMAIN ra\n", []int{1, 0}},
		{"after a failure", []func(*dns.Msg) *dns.Msg{code(dns.RcodeServerFailure), code(dns.RcodeRefused), good}, long, asking{name: "www.example.com", qtype: dns.TypeA},
			"NOERROR ra\n  www.example.com. 60 IN A 192.0.2.0\n", []int{1, 1, 1}},
		{"after a wrong answer", []func(*dns.Msg) *dns.Msg{other, good}, long, asking{name: "www.example.com", qtype: dns.TypeA},
			"NOERROR ra\n  www.example.com. 60 IN A 192.0.2.0\n", []int{1, 1}},
		{"after silence", []func(*dns.Msg) *dns.Msg{none, good}, 200 * time.Millisecond, asking{name: "www.example.com", qtype: dns.TypeA},
			"NOERROR ra\n  www.example.com. 60 IN A 192.0.2.0\n", []int{1, 1}},
		{"nobody knows", []func(*dns.Msg) *dns.Msg{code(dns.RcodeServerFailure), code(dns.RcodeRefused)}, long, asking{name: "www.example.com", qtype: dns.TypeA},
			"SERVFAIL ra\n", []int{1, 1}},
		{"what was cut there", []func(*dns.Msg) *dns.Msg{truncated}, long, asking{name: "www.example.com", qtype: dns.TypeA},
			"NOERROR tc ra\n  www.example.com. 60 IN A 192.0.2.0\n", []int{1}},
		{"a reverse name", []func(*dns.Msg) *dns.Msg{code(dns.RcodeNameError)}, long, asking{name: "7.7.7.10.in-addr.arpa", qtype: dns.TypePTR},
			"NXDOMAIN ra\n", []int{1}},
		{"a reverse name of ours", []func(*dns.Msg) *dns.Msg{good}, long, asking{name: "1.0.0.10.in-addr.arpa", qtype: dns.TypePTR},
			"NOERROR aa ra\n  1.0.0.10.in-addr.arpa. 0 IN PTR n1.node.dc1.consul.\n", []int{0}},
		{"a name of ours", []func(*dns.Msg) *dns.Msg{good}, long, asking{name: "v2.web.service.consul", qtype: dns.TypeA},
			"NOERROR aa ra\n  v2.web.service.consul. 0 IN A 10.9.9.9\n", []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []*recursor
			for _, answer := range c.recursors {
				all = append(all, recurses(t, answer))
			}
			got := show(ask(t, serverWith(golden(), c.timeout, all...), c.ask))
			if got != c.want {
				t.Errorf("asked %s, got\n%s, want\n%s", c.ask.name, got, c.want)
			}
			for i, r := range all {
				if len(r.asked()) != c.asked[i] {
					t.Errorf("recursor %d was asked %d times, want %d", i, len(r.asked()), c.asked[i])
				}
			}
		})
	}
}

// Questions go on as they came: over the same transport.
func TestRecursionKeepsTransport(t *testing.T) {
	r := recurses(t, addresses(1))
	s := serverWith(golden(), 10*time.Second, r)
	ask(t, s, asking{name: "www.example.com", qtype: dns.TypeA})
	ask(t, s, asking{name: "www.example.com", qtype: dns.TypeA, via: tcp})
	if got := strings.Join(r.asked(), " "); got != "udp tcp" {
		t.Errorf("the recursor was asked over %s", got)
	}
}

// A recursor that sends more than the client takes does not make us do it.
func TestRecursionFits(t *testing.T) {
	r := recurses(t, addresses(100))
	s := serverWith(golden(), 10*time.Second, r)
	for _, size := range []uint16{512, 1000, 4096} {
		m, n := ask(t, s, asking{name: "www.example.com", qtype: dns.TypeA, edns: size})
		// The recursor's own client takes what ours does: what is longer gets lost.
		if n > int(size) || m.Rcode == dns.RcodeSuccess && len(m.Answer) < 100 != m.Truncated {
			t.Errorf("EDNS %d: %d bytes, %d answers, %v", size, n, len(m.Answer), m.MsgHdr)
		}
	}
}

func TestRandomOrderOfRecursors(t *testing.T) {
	a, b := recurses(t, addresses(1)), recurses(t, addresses(1))
	s := serverWith(golden(), 10*time.Second, a, b)
	cfg := s.zone.Load().cfg
	cfg.Recursion.Order = Random
	s.Configure(cfg)
	for range 64 {
		ask(t, s, asking{name: "www.example.com", qtype: dns.TypeA})
	}
	if len(a.asked()) == 0 || len(b.asked()) == 0 {
		t.Errorf("of 64 questions one got %d, the other %d", len(a.asked()), len(b.asked()))
	}
}

// Addresses that are names elsewhere are resolved there.
func TestAddressesThatAreNames(t *testing.T) {
	node := &api.Node{Node: "n1", Address: "host.example.com", Datacenter: "dc1"}
	plain := &api.Node{Node: "n2", Address: "10.0.0.2", Datacenter: "dc1"}
	all := &catalog{}
	all.set([]*api.ServiceHealth{
		instance(plain, api.Service{ID: "a", Service: "ext", Address: "db.example.com", Port: 5}),
		instance(node, api.Service{ID: "b", Service: "onhost", Port: 6}),
	})
	s := serverWith(all, 10*time.Second, recurses(t, addresses(7)))
	five := func(section, name string) string {
		out := ""
		for i := range 5 {
			out += fmt.Sprintf("  %s%s 60 IN A 192.0.2.%d\n", section, name, i)
		}
		return out
	}
	for _, c := range []struct {
		ask  asking
		want string
	}{
		{asking{name: "n1.node.consul", qtype: dns.TypeA}, "NOERROR aa ra\n" + five("", "host.example.com.") + "  n1.node.consul. 0 IN CNAME host.example.com.\n"},
		{asking{name: "n1.node.consul", qtype: dns.TypeCNAME}, "NOERROR aa ra\n  n1.node.consul. 0 IN CNAME host.example.com.\n"},
		{asking{name: "ext.service.consul", qtype: dns.TypeSRV},
			"NOERROR aa ra\n  ext.service.consul. 0 IN SRV 1 1 5 db.example.com.\n" + five("additional ", "db.example.com.")},
		{asking{name: "onhost.service.consul", qtype: dns.TypeSRV},
			"NOERROR aa ra\n  onhost.service.consul. 0 IN SRV 1 1 6 n1.node.dc1.consul.\n" +
				five("additional ", "host.example.com.") + "  additional n1.node.dc1.consul. 0 IN CNAME host.example.com.\n"},
	} {
		if got := show(ask(t, s, c.ask)); got != c.want {
			t.Errorf("asked %s %s, got\n%s, want\n%s", c.ask.name, dns.TypeToString[c.ask.qtype], got, c.want)
		}
	}
	if r, _ := ask(t, s, asking{name: "n1.node.consul", qtype: dns.TypeA, edns: 4096}); len(r.Answer) != 8 {
		t.Errorf("with EDNS got %d records, want all 8", len(r.Answer))
	}
}

func TestServersHavePorts(t *testing.T) {
	for in, want := range map[string]string{
		"8.8.8.8": "8.8.8.8:53", "8.8.8.8:5353": "8.8.8.8:5353", "fd00::1": "[fd00::1]:53", "[fd00::1]": "[fd00::1]:53",
		"[fd00::1]:5353": "[fd00::1]:5353", "ns.example.com": "ns.example.com:53",
	} {
		if got := withPort(in); got != want {
			t.Errorf("recursor %s is asked at %s, want %s", in, got, want)
		}
	}
}
