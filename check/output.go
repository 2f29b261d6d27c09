package check

import (
	"fmt"
	"io"
	"strings"
)

// tail keeps the last bytes of what is written to it.
type tail struct {
	limit int
	total int64 // bytes written
	buf   []byte
}

// Write never fails. It lets the buffer grow to twice the limit, so that bytes
// are seldom moved.
func (t *tail) Write(p []byte) (int, error) {
	t.total += int64(len(p))
	if n := len(p); n >= t.limit {
		t.buf = append(t.buf[:0], p[n-t.limit:]...)
		return n, nil
	}
	if len(t.buf)+len(p) > 2*t.limit {
		t.buf = append(t.buf[:0], t.kept()...)
	}
	t.buf = append(t.buf, p...)
	return len(p), nil
}

// ReadFrom lets io.Copy do without its own buffer, which is many times what most
// probes say.
func (t *tail) ReadFrom(r io.Reader) (int64, error) {
	chunk, before := make([]byte, 1024), t.total
	for {
		n, err := r.Read(chunk)
		_, _ = t.Write(chunk[:n])
		if err == io.EOF {
			return t.total - before, nil
		}
		if err != nil {
			return t.total - before, err
		}
	}
}

// kept is at most limit bytes, valid until the next Write.
func (t *tail) kept() []byte { return t.buf[max(0, len(t.buf)-t.limit):] }

// report is what was kept, after a line that says how much was not.
func (t *tail) report() string {
	if t.total > int64(t.limit) {
		return fmt.Sprintf("Captured %d of %d bytes\n...\n%s", t.limit, t.total, t.kept())
	}
	return string(t.kept())
}

// clip cuts an output that was given to us, and says so.
func clip(output string, limit int) string {
	if n := len(output); n > limit {
		output = fmt.Sprintf("%s ... (captured %d of %d bytes)", printable(output[:limit]), limit, n)
	}
	return printable(output)
}

// printable makes text of any bytes: what is no UTF-8 could not be told to
// clients unchanged anyway.
func printable(output string) string { return strings.ToValidUTF8(output, "\uFFFD") }
