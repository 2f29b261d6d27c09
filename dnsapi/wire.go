package dnsapi

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/miekg/dns"
)

// record is a resource record that is ready to be copied into answers.
type record struct {
	owner []byte // packed; nil: the name of the question
	// ofTarget says that the owner is the target of the SRV record that this one
	// belongs to.
	ofTarget bool
	body     []byte // type, class, TTL, length and data
}

// newRecord packs rr; its owner is the question's name when owner is empty.
func newRecord(owner string, rr dns.RR) (record, error) {
	var r record
	if owner != "" {
		var err error
		if r.owner, err = packName(owner); err != nil {
			return r, err
		}
	}
	rr.Header().Name = "."
	rr.Header().Class = dns.ClassINET
	buf := make([]byte, dns.Len(rr)+1)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return r, fmt.Errorf("pack %s record: %w", dns.Type(rr.Header().Rrtype), err)
	}
	r.body = buf[1:n]
	return r, nil
}

func packName(name string) ([]byte, error) {
	buf := make([]byte, 256)
	n, err := dns.PackDomainName(name, buf, 0, nil, false)
	if err != nil {
		return nil, fmt.Errorf("pack name %q: %w", name, err)
	}
	return buf[:n:n], nil
}

// size is the length without compression under a question's name of n bytes.
func (r *record) size(n int) int {
	if r.owner != nil {
		n = len(r.owner)
	}
	return n + len(r.body)
}

func size(all []record, n int) int {
	sum := 0
	for i := range all {
		sum += all[i].size(n)
	}
	return sum
}

// unit is a part of an answer that is given or withheld as a whole.
type unit struct {
	answer []record
	// extra goes into the additional section, once for all units of the same target.
	extra  []record
	target int32 // numbers the targets of a reply, from 0
	// host is the name that has to be resolved for extra; empty: none.
	host string
}

// reply is an answer before it is cut to what the client takes. Replies are
// shared and not changed once they are made.
type reply struct {
	rcode int
	// authoritative says that the answer comes from the catalog.
	authoritative bool
	units         []unit
	// shuffled gives the units in random order.
	shuffled bool
	// most bounds the units in every answer; 0: no bound.
	most int
	// mostPlain bounds them over UDP without EDNS; 0: no bound.
	mostPlain             int
	authority, additional []record
	// forwarded is the whole answer of a recursor; the rest is empty then.
	forwarded []byte
}

// scratch is what a reader needs while it writes an answer.
type scratch struct {
	order []int32 // of the units
	mixed bool    // order is not that in which they are
	given int     // so many of them, from the first
	at    []int   // where the targets of the given units are
	seen  []bool  // targets whose extra records are to be written; all false in between
}

// reset gets ready for n units. A random order is as good a beginning for the
// next one as any, so that an answer out of many costs no more than one out of
// few.
func (s *scratch) reset(n int, shuffled bool) {
	s.given = 0
	if len(s.order) == n && (shuffled || !s.mixed) {
		return
	}
	if cap(s.order) < n {
		s.order, s.at, s.seen = make([]int32, n), make([]int, n), make([]bool, n)
	}
	s.order, s.at, s.seen = s.order[:n], s.at[:n], s.seen[:n]
	for i := range s.order {
		s.order[i] = int32(i)
	}
	s.mixed = false
	clear(s.seen)
}

// srvTarget is where the target is in the body of an SRV record: after type,
// class, TTL, length, priority, weight and port.
const srvTarget = 16

// Positions in the header.
const (
	atFlags      = 2
	atAnswers    = 6
	atAuthority  = 8
	atAdditional = 10
)

// writer appends a message to b, beginning at start, until its limit.
type writer struct {
	b     []byte
	start int
	q     *question
	size  int // of the message without compression
	// whole says that nothing was withheld.
	whole    bool
	compress bool
}

// take makes room for n bytes, or notes that something is withheld.
func (w *writer) take(n int) bool {
	if w.size+n > w.q.limit {
		w.whole = false
		return false
	}
	w.size += n
	return true
}

// put appends a record and counts it in its section. target is where the name
// of its target begins; 0: nowhere.
func (w *writer) put(section int, r *record, target int) {
	switch {
	case r.owner == nil && w.compress:
		w.b = append(w.b, 0xc0, headerSize)
	case r.owner == nil:
		w.b = append(w.b, w.q.name()...)
	case r.ofTarget && w.compress && target > 0 && target < 1<<14:
		w.b = binary.BigEndian.AppendUint16(w.b, 0xc000|uint16(target))
	default:
		w.b = append(w.b, r.owner...)
	}
	w.b = append(w.b, r.body...)
	w.count(section)
}

func (w *writer) count(section int) {
	n := w.b[w.start+section : w.start+section+2]
	binary.BigEndian.PutUint16(n, binary.BigEndian.Uint16(n)+1)
}

// write appends the answer to the question in packet.
func (z *zone) write(b, packet []byte, q *question, r *reply, s *scratch) []byte {
	w := &writer{b: b, start: len(b), q: q, whole: true, compress: !z.cfg.DisableCompression}
	w.b = append(w.b, packet[0], packet[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	if len(q.wire) > 0 {
		w.b[w.start+5] = 1
		w.b = append(w.b, q.wire...)
	}
	w.size = headerSize + len(q.wire) + len(q.opt)
	if len(q.wire) > 0 {
		w.units(r, s)
		for i := range r.authority {
			if w.take(r.authority[i].size(len(q.name()))) {
				w.put(atAuthority, &r.authority[i], 0)
			}
		}
		w.extras(r, s)
	}
	if q.edns {
		w.b = append(w.b, q.opt...)
		w.count(atAdditional)
	}
	const query, answer, aa, tc, rd, ra, cd = 0x7800, 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
	flags := binary.BigEndian.Uint16(packet[atFlags:])&(query|rd|cd) | answer | uint16(r.rcode&15)
	if r.authoritative {
		flags |= aa
	}
	if !w.whole {
		flags |= tc
	}
	if len(z.recursors) > 0 {
		flags |= ra
	}
	binary.BigEndian.PutUint16(w.b[w.start+atFlags:], flags)
	return w.b
}

// units writes as many answers as there is room for, and leaves which ones in s.
func (w *writer) units(r *reply, s *scratch) {
	n := len(r.units)
	s.reset(n, r.shuffled)
	s.mixed = s.mixed || r.shuffled
	given, name := 0, len(w.q.name())
	for ; given < n; given++ {
		if r.most > 0 && given == r.most {
			break
		}
		if r.mostPlain > 0 && given == r.mostPlain && w.q.via == udp && !w.q.edns {
			w.whole = false
			break
		}
		if r.shuffled {
			j := given + rand.IntN(n-given)
			s.order[given], s.order[j] = s.order[j], s.order[given]
		}
		u := &r.units[s.order[given]]
		room := size(u.answer, name)
		if !s.seen[u.target] {
			room += size(u.extra, name)
		}
		if !w.take(room) {
			break
		}
		s.seen[u.target] = true
		for i := range u.answer {
			if i == 0 {
				s.at[given] = len(w.b) - w.start + 2 + srvTarget
				if !w.compress {
					s.at[given] += name - 2
				}
			}
			w.put(atAnswers, &u.answer[i], 0)
		}
	}
	s.given = given
}

// extras writes what belongs to the answers that were given, and then what
// belongs to the answer as a whole.
func (w *writer) extras(r *reply, s *scratch) {
	for i, n := range s.order[:s.given] {
		u := &r.units[n]
		if !s.seen[u.target] {
			continue
		}
		s.seen[u.target] = false
		for j := range u.extra {
			w.put(atAdditional, &u.extra[j], s.at[i])
		}
	}
	for i := range r.additional {
		if w.take(r.additional[i].size(len(w.q.name()))) {
			w.put(atAdditional, &r.additional[i], 0)
		}
	}
}
