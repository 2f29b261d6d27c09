package dnsapi

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"curia/api"
)

var update = flag.Bool("update", false, "write the answers in testdata anew")

// golden is the catalog of testdata/*.txt.
func golden() *catalog {
	n1 := &api.Node{Node: "n1", Address: "10.0.0.1", Datacenter: "dc1", Meta: map[string]string{"rack": "r7", "k=v": "a=b", "rfc1035-note": `say "hi"`}}
	n2 := &api.Node{Node: "n2", Address: "10.0.0.2", Datacenter: "dc1"}
	v6 := &api.Node{Node: "Six", Address: "fd00::6", Datacenter: "dc1"}
	dotted := &api.Node{Node: "n.with.dots", Address: "10.0.0.9", Datacenter: "dc1"}
	hostly := &api.Node{Node: "hostly", Address: "n2.node.consul", Datacenter: "dc1"}
	loop := &api.Node{Node: "loop", Address: "loop.node.consul", Datacenter: "dc1"}
	c := &catalog{}
	c.set([]*api.ServiceHealth{
		instance(n1, api.Service{ID: "consul", Service: "consul", Port: 8300}, api.Passing),
		instance(n1, api.Service{ID: "web", Service: "web", Port: 80, Tags: []string{"v1", "blue.green"}}, api.Passing),
		instance(n2, api.Service{ID: "web", Service: "web", Port: 81, Address: "10.9.9.9", Tags: []string{"v2"}}, api.Passing, api.Passing),
		instance(n1, api.Service{ID: "db1", Service: "db", Port: 1, Weights: api.Weights{Passing: 7, Warning: 3}}, api.Passing),
		instance(n2, api.Service{ID: "db2", Service: "db", Port: 2, Weights: api.Weights{Passing: 7, Warning: 3}}, api.Warning),
		instance(v6, api.Service{ID: "db3", Service: "db", Port: 3, Weights: api.Weights{Passing: 100000}}, api.Passing),
		instance(dotted, api.Service{ID: "db4", Service: "db", Port: 4}, api.Critical),
		instance(n1, api.Service{ID: "twice1", Service: "twice", Port: 1}),
		instance(n1, api.Service{ID: "twice2", Service: "twice", Port: 2}),
		instance(n1, api.Service{ID: "twice3", Service: "twice", Port: 2}),
		instance(n2, api.Service{ID: "alias", Service: "alias", Port: 5, Address: "n1.node.consul"}),
		instance(n2, api.Service{ID: "self", Service: "self", Port: 5, Address: "self.service.consul"}),
		instance(hostly, api.Service{ID: "deep", Service: "deep", Port: 6}),
		instance(n1, api.Service{ID: "down", Service: "down", Port: 6}, api.Critical),
		instance(n2, api.Service{ID: "unsure", Service: "unsure", Port: 6}, api.Unknown),
	}, dotted, hostly, loop)
	c.queries = map[string]*api.QueryResult{
		// In the order of the query, also instances that a service would not give.
		"first.web": {Service: "web", DNS: api.QueryDNS{TTL: "9s"}, Nodes: []*api.ServiceHealth{
			instance(n2, api.Service{ID: "web", Service: "web", Port: 81, Address: "10.9.9.9"}, api.Critical),
			instance(n1, api.Service{ID: "web", Service: "web", Port: 80}, api.Passing),
		}},
		"plain": {Service: "Web", Nodes: []*api.ServiceHealth{instance(n1, api.Service{ID: "web", Service: "web", Port: 80})}},
		"alias": {Service: "alias", DNS: api.QueryDNS{TTL: "7s"}, Nodes: []*api.ServiceHealth{
			instance(n2, api.Service{ID: "alias", Service: "alias", Port: 5, Address: "n1.node.consul"}),
		}},
		"empty": {Service: "web"},
	}
	return c
}

// configs are those of testdata/*.txt.
var configs = map[string]func(*Config){
	"answers": func(*Config) {},
	"ttl": func(c *Config) {
		c.NodeTTL = 5 * time.Second
		c.ServiceTTL = map[string]time.Duration{"web": 1 * time.Second, "d*": 2 * time.Second, "de*": 3 * time.Second, "*": 4 * time.Second}
		c.SOA = SOA{Refresh: 1, Retry: 2, Expire: 3, MinTTL: 4}
	},
	"strict": func(c *Config) { c.OnlyPassing, c.NodeMetaTXT, c.ARecordLimit = true, false, 1 },
	"domains": func(c *Config) {
		c.Domain, c.AltDomain, c.DisableCompression = "My.Consul", "consul", true
	},
}

// A file holds questions, "? name type [udp-size|tcp]", each followed by its
// answer. Records of services are sorted.
func TestAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) != len(configs) {
		t.Fatalf("%d files in testdata, %v; want one for each of %d configurations", len(files), err, len(configs))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg := plainConfig()
			configs[name](&cfg)
			got := play(t, New(cfg, golden(), silent()), string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("answers of %s (-want +got; -update writes them):\n%s", file, diff)
			}
		})
	}
}

// play answers the questions of a file and gives it back with the answers.
func play(t *testing.T, s *Server, file string) string {
	var out strings.Builder
	lines := bufio.NewScanner(strings.NewReader(file))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			fmt.Fprintf(&out, "%s\n\n", line)
		}
		q, ok := strings.CutPrefix(line, "? ")
		if !ok {
			continue
		}
		words := strings.Fields(q)
		a := asking{name: words[0], qtype: dns.StringToType[words[1]]}
		if len(words) > 2 && words[2] == "tcp" {
			a.via = tcp
		} else if len(words) > 2 {
			n, err := strconv.Atoi(words[2])
			if err != nil {
				t.Fatalf("question %q: %v", q, err)
			}
			a.edns = uint16(n)
		}
		// Twice: the second time it is known.
		first := show(ask(t, s, a))
		if second := show(ask(t, s, a)); first != second {
			t.Errorf("asked %q twice, got\n%s\nand then\n%s", q, first, second)
		}
		fmt.Fprintf(&out, "%s\n%s\n", line, first)
	}
	return out.String()
}

var serial = regexp.MustCompile(`(hostmaster\S+) \d+`)

// show writes an answer for people. TTLs of OPT and the like stay out.
func show(m *dns.Msg, _ int) string {
	if m == nil {
		return "no answer\n"
	}
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	for _, flag := range []struct {
		set  bool
		name string
	}{{m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionAvailable, "ra"}} {
		if flag.set {
			b.WriteString(" " + flag.name)
		}
	}
	b.WriteString("\n")
	for _, section := range []struct {
		name string
		all  []dns.RR
	}{{"", m.Answer}, {"authority ", m.Ns}, {"additional ", m.Extra}} {
		var texts []string
		for _, rr := range section.all {
			if o, ok := rr.(*dns.OPT); ok {
				texts = append(texts, fmt.Sprintf("OPT %d", o.UDPSize()))
				continue
			}
			texts = append(texts, strings.ReplaceAll(serial.ReplaceAllString(rr.String(), "$1 SERIAL"), "\t", " "))
		}
		slices.Sort(texts)
		for _, text := range texts {
			b.WriteString("  " + section.name + text + "\n")
		}
	}
	return b.String()
}

// What a prepared query finds comes in its order, the best first.
func TestKeepsOrderOfQueries(t *testing.T) {
	s := New(plainConfig(), golden(), silent())
	for range 20 { // by chance, half of them would be right
		m, _ := ask(t, s, asking{name: "first.web.query.consul", qtype: dns.TypeA})
		if len(m.Answer) != 2 || m.Answer[0].(*dns.A).A.String() != "10.9.9.9" {
			t.Fatalf("asked first.web.query.consul, got %v, want 10.9.9.9 first", m)
		}
	}
}

// The question comes back as it was asked, and its case is that of the records.
func TestEchoesCase(t *testing.T) {
	s := New(plainConfig(), golden(), silent())
	for _, name := range []string{"WeB.SerVice.ConSul.", "N1.noDE.consul."} {
		for range 2 {
			m, _ := ask(t, s, asking{name: name, qtype: dns.TypeA})
			if m.Question[0].Name != name || len(m.Answer) == 0 || m.Answer[0].Header().Name != name {
				t.Errorf("asked %s, got %v", name, m)
			}
		}
	}
}

// Requests that are no plain questions.
func TestRefusesOddMessages(t *testing.T) {
	s := New(plainConfig(), golden(), silent())
	plain := asking{name: "web.service.consul", qtype: dns.TypeA, edns: 1000}
	for _, c := range []struct {
		name   string
		change func(*dns.Msg)
		want   int // -1: no answer
	}{
		{"nothing odd", func(*dns.Msg) {}, dns.RcodeSuccess},
		{"a response", func(m *dns.Msg) { m.Response = true }, -1},
		{"an update", func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, dns.RcodeFormatError},
		{"no question", func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		{"two OPT records", func(m *dns.Msg) { m.Extra = append(m.Extra, m.Extra[0]) }, dns.RcodeFormatError},
		{"a later EDNS", func(m *dns.Msg) { m.IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
		{"class CH", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		{"the root", func(m *dns.Msg) { m.Question[0].Name = "." }, dns.RcodeRefused},
		{"a transfer", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAXFR }, dns.RcodeNotImplemented},
	} {
		m := plain.message()
		c.change(m)
		r, _ := askMessage(t, s, m, udp)
		got := -1
		if r != nil {
			got = r.Rcode
		}
		if got != c.want {
			t.Errorf("%s: code %d, want %d", c.name, got, c.want)
		}
	}
}

// What the client says about EDNS comes back: its size, and its subnet as one
// that does not matter. Options that nobody knows do not.
func TestEchoesEDNS(t *testing.T) {
	s := New(plainConfig(), golden(), silent())
	m := asking{name: "web.service.consul", qtype: dns.TypeA, edns: 1400}.message()
	m.IsEdns0().SetDo()
	m.IsEdns0().Option = []dns.EDNS0{
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"},
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}},
	}
	r, _ := askMessage(t, s, m, udp)
	o := r.IsEdns0()
	if o == nil || o.UDPSize() != 1400 || !o.Do() || len(o.Option) != 1 {
		t.Fatalf("asked with %v, got %v", m.IsEdns0(), o)
	}
	got, ok := o.Option[0].(*dns.EDNS0_SUBNET)
	if !ok || got.SourceNetmask != 24 || got.SourceScope != 0 {
		t.Errorf("subnet came back as %v", o.Option[0])
	}
}

// The catalog is asked as dns_config and acl.tokens say.
func TestAsksAsConfigured(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   api.Query
	}{
		{func(*Config) {}, api.Query{Consistency: api.Stale, MaxStale: time.Hour}},
		{func(c *Config) { c.MaxStale = 0 }, api.Query{Consistency: api.Stale, MaxStale: 1}},
		{func(c *Config) { c.AllowStale = false }, api.Query{}},
	} {
		cfg := plainConfig()
		cfg.Token = func() string { return "secret" }
		c.change(&cfg)
		all := golden()
		ask(t, New(cfg, all, silent()), asking{name: "web.service.dc2.consul", qtype: dns.TypeA})
		got := all.asked[0]
		if diff := cmp.Diff(c.want, got.Query); diff != "" || got.Token != "secret" || got.Datacenter != "dc2" {
			t.Errorf("asked with token %q in %q (-want +got):\n%s", got.Token, got.Datacenter, diff)
		}
	}
}

func TestFailureOfCatalog(t *testing.T) {
	all := golden()
	s := New(plainConfig(), all, silent())
	all.fail = api.ErrNoLeader
	for _, q := range []asking{
		{name: "web.service.consul", qtype: dns.TypeA}, {name: "n1.node.consul", qtype: dns.TypeA},
		{name: "consul", qtype: dns.TypeSOA}, {name: "consul", qtype: dns.TypeNS}, {name: "1.0.0.10.in-addr.arpa", qtype: dns.TypePTR},
	} {
		if r, _ := ask(t, s, q); r.Rcode != dns.RcodeServerFailure {
			t.Errorf("asked %s without a leader, got %s", q.name, dns.RcodeToString[r.Rcode])
		}
	}
	all.fail = nil
	if r, _ := ask(t, s, asking{name: "web.service.consul", qtype: dns.TypeA}); len(r.Answer) != 2 {
		t.Errorf("after the failure got %v", r)
	}
}

// panicking is a Caller with a bug.
type panicking struct{ api.Caller }

func TestPanicIsAFailure(t *testing.T) {
	s := New(plainConfig(), panicking{}, silent())
	if r, _ := ask(t, s, asking{name: "web.service.consul", qtype: dns.TypeA}); r.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v, want SERVFAIL", r)
	}
}

// A name is prepared once, and again when its result has changed.
func TestPreparesOncePerChange(t *testing.T) {
	all := golden()
	s := New(plainConfig(), all, silent())
	q := asking{name: "web.service.consul", qtype: dns.TypeA, edns: 4096}
	ask(t, s, q)
	plan := s.zone.Load().known.plan(lower(mustName(t, q.name)), q.qtype)
	if plan == nil {
		t.Fatal("nothing is known after a question")
	}
	was := plan.prepared.Load()
	for _, again := range []asking{q, {name: "WEB.service.consul", qtype: dns.TypeA}, {name: q.name, qtype: dns.TypeA, via: tcp}} {
		if ask(t, s, again); plan.prepared.Load() != was {
			t.Fatalf("asked %v, and the answer was prepared again", again)
		}
	}
	all.set(all.health[:2])
	if r, _ := ask(t, s, q); len(r.Answer) != 1 {
		t.Errorf("after an instance has gone: %v", r.Answer)
	}
	all.set(nil)
	if r, _ := ask(t, s, q); r.Rcode != dns.RcodeNameError {
		t.Errorf("after all instances have gone: %v", r)
	}
	s.Configure(plainConfig())
	if s.zone.Load().known.plan(lower(mustName(t, q.name)), q.qtype) != nil {
		t.Error("a new configuration still has answers of the old one")
	}
}

func mustName(t *testing.T, name string) []byte {
	t.Helper()
	b, err := packName(dns.Fqdn(name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every instance gets its share of the few places in small answers.
func TestChoosesAtRandom(t *testing.T) {
	s := New(plainConfig(), crowd(40, nil), silent())
	seen := map[string]int{}
	for range 2000 {
		r, _ := ask(t, s, asking{name: "crowd.service.consul", qtype: dns.TypeA})
		for _, rr := range r.Answer {
			seen[rr.(*dns.A).A.String()]++
		}
	}
	for ip, n := range seen { // 150 on average
		if n < 75 || n > 300 {
			t.Errorf("%s was given %d times of 2000, want about 150", ip, n)
		}
	}
	if len(seen) != 40 {
		t.Errorf("%d of 40 instances were given", len(seen))
	}
}

// crowd is a service of n instances on as many nodes.
func crowd(n int, meta map[string]string) *catalog {
	var health []*api.ServiceHealth
	for i := range n {
		node := &api.Node{Node: fmt.Sprintf("node-%d", i), Address: fmt.Sprintf("10.1.%d.%d", i/256, i%256), Datacenter: "dc1", Meta: meta}
		health = append(health, instance(node, api.Service{ID: "c", Service: "crowd", Port: 8000 + i}))
	}
	c := &catalog{}
	c.set(health)
	return c
}

// What is kept of questions is bounded.
func TestForgetsWhenItIsTooMuch(t *testing.T) {
	s := New(plainConfig(), golden(), silent())
	for i := range 3 * mostAsked {
		m := asking{name: "web.service.consul", qtype: dns.TypeA, edns: uint16(512 + i)}.message()
		askMessage(t, s, m, udp)
	}
	if n := len(s.zone.Load().known.asked); n > mostAsked {
		t.Errorf("%d packets are kept, want at most %d", n, mostAsked)
	}
}
