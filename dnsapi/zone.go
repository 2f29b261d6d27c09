package dnsapi

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"curia/api"
)

// zone answers questions under one configuration. Safe for concurrent use.
type zone struct {
	cfg       Config
	ask       api.Caller
	domains   []domain
	wildcards []string // of ServiceTTL without their stars, the longest first
	recursors []string // host:port
	reverse   reverseIndex
	known     memory
}

// domain is a name that is answered from the catalog.
type domain struct {
	name   string // with a dot at its end
	labels []string
}

func newZone(cfg Config, ask api.Caller) *zone {
	z := &zone{cfg: cfg, ask: ask}
	for _, name := range []string{cfg.Domain, cfg.AltDomain} {
		name = strings.Trim(strings.ToLower(name), ".")
		if name != "" {
			z.domains = append(z.domains, domain{name + ".", strings.Split(name, ".")})
		}
	}
	slices.SortStableFunc(z.domains, func(a, b domain) int { return cmp.Compare(len(b.labels), len(a.labels)) })
	ttls := map[string]time.Duration{}
	for name, ttl := range cfg.ServiceTTL {
		name = strings.ToLower(name)
		ttls[name] = ttl
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			z.wildcards = append(z.wildcards, prefix)
		}
	}
	z.cfg.ServiceTTL = ttls
	slices.SortFunc(z.wildcards, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, server := range cfg.Recursion.Servers {
		z.recursors = append(z.recursors, withPort(server))
	}
	z.known.forget()
	return z
}

// serviceTTL is the TTL of the records of a service, whose name is in lower case.
func (z *zone) serviceTTL(service string) time.Duration {
	if ttl, ok := z.cfg.ServiceTTL[service]; ok {
		return ttl
	}
	for _, prefix := range z.wildcards {
		if strings.HasPrefix(service, prefix) {
			return z.cfg.ServiceTTL[prefix+"*"]
		}
	}
	return 0
}

// queryTTL is the TTL of the records of what a prepared query finds: its own, or
// that of the service.
func (z *zone) queryTTL(r *api.QueryResult) time.Duration {
	if ttl, err := time.ParseDuration(r.DNS.TTL); err == nil {
		return ttl
	}
	return z.serviceTTL(strings.ToLower(r.Service))
}

func seconds(d time.Duration) uint32 { return uint32(min(max(d, 0)/time.Second, 1<<31-1)) }

// within splits off the domain that a name belongs to.
func (z *zone) within(labels []string) (rest []string, domain string, ok bool) {
	for _, d := range z.domains {
		n := len(labels) - len(d.labels)
		if n >= 0 && slices.Equal(labels[n:], d.labels) {
			return labels[:n], d.name, true
		}
	}
	return nil, "", false
}

// answer finds the answer to the question in packet. There is always a reply;
// an error says why it is a failure.
func (z *zone) answer(ctx context.Context, packet []byte, q *question) (*reply, error) {
	if q.plan != nil {
		return z.follow(ctx, q, q.plan, 0)
	}
	if q.rcode != dns.RcodeSuccess {
		return &reply{rcode: q.rcode}, nil
	}
	if q.qclass != dns.ClassINET && q.qclass != dns.ClassANY {
		return &reply{rcode: dns.RcodeRefused}, nil
	}
	labels, domain, ok := z.within(q.labels)
	switch {
	case ok && (q.qtype == dns.TypeAXFR || q.qtype == dns.TypeIXFR):
		return &reply{rcode: dns.RcodeNotImplemented}, nil
	case ok && q.qtype == dns.TypeSOA:
		return z.soaAnswer(ctx, domain)
	case ok && q.qtype == dns.TypeNS:
		return z.nsAnswer(ctx, domain)
	case ok:
		p := z.known.plan(q.key, q.qtype)
		if p == nil {
			p = &plan{lookup: z.interpret(labels, domain, q.qtype), qtype: q.qtype, name: q.key}
		}
		r, err := z.follow(ctx, q, p, 0)
		if err == nil && p.prepared.Load() != nil && r.rcode == dns.RcodeSuccess {
			z.known.keep(packet, q, p)
		}
		return r, err
	case isArpa(q.labels):
		return z.pointers(ctx, packet, q)
	}
	return z.recurse(ctx, packet, q)
}

// recall finds the question of a packet that was asked before.
func (z *zone) recall(packet []byte, via transport) *question {
	if via != udp || len(packet) < headerSize {
		return nil
	}
	return z.known.find(packet)
}

// query is how the catalog is asked.
func (z *zone) query() api.Query {
	if !z.cfg.AllowStale {
		return api.Query{}
	}
	// Zero would mean any age.
	return api.Query{Consistency: api.Stale, MaxStale: max(z.cfg.MaxStale, 1)}
}

// call asks the catalog.
func (z *zone) call(ctx context.Context, op *api.Op, args any, dc string) (*api.Response, error) {
	token := ""
	if z.cfg.Token != nil {
		token = z.cfg.Token()
	}
	return z.ask.Call(ctx, &api.Request{Op: op, Args: args, Query: z.query(), Token: token, Datacenter: dc})
}

// failure is the answer when the catalog could not be asked. A datacenter or a
// query that nobody knows is a name that does not exist.
func (z *zone) failure(domain string, err error) (*reply, error) {
	if kind := api.KindOf(err); kind == api.NoPath || kind == api.NotFound {
		return z.negative(domain, dns.RcodeNameError), nil
	}
	return &reply{rcode: dns.RcodeServerFailure, authoritative: true}, err
}

// negative is an answer without records: the name does not exist, or not with
// the type that is asked for.
func (z *zone) negative(domain string, rcode int) *reply {
	r := &reply{rcode: rcode, authoritative: true}
	if soa, err := z.soa(domain); err == nil {
		r.authority = []record{soa}
	}
	return r
}

func (z *zone) soa(domain string) (record, error) {
	s := z.cfg.SOA
	return newRecord(domain, &dns.SOA{
		Hdr: dns.RR_Header{Rrtype: dns.TypeSOA, Ttl: s.MinTTL},
		Ns:  "ns." + domain, Mbox: "hostmaster." + domain,
		Serial: uint32(time.Now().Unix()), Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.MinTTL,
	})
}

// mostServers bounds the name servers in an answer.
const mostServers = 3

// servers gives the NS records of some servers, and their addresses.
func (z *zone) servers(ctx context.Context, domain string) (ns, glue []record, err error) {
	args := &api.HealthServiceArgs{ServiceArgs: api.ServiceArgs{Service: api.ConsulService}, Passing: true}
	resp, err := z.call(ctx, api.HealthService.Op, args, "")
	if err != nil {
		return nil, nil, err
	}
	all, _ := resp.Value.([]*api.ServiceHealth)
	for _, i := range shuffled(len(all)) {
		node := all[i].Node
		if len(ns) == mostServers {
			break
		}
		if !isLabel(node.Node) {
			continue
		}
		name := z.nodeName(node, domain)
		r, err := newRecord(domain, &dns.NS{Hdr: z.header(dns.TypeNS, z.cfg.NodeTTL), Ns: name})
		if err != nil {
			continue
		}
		ns = append(ns, r)
		if a, ok := z.address(name, node.Address, z.cfg.NodeTTL); ok {
			glue = append(glue, a)
		}
	}
	return ns, glue, nil
}

func (z *zone) soaAnswer(ctx context.Context, domain string) (*reply, error) {
	ns, glue, err := z.servers(ctx, domain)
	if err != nil {
		return z.failure(domain, err)
	}
	soa, err := z.soa(domain)
	if err != nil {
		return z.failure(domain, err)
	}
	return &reply{authoritative: true, units: unitsOf(soa), authority: ns, additional: glue}, nil
}

func (z *zone) nsAnswer(ctx context.Context, domain string) (*reply, error) {
	ns, glue, err := z.servers(ctx, domain)
	switch {
	case err != nil:
		return z.failure(domain, err)
	case len(ns) == 0:
		return z.negative(domain, dns.RcodeSuccess), nil
	}
	return &reply{authoritative: true, units: unitsOf(ns...), additional: glue}, nil
}

// unitsOf makes a unit of each record.
func unitsOf(all ...record) []unit {
	out := make([]unit, len(all))
	for i := range all {
		out[i] = unit{answer: all[i : i+1 : i+1], target: int32(i)}
	}
	return out
}

// memory keeps what was prepared for questions that were asked. It forgets
// everything when it has become too much, which is seldom: only names that
// exist are kept.
type memory struct {
	mu    sync.RWMutex
	asked map[string]*question // by packet, without its number
	plans map[planKey]*plan
	units int // about as many as the plans hold
}

type planKey struct {
	name  string
	qtype uint16
}

// Bounds of a memory.
const (
	mostAsked     = 8192
	mostUnits     = 200_000
	longestPacket = 300 // bytes
)

func (m *memory) forget() {
	m.asked, m.plans, m.units = map[string]*question{}, map[planKey]*plan{}, 0
}

func (m *memory) find(packet []byte) *question {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.asked[string(packet[2:])]
}

func (m *memory) plan(name string, qtype uint16) *plan {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.plans[planKey{name, qtype}]
}

// keep remembers the plan of a question, and the question itself if packets
// like it will come again.
func (m *memory) keep(packet []byte, q *question, p *plan) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.asked)+len(m.plans) >= mostAsked || m.units >= mostUnits {
		m.forget()
	}
	key := planKey{q.key, q.qtype}
	if m.plans[key] == nil {
		m.plans[key] = p
		m.units += len(p.prepared.Load().units)
	}
	if q.via == udp && q.plain && len(packet) <= longestPacket {
		again := *q
		again.plan = m.plans[key]
		m.asked[string(packet[2:])] = &again
	}
}
