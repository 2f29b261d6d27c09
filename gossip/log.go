package gossip

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"curia/internal/hclogs"
)

// lateEvery is how often it is told that events came too late.
const lateEvery = 10 * time.Second

// lateLine is in the library's line about an event that came when a pool could not
// tell any more whether it had come before.
var lateLine = []byte("received old event")

// lines is what the library logs to.
func lines(to *slog.Logger, area Area) *log.Logger {
	named := hclogs.New(to).Named(strings.ToLower(area.String()))
	return log.New(&hushed{to: named.StandardWriter(&hclog.StandardLoggerOptions{InferLevels: true})}, "", 0)
}

// hushed passes on the lines of the library, but only some about late events: when
// somebody fires more than the pool can carry there is one for each, at every
// member. Safe for concurrent use.
type hushed struct {
	to io.Writer

	mu   sync.Mutex
	next time.Time // when there may be another line
	kept int       // lines since the last one
}

// Write implements io.Writer.
func (h *hushed) Write(line []byte) (int, error) {
	if !bytes.Contains(line, lateLine) {
		return h.to.Write(line)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if now.Before(h.next) {
		h.kept++
		return len(line), nil
	}
	if h.kept > 0 {
		line = fmt.Appendf(bytes.TrimRight(line, "\n"), "; %d more before\n", h.kept)
	}
	h.next, h.kept = now.Add(lateEvery), 0
	return h.to.Write(line)
}
