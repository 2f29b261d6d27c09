package dnsapi

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"curia/api"
)

// Config is what can be set of DNS answers ("dns_config").
type Config struct {
	// Datacenter is the agent's own.
	Datacenter string
	// Domain is answered from the catalog, as is AltDomain unless it is empty.
	Domain, AltDomain string
	// NodeTTL is that of records of nodes.
	NodeTTL time.Duration
	// ServiceTTL is that of records of services by name; "prefix*" stands for some
	// names, of which the longest wins, "*" for all.
	ServiceTTL map[string]time.Duration
	// UDPAnswerLimit bounds the records of a service over UDP without EDNS; at most
	// 8 are given. 0 means 8.
	UDPAnswerLimit int
	// ARecordLimit bounds the addresses of a service in any answer; 0: no bound.
	ARecordLimit int
	// OnlyPassing leaves out instances with a check that does not pass.
	OnlyPassing        bool
	DisableCompression bool
	// NodeMetaTXT adds the metadata of nodes to answers that do not ask for it.
	NodeMetaTXT bool
	// AllowStale lets any server answer that is at most MaxStale behind.
	AllowStale bool
	MaxStale   time.Duration
	SOA        SOA
	Recursion  Recursion
	// Token gives what questions are asked with; nil: no token.
	Token func() string
}

// SOA holds the numbers of the SOA record, in seconds.
type SOA struct{ Refresh, Retry, Expire, MinTTL uint32 }

// Recursion says who is asked about names elsewhere; nobody when Servers is empty.
type Recursion struct {
	Servers []string // host or host:port
	Timeout time.Duration
	Order   Order
}

// Order is that in which recursors are asked.
type Order uint8

// The orders of recursors.
const (
	Sequential Order = iota
	Random
)

// Server answers DNS questions. Make one with New.
type Server struct {
	ask  api.Caller
	log  *slog.Logger
	zone atomic.Pointer[zone]
}

// New makes a server that asks through a Caller. It starts nothing.
func New(cfg Config, ask api.Caller, log *slog.Logger) *Server {
	s := &Server{ask: ask, log: log}
	s.Configure(cfg)
	return s
}

// Configure replaces the configuration for the questions that follow. It may be
// called at any time.
func (s *Server) Configure(cfg Config) { s.zone.Store(newZone(cfg, s.ask)) }

// respond answers one packet. The answer is appended to out, which is returned
// unchanged when there is none to give. Its parts may be used again once it has
// been sent.
func (s *Server) respond(ctx context.Context, packet []byte, via transport, out []byte, w *scratch) (answer []byte) {
	z := s.zone.Load()
	q := z.recall(packet, via)
	if q == nil {
		if q = parse(packet, via); q == nil {
			return out
		}
	}
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("dns question failed", "name", q.text(), "type", dns.Type(q.qtype).String(),
				"err", fmt.Sprint(p), "stack", string(debug.Stack()))
			answer = z.write(out[:len(out):len(out)], packet, q, &reply{rcode: dns.RcodeServerFailure}, w)
		}
	}()
	r, err := z.answer(ctx, packet, q)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("dns question failed", "name", q.text(), "type", dns.Type(q.qtype).String(), "err", err)
	}
	if r.forwarded != nil {
		return append(out, r.forwarded...)
	}
	return z.write(out, packet, q, r, w)
}
