package wire

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/stats"

	"curia/api"
)

// TestCalls asks a server, for values and for JSON.
func TestCalls(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: echo})
	r := connect(t, time.Second, s.address)
	for _, key := range []string{"a", "\x00ü/../%2F", strings.Repeat("k", 1<<16)} {
		got, err := get(t.Context(), r, key)
		if err != nil || got != key {
			t.Errorf("get %.20q: got %.20q, %v", key, got, err)
		}
	}
	resp, err := r.Call(t.Context(), &api.Request{Op: api.KVGet.Op, Args: &api.KeyArgs{Key: "a"}, JSON: true})
	if err != nil || resp.Encoded == nil || resp.Index != 7 {
		t.Fatalf("get as JSON: got %+v, %v", resp, err)
	}
}

// TestUnreached asks servers that are not there: nothing was sent.
func TestUnreached(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = get(t.Context(), connect(t, 100*time.Millisecond, gone), "a")
	if api.KindOf(err) != api.Unreached || !strings.Contains(err.Error(), gone) {
		t.Errorf("a server that refuses: got %v, wanted an error of kind Unreached that names %s", err, gone)
	}
	if _, err = get(t.Context(), connect(t, 100*time.Millisecond), "a"); err == nil || err.Error() != "No known Consul servers" {
		t.Errorf("without servers: got %v", err)
	}
	there := serve(t, "", Limits{}, &fake{call: echo})
	for range 4 { // whichever is asked first
		if got, err := get(t.Context(), connect(t, time.Second, gone, there.address), "a"); got != "a" {
			t.Errorf("one of two servers refuses: got %q, %v", got, err)
		}
	}
}

// TestLost ends a server while it works: a write is not sent again, a read is.
func TestLost(t *testing.T) {
	var asked atomic.Int32
	got := make(chan struct{}, 8)
	s := serve(t, "", Limits{}, &fake{call: func(ctx context.Context, _ *api.Request) (*api.Response, error) {
		asked.Add(1)
		got <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	r := connect(t, 5*time.Second, s.address)
	failed := make(chan error, 1)
	go func() {
		_, err := api.Call(context.Background(), r, api.KVPut, api.KVPutArgs{Key: "a"})
		failed <- err
	}()
	arrives(t, "the write", got)
	s.stop()
	if err := arrives(t, "the end of the write", failed); api.KindOf(err) != api.Lost {
		t.Errorf("a write whose server ends: got %v, wanted an error of kind Lost", err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the write was sent %d times", n)
	}

	s = serve(t, s.address, Limits{}, &fake{call: func(ctx context.Context, _ *api.Request) (*api.Response, error) {
		got <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	read := make(chan error, 1)
	go func() {
		key, err := get(context.Background(), r, "a")
		if err == nil && key != "a" {
			err = errors.New("got " + key)
		}
		read <- err
	}()
	arrives(t, "the read", got)
	s.stop()
	serve(t, s.address, Limits{}, &fake{call: echo})
	if err := arrives(t, "the answer to the read", read); err != nil {
		t.Errorf("a read whose server ends, and comes back: %v", err)
	}
}

// TestSentMark counts the last attempt of a call: one before it was not taken by
// the server, or there would be no other.
func TestSentMark(t *testing.T) {
	mark := &sentMark{}
	ctx := context.WithValue(t.Context(), sentKey{}, mark)
	for i, c := range []struct {
		event stats.RPCStats
		want  bool
	}{
		{&stats.Begin{}, false},
		{&stats.OutHeader{}, true},
		{&stats.OutPayload{}, true},
		{&stats.End{}, true},
		{&stats.Begin{IsTransparentRetryAttempt: true}, false},
		{&stats.End{}, false},
	} {
		sentMarker{}.HandleRPC(ctx, c.event)
		if got := mark.yes(); got != c.want {
			t.Errorf("event %d, %T: sent is %t, wanted %t", i, c.event, got, c.want)
		}
	}
}

// TestCancellation lets a caller go away: the server's goroutine is free again.
func TestCancellation(t *testing.T) {
	got, freed := make(chan struct{}), make(chan error)
	s := serve(t, "", Limits{}, &fake{call: func(ctx context.Context, req *api.Request) (*api.Response, error) {
		got <- struct{}{}
		<-ctx.Done()
		freed <- ctx.Err()
		return nil, ctx.Err()
	}})
	r := connect(t, time.Second, s.address)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := api.Ask(ctx, r, api.KVGet, api.KeyArgs{Key: "a"}, api.Query{MinIndex: 5, MaxWait: time.Hour})
		ended <- err
	}()
	arrives(t, "the question", got)
	cancel()
	if err := arrives(t, "the end of the call", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a call that was given up: got %v", err)
	}
	if err := arrives(t, "the end of the question", freed); !errors.Is(err, context.Canceled) {
		t.Errorf("at the server: got %v", err)
	}
}

// TestPatience bounds plain answers, and lets blocking queries wait for longer.
func TestPatience(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, "", Limits{}, &fake{call: func(ctx context.Context, req *api.Request) (*api.Response, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return echo(ctx, req)
	}})
	const patience = 100 * time.Millisecond
	conns := NewConns(nil, Security{}, func() time.Duration { return patience })
	t.Cleanup(conns.Close)
	r := NewRouter("dc1", conns, 0)
	r.SetServers([]Server{{ID: "a", Datacenter: "dc1", Address: s.address}})
	_, err := api.Call(t.Context(), r, api.KVPut, api.KVPutArgs{Key: "a"})
	if api.KindOf(err) != api.Lost {
		t.Errorf("a write without an answer: got %v, wanted an error of kind Lost", err)
	}
	timer := time.AfterFunc(5*patience, func() { close(release) })
	defer timer.Stop()
	_, meta, err := api.Ask(t.Context(), r, api.KVGet, api.KeyArgs{Key: "a"}, api.Query{MinIndex: 5})
	if err != nil || meta.Index != 7 {
		t.Errorf("a blocking query that waits for longer than the patience: got %+v, %v", meta, err)
	}
	for _, c := range []struct {
		q    api.Query
		want time.Duration
	}{
		{api.Query{}, patience},
		{api.Query{MaxWait: time.Hour}, patience}, // it does not wait
		{api.Query{MinIndex: 1, MaxWait: 16 * time.Second}, 17*time.Second + waitSlack},
		{api.Query{MinIndex: 1}, longestAsk + longestAsk/16 + waitSlack},
	} {
		if got := conns.wait(&api.Request{Query: c.q}); got != c.want {
			t.Errorf("patience with %+v: got %v, wanted %v", c.q, got, c.want)
		}
	}
}

// TestTooLarge sends more than a message may hold; the connection lives on.
func TestTooLarge(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: echo})
	var dials atomic.Int32
	conns := NewConns(func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}, Security{}, nil)
	t.Cleanup(conns.Close)
	r := NewRouter("dc1", conns, 0)
	r.SetServers([]Server{{ID: "a", Datacenter: "dc1", Address: s.address}})
	if _, err := api.Call(t.Context(), r, api.KVPut, api.KVPutArgs{Key: "a", Value: make([]byte, 1<<20)}); err != nil {
		t.Errorf("a large request: %v", err)
	}
	_, err := api.Call(t.Context(), r, api.KVPut, api.KVPutArgs{Key: "a", Value: make([]byte, maxQuestion+1)})
	if api.KindOf(err) != api.TooLarge || !strings.Contains(err.Error(), s.address) {
		t.Errorf("a request that is too large: got kind %d: %v; wanted TooLarge, and the server's address", api.KindOf(err), err)
	}
	if got, err := get(t.Context(), r, "after"); got != "after" || err != nil {
		t.Errorf("the next request: got %q, %v", got, err)
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections were made, wanted 1", n)
	}
}

// TestEnd ends a server: what is under way is answered, what comes then goes to
// another.
func TestEnd(t *testing.T) {
	got, release := make(chan struct{}), make(chan struct{})
	s := serve(t, "", Limits{}, &fake{call: func(ctx context.Context, req *api.Request) (*api.Response, error) {
		if req.Args.(*api.KVPutArgs).Key == "first" { // others may come before the end has begun everywhere
			got <- struct{}{}
			<-release
		}
		return echo(ctx, req)
	}})
	other := serve(t, "", Limits{}, &fake{call: echo})
	r := connect(t, 5*time.Second, s.address)
	first := make(chan error, 1)
	go func() {
		_, err := api.Call(context.Background(), r, api.KVPut, api.KVPutArgs{Key: "first"})
		first <- err
	}()
	arrives(t, "the first write", got)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.stop()
	}()
	eventually(t, "the port is closed", func() error {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return nil
		}
		return errors.Join(conn.Close(), errors.New("it takes connections"))
	})
	r.SetServers([]Server{{ID: "s", Datacenter: "dc1", Address: s.address}, {ID: "o", Datacenter: "dc1", Address: other.address}})
	if _, err := api.Call(t.Context(), r, api.KVPut, api.KVPutArgs{Key: "second"}); err != nil {
		t.Errorf("a write after the end began: %v", err)
	}
	close(release)
	if err := arrives(t, "the answer to the first write", first); err != nil {
		t.Errorf("a write that was under way at the end: %v", err)
	}
	arrives(t, "the end", ended)
}

// TestReconnect restarts a server at its address: it is found again soon.
func TestReconnect(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: echo})
	r := connect(t, thingWait, s.address)
	if _, err := get(t.Context(), r, "a"); err != nil {
		t.Fatal(err)
	}
	s.stop()
	// Long enough for the pause between two attempts to have grown.
	down := time.NewTimer(3 * redialMax / 2)
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		for {
			select {
			case <-down.C:
				return
			default:
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				_, _ = get(ctx, r, "a")
				cancel()
			}
		}
	}()
	arrives(t, "the end of the outage", failed)
	serve(t, s.address, Limits{}, &fake{call: echo})
	began := time.Now()
	got, err := get(t.Context(), r, "again")
	if took := time.Since(began); got != "again" || took > 2*redialMax {
		t.Errorf("a server that came back: got %q, %v after %v; wanted it within %v", got, err, took, redialMax)
	}
}

// TestClose ends the connections: calls that are under way fail, later ones say
// why.
func TestClose(t *testing.T) {
	got := make(chan struct{}, 1)
	s := serve(t, "", Limits{}, &fake{call: func(ctx context.Context, _ *api.Request) (*api.Response, error) {
		got <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	r := connect(t, 0, s.address)
	failed := make(chan error, 1)
	go func() {
		_, err := api.Call(context.Background(), r, api.KVPut, api.KVPutArgs{Key: "a"})
		failed <- err
	}()
	arrives(t, "the write", got)
	r.conns.Close()
	if err := arrives(t, "the end of the write", failed); api.KindOf(err) != api.Lost {
		t.Errorf("a write whose connection is closed: got %v, wanted an error of kind Lost", err)
	}
	if _, err := get(t.Context(), r, "a"); api.KindOf(err) != api.Unreached || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("after the end: got %v", err)
	}
}
