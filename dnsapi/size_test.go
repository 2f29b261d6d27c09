package dnsapi

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"curia/api"
)

// TestMain keeps failures of random tests out of testdata: their output names
// the seed that repeats them.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// Whatever the catalog: an answer over UDP is not longer than the client can
// take, has TC exactly when it lacks records that TCP gives, and has no records
// that TCP does not give.
func TestAnswersFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := plainConfig()
		cfg.DisableCompression = rapid.Bool().Draw(t, "disable compression")
		cfg.NodeMetaTXT = rapid.Bool().Draw(t, "node meta")
		cfg.UDPAnswerLimit = rapid.IntRange(0, 10).Draw(t, "udp_answer_limit")
		cfg.ARecordLimit = rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "a_record_limit")
		s := New(cfg, randomCatalog(t), silent())
		a := asking{
			name: rapid.SampledFrom([]string{
				"svc.service.consul", "x" + strings.Repeat("y", 60) + ".svc.service.consul", "svc.service.dc1.consul",
				"n0.node.consul", "consul", "0a000001.addr.consul", "0.0.0.10.in-addr.arpa", "no.service.consul",
			}).Draw(t, "name"),
			qtype: rapid.SampledFrom([]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypeANY, dns.TypeNS, dns.TypeSOA, dns.TypePTR}).Draw(t, "type"),
			edns:  rapid.SampledFrom([]uint16{0, 1, 512, 700, 1232, 4096, 65535}).Draw(t, "edns"),
		}
		whole, _ := respondTo(t, s, a, tcp)
		for range 3 {
			got, n := respondTo(t, s, a, udp)
			if limit := max(512, int(a.edns)); n > limit {
				t.Fatalf("asked %v, got %d bytes, want at most %d", a, n, limit)
			}
			lacks := records(whole) > records(got)
			if got.Truncated != lacks || whole.Truncated {
				t.Fatalf("asked %v, got %d of %d records, and TC %t", a, records(got), records(whole), got.Truncated)
			}
			if odd := beyond(got, whole); cfg.ARecordLimit == 0 && a.qtype != dns.TypeNS && a.qtype != dns.TypeSOA && odd != "" {
				t.Fatalf("asked %v, got a record that TCP does not give: %s", a, odd)
			}
		}
	})
}

func respondTo(t *rapid.T, s *Server, a asking, via transport) (*dns.Msg, int) {
	packet, err := a.message().Pack()
	if err != nil {
		t.Fatalf("pack %v: %v", a, err)
	}
	b := s.respond(context.Background(), packet, via, []byte("before"), &scratch{})
	var m dns.Msg
	if err := m.Unpack(b[len("before"):]); err != nil {
		t.Fatalf("asked %v, got an answer that cannot be read: %v", a, err)
	}
	return &m, len(b) - len("before")
}

// records counts what an answer holds, but for EDNS.
func records(m *dns.Msg) int {
	n := len(m.Answer) + len(m.Ns) + len(m.Extra)
	if m.IsEdns0() != nil {
		n--
	}
	return n
}

// beyond gives a record of m that whole does not have, or has less often.
func beyond(m, whole *dns.Msg) string {
	have := map[string]int{}
	for _, section := range [][]dns.RR{whole.Answer, whole.Extra} {
		for _, rr := range section {
			have[rr.String()]++
		}
	}
	for _, section := range [][]dns.RR{m.Answer, m.Extra} {
		for _, rr := range section {
			have[rr.String()]--
			if have[rr.String()] < 0 && rr.Header().Rrtype != dns.TypeOPT {
				return rr.String()
			}
		}
	}
	return ""
}

func randomCatalog(t *rapid.T) *catalog {
	c := &catalog{}
	var nodes []*api.Node
	for i := range rapid.IntRange(1, 8).Draw(t, "nodes") {
		n := &api.Node{Node: fmt.Sprintf("n%d", i), Address: fmt.Sprintf("10.0.0.%d", i%4), Datacenter: "dc1"}
		if rapid.Bool().Draw(t, "long name") {
			n.Node += strings.Repeat("-", rapid.IntRange(1, 60).Draw(t, "dashes"))
		}
		if rapid.Bool().Draw(t, "IPv6") {
			n.Address = fmt.Sprintf("fd00::%d", i)
		}
		for j := range rapid.IntRange(0, 6).Draw(t, "pairs of metadata") {
			if n.Meta == nil {
				n.Meta = map[string]string{}
			}
			n.Meta[fmt.Sprintf("key%d", j)] = strings.Repeat(`v"\`, rapid.IntRange(0, 170).Draw(t, "length"))
		}
		nodes = append(nodes, n)
	}
	var health []*api.ServiceHealth
	for i := range rapid.IntRange(0, 60).Draw(t, "instances") {
		s := api.Service{ID: fmt.Sprint(i), Service: "svc", Port: rapid.IntRange(0, 99).Draw(t, "port"), Tags: []string{"x" + strings.Repeat("y", 60)}}
		s.Address = rapid.SampledFrom([]string{"", fmt.Sprintf("10.7.0.%d", i%9), fmt.Sprintf("fd07::%d", i), "n0.node.consul"}).Draw(t, "address")
		health = append(health, instance(rapid.SampledFrom(nodes).Draw(t, "node"), s))
	}
	for _, n := range nodes {
		health = append(health, instance(n, api.Service{ID: "consul", Service: "consul"}))
	}
	c.set(health, nodes...)
	return c
}

// Over TCP there is an end, too: 64 KiB.
func TestLargeAnswersOverTCP(t *testing.T) {
	s := New(plainConfig(), crowd(3000, map[string]string{"k": "v"}), silent())
	for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV} {
		r, n := ask(t, s, asking{name: "crowd.service.consul", qtype: qtype, via: tcp})
		if n > largestTCP || !r.Truncated || len(r.Answer) < 300 {
			t.Errorf("%s: %d bytes, %d answers, TC %t", dns.TypeToString[qtype], n, len(r.Answer), r.Truncated)
		}
	}
}

// What a question costs does not depend on how many instances there are, only
// on how many are given.
func TestManyInstancesCostNoMore(t *testing.T) {
	cost := func(n int) float64 {
		s := New(plainConfig(), keep(crowd(n, nil)), silent())
		packet, err := asking{name: "crowd.service.consul", qtype: dns.TypeSRV, edns: 1000}.message().Pack()
		if err != nil {
			t.Fatal(err)
		}
		out, w := make([]byte, 0, 4096), &scratch{}
		one := func() { s.respond(context.Background(), packet, udp, out, w) }
		one()
		return testing.AllocsPerRun(100, one)
	}
	few, many := cost(10), cost(2000)
	if many > few+1 {
		t.Errorf("10 instances cost %g allocations, 2000 cost %g", few, many)
	}
}

// BenchmarkRespond asks for services of different sizes: without EDNS all give
// three instances, with it the larger ones give more records.
func BenchmarkRespond(b *testing.B) {
	for _, edns := range []uint16{0, 700} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV} {
			for _, n := range []int{10, 1000} {
				name := map[uint16]string{0: "plain", 700: "edns"}[edns]
				b.Run(fmt.Sprintf("%s/%s-%d", name, dns.TypeToString[qtype], n), func(b *testing.B) {
					cfg := plainConfig()
					cfg.UDPAnswerLimit = 3
					s := New(cfg, keep(crowd(n, nil)), silent())
					packet, err := asking{name: "crowd.service.consul", qtype: qtype, edns: edns}.message().Pack()
					if err != nil {
						b.Fatal(err)
					}
					out, w := make([]byte, 0, 4096), &scratch{}
					for b.Loop() {
						s.respond(context.Background(), packet, udp, out, w)
					}
				})
			}
		}
	}
}

// constant is a Caller that answers at once.
type constant struct{ resp *api.Response }

func (c constant) Call(context.Context, *api.Request) (*api.Response, error) { return c.resp, nil }

func keep(c *catalog) constant {
	return constant{&api.Response{Value: c.health, Encoded: &api.Encoded{}}}
}

// Packets of any kind are answered with messages that can be read, or not at all.
func FuzzRespond(f *testing.F) {
	cfg := plainConfig()
	cfg.AltDomain = "b"
	s := New(cfg, golden(), silent())
	for _, a := range []asking{
		{name: "web.service.consul", qtype: dns.TypeSRV, edns: 700}, {name: "n1.node.consul", qtype: dns.TypeANY},
		{name: "1.0.0.10.in-addr.arpa", qtype: dns.TypePTR}, {name: ".", qtype: dns.TypeNS}, {name: "b", qtype: dns.TypeSOA},
		{name: "_web._tcp.consul", qtype: dns.TypeSRV}, {name: "0a090909.addr.consul", qtype: dns.TypeA},
	} {
		b, err := a.message().Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
	}
	f.Add([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"), true) // a name that is itself
	f.Fuzz(func(t *testing.T, packet []byte, stream bool) {
		via, limit := udp, largestUDP
		if stream {
			via, limit = tcp, largestTCP
		}
		out := s.respond(context.Background(), packet, via, nil, &scratch{})
		if len(out) == 0 {
			return
		}
		var m dns.Msg
		if err := m.Unpack(out); err != nil {
			t.Fatalf("asked %x, got %x, which cannot be read: %v", packet, out, err)
		}
		if len(out) > limit || !m.Response || out[0] != packet[0] || out[1] != packet[1] {
			t.Fatalf("asked %x, got %x", packet, out)
		}
		if m.Rcode == dns.RcodeServerFailure {
			t.Fatalf("asked %x, got a failure", packet)
		}
	})
}
