package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"curia/api"
)

// put writes a key.
func put(ctx context.Context, c api.Caller, key string) error {
	_, err := api.Call(ctx, c, api.KVPut, api.KVPutArgs{Key: key})
	return err
}

// keyOf gives the key that a request writes.
func keyOf(req *api.Request) string { return req.Args.(*api.KVPutArgs).Key }

// TestTalk puts many questions at the same time: everybody gets the answer to
// their own, over one stream.
func TestTalk(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: func(_ context.Context, req *api.Request) (*api.Response, error) {
		return nil, api.Errorf(api.Rejected, "no %s", keyOf(req))
	}})
	r := connect(t, time.Second, s.address)
	var group sync.WaitGroup
	for i := range 1000 {
		group.Go(func() {
			key := fmt.Sprint(i, strings.Repeat("x", i*17%5000))
			if err := put(t.Context(), r, key); api.KindOf(err) != api.Rejected || err.Error() != "no "+key {
				t.Errorf("write %.20s: got %.40v; wanted that this key is refused", key, err)
			}
		})
	}
	group.Wait()
	link, err := r.conns.to(peer{s.address, "dc1"})
	if err != nil || link.talk == nil || link.talk.last != 1000 || len(link.talk.open) > 0 {
		t.Errorf("the talk afterwards: %+v, %v; wanted 1000 questions, none of them open", link.talk, err)
	}
}

// TestTalkCancellation lets one of two go who ask: the server hears of that, and
// the other has an answer.
func TestTalkCancellation(t *testing.T) {
	got, freed, release := make(chan struct{}, 2), make(chan string, 2), make(chan struct{})
	s := serve(t, "", Limits{}, &fake{call: func(ctx context.Context, req *api.Request) (*api.Response, error) {
		got <- struct{}{}
		select {
		case <-ctx.Done():
			freed <- keyOf(req)
			return nil, ctx.Err()
		case <-release:
			return &api.Response{Value: true}, nil
		}
	}})
	r := connect(t, time.Second, s.address)
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := make(chan error, 1), make(chan error, 1)
	go func() { gone <- put(ctx, r, "gone") }()
	go func() { stays <- put(t.Context(), r, "stays") }()
	arrives(t, "a question", got)
	arrives(t, "another question", got)
	cancel()
	if err := arrives(t, "the end of one", gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who went away: got %v", err)
	}
	if key := arrives(t, "its end at the server", freed); key != "gone" {
		t.Errorf("the server gave up %q", key)
	}
	close(release)
	if err := arrives(t, "the answer to the other", stays); err != nil {
		t.Errorf("who stayed: got %v", err)
	}
}

// TestTalkEnds stops a server, and starts it again, while many write: what is told
// to have been written, and nothing else, was written, and once.
func TestTalkEnds(t *testing.T) {
	var mu sync.Mutex
	written := map[string]int{}
	service := &fake{call: func(_ context.Context, req *api.Request) (*api.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		written[keyOf(req)]++
		return &api.Response{Value: true}, nil
	}}
	s := serve(t, "", Limits{}, service)
	r := connect(t, thingWait, s.address)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	var done atomic.Int64
	told := sync.Map{}
	for i := range 16 {
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprint(i, " ", n)
				told.Store(key, put(context.Background(), r, key))
				done.Add(1)
			}
		})
	}
	for range 5 {
		before := done.Load()
		eventually(t, "a hundred writes", func() error {
			if n := done.Load() - before; n < 100 {
				return fmt.Errorf("there were %d", n)
			}
			return nil
		})
		s.stop()
		s = serve(t, s.address, Limits{}, service)
	}
	cancel()
	group.Wait()
	lost := 0
	told.Range(func(key, value any) bool {
		err, _ := value.(error)
		n := written[key.(string)]
		switch {
		case api.KindOf(err) == api.Lost:
			lost++
		case err != nil || n != 1:
			t.Errorf("write %q: told %v, was written %d times", key, err, n)
		}
		if n > 1 {
			t.Errorf("write %q was written %d times", key, n)
		}
		return true
	})
	if lost > 0 {
		t.Errorf("%d of %d writes were lost; wanted servers that stop in order to answer them", lost, done.Load())
	}
}

// TestServerThatDoesNotTalk is asked by calls.
func TestServerThatDoesNotTalk(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	old := grpc.NewServer(grpc.ForceServerCodec(messages{}))
	old.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName, HandlerType: (*Service)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: serveCall}},
	}, &fake{call: echo})
	served := make(chan error, 1)
	go func() { served <- old.Serve(l) }()
	r := connect(t, time.Second, l.Addr().String())
	for i := range 3 {
		if err := put(t.Context(), r, "a"); err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	old.Stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestFlood asks and asks, and takes no answer: too many questions are refused, and
// far too many end the talk.
func TestFlood(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: func(ctx context.Context, _ *api.Request) (*api.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	r := connect(t, time.Second, s.address)
	link, err := r.conns.to(peer{s.address, "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := ask(&api.Request{Op: api.KVPut.Op, Args: &api.KVPutArgs{Key: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := messages{}.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := link.NewStream(t.Context(), &talkStream, methodTalk)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxWords + 1 {
		if err := stream.SendMsg(&turn{{wordAsk, uint64(i), text}}); err != nil {
			t.Fatal(err)
		}
	}
	var said turn
	if err := stream.RecvMsg(&said); err != nil || len(said) != 1 || said[0].kind != wordRefuse || said[0].id != maxWords {
		t.Errorf("one question too many: got %+v, %v; wanted it to be refused", said, err)
	}
	// Refusals go out at once; the answers of which there are too many do not.
	l := &listener{ctx: t.Context(), mouth: newMouth(), open: map[uint64]context.CancelFunc{}}
	for i := range 2 * maxWords {
		l.open[uint64(i)] = func() {}
	}
	if err := l.hear(word{kind: wordAsk, id: 1 << 20}); !errors.Is(err, errFlood) {
		t.Errorf("far too many questions: got %v", err)
	}
}

// TestAskersWhoLeave ask a server that cannot be reached yet, and go away: no more
// of their questions wait than may.
func TestAskersWhoLeave(t *testing.T) {
	conns := NewConns(func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, Security{}, nil)
	t.Cleanup(conns.Close)
	link, err := conns.to(peer{"127.0.0.1:1", "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	var last error
	for range 2*maxWords + 1 {
		if _, asked, err := link.ask(gone, &question{Op: "kv.put"}); err == nil || asked {
			t.Fatalf("a question to nobody: %v, asked: %t", err, asked)
		} else {
			last = err
		}
	}
	link.talk.mouth.mu.Lock()
	n := len(link.talk.words)
	link.talk.mouth.mu.Unlock()
	if n > 2*maxWords || !errors.Is(last, errMute) {
		t.Errorf("%d questions wait, and one more has %v; wanted at most %d, and no room for more", n, last, 2*maxWords)
	}
}

// TestTurns reads messages as they were written, and no torn ones.
func TestTurns(t *testing.T) {
	want := turn{{wordAsk, 1, []byte("a question")}, {kind: wordCancel, id: 1 << 40}, {wordAnswer, 2, []byte{0}}, {kind: wordKind(77), id: 3}}
	b, err := messages{}.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	var got turn
	err = messages{}.Unmarshal(b, &got)
	same := gocmp.Comparer(func(a, b word) bool { return a.kind == b.kind && a.id == b.id && string(a.text) == string(b.text) })
	if diff := gocmp.Diff(want, got, same); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for n := range b {
		var got turn
		if err := (messages{}).Unmarshal(b[:n], &got); err == nil && len(got) == len(want) {
			t.Errorf("%d of %d bytes are read as a whole message", n, len(b))
		}
	}
}

// TestTalkTakesWhatComes says words that a talk does not know, and answers to
// questions that nobody put.
func TestTalkTakesWhatComes(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: echo})
	r := connect(t, time.Second, s.address)
	link, err := r.conns.to(peer{s.address, "dc1"})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := link.NewStream(t.Context(), &talkStream, methodTalk)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&turn{{wordKind(99), 1, nil}, {wordCancel, 5, nil}, {wordAnswer, 6, nil}, {wordAsk, 7, []byte("nonsense")}}); err != nil {
		t.Fatal(err)
	}
	var said turn
	if err := stream.RecvMsg(&said); err != nil || len(said) != 1 || said[0].id != 7 {
		t.Fatalf("got %+v, %v; wanted an answer to question 7", said, err)
	}
	answer := &reply{}
	if err := (messages{}).Unmarshal(said[0].text, answer); err != nil || answer.Failure == nil {
		t.Errorf("nonsense: got %+v, %v; wanted a failure", answer, err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&said); !errors.Is(err, io.EOF) {
		t.Errorf("after the last question: got %v; wanted the end", err)
	}
}

// BenchmarkWrites has 64 writes under way to one server.
func BenchmarkWrites(b *testing.B) {
	for _, c := range []struct {
		name string
		mute time.Duration
	}{{"in-a-talk", 0}, {"by-calls", time.Hour}} {
		b.Run(c.name, func(b *testing.B) {
			service := &fake{call: echo}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			calls := newCalls(&callee{service, make(chan struct{})})
			served := make(chan error, 1)
			go func() { served <- calls.Serve(l) }()
			conns := NewConns(nil, Security{}, nil)
			r := NewRouter("dc1", conns, time.Second)
			r.SetServers([]Server{{ID: "a", Datacenter: "dc1", Address: l.Addr().String()}})
			link, err := conns.to(peer{l.Addr().String(), "dc1"})
			if err != nil {
				b.Fatal(err)
			}
			link.mute = time.Now().Add(c.mute)
			value := make([]byte, 128)
			b.SetParallelism(32)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := api.Call(b.Context(), r, api.KVPut, api.KVPutArgs{Key: "a", Value: value}); err != nil {
						b.Error(err)
						return
					}
				}
			})
			conns.Close()
			calls.Stop()
			<-served
		})
	}
}
