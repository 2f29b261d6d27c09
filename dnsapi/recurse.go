package dnsapi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// withPort adds the port of DNS to a server that names none.
func withPort(server string) string {
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), "53")
}

// recurse passes a question on to the recursors.
func (z *zone) recurse(ctx context.Context, packet []byte, q *question) (*reply, error) {
	if len(z.recursors) == 0 {
		return &reply{rcode: dns.RcodeRefused}, nil
	}
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return &reply{rcode: dns.RcodeFormatError}, nil
	}
	id := m.Id
	r, err := z.exchange(ctx, m, q.via)
	if err != nil {
		return &reply{rcode: dns.RcodeServerFailure}, err
	}
	r.Id, r.Question, r.RecursionAvailable = id, m.Question, true
	b, err := z.fit(r, q)
	if err != nil {
		return &reply{rcode: dns.RcodeServerFailure}, err
	}
	return &reply{forwarded: b}, nil
}

// fit packs the answer of a recursor so that the client can take it.
func (z *zone) fit(r *dns.Msg, q *question) ([]byte, error) {
	if !q.edns {
		r.Extra = slices.DeleteFunc(r.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeOPT })
	}
	r.Compress = !z.cfg.DisableCompression
	if r.Len() > q.limit {
		already := r.Truncated
		r.Truncate(q.limit)
		r.Truncated = r.Truncated || already
	}
	b, err := r.Pack()
	if err == nil && len(b) > q.limit {
		err = fmt.Errorf("answer of %d bytes does not fit into %d", len(b), q.limit)
	}
	return b, err
}

// exchange asks one recursor after the other until one answers. Those that
// cannot or will not tell are passed over.
func (z *zone) exchange(ctx context.Context, m *dns.Msg, via transport) (*dns.Msg, error) {
	client := dns.Client{Net: "udp", Timeout: z.cfg.Recursion.Timeout, UDPSize: plainUDP}
	if via == tcp {
		client.Net = "tcp"
	}
	if opt := m.IsEdns0(); opt != nil {
		client.UDPSize = max(opt.UDPSize(), plainUDP)
	}
	order := slices.Clone(z.recursors)
	if z.cfg.Recursion.Order == Random {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	var errs []error
	for _, server := range order {
		m.Id = dns.Id()
		r, _, err := client.ExchangeContext(ctx, m, server)
		if err == nil && !answers(r, m) {
			err = errors.New("answer to another question")
		}
		if err == nil && (r.Rcode == dns.RcodeServerFailure || r.Rcode == dns.RcodeRefused) {
			err = errors.New(dns.RcodeToString[r.Rcode])
		}
		if err == nil {
			return r, nil
		}
		errs = append(errs, fmt.Errorf("ask recursor %s: %w", server, err))
	}
	return nil, errors.Join(errs...)
}

// answers reports whether r is about the question in m.
func answers(r, m *dns.Msg) bool {
	if len(r.Question) == 0 && r.Rcode != dns.RcodeSuccess {
		return true
	}
	return len(r.Question) == 1 && r.Question[0].Qtype == m.Question[0].Qtype &&
		strings.EqualFold(r.Question[0].Name, m.Question[0].Name)
}

// Bounds of what is done for addresses that are names.
const (
	mostLinks  = 3 // names that lead to another in the domain
	mostAlong  = 5 // records given with such a name without EDNS
	mostTarget = 8 // targets of an SRV answer that are resolved
)

// alias answers with a name in place of an address, and with what that name
// leads to.
func (z *zone) alias(ctx context.Context, q *question, p *plan, is *prepared, depth int) *reply {
	host := is.hosts[rand.IntN(len(is.hosts))]
	cname, err := newRecord("", &dns.CNAME{Hdr: z.header(dns.TypeCNAME, is.ttl), Target: dns.Fqdn(host)})
	if err != nil {
		return z.negative(p.domain, dns.RcodeSuccess)
	}
	cname.owner = []byte(p.name) // to be told apart from what comes along
	answer := []record{cname}
	if p.qtype != dns.TypeCNAME {
		along := z.resolve(ctx, host, p.qtype, depth)
		if !q.edns {
			along = along[:min(len(along), mostAlong)]
		}
		answer = distinct(append(answer, along...))
	}
	answer[0].owner = nil
	return &reply{authoritative: true, units: unitsOf(answer...), additional: is.additional}
}

// distinct leaves out what is there already: names may lead in a circle.
func distinct(all []record) []record {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(r record) bool {
		key := lower(r.owner) + string(r.body)
		again := seen[key]
		seen[key] = true
		return again
	})
}

// resolveTargets adds the addresses of targets that are names.
func (z *zone) resolveTargets(ctx context.Context, is *prepared, depth int) *reply {
	r := is.reply
	r.units = slices.Clone(is.units)
	found := map[string][]record{}
	for _, i := range shuffled(len(r.units)) {
		u := &r.units[i]
		if u.host == "" {
			continue
		}
		along, known := found[u.host]
		if !known && len(found) < mostTarget {
			along = z.resolve(ctx, u.host, dns.TypeA, depth)
			along = along[:min(len(along), mostAlong)]
			found[u.host] = along
		}
		u.extra = append(slices.Clone(u.extra), along...)
	}
	return &r
}

// resolve finds the records of a name: in the catalog if it is in the domain,
// else from the recursors. What cannot be found is left out of answers, which
// hold without it.
func (z *zone) resolve(ctx context.Context, host string, qtype uint16, depth int) []record {
	packed, err := packName(dns.Fqdn(host))
	if err != nil || depth >= mostLinks {
		return nil
	}
	if qtype == dns.TypeANY {
		qtype = dns.TypeA
	}
	key := lower(packed)
	labels, domain, ok := z.within(labelsOf(key))
	if !ok {
		return z.resolveElsewhere(ctx, dns.Fqdn(host), qtype)
	}
	q := &question{key: key, labels: labels, qtype: qtype, qclass: dns.ClassINET, edns: true}
	p := &plan{lookup: z.interpret(labels, domain, qtype), qtype: qtype, name: key}
	r, err := z.follow(ctx, q, p, depth+1)
	if err != nil || r.rcode != dns.RcodeSuccess {
		return nil
	}
	var out []record
	for i := range r.units {
		for _, a := range r.units[i].answer {
			if a.owner == nil {
				a.owner = packed
			}
			out = append(out, a)
		}
	}
	return out
}

func (z *zone) resolveElsewhere(ctx context.Context, host string, qtype uint16) []record {
	if len(z.recursors) == 0 {
		return nil
	}
	m := new(dns.Msg).SetQuestion(host, qtype)
	r, err := z.exchange(ctx, m, udp)
	if err != nil {
		return nil
	}
	var out []record
	for _, rr := range r.Answer {
		switch rr.Header().Rrtype {
		case dns.TypeA, dns.TypeAAAA, dns.TypeCNAME:
			if one, err := newRecord(rr.Header().Name, rr); err == nil {
				out = append(out, one)
			}
		}
	}
	return out
}
