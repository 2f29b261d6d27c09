package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curia/api"
)

// monitorLines is how many lines wait for a client that is slow; those beyond
// are dropped.
const monitorLines = 512

// readerWait is how long who listens may take for what is sent.
const readerWait = 20 * time.Second

// monitorAgain is how often a client who listens is asked for permission again.
const monitorAgain = 2 * time.Second

// logTee is the log, and whoever listens to it. While nobody does, an event
// costs no more than a look at an empty list. Safe for concurrent use.
type logTee struct {
	slog.Handler // the log itself
	*hearers
	// derive is what loggers have added on the way here; listeners come later and
	// need it too.
	derive []func(slog.Handler) slog.Handler
}

func newLogTee(log slog.Handler) *logTee {
	return &logTee{Handler: log, hearers: &hearers{stopped: make(chan struct{})}}
}

// Enabled implements slog.Handler.
func (t *logTee) Enabled(ctx context.Context, level slog.Level) bool {
	return t.Handler.Enabled(ctx, level) || slices.ContainsFunc(t.now(), func(l *hearer) bool { return level >= l.level })
}

// Handle implements slog.Handler.
func (t *logTee) Handle(ctx context.Context, r slog.Record) error {
	for _, l := range t.now() {
		if r.Level < l.level {
			continue
		}
		out := l.out
		for _, add := range t.derive {
			out = add(out)
		}
		_ = out.Handle(ctx, r.Clone()) // it only writes to a channel
	}
	if !t.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t *logTee) WithAttrs(attrs []slog.Attr) slog.Handler {
	return t.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (t *logTee) WithGroup(name string) slog.Handler {
	return t.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (t *logTee) with(add func(slog.Handler) slog.Handler) slog.Handler {
	return &logTee{add(t.Handler), t.hearers, append(slices.Clip(t.derive), add)}
}

// hearers are those who listen. A change makes another list.
type hearers struct {
	mu      sync.Mutex
	list    atomic.Pointer[[]*hearer]
	stopped chan struct{}
	once    sync.Once
}

// hearer is one who listens.
type hearer struct {
	level slog.Level
	out   slog.Handler
	lines chan []byte
}

// Write implements io.Writer. It never waits.
func (h *hearer) Write(line []byte) (int, error) {
	select {
	case h.lines <- bytes.Clone(line):
	default:
	}
	return len(line), nil
}

// now is who listens now.
func (h *hearers) now() []*hearer {
	if list := h.list.Load(); list != nil {
		return *list
	}
	return nil
}

// listen lets somebody hear the events from a level on, until leave.
func (h *hearers) listen(level slog.Level, asJSON bool) (lines <-chan []byte, leave func()) {
	one := &hearer{level: level, lines: make(chan []byte, monitorLines)}
	one.out = logHandler(one, level, asJSON)
	h.change(func(list []*hearer) []*hearer { return append(list, one) })
	return one.lines, func() {
		h.change(func(list []*hearer) []*hearer {
			return slices.DeleteFunc(list, func(l *hearer) bool { return l == one })
		})
	}
}

func (h *hearers) change(f func([]*hearer) []*hearer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := f(slices.Clone(h.now()))
	h.list.Store(&list)
}

// stop ends the answers to all who listen.
func (h *hearers) stop() { h.once.Do(func() { close(h.stopped) }) }

// tee is the log of the agent with those who listen to it.
func (n *node) tee() *logTee { return n.log.Handler().(*logTee) }

// monitor sends the log until the client goes, its token loses the permission or
// the agent stops.
func (n *node) monitor(w http.ResponseWriter, r *http.Request, req *api.Request) error {
	if err := n.agent.Authorize(req); err != nil {
		return err
	}
	q, tee := req.Args.(*api.MonitorArgs), n.tee()
	lines, leave := tee.listen(logLevels[q.LogLevel], q.LogJSON)
	defer leave()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	conn := http.NewResponseController(w)
	if err := conn.Flush(); err != nil {
		return nil // the client has gone
	}
	again := time.NewTicker(monitorAgain)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if n.agent.Authorize(req) != nil {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-tee.stopped:
			return nil
		case line := <-lines:
			_ = conn.SetWriteDeadline(time.Now().Add(readerWait))
			if _, err := w.Write(line); err != nil {
				return nil
			}
			if len(lines) > 0 {
				continue
			}
			if err := conn.Flush(); err != nil {
				return nil
			}
		}
	}
}
