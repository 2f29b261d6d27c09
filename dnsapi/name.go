package dnsapi

import (
	"strings"

	"github.com/miekg/dns"
)

// kind is what a name in the domain stands for.
type kind uint8

const (
	nothing kind = iota
	aNode
	aService
	anAddress
	aQuery
)

// lookup is what a name in the domain asks for.
type lookup struct {
	kind kind
	name string // of the node, the service or the query, or the address in hexadecimal
	tag  string // of the service; empty: any
	dc   string // empty: the agent's own
	// domain is the one under which the name was asked.
	domain string
}

// interpret reads the labels before the domain, which are in lower case: see
// "Standard Lookup", "RFC 2782 Lookup".
func (z *zone) interpret(labels []string, domain string, qtype uint16) lookup {
	none := lookup{domain: domain}
	for i := len(labels) - 1; i >= 0; i-- {
		before, after := labels[:i], labels[i+1:]
		l := lookup{domain: domain}
		switch labels[i] {
		case "node":
			l.kind, l.name = aNode, strings.Join(before, ".")
		case "service":
			l.kind = aService
		case "query":
			l.kind = aQuery
		case "addr":
			l.kind, l.name = anAddress, strings.Join(before, ".")
		case "connect", "ingress", "virtual":
			return none // there is no mesh
		default:
			// Questions for SRV records may leave out the label "service".
			if qtype != dns.TypeSRV || !strings.HasPrefix(labels[i], "_") {
				continue
			}
			l.kind, before = aService, labels[:i+1]
		}
		var ok bool
		if l.dc, ok = datacenter(after); !ok || len(before) == 0 {
			return none
		}
		if strings.EqualFold(l.dc, z.cfg.Datacenter) {
			l.dc = ""
		}
		switch l.kind {
		case aService:
			l.name, l.tag = serviceAndTag(before)
		case aQuery:
			l.name = queryName(before)
		}
		return l
	}
	return none
}

// serviceAndTag reads "tag.service", where the tag may have dots, and
// "_service._tag", where the tag tcp stands for any.
func serviceAndTag(labels []string) (service, tag string) {
	n := len(labels)
	if n == 2 && strings.HasPrefix(labels[0], "_") && strings.HasPrefix(labels[1], "_") {
		service, tag = labels[0][1:], labels[1][1:]
		if tag == "tcp" {
			tag = ""
		}
		return service, tag
	}
	return labels[n-1], strings.Join(labels[:n-1], ".")
}

// queryName reads the name of a query, which may have dots, and "_query._tcp".
func queryName(labels []string) string {
	if len(labels) == 2 && strings.HasPrefix(labels[0], "_") && labels[1] == "_tcp" {
		return labels[0][1:]
	}
	return strings.Join(labels, ".")
}

// datacenter reads what may stand between the kind of a name and the domain: a
// datacenter, or pairs like "default.ns.default.ap.dc1.dc".
func datacenter(labels []string) (string, bool) {
	if len(labels) <= 1 {
		return strings.Join(labels, ""), true
	}
	dc := ""
	for ; len(labels) >= 2; labels = labels[2:] {
		value, of := labels[0], labels[1]
		switch {
		case of == "dc":
			dc = value
		case (of == "ns" || of == "ap") && value == "default":
		default:
			return "", false
		}
	}
	return dc, len(labels) == 0
}

// isLabel reports whether a node's name can be the name of a host.
func isLabel(name string) bool {
	if name == "" || len(name) > 63 {
		return false
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// escaped writes a name of the catalog as part of a DNS name. Its dots separate
// labels.
func escaped(name string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
}
