package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"curia/api"
)

// link is the connection to one server, and the talk over it.
type link struct {
	*grpc.ClientConn
	talks sync.WaitGroup
	ctx   context.Context // of talks
	end   context.CancelFunc

	mu   sync.Mutex
	talk *talker   // nil: there is none
	mute time.Time // until then the server is taken for one of a version that does not talk
}

// muteWait is how long a server that does not talk is asked by calls alone.
const muteWait = time.Minute

func newLink(conn *grpc.ClientConn) *link {
	l := &link{ClientConn: conn}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// Close ends the connection, and returns when nothing of the talk is left.
func (l *link) Close() error {
	l.mu.Lock() // nobody is about to begin a talk
	l.end()
	l.mu.Unlock()
	err := l.ClientConn.Close()
	l.talks.Wait()
	return err
}

// talker is the side of a talk that asks.
type talker struct {
	*mouth

	mu    sync.Mutex
	last  uint64 // ID of a question
	open  map[uint64]*waiter
	ended bool // no more questions are taken
}

// waiter waits for an answer.
type waiter struct {
	done  chan struct{}
	text  []byte
	err   error // there is no answer
	asked bool  // the question may have gone out; guarded by talker.mu
}

// Why a question has no answer though it was put into a talk.
var (
	errUnasked = errors.New("the question was not put")
	errMute    = errors.New("the server does not talk")
)

// talkable reports whether a request is one for a talk: it is small, its answer
// comes soon, and is small as well.
func talkable(req *api.Request, q *question) bool {
	return (req.Op.Kind == api.KindWrite || req.Op.Kind == api.KindLeader || req.Op.Bare) && req.MinIndex == 0 && len(q.Args) <= maxWord
}

// ask puts a question into the talk. When it may have gone out and has no answer,
// asked is true. It fails with errMute when there can be no talk.
func (l *link) ask(ctx context.Context, q *question) (answer *reply, asked bool, err error) {
	text, err := messages{}.Marshal(q)
	if err != nil {
		return nil, false, err
	}
	t, id, w, err := l.put(text)
	if err != nil {
		return nil, false, err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		t.mu.Lock()
		asked = w.asked
		delete(t.open, id)
		t.mu.Unlock()
		if asked {
			t.say(word{kind: wordCancel, id: id})
		}
		return nil, asked, ctx.Err()
	}
	if w.err != nil {
		return nil, !errors.Is(w.err, errUnasked) && !errors.Is(w.err, errMute), w.err
	}
	answer = &reply{}
	return answer, true, messages{}.Unmarshal(w.text, answer)
}

// put finds the talk, or begins one, and puts a question into it.
func (l *link) put(text []byte) (*talker, uint64, *waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if time.Now().Before(l.mute) {
			return nil, 0, nil, errMute
		}
		if l.talk == nil {
			if l.ctx.Err() != nil {
				return nil, 0, nil, fmt.Errorf("%w: the connection is closed", errUnasked)
			}
			t := &talker{mouth: newMouth(), open: map[uint64]*waiter{}}
			l.talk = t
			l.talks.Go(func() { l.run(t) })
		}
		t := l.talk
		t.mu.Lock()
		if t.ended {
			t.mu.Unlock()
			l.talk = nil
			continue
		}
		if len(t.open) >= maxWords || t.unsaid() >= 2*maxWords { // who goes away leaves the word of the question
			t.mu.Unlock()
			return nil, 0, nil, errMute // for this one
		}
		t.last++
		id, w := t.last, &waiter{done: make(chan struct{})}
		t.open[id] = w
		t.mu.Unlock()
		t.say(word{wordAsk, id, text})
		return t, id, w, nil
	}
}

// run talks until either side ends.
func (l *link) run(t *talker) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	stream, err := l.NewStream(ctx, &talkStream, methodTalk)
	if err != nil {
		t.fail(err)
		return
	}
	spoken := make(chan struct{})
	go func() {
		defer close(spoken)
		if t.mouth.run(ctx, func(said turn) error { return t.send(stream, said) }) == nil {
			_ = stream.CloseSend()
		}
	}()
	err = t.listen(stream)
	if status.Code(err) == codes.Unimplemented {
		err = errMute
		l.mu.Lock()
		l.mute = time.Now().Add(muteWait)
		l.mu.Unlock()
	}
	t.fail(err)
	cancel()
	<-spoken
}

// send sends what still has somebody who waits.
func (t *talker) send(stream grpc.ClientStream, said turn) error {
	kept := said[:0]
	t.mu.Lock()
	for _, w := range said {
		waiter := t.open[w.id]
		if w.kind == wordAsk && waiter == nil {
			continue
		}
		if waiter != nil {
			waiter.asked = true
		}
		kept = append(kept, w)
	}
	t.mu.Unlock()
	if len(kept) == 0 {
		return nil
	}
	return stream.SendMsg(&kept)
}

// listen takes answers until there are no more.
func (t *talker) listen(stream grpc.ClientStream) error {
	for {
		var said turn
		err := stream.RecvMsg(&said)
		if errors.Is(err, io.EOF) {
			return errors.New("the server has ended the talk")
		}
		if err != nil {
			return err
		}
		for _, w := range said {
			t.hear(w)
		}
	}
}

// hear takes one word.
func (t *talker) hear(w word) {
	if w.kind == wordLast {
		t.mu.Lock()
		t.ended = true
		t.mu.Unlock()
		t.close()
		return
	}
	if w.kind != wordAnswer && w.kind != wordRefuse {
		return
	}
	t.mu.Lock()
	waiter := t.open[w.id]
	delete(t.open, w.id)
	t.mu.Unlock()
	if waiter == nil {
		return // who asked has gone
	}
	waiter.text = w.text
	if w.kind == wordRefuse {
		waiter.err = fmt.Errorf("%w: the server is stopping, or has too many of them", errUnasked)
	}
	close(waiter.done)
}

// fail ends the talk for all who wait.
func (t *talker) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	for id, w := range t.open {
		w.err = err
		if !w.asked && !errors.Is(err, errMute) {
			w.err = fmt.Errorf("%w: %s", errUnasked, status.Convert(err).Message())
		}
		delete(t.open, id)
		close(w.done)
	}
}
