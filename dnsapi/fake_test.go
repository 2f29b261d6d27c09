package dnsapi

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"curia/api"
)

// catalog is a Caller over a list of instances. Results are shared, as the
// server shares them, until set changes what there is.
type catalog struct {
	mu    sync.Mutex
	nodes []*api.Node
	// queries find what is given here, by name.
	queries map[string]*api.QueryResult
	health  []*api.ServiceHealth
	shared  map[string]*api.Response
	asked   []*api.Request
	fail    error         // what every call ends with
	hold    chan struct{} // calls about the service "held" wait for it
}

// set replaces the catalog; nodes without instances come after those that have.
func (c *catalog) set(health []*api.ServiceHealth, nodes ...*api.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.health, c.nodes, c.shared = health, nil, map[string]*api.Response{}
	for _, h := range health {
		if !slices.Contains(c.nodes, h.Node) {
			c.nodes = append(c.nodes, h.Node)
		}
	}
	c.nodes = append(c.nodes, nodes...)
}

func (c *catalog) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if q, ok := req.Args.(*api.HealthServiceArgs); ok && q.Service == "held" {
		select {
		case <-c.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, req)
	if req.Datacenter != "" && req.Datacenter != "dc2" {
		return nil, api.ErrNoPath
	}
	if c.fail != nil {
		return nil, c.fail
	}
	if q, ok := req.Args.(*api.QueryExecuteArgs); ok {
		if r := c.queries[q.Query]; r != nil {
			return &api.Response{Value: r}, nil
		}
		return &api.Response{}, api.ErrNoQuery
	}
	value, key := c.look(req)
	key = req.Op.Name + " " + key + " " + req.Datacenter
	if c.shared[key] == nil {
		c.shared[key] = &api.Response{Value: value, Encoded: &api.Encoded{}}
	}
	return c.shared[key], nil
}

// look evaluates a request, and gives what makes it different from others.
func (c *catalog) look(req *api.Request) (value any, key string) {
	switch q := req.Args.(type) {
	case *api.NodeName:
		for _, n := range c.nodes {
			if strings.EqualFold(n.Node, q.Node) {
				return &api.NodeServices{Node: n}, q.Node
			}
		}
		return (*api.NodeServices)(nil), q.Node
	case *api.HealthServiceArgs:
		out := []*api.ServiceHealth{}
		for _, h := range c.health {
			if strings.EqualFold(h.Service.Service, q.Service) && q.HasTags(h.Service.Tags) && (!bool(q.Passing) || h.AllPassing()) {
				out = append(out, h)
			}
		}
		return out, q.Service + " " + strings.Join(q.Tags, ",")
	case *api.ServiceArgs:
		out := []*api.ServiceNode{}
		for _, h := range c.health {
			if strings.EqualFold(h.Service.Service, q.Service) {
				out = append(out, api.NewServiceNode(h.Node, h.Service))
			}
		}
		return out, q.Service
	}
	if req.Op == api.CatalogNodes.Op {
		return c.nodes, ""
	}
	names := map[string][]string{}
	for _, h := range c.health {
		names[h.Service.Service] = nil
	}
	return names, ""
}

// instance makes an instance of a service on a node.
func instance(node *api.Node, s api.Service, checks ...string) *api.ServiceHealth {
	if s.Weights == (api.Weights{}) {
		s.Weights = api.Weights{Passing: 1, Warning: 1}
	}
	h := &api.ServiceHealth{Node: node, Service: &s}
	for _, status := range checks {
		h.Checks = append(h.Checks, &api.Check{Node: node.Node, Status: status})
	}
	return h
}

// plainConfig is what is configured when nothing is.
func plainConfig() Config {
	return Config{
		Datacenter: "dc1", Domain: "consul.", UDPAnswerLimit: 3, AllowStale: true, MaxStale: time.Hour, NodeMetaTXT: true,
		SOA:       SOA{Refresh: 3600, Retry: 600, Expire: 86400},
		Recursion: Recursion{Timeout: 2 * time.Second},
	}
}

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// asking is a question of a test.
type asking struct {
	name  string
	qtype uint16
	via   transport
	edns  uint16 // 0: none
}

func (a asking) message() *dns.Msg {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(a.name), a.qtype)
	if a.edns > 0 {
		m.SetEdns0(a.edns, false)
	}
	return m
}

// ask puts a question to a server without a socket. It returns nil when there
// is no answer, and the answer's length.
func ask(t *testing.T, s *Server, a asking) (*dns.Msg, int) {
	t.Helper()
	return askMessage(t, s, a.message(), a.via)
}

func askMessage(t *testing.T, s *Server, m *dns.Msg, via transport) (*dns.Msg, int) {
	t.Helper()
	packet, err := m.Pack()
	if err != nil {
		t.Fatalf("pack %v: %v", m.Question, err)
	}
	out := s.respond(context.Background(), packet, via, nil, &scratch{})
	if len(out) == 0 {
		return nil, 0
	}
	var r dns.Msg
	if err := r.Unpack(out); err != nil {
		t.Fatalf("asked %v, got an answer that cannot be read: %v\n%x", m.Question, err, out)
	}
	if r.Id != m.Id || !r.Response {
		t.Fatalf("asked %v with number %d, got number %d, response %t", m.Question, m.Id, r.Id, r.Response)
	}
	return &r, len(out)
}
