package httpapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"curia/api"
)

// Values of headers that are the same in many answers; they are never changed.
var (
	jsonValue       = []string{"application/json"}
	textValue       = []string{"text/plain; charset=utf-8"}
	plainValue      = []string{"text/plain"}
	nosniffValue    = []string{"nosniff"}
	sandboxValue    = []string{"sandbox"}
	varyValue       = []string{"Accept-Encoding"}
	allowValue      = []string{"allow"}
	gzipValue       = []string{"gzip"}
	trueValue       = []string{"true"}
	falseValue      = []string{"false"}
	zeroValue       = []string{"0"}
	consistencyText = [...][]string{{"leader"}, {"consistent"}, {"stale"}}
)

// tellMeta says what the answer to a verb tells about itself; without an answer
// nothing.
func tellMeta(h http.Header, op *api.Op, resp *api.Response) {
	switch {
	case resp == nil:
	case op.Kind == api.KindRead && !op.Bare:
		SetMeta(h, &resp.Meta)
	case op.Blocks:
		setIndex(h, &resp.Meta)
	case resp.KnownLeader:
		h["X-Consul-Knownleader"] = trueValue
		h["X-Consul-Lastcontact"] = millis(resp.LastContact)
	case resp.Filtered:
		h["X-Consul-Results-Filtered-By-Acls"] = trueValue
	}
}

// SetMeta says in the X-Consul-… headers what an answer tells about itself.
func SetMeta(h http.Header, m *api.Meta) {
	setIndex(h, m)
	h["X-Consul-Knownleader"] = falseValue
	if m.KnownLeader {
		h["X-Consul-Knownleader"] = trueValue
	}
	h["X-Consul-Lastcontact"] = millis(m.LastContact)
	h["X-Consul-Effective-Consistency"] = consistencyText[m.Consistency]
}

// setIndex says what an answer tells of itself that no server had a part in.
func setIndex(h http.Header, m *api.Meta) {
	h["X-Consul-Index"] = []string{strconv.FormatUint(m.Index, 10)}
	if m.Filtered {
		h["X-Consul-Results-Filtered-By-Acls"] = trueValue
	}
}

func millis(d time.Duration) []string {
	if d < time.Millisecond {
		return zeroValue
	}
	return []string{strconv.FormatInt(d.Milliseconds(), 10)}
}

var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 1024)
	return &b
}}

// maxPooled is the largest buffer that is kept for later.
const maxPooled = 64 << 10

// writeResult encodes a result and sends it.
func writeResult(w http.ResponseWriter, r *http.Request, resp *api.Response, pretty bool) error {
	head := w.Header()
	switch v := resp.Value.(type) {
	case api.Nothing:
		return send(w, r, nil)
	case api.RawValue:
		head["Content-Type"] = plainValue
		head["X-Content-Type-Options"] = nosniffValue
		head["Content-Security-Policy"] = sandboxValue
		return send(w, r, v)
	case interface{ HashHeader() string }:
		head["X-Consul-Contenthash"] = []string{v.HashHeader()}
	}
	head["Content-Type"] = jsonValue
	if resp.Encoded != nil {
		b, err := resp.Encoded.JSON(resp.Value)
		if err != nil {
			return err
		}
		if pretty {
			b = indent(b)
		}
		return send(w, r, b)
	}
	buf := buffers.Get().(*[]byte)
	b, err := api.AppendJSON((*buf)[:0], resp.Value)
	if err != nil {
		return err
	}
	if pretty {
		err = send(w, r, indent(b))
	} else {
		err = send(w, r, b)
	}
	if cap(b) <= maxPooled {
		*buf = b
		buffers.Put(buf)
	}
	return err
}

func indent(b []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "    "); err != nil {
		return b
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// largeAnswer is the size above which an answer may have to wait for its reader.
const largeAnswer = 32 << 10

// minCompressed is the smallest body that is worth compressing.
const minCompressed = 1400

var compressors = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	return z
}}

// send writes a whole body, compressed if the client takes that. Errors of
// writing are the client's: it has gone.
func send(w http.ResponseWriter, r *http.Request, b []byte) error {
	head := w.Header()
	if len(b) > largeAnswer {
		conn := http.NewResponseController(w)
		_ = conn.SetWriteDeadline(time.Now().Add(answerWait))
		defer func() { _ = conn.SetWriteDeadline(time.Time{}) }()
	}
	if len(b) >= minCompressed && takesGzip(r) {
		head["Content-Encoding"] = gzipValue
		z := compressors.Get().(*gzip.Writer)
		z.Reset(w)
		_, _ = z.Write(b)
		_ = z.Close()
		compressors.Put(z)
		return nil
	}
	head["Content-Length"] = []string{strconv.Itoa(len(b))}
	_, _ = w.Write(b)
	return nil
}

// takesGzip reports whether the client accepts gzip.
func takesGzip(r *http.Request) bool {
	for _, v := range r.Header["Accept-Encoding"] {
		for part := range strings.SplitSeq(v, ",") {
			coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
			if strings.EqualFold(coding, "gzip") {
				q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64)
				return err != nil || q > 0
			}
		}
	}
	return false
}
