package httpapi

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"curia/api"
)

// Times of streams.
const (
	// beatMin and beatMax bound the time between two heartbeats of a source; each is
	// drawn anew, so that sources which began together do not go on together. The
	// streams of one source do: to wake a processor for each of them costs more.
	beatMin, beatMax = 15 * time.Second, 25 * time.Second
	// takeWait is how long a reader may take for what is sent; a slower one is dropped.
	takeWait = 20 * time.Second
	// endWait is how long a stream may take that is to end.
	endWait = time.Second
	// againWait is the pause before a caller is asked again that returned early and
	// with nothing new, as it does while it drains.
	againWait = time.Second
)

// streamable reports whether the answer to a verb can be followed.
func streamable(op *api.Op) bool { return op.Blocks || op.Kind == api.KindRead && !op.Bare }

// Drain ends all streams, and those that begin afterwards at once. It may be
// called more than once.
func (h *Handler) Drain() { h.drain() }

// Wait returns when all streams have ended that a server no longer waits for,
// because they have taken over their connections. It is called after Drain, when no
// more requests come.
func (h *Handler) Wait() { h.streams.Wait() }

// stream answers a blocking query with everything that it comes to say: the
// answer of now, then each that differs from the one before. What fails before
// the first answer is an ordinary error. The call is observed as one that took
// until the first answer.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, as framing, req *api.Request, began time.Time) error {
	told, err := resume(r, req)
	if err != nil {
		h.observe(req.Op, began, statusOf(err))
		return err
	}
	at := h.sources.join(req) // before the first answer, so that nothing is missed after it
	seated := true
	defer func() { // also after a panic
		if seated {
			at.leave()
		}
	}()
	resp, err := h.caller.Call(r.Context(), req)
	tellMeta(w.Header(), req.Op, resp)
	missing := absent(resp, err)
	if err != nil && !missing {
		h.observe(req.Op, began, statusOf(err))
		return err
	}
	h.observe(req.Op, began, http.StatusOK)
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
	f := &follower{to: &response{w, conn}, as: as, at: at}
	if err = f.begin(resp, missing, told); err != nil {
		return nil
	}
	at.begin(req, f.mark)
	h.streams.Add(1) // before the server waits no longer for the connection
	if c := takeOver(r, conn); c != nil {
		seated = false // followOn leaves
		go func() {
			defer h.streams.Done()
			h.followOn(f, c)
		}()
		return nil
	}
	h.streams.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.open, cancel)()
	f.follow(ctx)
	return nil
}

func (h *Handler) observe(op *api.Op, began time.Time, status int) {
	if h.cfg.Observe != nil {
		h.cfg.Observe(op, time.Since(began), status)
	}
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

// takeOver takes the connection of a stream from net/http, which keeps buffers and
// a large stack for each request that is under way, and copies what is written
// through them. Nil where that cannot be: in HTTP/1.0 and HTTP/2.
func takeOver(r *http.Request, w *http.ResponseController) net.Conn {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Method == http.MethodHead {
		return nil
	}
	conn, _, err := w.Hijack()
	if err != nil {
		return nil
	}
	return conn
}

// followOn passes on what a source says over a connection that was taken over,
// until the client goes, the handler drains or the question fails.
func (h *Handler) followOn(f *follower, conn net.Conn) {
	ctx, cancel := context.WithCancel(h.open)
	defer cancel()
	defer f.at.leave()
	defer func() { _ = conn.Close() }()
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("panic in a stream", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	h.streams.Go(func() {
		var b [1]byte
		if n, _ := conn.Read(b[:]); n == 0 {
			cancel() // the client has gone
		}
	})
	hurry := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now().Add(endWait)) })
	defer hurry()
	f.to = &taken{Conn: conn, ctx: ctx}
	f.follow(ctx)
}

// follower is who reads a stream. Between two answers no more is kept of the last
// than its mark: a reader who is slow gets the latest, never a queue.
type follower struct {
	to outlet
	as framing
	at *seat

	mark        // of the latest answer
	told uint64 // the index that was sent last
}

// mark is what is remembered of an answer.
type mark struct {
	index uint64
	sum   uint64 // of the text; nothing, when it is missing
	size  int    // of the same, -1 when it is missing
}

var sumSeed = maphash.MakeSeed()

func markOf(index uint64, text []byte, missing bool) mark {
	m := mark{index, maphash.Bytes(sumSeed, text), len(text)}
	if missing {
		m.size = -1
	}
	return m
}

// note takes the mark of a later answer, and reports whether it is another one.
// With the same index it is another one only if permissions have given something
// to it or taken something from it. Its size tells that; its text does not,
// because the order of some lists is random.
func (m *mark) note(later mark) bool {
	another := later.size != m.size || later.index != m.index && later.sum != m.sum
	*m = later
	return another
}

// frame gives the answer with this mark as it is sent.
func (m *mark) frame(as framing, text []byte) frame {
	var room [64]byte
	if m.size < 0 {
		return newFrame(as.missing(room[:0], m.index), nil, "")
	}
	head, tail := as.change(room[:0], m.index)
	return newFrame(head, text, tail)
}

// begin takes the first answer, and sends it unless its reader has been told that
// index; the headers go out in any case.
func (f *follower) begin(resp *api.Response, missing bool, told uint64) error {
	buf := buffers.Get().(*[]byte)
	text, err := textOf(resp, missing, (*buf)[:0])
	if err != nil {
		return err
	}
	f.mark = markOf(resp.Index, text, missing)
	first := frame{}
	if told == 0 || told != f.index {
		first = f.frame(f.as, text)
	}
	f.told = f.index
	if resp.Encoded == nil && cap(text) <= maxPooled && !missing {
		*buf = text
	}
	buffers.Put(buf)
	return f.to.send(first)
}

// textOf gives the JSON of an answer; it is appended to room unless it is shared.
func textOf(resp *api.Response, missing bool, room []byte) ([]byte, error) {
	if missing {
		return nil, nil
	}
	if resp.Encoded != nil {
		return resp.Encoded.JSON(resp.Value)
	}
	value := resp.Value
	if raw, ok := value.(api.RawValue); ok {
		value = append([]byte{}, raw...) // base64, and "" when it is empty
	}
	return api.AppendJSON(room, value)
}

// follow sends what the source comes to say until ctx ends, the reader does not
// take it or the question fails, and ends the stream.
func (f *follower) follow(ctx context.Context) {
	now := f.at.seen
	for {
		select {
		case <-now.next:
		case <-ctx.Done():
			f.to.end()
			return
		}
		var before *tidings
		before, now = f.at.look()
		if now.answer != before.answer && f.take(now.answer) != nil {
			return
		}
		if now.err != nil {
			if f.to.send(newFrame(f.as.failure(nil, f.index, now.err), nil, "")) == nil {
				f.to.end()
			}
			return
		}
		if now.beats != before.beats && f.beat() != nil {
			return
		}
	}
}

// take takes an answer, and sends it if it is another one than the last.
func (f *follower) take(a *answer) error {
	defer a.release()
	if f.at.outdated(a, f.index) || !f.note(a.mark) {
		return nil
	}
	f.told = f.index
	return f.to.send(a.frame(f.as))
}

// beat sends a heartbeat.
func (f *follower) beat() error {
	f.index = max(f.index, f.at.seen.index)
	moved := f.index != f.told
	f.told = f.index
	var room [64]byte
	return f.to.send(newFrame(f.as.beat(room[:0], f.index, moved), nil, ""))
}
