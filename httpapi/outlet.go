package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"
)

// frame is something that a stream says, as it is sent: in a chunk of HTTP/1.1.
// The zero frame says nothing. Frames are shared, and never changed.
type frame struct {
	chunk    []byte
	from, to int // where the chunk has what is said
}

// newFrame makes a frame of three parts.
func newFrame(head, text []byte, tail string) frame {
	n := len(head) + len(text) + len(tail)
	b := make([]byte, 0, n+20)
	b = append(strconv.AppendUint(b, uint64(n), 16), "\r\n"...)
	from := len(b)
	b = append(append(append(b, head...), text...), tail...)
	return frame{append(b, "\r\n"...), from, from + n}
}

// lastChunk ends a body.
const lastChunk = "0\r\n\r\n"

// outlet is where a stream goes. It belongs to one goroutine.
type outlet interface {
	// send makes sure that the reader has a frame, or at least the system.
	send(f frame) error
	// end is called once, when there is no more to say.
	end()
}

// errNotTaken is the end of a stream whose reader has gone or is too slow.
var errNotTaken = errors.New("the reader does not take what is sent")

// response is an outlet through net/http.
type response struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

func (o *response) send(f frame) error {
	_ = o.conn.SetWriteDeadline(time.Now().Add(takeWait))
	if f.to > f.from {
		if _, err := o.w.Write(f.chunk[f.from:f.to]); err != nil {
			return errNotTaken
		}
	}
	if err := o.conn.Flush(); err != nil {
		return errNotTaken
	}
	return nil
}

func (o *response) end() { _ = o.conn.SetWriteDeadline(time.Now().Add(endWait)) }

// taken is an outlet on a connection that was taken over.
type taken struct {
	net.Conn
	ctx      context.Context // when it has ended, the stream is in a hurry
	deadline time.Time
}

// dueSlack is how much less than takeWait a reader may get: a deadline is not set
// anew for each of many frames.
const dueSlack = takeWait / 20

func (o *taken) send(f frame) error {
	if now := time.Now(); o.deadline.Sub(now) < takeWait-dueSlack {
		o.deadline = now.Add(takeWait)
		_ = o.SetWriteDeadline(o.deadline)
		if o.ctx.Err() != nil {
			_ = o.SetWriteDeadline(now.Add(endWait))
		}
	}
	if _, err := o.Write(f.chunk); err != nil {
		return errNotTaken
	}
	return nil
}

func (o *taken) end() {
	_ = o.SetWriteDeadline(time.Now().Add(endWait))
	_, _ = o.Write([]byte(lastChunk))
}
