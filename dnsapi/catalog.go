package dnsapi

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"curia/api"
)

// plan is a name and a type with the answer that was prepared for them last.
type plan struct {
	lookup
	qtype    uint16
	name     string // the question's, packed, in lower case
	prepared atomic.Pointer[prepared]
}

// prepared is the answer made from one result of the catalog.
type prepared struct {
	from *api.Response
	reply
	// exists says that the name does, whatever its records.
	exists bool
	// hosts are the addresses that are names, each of which can stand for the
	// answer if there are no units.
	hosts []string
	ttl   time.Duration // of the records
	// unresolved says that some units have a host.
	unresolved bool
}

// sameResult reports whether two responses hold the same result, which is then
// known not to have changed.
func sameResult(a, b *api.Response) bool {
	if a.Encoded != nil || b.Encoded != nil {
		return a.Encoded == b.Encoded
	}
	switch v := a.Value.(type) {
	case []*api.ServiceHealth:
		w, ok := b.Value.([]*api.ServiceHealth)
		return ok && len(v) > 0 && len(v) == len(w) && &v[0] == &w[0]
	case *api.NodeServices:
		w, ok := b.Value.(*api.NodeServices)
		return ok && v != nil && v == w
	}
	return false
}

// follow answers a question about a name in the domain. depth counts the names
// that led here.
func (z *zone) follow(ctx context.Context, q *question, p *plan, depth int) (*reply, error) {
	var op *api.Op
	var args any
	switch p.kind {
	case anAddress:
		return z.addressAnswer(p), nil
	case aNode:
		op, args = api.CatalogNode.Op, &api.NodeName{Node: p.lookup.name}
	case aService:
		op = api.HealthService.Op
		asked := &api.HealthServiceArgs{Passing: api.Passed(z.cfg.OnlyPassing)}
		asked.Service = p.lookup.name
		if p.tag != "" {
			asked.Tags = []string{p.tag}
		}
		args = asked
	case aQuery:
		op, args = api.QueryExecute.Op, &api.QueryExecuteArgs{QueryRef: api.QueryRef{Query: p.lookup.name}}
	default:
		return z.negative(p.domain, dns.RcodeNameError), nil
	}
	resp, err := z.call(ctx, op, args, p.dc)
	if err != nil {
		return z.failure(p.domain, err)
	}
	is := p.prepared.Load()
	if is == nil || !sameResult(is.from, resp) {
		is = z.prepare(p, resp)
		p.prepared.Store(is)
	}
	switch {
	case !is.exists:
		return z.negative(p.domain, dns.RcodeNameError), nil
	case len(is.units) == 0 && len(is.hosts) > 0:
		return z.alias(ctx, q, p, is, depth), nil
	case len(is.units) == 0:
		return z.negative(p.domain, dns.RcodeSuccess), nil
	case is.unresolved:
		return z.resolveTargets(ctx, is, depth), nil
	}
	return &is.reply, nil
}

// prepare makes the answer from what the catalog says.
func (z *zone) prepare(p *plan, resp *api.Response) *prepared {
	is := &prepared{from: resp, reply: reply{authoritative: true}}
	switch v := resp.Value.(type) {
	case *api.NodeServices:
		if v != nil && v.Node != nil {
			is.exists, is.ttl = true, z.cfg.NodeTTL
			z.prepareNode(is, p, v.Node)
		}
	case []*api.ServiceHealth:
		is.shuffled, is.ttl = true, z.serviceTTL(p.lookup.name)
		z.prepareInstances(is, p, z.healthy(v))
	case *api.QueryResult: // the query says what is healthy, and in which order
		is.ttl = z.queryTTL(v)
		z.prepareInstances(is, p, v.Nodes)
	}
	for i := range is.units {
		is.unresolved = is.unresolved || is.units[i].host != ""
	}
	return is
}

// prepareInstances makes the records of the instances of a service.
func (z *zone) prepareInstances(is *prepared, p *plan, all []*api.ServiceHealth) {
	is.exists, is.mostPlain = len(all) > 0, 8
	if z.cfg.UDPAnswerLimit > 0 {
		is.mostPlain = min(8, z.cfg.UDPAnswerLimit)
	}
	if p.qtype == dns.TypeSRV {
		z.prepareSRV(is, p, all)
		return
	}
	if p.qtype != dns.TypeTXT {
		is.most = z.cfg.ARecordLimit
	}
	z.prepareService(is, p, all)
}

// healthy keeps the instances that may be given to clients.
func (z *zone) healthy(all []*api.ServiceHealth) []*api.ServiceHealth {
	out := make([]*api.ServiceHealth, 0, len(all))
	for _, h := range all {
		critical := slices.ContainsFunc(h.Checks, func(c *api.Check) bool { return c.Status == api.Critical })
		if !critical && (!z.cfg.OnlyPassing || h.AllPassing()) {
			out = append(out, h)
		}
	}
	return out
}

func (z *zone) header(rrtype uint16, ttl time.Duration) dns.RR_Header {
	return dns.RR_Header{Rrtype: rrtype, Ttl: seconds(ttl)}
}

// nodeName is the name of a node as answers give it.
func (z *zone) nodeName(n *api.Node, domain string) string {
	return escaped(n.Node) + ".node." + z.dcOf(n) + "." + domain
}

func (z *zone) dcOf(n *api.Node) string {
	if n.Datacenter != "" {
		return n.Datacenter
	}
	return z.cfg.Datacenter
}

// address packs the record of an IP address.
func (z *zone) address(owner, text string, ttl time.Duration) (record, bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return record{}, false
	}
	ip = ip.Unmap()
	var rr dns.RR = &dns.AAAA{Hdr: z.header(dns.TypeAAAA, ttl), AAAA: ip.AsSlice()}
	if ip.Is4() {
		rr = &dns.A{Hdr: z.header(dns.TypeA, ttl), A: ip.AsSlice()}
	}
	r, err := newRecord(owner, rr)
	return r, err == nil
}

// wants reports whether a question of a type is answered with records of
// another.
func wants(qtype, rrtype uint16) bool { return qtype == rrtype || qtype == dns.TypeANY }

// wantsAddress is wants for the type that an address has.
func wantsAddress(qtype uint16, address string) bool {
	ip, err := netip.ParseAddr(address)
	switch {
	case err != nil:
		return false
	case ip.Unmap().Is4():
		return wants(qtype, dns.TypeA)
	}
	return wants(qtype, dns.TypeAAAA)
}

// isHost reports whether an address is a name, which has to be resolved.
func isHost(address string) bool {
	if address == "" {
		return false
	}
	_, err := netip.ParseAddr(address)
	_, valid := dns.IsDomainName(address)
	return err != nil && valid
}

// resolvable are the types of questions that a name in place of an address
// answers.
func resolvable(qtype uint16) bool {
	return slices.Contains([]uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeCNAME}, qtype)
}

func (z *zone) prepareNode(is *prepared, p *plan, n *api.Node) {
	if isHost(n.Address) && resolvable(p.qtype) {
		is.hosts = []string{n.Address}
	}
	if wantsAddress(p.qtype, n.Address) {
		if r, ok := z.address("", n.Address, z.cfg.NodeTTL); ok {
			is.units = unitsOf(r)
		}
	}
	meta := z.metaRecords("", n, z.cfg.NodeTTL)
	switch {
	case wants(p.qtype, dns.TypeTXT) && len(is.hosts) == 0:
		is.units = append(is.units, unitsOf(meta...)...)
	case z.cfg.NodeMetaTXT && len(is.units)+len(is.hosts) > 0:
		is.additional = meta
	}
	number(is.units)
}

// number gives each unit a target of its own.
func number(all []unit) {
	for i := range all {
		all[i].target = int32(i)
	}
}

// prepareService makes the records of a service other than SRV: one for each
// address, whichever instances share it.
func (z *zone) prepareService(is *prepared, p *plan, all []*api.ServiceHealth) {
	ttl := is.ttl
	seen := map[string]bool{}
	first := func(what, key string) bool {
		if seen[what+key] {
			return false
		}
		seen[what+key] = true
		return true
	}
	for _, h := range all {
		address := z.addressOf(h, p)
		if wantsAddress(p.qtype, address) && first("address ", address) {
			if r, ok := z.address("", address, ttl); ok {
				is.units = append(is.units, unitsOf(r)...)
			}
		}
		if resolvable(p.qtype) && isHost(address) && first("address ", address) {
			is.hosts = append(is.hosts, address)
		}
		if wants(p.qtype, dns.TypeTXT) && first("node ", h.Node.Node) {
			is.units = append(is.units, unitsOf(z.metaRecords("", h.Node, ttl)...)...)
		}
	}
	number(is.units)
}

// addressOf is where an instance is reached. An address that is the name which
// is asked for would lead nowhere.
func (z *zone) addressOf(h *api.ServiceHealth, p *plan) string {
	address := h.Service.Address
	if address == "" {
		return h.Node.Address
	}
	if isHost(address) {
		if packed, err := packName(dns.Fqdn(address)); err == nil && lower(packed) == p.name {
			return h.Node.Address
		}
	}
	return address
}

// prepareSRV makes the SRV records of a service, with the addresses of their
// targets.
func (z *zone) prepareSRV(is *prepared, p *plan, all []*api.ServiceHealth) {
	ttl := is.ttl
	type place struct {
		node, address string
		port          int
	}
	seen := map[place]bool{}
	targets := map[string]int32{}
	for _, h := range all {
		at := place{h.Node.Node, z.addressOf(h, p), h.Service.Port}
		if seen[at] {
			continue
		}
		seen[at] = true
		u := unit{}
		target := z.nodeName(h.Node, p.domain)
		ip, err := netip.ParseAddr(at.address)
		switch {
		case at.address == h.Node.Address:
			if isHost(at.address) {
				u.host = at.address
				cname := &dns.CNAME{Hdr: z.header(dns.TypeCNAME, ttl), Target: dns.Fqdn(at.address)}
				if c, err := newRecord(target, cname); err == nil {
					c.ofTarget = true
					u.extra = []record{c}
				}
			}
		case err == nil:
			target = hex.EncodeToString(ip.Unmap().AsSlice()) + ".addr." + z.dcOf(h.Node) + "." + p.domain
		case isHost(at.address):
			target, u.host = dns.Fqdn(at.address), at.address
		}
		r, err := newRecord("", &dns.SRV{
			Hdr:      z.header(dns.TypeSRV, ttl),
			Priority: 1, Weight: weight(h), Port: uint16(min(max(h.Service.Port, 0), 65535)), Target: target,
		})
		if err != nil {
			continue // no answer can hold such a name
		}
		u.answer = []record{r}
		if a, ok := z.address(target, at.address, ttl); ok {
			a.ofTarget = true
			u.extra = []record{a}
		}
		if z.cfg.NodeMetaTXT {
			name := z.nodeName(h.Node, p.domain)
			for _, m := range z.metaRecords(name, h.Node, ttl) {
				m.ofTarget = name == target
				u.extra = append(u.extra, m)
			}
		}
		shared := target + " " + h.Node.Node // nodes may share an address, but not their metadata
		n, ok := targets[shared]
		if !ok {
			n = int32(len(targets))
			targets[shared] = n
		}
		u.target = n
		is.units = append(is.units, u)
	}
}

// weight is the share of requests that an instance should get.
func weight(h *api.ServiceHealth) uint16 {
	w := h.Service.Weights.Passing
	if !h.AllPassing() {
		w = h.Service.Weights.Warning
	}
	return uint16(min(max(w, 0), 65535))
}

// metaRecords gives the metadata of a node as TXT records (RFC 1464), by key.
// The values of keys that begin with "rfc1035-" stand alone.
func (z *zone) metaRecords(owner string, n *api.Node, ttl time.Duration) []record {
	keys := make([]string, 0, len(n.Meta))
	for key := range n.Meta {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var out []record
	for _, key := range keys {
		text := n.Meta[key]
		if !strings.HasPrefix(strings.ToLower(key), "rfc1035-") {
			text = attribute(key) + "=" + text
		}
		if r, err := newRecord(owner, &dns.TXT{Hdr: z.header(dns.TypeTXT, ttl), Txt: txtStrings(text)}); err == nil {
			out = append(out, r)
		}
	}
	return out
}

// attribute quotes what would end the name of an attribute (RFC 1464).
func attribute(key string) string {
	key = strings.NewReplacer("`", "``", "=", "`=").Replace(key)
	inner := strings.Trim(key, " \t")
	quote := func(spaces string) string { return strings.NewReplacer(" ", "` ", "\t", "`\t").Replace(spaces) }
	if inner == "" {
		return quote(key)
	}
	before, after, _ := strings.Cut(key, inner)
	return quote(before) + inner + quote(after)
}

// txtStrings cuts a text into strings that a TXT record can hold.
func txtStrings(text string) []string {
	const longest = 255
	var out []string
	for {
		n := min(len(text), longest)
		out = append(out, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text[:n]))
		if text = text[n:]; text == "" {
			return out
		}
	}
}

// addressAnswer answers a name that spells out an address.
func (z *zone) addressAnswer(p *plan) *reply {
	b, err := hex.DecodeString(p.lookup.name)
	ip, ok := netip.AddrFromSlice(b)
	if err != nil || !ok {
		return z.negative(p.domain, dns.RcodeNameError)
	}
	var rr dns.RR = &dns.AAAA{Hdr: z.header(dns.TypeAAAA, z.cfg.NodeTTL), AAAA: b}
	if ip.Is4() {
		rr = &dns.A{Hdr: z.header(dns.TypeA, z.cfg.NodeTTL), A: b}
	}
	rrtype := rr.Header().Rrtype
	r, err := newRecord("", rr)
	if err != nil || !wants(p.qtype, rrtype) {
		return z.negative(p.domain, dns.RcodeSuccess)
	}
	return &reply{authoritative: true, units: unitsOf(r)}
}

// shuffled gives the numbers below n in random order.
func shuffled(n int) []int { return rand.Perm(n) }
