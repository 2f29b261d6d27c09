package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// The media types of streams.
const (
	sse    = "text/event-stream"
	ndjson = "application/x-ndjson"
)

var formats = []string{sse, ndjson}

// tape is a ResponseWriter that keeps what is flushed to it.
type tape struct {
	mu       sync.Mutex
	header   http.Header
	code     int
	buffered string
	flushed  string
	deadline time.Time
	ended    bool
}

func (t *tape) Header() http.Header { return t.header }

func (t *tape) WriteHeader(code int) {
	if t.code == 0 {
		t.code = code
	}
}

func (t *tape) Write(b []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	t.buffered += string(b)
	return len(b), nil
}

func (t *tape) Flush() {
	t.WriteHeader(http.StatusOK)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flushed += t.buffered
	t.buffered = ""
}

// SetWriteDeadline is what http.ResponseController looks for.
func (t *tape) SetWriteDeadline(to time.Time) error {
	t.deadline = to
	return nil
}

// text is what was flushed since the last call.
func (t *tape) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.flushed
	t.flushed = ""
	return out
}

// event is what a stream says, in either format.
type event struct {
	Kind  string // change, missing, beat, failure
	Index uint64 // 0 when it says none
	Text  string // JSON of a change, of the failure
}

// events reads a stream in one of the formats.
func events(t *testing.T, media, text string) []event {
	t.Helper()
	if media == ndjson {
		return lineEvents(t, text)
	}
	var out []event
	for block := range strings.SplitSeq(text, "\n\n") {
		if block == "" {
			continue
		}
		e := event{Kind: "change"}
		for line := range strings.SplitSeq(block, "\n") {
			field, value, _ := strings.Cut(line, ": ")
			switch {
			case line == ": heartbeat":
				e.Kind = "beat"
			case field == "id":
				e.Index, _ = strconv.ParseUint(value, 10, 64)
			case field == "event":
				e.Kind = map[string]string{"missing": "missing", "error": "failure"}[value]
			case field == "data" && json.Valid([]byte(value)):
				e.Text = value
			default:
				t.Fatalf("the line %q in the stream %q; want a field of an event, with JSON as data", line, text)
			}
		}
		out = append(out, e)
	}
	return out
}

func lineEvents(t *testing.T, text string) []event {
	t.Helper()
	var out []event
	for line := range strings.Lines(text) {
		var got struct {
			Index              uint64
			Value              json.RawMessage
			Missing, Heartbeat bool
			Error              string
			Status             int
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("the line %q in the stream %q: %v", line, text, err)
		}
		e := event{Kind: "change", Index: got.Index, Text: string(got.Value)}
		switch {
		case got.Missing:
			e.Kind, e.Text = "missing", "null"
		case got.Heartbeat:
			e.Kind = "beat"
		case got.Error != "":
			e = event{Kind: "failure", Text: fmt.Sprintf(`{"Error":%q,"Status":%d}`, got.Error, got.Status)}
		}
		out = append(out, e)
	}
	return out
}

// streaming is a stream that a test follows without a socket.
type streaming struct {
	*tape
	t     *testing.T
	media string
	leave context.CancelFunc
}

// follow asks for a stream in a bubble, and waits until it waits.
func follow(t *testing.T, h http.Handler, media, target string, header ...string) *streaming {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &streaming{tape: &tape{header: http.Header{}}, t: t, media: media, leave: cancel}
	r := httptest.NewRequestWithContext(ctx, "GET", target, nil)
	r.Header.Set("Accept", media)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	go func() {
		h.ServeHTTP(s.tape, r)
		s.Flush()
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
	}()
	synctest.Wait()
	return s
}

// next gives what was said since the last call, once everything is at rest.
func (s *streaming) next() []event {
	s.t.Helper()
	synctest.Wait()
	return events(s.t, s.media, s.text())
}

// over reports whether the stream has ended.
func (s *streaming) over() bool {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// want compares what was said since the last time.
func (s *streaming) want(what string, want ...event) {
	s.t.Helper()
	if diff := gocmp.Diff(want, s.next()); diff != "" {
		s.t.Errorf("%s, %s (-want +got)\n%s", s.media, what, diff)
	}
}
