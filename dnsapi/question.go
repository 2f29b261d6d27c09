package dnsapi

import (
	"github.com/miekg/dns"
)

// transport is how a question came.
type transport uint8

const (
	udp transport = iota
	tcp
)

// Sizes of messages, in bytes.
const (
	headerSize = 12
	plainUDP   = 512   // what a client without EDNS takes
	largestUDP = 65507 // what fits into a datagram
	largestTCP = 65535
)

// question is what a packet asks. It is not changed once it is made, because
// packets that are equal but for their number share it.
type question struct {
	wire   []byte // name, type and class, as they came
	key    string // the name in lower case, as it came
	labels []string
	qtype  uint16
	qclass uint16
	via    transport
	limit  int // bytes of the answer
	// rcode is set when the question cannot be answered.
	rcode int
	edns  bool
	opt   []byte // what the answer says about EDNS, packed
	// plain says that nothing but the question and an empty OPT was in the packet.
	plain bool
	// plan is what was prepared for it, if it was asked before.
	plan *plan
}

// name is the question's name as it came.
func (q *question) name() []byte { return q.wire[:len(q.wire)-4] }

// text is the name for people.
func (q *question) text() string {
	if len(q.wire) == 0 {
		return ""
	}
	name, _, err := dns.UnpackDomainName(q.wire, 0)
	if err != nil {
		return "?"
	}
	return name
}

// parse reads a packet; nil when it deserves no answer.
func parse(packet []byte, via transport) *question {
	const response, opcode = 0x80, 0x78
	if len(packet) < headerSize || packet[2]&response != 0 {
		return nil
	}
	q := &question{via: via, limit: plainUDP}
	if via == tcp {
		q.limit = largestTCP
	}
	if packet[2]&opcode != 0 {
		q.rcode = dns.RcodeNotImplemented
		return q
	}
	end := nameEnd(packet)
	if packet[4] != 0 || packet[5] != 1 || end < 0 || len(packet) < end+4 {
		q.rcode = dns.RcodeFormatError
		return q
	}
	var m dns.Msg
	if err := m.Unpack(packet); err != nil || len(m.Question) != 1 {
		q.rcode = dns.RcodeFormatError
		return q
	}
	q.wire = append([]byte(nil), packet[headerSize:end+4]...)
	q.qtype, q.qclass = m.Question[0].Qtype, m.Question[0].Qclass
	q.key = lower(q.name())
	q.labels = labelsOf(q.key)
	q.readEDNS(&m)
	return q
}

// readEDNS takes over what the client says about itself and prepares what is
// said back.
func (q *question) readEDNS(m *dns.Msg) {
	var opt *dns.OPT
	for _, rr := range m.Extra {
		o, ok := rr.(*dns.OPT)
		if ok && opt != nil {
			q.rcode = dns.RcodeFormatError
			return
		}
		if ok {
			opt = o
		}
	}
	others := len(m.Extra)
	if opt == nil {
		q.plain = others+len(m.Answer)+len(m.Ns) == 0
		return
	}
	q.plain = others == 1 && len(m.Answer)+len(m.Ns) == 0 && len(opt.Option) == 0
	q.edns = true
	if q.via == udp {
		q.limit = min(max(int(opt.UDPSize()), plainUDP), largestUDP)
	}
	back := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	back.SetUDPSize(opt.UDPSize())
	back.SetDo(opt.Do())
	if opt.Version() != 0 {
		q.rcode = dns.RcodeBadVers
		back.SetExtendedRcode(dns.RcodeBadVers)
	}
	for _, o := range opt.Option {
		// Answers are the same for all clients: they hold for every address.
		if subnet, ok := o.(*dns.EDNS0_SUBNET); ok {
			same := *subnet
			same.SourceScope = 0
			back.Option = append(back.Option, &same)
		}
	}
	buf := make([]byte, dns.Len(back)+1)
	n, err := dns.PackRR(back, buf, 0, nil, false)
	if err != nil {
		q.rcode, q.edns = dns.RcodeFormatError, false
		return
	}
	q.opt = buf[:n]
}

// nameEnd finds the end of the name that follows the header, or -1 when there
// is none or it is not spelled out.
func nameEnd(packet []byte) int {
	for i := headerSize; i < len(packet) && i < headerSize+255; {
		n := int(packet[i])
		switch {
		case n == 0:
			return i + 1
		case n > 63:
			return -1
		}
		i += 1 + n
	}
	return -1
}

// lower puts ASCII letters into lower case. Lengths of labels are below all
// letters, so that a packed name can be given.
func lower(wire []byte) string {
	b := append([]byte(nil), wire...)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// labelsOf splits a packed name.
func labelsOf(wire string) []string {
	var out []string
	for len(wire) > 1 {
		n := int(wire[0])
		out = append(out, wire[1:1+n])
		wire = wire[1+n:]
	}
	return out
}
