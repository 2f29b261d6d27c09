package dnsapi

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"

	"curia/api"
)

// reverseIndex finds nodes by their address. It is made anew when the nodes
// have changed.
type reverseIndex struct{ latest atomic.Pointer[nodeAddresses] }

type nodeAddresses struct {
	from  *api.Response
	nodes map[netip.Addr][]*api.Node
}

func (x *reverseIndex) of(resp *api.Response) map[netip.Addr][]*api.Node {
	if have := x.latest.Load(); have != nil && resp.Encoded != nil && have.from.Encoded == resp.Encoded {
		return have.nodes
	}
	next := &nodeAddresses{from: resp, nodes: map[netip.Addr][]*api.Node{}}
	all, _ := resp.Value.([]*api.Node)
	for _, n := range all {
		if ip, err := netip.ParseAddr(n.Address); err == nil {
			next.nodes[ip.Unmap()] = append(next.nodes[ip.Unmap()], n)
		}
	}
	x.latest.Store(next)
	return next.nodes
}

func isArpa(labels []string) bool { return len(labels) > 0 && labels[len(labels)-1] == "arpa" }

// reverseAddress reads an address out of a reverse name.
func reverseAddress(labels []string) (netip.Addr, bool) {
	n := len(labels) - 2
	if n < 0 {
		return netip.Addr{}, false
	}
	parts := slices.Clone(labels[:n])
	slices.Reverse(parts)
	switch {
	case labels[n] == "in-addr" && n == 4:
		ip, err := netip.ParseAddr(strings.Join(parts, "."))
		return ip, err == nil && ip.Is4()
	case labels[n] == "ip6" && n == 32:
		var b [16]byte
		for i, digit := range parts {
			v, err := strconv.ParseUint(digit, 16, 4)
			if err != nil || len(digit) != 1 {
				return netip.Addr{}, false
			}
			b[i/2] = b[i/2]<<4 | byte(v)
		}
		return netip.AddrFrom16(b).Unmap(), true
	}
	return netip.Addr{}, false
}

// pointers answers reverse questions: with nodes, else with services, that have
// the address; of other addresses recursors may know.
func (z *zone) pointers(ctx context.Context, packet []byte, q *question) (*reply, error) {
	ip, ok := reverseAddress(q.labels)
	if ok && wants(q.qtype, dns.TypePTR) {
		names, err := z.namesOf(ctx, ip)
		if err != nil {
			return &reply{rcode: dns.RcodeServerFailure}, err
		}
		var found []record
		for _, name := range names {
			ttl := z.cfg.NodeTTL
			if r, err := newRecord("", &dns.PTR{Hdr: z.header(dns.TypePTR, ttl), Ptr: name}); err == nil {
				found = append(found, r)
			}
		}
		if len(found) > 0 {
			return &reply{authoritative: true, units: unitsOf(found...)}, nil
		}
	}
	if len(z.recursors) == 0 {
		return &reply{rcode: dns.RcodeNameError, authoritative: true}, nil
	}
	return z.recurse(ctx, packet, q)
}

// namesOf finds the names of what has an address.
func (z *zone) namesOf(ctx context.Context, ip netip.Addr) ([]string, error) {
	if len(z.domains) == 0 {
		return nil, nil
	}
	domain := strings.ToLower(dns.Fqdn(z.cfg.Domain))
	resp, err := z.call(ctx, api.CatalogNodes.Op, &api.NodeSelection{}, "")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range z.reverse.of(resp)[ip] {
		out = append(out, z.nodeName(n, domain))
	}
	if len(out) > 0 {
		return out, nil
	}
	resp, err = z.call(ctx, api.CatalogServices.Op, &api.NodeSelection{}, "")
	if err != nil {
		return nil, err
	}
	services, _ := resp.Value.(map[string][]string)
	for name := range services {
		has, err := z.hasAddress(ctx, name, ip)
		if err != nil {
			return nil, err
		}
		if has {
			out = append(out, escaped(name)+".service."+domain)
		}
	}
	slices.Sort(out)
	return out, nil
}

// hasAddress reports whether an instance of a service has an address of its own
// that is ip.
func (z *zone) hasAddress(ctx context.Context, service string, ip netip.Addr) (bool, error) {
	resp, err := z.call(ctx, api.CatalogService.Op, &api.ServiceArgs{Service: service}, "")
	if err != nil {
		return false, err
	}
	all, _ := resp.Value.([]*api.ServiceNode)
	return slices.ContainsFunc(all, func(s *api.ServiceNode) bool {
		own, err := netip.ParseAddr(s.ServiceAddress)
		return err == nil && own.Unmap() == ip
	}), nil
}
