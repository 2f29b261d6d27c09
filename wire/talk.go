package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"

	"google.golang.org/grpc"

	"curia/api"
)

// Talk is a stream of many short calls. A call of its own costs gRPC a stream, its
// headers and a handful of goroutines on either side, several times what a write
// costs that it carries; in a talk those who ask at the same time share messages.
const methodTalk = "/" + serviceName + "/Talk"

var talkStream = grpc.StreamDesc{StreamName: "Talk", Handler: serveTalk, ServerStreams: true, ClientStreams: true}

// Bounds of talks.
const (
	maxWord   = 64 << 10  // bytes of a question; larger ones are calls of their own
	maxWords  = 1 << 12   // questions of one talk that have no answer yet
	maxTurn   = 256 << 10 // bytes after which a message takes no more words
	maxIdlers = 32        // goroutines of a talk that wait for a question
)

// word is one thing that is said in a talk.
type word struct {
	kind wordKind
	id   uint64 // of the question
	text []byte // as messages encodes it
}

type wordKind uint8

const (
	wordAsk    wordKind = iota // a question
	wordCancel                 // nobody waits any more for the answer
	wordAnswer                 // a reply
	wordRefuse                 // the question was not looked at
	wordLast                   // no more questions: who answers is about to end
)

// turn is a message of a talk: words that travel together.
type turn []word

// wordHead is the size of the kind, the ID and the length that precede each text.
const wordHead = 1 + 8 + 4

func (t turn) marshal() []byte {
	n := 0
	for _, w := range t {
		n += wordHead + len(w.text)
	}
	b := make([]byte, 0, n)
	for _, w := range t {
		b = append(b, byte(w.kind))
		b = binary.BigEndian.AppendUint64(b, w.id)
		b = binary.BigEndian.AppendUint32(b, uint32(len(w.text)))
		b = append(b, w.text...)
	}
	return b
}

func (t *turn) unmarshal(b []byte) error {
	for len(b) > 0 {
		if len(b) < wordHead {
			return errTorn
		}
		w := word{kind: wordKind(b[0]), id: binary.BigEndian.Uint64(b[1:])}
		n := uint64(binary.BigEndian.Uint32(b[9:]))
		b = b[wordHead:]
		if n > uint64(len(b)) {
			return errTorn
		}
		w.text, b = b[:n], b[n:]
		*t = append(*t, w)
	}
	return nil
}

// mouth says words in the order in which they come, as many at a time as there
// are. Safe for concurrent use.
type mouth struct {
	wake chan struct{}

	mu    sync.Mutex
	words []word
	shut  bool // nothing is said any more after words
}

func newMouth() *mouth { return &mouth{wake: make(chan struct{}, 1)} }

// say adds a word; it is lost if the mouth is shut.
func (m *mouth) say(w word) {
	m.mu.Lock()
	if !m.shut {
		m.words = append(m.words, w)
	}
	m.mu.Unlock()
	m.rouse()
}

// unsaid is how many words wait for run.
func (m *mouth) unsaid() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.words)
}

// close lets run end when it has said everything.
func (m *mouth) close() {
	m.mu.Lock()
	m.shut = true
	m.mu.Unlock()
	m.rouse()
}

func (m *mouth) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take gives what is to be said next, and whether there is an end to it.
func (m *mouth) take(spare []word) (next []word, ends bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next = m.words
	m.words = spare[:0]
	return next, m.shut
}

// run says what there is until the mouth is shut, ctx ends or send fails.
func (m *mouth) run(ctx context.Context, send func(turn) error) error {
	var words []word
	for {
		clear(words) // they are large, and the next ones may be long in coming
		var ends bool
		words, ends = m.take(words)
		for rest := words; len(rest) > 0; {
			n, size := 0, 0
			for n < len(rest) && size < maxTurn {
				size += len(rest[n].text)
				n++
			}
			if err := send(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		switch {
		case len(words) > 0:
			continue
		case ends:
			return nil
		}
		select {
		case <-m.wake:
			runtime.Gosched() // whoever is about to say something may do so first
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// callee is a service that can be told that it is about to end.
type callee struct {
	Service
	ending chan struct{}
}

// listener is the side of a talk that answers.
type listener struct {
	service Service
	ctx     context.Context
	*mouth
	work    chan task
	workers sync.WaitGroup

	mu     sync.Mutex
	open   map[uint64]context.CancelFunc // questions whose answer has not gone out
	idle   int                           // workers that wait for a task
	ending bool
}

// task is a question that is to be answered.
type task struct {
	word
	ctx context.Context
}

// serveTalk answers questions until the other side has no more, each on a goroutine
// of its own.
func serveTalk(service any, stream grpc.ServerStream) error {
	to := service.(*callee)
	ctx, cancel := context.WithCancel(stream.Context())
	l := &listener{service: to.Service, ctx: ctx, mouth: newMouth(), work: make(chan task), open: map[uint64]context.CancelFunc{}}
	said := make(chan error, 1)
	go func() {
		err := l.run(ctx, func(t turn) error {
			l.forget(t)
			return stream.SendMsg(&t)
		})
		cancel() // nobody hears the answers
		said <- err
	}()
	warned := make(chan struct{})
	go func() {
		defer close(warned)
		select {
		case <-to.ending:
			l.end()
		case <-ctx.Done():
		}
	}()
	err := l.listen(stream)
	if err != nil {
		cancel() // nobody waits for them
	}
	close(l.work)
	l.workers.Wait()
	l.close()
	err = errors.Join(err, <-said)
	cancel()
	<-warned
	return err
}

// end refuses all further questions.
func (l *listener) end() {
	l.mu.Lock()
	l.ending = true
	l.mu.Unlock()
	l.say(word{kind: wordLast})
}

// listen takes words until there are no more.
func (l *listener) listen(stream grpc.ServerStream) error {
	for {
		var said turn
		err := stream.RecvMsg(&said)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, w := range said {
			switch w.kind {
			case wordAsk:
				err = l.hear(w)
			case wordCancel:
				l.cancel(w.id)
			}
			if err != nil {
				return err
			}
		}
	}
}

// cancel lets a question end for whose answer nobody waits.
func (l *listener) cancel(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel := l.open[id]; cancel != nil {
		cancel()
	}
}

// forget makes room for other questions when answers go out.
func (l *listener) forget(said turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range said {
		if cancel := l.open[w.id]; cancel != nil {
			cancel()
			delete(l.open, w.id)
		}
	}
}

// errFlood ends the talk of somebody who goes on asking and takes no answers.
var errFlood = errors.New("there are too many questions without an answer")

// hear takes a question.
func (l *listener) hear(w word) error {
	ctx, cancel := context.WithCancel(l.ctx)
	l.mu.Lock()
	refused := l.ending || len(l.open) >= maxWords
	flood := len(l.open) >= 2*maxWords
	waiting := !refused && l.idle > 0
	if waiting {
		l.idle--
	}
	l.open[w.id] = cancel
	l.mu.Unlock()
	switch {
	case flood:
		return errFlood
	case refused:
		l.say(word{kind: wordRefuse, id: w.id})
	case waiting:
		l.work <- task{w, ctx}
	default:
		l.workers.Go(func() { l.worker(task{w, ctx}) })
	}
	return nil
}

// worker answers a question, and others after it if there are not enough workers
// already: a new goroutine has a stack that has yet to grow.
func (l *listener) worker(t task) {
	for more := true; more; t, more = <-l.work {
		l.answer(t)
		l.mu.Lock()
		stays := l.idle < maxIdlers
		if stays {
			l.idle++
		}
		l.mu.Unlock()
		if !stays {
			return
		}
	}
}

func (l *listener) answer(t task) {
	answer := respond(t.ctx, l.service, t.text)
	if len(answer.Result) > maxReply/2 {
		answer = tell(nil, api.Errorf(api.TooLarge, "an answer of %d bytes is too large", len(answer.Result)))
	}
	text, err := messages{}.Marshal(answer)
	if err != nil {
		text, _ = messages{}.Marshal(tell(nil, err))
	}
	l.say(word{wordAnswer, t.id, text})
}

// respond carries out a question.
func respond(ctx context.Context, service api.Caller, text []byte) *reply {
	q := &question{}
	if err := (messages{}).Unmarshal(text, q); err != nil {
		return tell(nil, api.Errorf(api.Invalid, "cannot read a request: %v", err))
	}
	req, err := q.request()
	if err != nil {
		return tell(nil, err)
	}
	return tell(service.Call(ctx, req))
}
