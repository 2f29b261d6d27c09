package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"curia/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// catalog is an api.Caller that holds what agents register with it and remembers
// each write in a line. Safe for concurrent use.
type catalog struct {
	mu       sync.Mutex
	index    uint64
	nodes    map[string]*catalogNode
	writes   []string
	compared int           // how often somebody asked for a node
	changed  chan struct{} // closed and replaced by every write

	// refuse may answer a call instead; it is called under the lock. nil: nobody is refused.
	refuse func(op *api.Op, what, token string) error
	// slow is how long an answer takes.
	slow time.Duration
}

type catalogNode struct {
	node     api.Node
	services map[string]*api.Service
	checks   map[string]*api.Check
}

func newCatalog() *catalog {
	return &catalog{index: 1, nodes: map[string]*catalogNode{}, changed: make(chan struct{})}
}

// Call implements api.Caller.
func (c *catalog) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if c.slow > 0 {
		select {
		case <-time.After(c.slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for {
		c.mu.Lock()
		if req.MinIndex == 0 || c.index > req.MinIndex {
			break
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer c.mu.Unlock()
	if c.refuse != nil {
		if err := c.refuse(req.Op, what(req.Args), req.Token); err != nil {
			return nil, err
		}
	}
	v, err := c.answer(req)
	return &api.Response{Value: v, Meta: api.Meta{Index: c.index, KnownLeader: true}}, err
}

// comparisons counts how often the node was looked at.
func (c *catalog) comparisons() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compared
}

func (c *catalog) answer(req *api.Request) (any, error) {
	switch args := req.Args.(type) {
	case *api.RegisterArgs:
		return true, c.register(args.Registration, req.Token)
	case *api.DeregisterArgs:
		c.deregister(args.Deregistration, req.Token)
		return true, nil
	case *api.CoordinateUpdateArgs:
		c.wrote(what(args), req.Token)
		return api.Nothing{}, nil
	case *api.NodeName:
		n := c.nodes[args.Node]
		switch {
		case req.Op == api.HealthNode.Op && n == nil:
			return []*api.Check{}, nil
		case req.Op == api.HealthNode.Op:
			return slices.Collect(maps.Values(n.checks)), nil
		case req.Op == api.CatalogNode.Op:
			c.compared++
			if n == nil {
				return (*api.NodeServices)(nil), nil
			}
			return &api.NodeServices{Node: &n.node, Services: maps.Clone(n.services)}, nil
		}
	}
	return nil, fmt.Errorf("the catalog of this test does not know %s", req.Op.Name)
}

// what says in a few words what a write is about.
func what(args any) string {
	var parts []string
	switch a := args.(type) {
	case *api.RegisterArgs:
		parts = append(parts, "register")
		if s := a.Registration.Service; s != nil {
			parts = append(parts, "service "+s.ID)
		}
		for _, c := range a.Registration.Checks {
			parts = append(parts, "check "+c.CheckID+"="+c.Status)
		}
		slices.Sort(parts[1:])
	case *api.DeregisterArgs:
		parts = append(parts, "remove")
		if d := a.Deregistration; d.ServiceID != "" {
			parts = append(parts, "service "+d.ServiceID)
		} else {
			parts = append(parts, "check "+d.CheckID)
		}
	case *api.CoordinateUpdateArgs:
		parts = append(parts, fmt.Sprintf("place %s at %v", a.Update.Node, a.Update.Coord.Vec))
	default:
		return "look"
	}
	return strings.Join(parts, " ")
}

func (c *catalog) register(r api.Registration, token string) error {
	n := c.nodes[r.Node]
	if n == nil {
		n = &catalogNode{services: map[string]*api.Service{}, checks: map[string]*api.Check{}}
	}
	for _, k := range r.Checks {
		known := k.ServiceID == "" || n.services[k.ServiceID] != nil || r.Service != nil && r.Service.ID == k.ServiceID
		if !known {
			return api.Errorf(api.Rejected, "Missing service registration")
		}
	}
	c.nodes[r.Node] = n
	if !r.SkipNodeUpdate || n.node.Node == "" {
		n.node = api.Node{ID: r.ID, Node: r.Node, Address: r.Address, TaggedAddresses: r.TaggedAddresses, Meta: r.NodeMeta}
	}
	if r.Service != nil {
		s := r.Service.Service
		n.services[s.ID] = &s
	}
	for _, k := range r.Checks {
		row := k.Check
		if s := n.services[row.ServiceID]; s != nil {
			row.ServiceName, row.ServiceTags = s.Service, s.Tags
		}
		n.checks[row.CheckID] = &row
	}
	c.wrote(what(&api.RegisterArgs{Registration: r}), token)
	return nil
}

func (c *catalog) deregister(d api.Deregistration, token string) {
	n := c.nodes[d.Node]
	switch {
	case n == nil:
	case d.ServiceID != "":
		delete(n.services, d.ServiceID)
		maps.DeleteFunc(n.checks, func(_ string, k *api.Check) bool { return k.ServiceID == d.ServiceID })
	default:
		delete(n.checks, d.CheckID)
	}
	c.wrote(what(&api.DeregisterArgs{Deregistration: d}), token)
}

func (c *catalog) wrote(line, token string) {
	if token != "" {
		line += " token=" + token
	}
	c.writes = append(c.writes, line)
	c.index++
	close(c.changed)
	c.changed = make(chan struct{})
}

// edit changes the catalog behind the agent's back.
func (c *catalog) edit(f func(n *catalogNode)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.nodes["n1"])
	c.index++
	close(c.changed)
	c.changed = make(chan struct{})
}

// taken returns the writes since it was called last, sorted: the agent is free
// to choose the order of what does not depend on each other.
func (c *catalog) taken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := slices.Sorted(slices.Values(c.writes))
	c.writes = nil
	return out
}

// status gives the status that the catalog has of a check; empty: none.
func (c *catalog) status(check string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.nodes["n1"].checks[check]; k != nil {
		return k.Status
	}
	return ""
}

// rig is an agent over a catalog.
type rig struct {
	*Agent
	t       testing.TB
	catalog *catalog
	logged  *lines
	stop    func() // returns when Run has
}

// lines is a buffer that may be written and read concurrently.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newRig makes an agent that does not run yet.
func newRig(t testing.TB, c *catalog, tune func(*Config)) *rig {
	t.Helper()
	cfg := Config{
		Node: api.Node{ID: "id1", Node: "n1", Address: "10.0.0.1"}, Datacenter: "dc1", Tokens: Tokens{Agent: "agent", Default: "default"},
		LAN: func() []*api.Member { return nil }, Stats: func() map[string]map[string]string { return nil },
	}
	if tune != nil {
		tune(&cfg)
	}
	logged := &lines{}
	log := slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return &rig{Agent: New(cfg, c, log), t: t, catalog: c, logged: logged}
}

// run starts the agent; the test's cleanup stops it.
func (r *rig) run() *rig {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-r.Started()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			r.t.Errorf("Run returned %v, want %v", err, context.Canceled)
		}
	})
	r.t.Cleanup(r.stop)
	return r
}

// play runs a test in a bubble, with an agent that is in step with its catalog.
func play(t *testing.T, tune func(*Config), f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newCatalog(), tune).run()
		synctest.Wait()
		r.catalog.taken()
		f(t, r)
	})
}

// ask carries out a verb as the HTTP face would, with the body of a registration
// or an update in JSON.
func (r *rig) ask(op *api.Op, args any, token string) (any, error) {
	if v, ok := args.(api.Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	resp, err := r.Call(context.Background(), &api.Request{Op: op, Args: args, Token: token})
	if resp == nil {
		return nil, err
	}
	return resp.Value, err
}

// must is ask of something that may not fail.
func (r *rig) must(op *api.Op, args any) any {
	r.t.Helper()
	v, err := r.ask(op, args, "")
	if err != nil {
		r.t.Fatalf("%s %+v: %v", op.Name, args, err)
	}
	return v
}

func decode[T any](t testing.TB, body string) T {
	t.Helper()
	var v T
	if err := api.DecodeRelaxed([]byte(body), &v); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	return v
}

func (r *rig) service(body string) {
	r.t.Helper()
	r.must(api.LocalServiceRegister.Op, &api.ServiceRegisterArgs{Definition: decode[api.ServiceDefinition](r.t, body)})
}

func (r *rig) check(body string) {
	r.t.Helper()
	r.must(api.LocalCheckRegister.Op, &api.CheckRegisterArgs{Definition: decode[api.CheckRegistration](r.t, body)})
}

func (r *rig) update(id, status, output string) {
	r.t.Helper()
	r.must(api.LocalCheckUpdate.Op, &api.CheckUpdateArgs{ID: id, Update: api.CheckUpdate{Status: status, Output: output}})
}

// said gives the status and output of every check of the agent.
func (r *rig) said() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	for id, c := range r.must(api.LocalChecks.Op, &api.None{}).(map[string]*api.Check) {
		out[id] = strings.TrimSpace(c.Status + " " + c.Output)
	}
	return out
}

// wrote waits until nothing moves and compares what the catalog was told.
func (r *rig) wrote(when string, want ...string) {
	r.t.Helper()
	synctest.Wait()
	same(r.t, "catalog written "+when, r.catalog.taken(), want)
}

// same compares what was got with what was wanted.
func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// jsonOf is for comparing values as clients see them.
func jsonOf(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pass lets time go by in a bubble until everything due then is done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func keys[T any](m map[string]T) []string { return sorted(slices.Collect(maps.Keys(m))) }

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
