package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"curia/api"
	"curia/internal/testing/cluster"
)

// Sizes of a history.
const (
	registers = 3                       // keys that are read and written
	locks     = 2                       // keys that are acquired and released
	opWait    = 1200 * time.Millisecond // for an answer
	paceMax   = 5 * time.Millisecond    // between two operations of a client
)

// history is what clients did and saw. Safe for concurrent use.
type history struct {
	t     *testing.T
	began time.Time

	mu      sync.Mutex
	ops     []porcupine.Operation
	acked   map[string]string // keys that were written once, and acknowledged
	answers int
	lost    int
}

func newHistory(t *testing.T) *history {
	return &history{t: t, began: time.Now(), acked: map[string]string{}}
}

// client does one thing after the other, through one way.
type client struct {
	id      int
	through func() api.Caller
	random  *rand.Rand
	history *history
	session string
	seen    map[string]*api.KVPair // by key: what was read last
	indexes map[string]uint64      // by key: of the last consistent read
	count   int
}

// run works until ctx ends.
func (c *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.count++
		switch n := c.random.IntN(10); {
		case n == 0:
			c.once(ctx)
		case n < 7:
			c.register(ctx)
		default:
			c.lock(ctx)
		}
		pace := time.NewTimer(span(c.random, paceMax))
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
		pace.Stop()
	}
}

func (c *client) value() string { return fmt.Sprintf("%d.%d", c.id, c.count) }

// once writes a key that nobody writes again.
func (c *client) once(ctx context.Context) {
	key := fmt.Sprintf("once/%d/%d", c.id, c.count)
	in := input{act: put, key: key, value: c.value()}
	if out, _, err := c.ask(ctx, in); err == nil && out.ok {
		c.history.mu.Lock()
		defer c.history.mu.Unlock()
		c.history.acked[key] = in.value
	}
}

func (c *client) register(ctx context.Context) {
	in := input{act: get, key: fmt.Sprint("register-", c.random.IntN(registers))}
	seen := c.seen[in.key]
	expect := ""
	if seen != nil {
		expect = string(seen.Value)
	}
	switch c.random.IntN(8) {
	case 0, 1:
		in.act, in.value = put, c.value()
	case 2, 3:
		in.act, in.value, in.expect = cas, c.value(), expect
	case 4:
		in.act = remove
	case 5:
		if expect != "" {
			in.act, in.expect = removeCAS, expect
		}
	}
	c.do(ctx, in)
}

func (c *client) lock(ctx context.Context) {
	in := input{act: get, key: fmt.Sprint("lock-", c.random.IntN(locks)), session: c.session, value: c.value()}
	switch c.random.IntN(4) {
	case 0, 1:
		in.act = acquire
	case 2:
		in.act = release
	default:
		in.session, in.value = "", ""
	}
	c.do(ctx, in)
}

// do carries an operation out and notes what is known of it.
func (c *client) do(ctx context.Context, in input) {
	h := c.history
	op := porcupine.Operation{ClientId: c.id, Input: in, Call: time.Since(h.began).Nanoseconds()}
	out, index, err := c.ask(ctx, in)
	op.Output, op.Return = out, time.Since(h.began).Nanoseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.answers++
		if in.act == get {
			if index < c.indexes[in.key] {
				h.t.Errorf("client %d, %s: index %d after %d", c.id, in, index, c.indexes[in.key])
			}
			c.indexes[in.key] = index
		}
	case in.act == get || api.Untried(err):
		return // nothing was done
	default:
		h.lost++
		op.Return = math.MaxInt64
	}
	h.ops = append(h.ops, op)
}

// ask carries an operation out.
func (c *client) ask(ctx context.Context, in input) (output, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, opWait)
	defer cancel()
	var expect *uint64
	if in.act == cas || in.act == removeCAS {
		expect = new(uint64)
		if seen := c.seen[in.key]; seen != nil {
			*expect = seen.ModifyIndex
		}
	}
	args := api.KVPutArgs{Key: in.key, Value: []byte(in.value)}
	var ok bool
	var err error
	switch in.act {
	case get:
		return c.read(ctx, in.key)
	case remove, removeCAS:
		ok, err = api.Call(ctx, c.through(), api.KVDelete, api.KVDeleteArgs{Key: in.key, CAS: expect})
	case cas:
		args.CAS = expect
		ok, err = api.Call(ctx, c.through(), api.KVPut, args)
	case acquire:
		args.Acquire = &in.session
		ok, err = api.Call(ctx, c.through(), api.KVPut, args)
	case release:
		args.Release = &in.session
		ok, err = api.Call(ctx, c.through(), api.KVPut, args)
	default:
		ok, err = api.Call(ctx, c.through(), api.KVPut, args)
	}
	c.history.expected(in, err)
	return output{known: err == nil, ok: ok}, 0, err
}

// read reads a key in consistent mode, by itself or as a list, whose result is
// shared with others.
func (c *client) read(ctx context.Context, key string) (output, uint64, error) {
	mode := api.Query{Consistency: api.Consistent}
	var pairs []*api.KVPair
	var meta api.Meta
	var err error
	if c.random.IntN(2) == 0 {
		pairs, meta, err = api.Ask(ctx, c.through(), api.KVGet, api.KeyArgs{Key: key}, mode)
	} else {
		pairs, _, err = api.Ask(ctx, c.through(), api.KVList, api.PrefixArgs{Prefix: key}, mode)
		meta.Index = c.indexes[key] // that of a list is another
	}
	if err != nil && api.KindOf(err) != api.NotFound {
		c.history.expected(input{act: get, key: key}, err)
		return output{}, 0, err
	}
	out := output{known: true}
	delete(c.seen, key)
	if len(pairs) > 0 {
		c.seen[key] = pairs[0]
		out.found = entry{value: string(pairs[0].Value), session: pairs[0].Session}
	}
	return out, meta.Index, nil
}

// expected fails the test for an error that no fault explains.
func (h *history) expected(in input, err error) {
	switch kind := api.KindOf(err); {
	case err == nil, kind == api.NoLeader, kind == api.Unreached, kind == api.Lost, kind == api.Unavailable:
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
	case kind == api.Internal && (err.Error() == context.Canceled.Error() || err.Error() == context.DeadlineExceeded.Error()):
	default:
		h.t.Errorf("%s: got an error of kind %d: %v", in, kind, err)
	}
}

// play lets clients work through every server and through client agents, until
// ctx ends.
func (h *history) play(ctx context.Context, c *cluster.Cluster, random *rand.Rand, sessions []string) {
	agents := []api.Caller{c.Client("agent-1"), c.Client("agent-2")}
	var all sync.WaitGroup
	for i, session := range sessions {
		one := &client{
			id: i, history: h, session: session, random: rand.New(rand.NewPCG(random.Uint64(), 0)),
			seen: map[string]*api.KVPair{}, indexes: map[string]uint64{},
		}
		switch {
		case i < len(c.Nodes): // each server has a client of its own
			one.through = func() api.Caller { return c.Nodes[i] }
		case i < len(c.Nodes)+len(agents): // and each client agent
			one.through = func() api.Caller { return agents[i-len(c.Nodes)] }
		default: // one asks any server
			one.through = func() api.Caller { return c.Nodes[one.random.IntN(len(c.Nodes))] }
		}
		all.Go(func() { one.run(ctx) })
	}
	all.Wait()
}

// sessions creates sessions that only end when they are told to.
func (h *history) sessions(c *cluster.Cluster, n int) (out []string) {
	h.t.Helper()
	c.Await("a node and its sessions", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), opWait)
		defer cancel()
		leader := c.Leader()
		node := api.Registration{Node: "holder", Address: "127.0.0.1"}
		if _, err := api.Call(ctx, leader, api.CatalogRegister, api.RegisterArgs{Registration: node}); err != nil {
			return err
		}
		for len(out) < n {
			spec := api.SessionSpec{Node: node.Node, NodeChecks: &[]string{}}
			s, err := api.Call(ctx, leader, api.SessionCreate, api.SessionCreateArgs{Spec: spec})
			if err != nil {
				return err
			}
			out = append(out, s.ID)
		}
		return nil
	})
	return out
}

// verify reads everything once more through every server, and checks that what
// was seen can be explained, and nothing that was acknowledged is lost.
func (h *history) verify(c *cluster.Cluster) {
	h.t.Helper()
	for i, n := range c.Nodes {
		one := &client{
			id: 100 + i, history: h, random: rand.New(rand.NewPCG(1, 1)), through: func() api.Caller { return n },
			seen: map[string]*api.KVPair{}, indexes: map[string]uint64{},
		}
		for k := range registers {
			one.insist(c, fmt.Sprint("register-", k))
		}
		for k := range locks {
			one.insist(c, fmt.Sprint("lock-", k))
		}
		pairs, _, err := api.Ask(context.Background(), n, api.KVList, api.PrefixArgs{Prefix: "once/"}, api.Query{Consistency: api.Stale})
		if err != nil && len(h.acked) > 0 {
			h.t.Errorf("read what was written once from %s: %v", n.Name, err)
		}
		there := map[string]string{}
		for _, p := range pairs {
			there[p.Key] = string(p.Value)
		}
		for key, value := range h.acked {
			if there[key] != value {
				h.t.Errorf("%s was acknowledged with %s; %s has %q", key, value, n.Name, there[key])
			}
		}
	}
	linearizable(h.t, h.ops)
}

// insist reads a key until it gets an answer.
func (c *client) insist(of *cluster.Cluster, key string) {
	of.Await("an answer after all is well again", func() error {
		before := c.history.answers
		c.do(context.Background(), input{act: get, key: key})
		if c.history.answers == before {
			return fmt.Errorf("client %d got none for %s", c.id, key)
		}
		return nil
	})
}
