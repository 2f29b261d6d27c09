package httpapi

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// Times of streams.
const (
	// beatMin and beatMax bound the time between two heartbeats; each is drawn anew,
	// so that streams which began together do not go on together.
	beatMin, beatMax = 15 * time.Second, 25 * time.Second
	// takeWait is how long a reader may take for what is sent; a slower one is dropped.
	takeWait = 20 * time.Second
	// againWait is the pause before a caller is asked again that returned early and
	// with nothing new, as it does while it drains.
	againWait = time.Second
)

// streamable reports whether the answer to a verb can be followed.
func streamable(op *api.Op) bool { return op.Blocks || op.Kind == api.KindRead && !op.Bare }

// Drain ends all streams, and those that begin afterwards at once. It may be
// called more than once.
func (h *Handler) Drain() { h.drain() }

// stream answers a blocking query with everything that it comes to say: the
// answer of now, then each that differs from the one before. What fails before
// the first answer is an ordinary error. The call is observed as one that took
// until the first answer.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, as framing, req *api.Request, began time.Time) error {
	told, err := resume(r, req)
	var resp *api.Response
	if err == nil {
		resp, err = h.caller.Call(r.Context(), req)
	}
	tellMeta(w.Header(), req.Op, resp)
	status := http.StatusOK
	missing := absent(resp, err)
	if err != nil && !missing {
		status = statusOf(err)
	}
	if h.cfg.Observe != nil {
		h.cfg.Observe(req.Op, time.Since(began), status)
	}
	if status != http.StatusOK {
		return err
	}
	conn := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = conn.SetReadDeadline(time.Time{}) // it was for the body
	}
	head := w.Header()
	head["Content-Type"] = []string{as.media()}
	head["Cache-Control"] = []string{"no-store"}
	head["X-Accel-Buffering"] = []string{"no"} // proxies that collect answers must not collect these
	head["Connection"] = []string{"close"}     // after it, for the deadlines of writing stay with the connection
	head["Vary"] = []string{"Accept"}
	f := &follower{w: w, conn: conn, as: as, op: req.Op}
	if told != 0 && told == resp.Index {
		err = f.begin(told, resp, missing)
	} else {
		err = f.take(resp, missing)
	}
	resp = nil // it may be large, and the stream idle for long
	if err == nil {
		err = h.follow(r.Context(), f, req)
	}
	if !errors.Is(err, errNotTaken) {
		_ = conn.SetWriteDeadline(time.Now().Add(takeWait)) // for the end of the body
	}
	return nil
}

// resume gives the index of the answer that the client knows, zero for none:
// Last-Event-ID, which a client sends when it comes again, or else ?index.
func resume(r *http.Request, req *api.Request) (uint64, error) {
	told := req.MinIndex
	req.MinIndex = 0
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		var err error
		if told, err = strconv.ParseUint(id, 10, 64); err != nil {
			return 0, api.Errorf(api.Invalid, "Invalid Last-Event-ID %q: send the id of an event as it came, or none", id)
		}
	}
	return told, nil
}

// absent reports whether an error says that there is nothing yet, and that
// waiting for something makes sense.
func absent(resp *api.Response, err error) bool {
	var known *api.Error
	return resp != nil && errors.As(err, &known) && known.Waits
}

// follow asks again and again, each time until something changes or a heartbeat
// is due, until the client goes, the handler drains or the query fails; the
// last is told. Each round is a call of its own, which admits the token anew.
func (h *Handler) follow(ctx context.Context, f *follower, req *api.Request) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.open, cancel)()
	due := nextBeat()
	for {
		left := time.Until(due)
		if left <= 0 {
			if err := f.beat(); err != nil {
				return err
			}
			due = nextBeat()
			continue
		}
		known, asked := f.index, time.Now()
		req.MinIndex, req.MaxWait = max(known, 1), left
		err := h.round(ctx, f, req)
		if ctx.Err() != nil || errors.Is(err, errNotTaken) {
			return err
		}
		if err != nil {
			return f.fail(err)
		}
		if f.index == known && time.Since(asked) < againWait {
			pause.For(ctx, againWait)
		}
	}
}

func nextBeat() time.Time { return time.Now().Add(beatMin + rand.N(beatMax-beatMin)) }

// round waits for an answer and passes it on.
func (h *Handler) round(ctx context.Context, f *follower, req *api.Request) error {
	resp, err := h.caller.Call(ctx, req)
	missing := absent(resp, err)
	if err != nil && !missing {
		return err
	}
	return f.take(resp, missing)
}

// follower is who reads a stream. Between two answers no more is kept of the
// last than its sum: a reader who is slow gets the latest, never a queue.
type follower struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	as   framing
	op   *api.Op

	index uint64 // of the latest answer
	told  uint64 // of what was sent last
	sum   uint64 // of the text of the latest answer; nothing, when it is missing
	size  int    // of the same, -1 when it is missing
}

// errNotTaken is the end of a stream whose reader has gone or is too slow.
var errNotTaken = errors.New("the reader does not take what is sent")

var sumSeed = maphash.MakeSeed()

// begin takes an answer that the reader knows, and sends the headers alone.
func (f *follower) begin(told uint64, resp *api.Response, missing bool) error {
	f.told = told
	return f.text(resp, missing, func(text []byte) error {
		f.note(resp.Index, text, missing)
		return f.send(nil, nil, "")
	})
}

// take takes an answer, and sends it if it is another one than the last.
func (f *follower) take(resp *api.Response, missing bool) error {
	return f.text(resp, missing, func(text []byte) error {
		if !f.note(resp.Index, text, missing) {
			return nil
		}
		f.told = f.index
		var room [64]byte
		if missing {
			return f.send(f.as.missing(room[:0], f.index), nil, "")
		}
		head, tail := f.as.change(room[:0], f.index)
		return f.send(head, text, tail)
	})
}

// text lends the JSON of an answer to a function.
func (f *follower) text(resp *api.Response, missing bool, use func([]byte) error) error {
	if missing {
		return use(nil)
	}
	if resp.Encoded != nil {
		b, err := resp.Encoded.JSON(resp.Value)
		if err != nil {
			return err
		}
		return use(b)
	}
	value := resp.Value
	if raw, ok := value.(api.RawValue); ok {
		value = append([]byte{}, raw...) // base64, and "" when it is empty
	}
	buf := buffers.Get().(*[]byte)
	b, err := api.AppendJSON((*buf)[:0], value)
	if err == nil {
		err = use(b)
	}
	if cap(b) <= maxPooled {
		*buf = b
		buffers.Put(buf)
	}
	return err
}

// note remembers an answer and reports whether it is another one than the last.
// With the same index it is another one only if permissions have given something
// to it or taken something from it. Its size tells that; its text does not,
// because the order of some lists is random.
func (f *follower) note(index uint64, text []byte, missing bool) bool {
	sum, size := maphash.Bytes(sumSeed, text), len(text)
	if missing {
		size = -1
	}
	another := size != f.size || index != f.index && sum != f.sum
	f.index, f.sum, f.size = index, sum, size
	return another
}

// beat sends a heartbeat.
func (f *follower) beat() error {
	moved := f.index != f.told
	f.told = f.index
	var room [64]byte
	return f.send(f.as.beat(room[:0], f.index, moved), nil, "")
}

// fail sends the error that ends the stream.
func (f *follower) fail(err error) error { return f.send(f.as.failure(nil, f.index, err), nil, "") }

// send writes and makes sure that the reader has it, or at least the system.
func (f *follower) send(head, text []byte, tail string) error {
	_ = f.conn.SetWriteDeadline(time.Now().Add(takeWait))
	for _, b := range [][]byte{head, text, []byte(tail)} {
		if len(b) == 0 {
			continue
		}
		if _, err := f.w.Write(b); err != nil {
			return errNotTaken
		}
	}
	if err := f.conn.Flush(); err != nil {
		return errNotTaken
	}
	return nil
}
