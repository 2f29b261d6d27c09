package httpapi

import (
	"cmp"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"curia/api"
)

// framing is how a stream says things. The methods append to b.
type framing interface {
	media() string
	// change begins an answer; its JSON follows, then the tail.
	change(b []byte, index uint64) (head []byte, tail string)
	// missing says that there is nothing at the moment.
	missing(b []byte, index uint64) []byte
	// beat says that nothing has changed; moved that the index has.
	beat(b []byte, index uint64, moved bool) []byte
	// failure says why the stream ends.
	failure(b []byte, index uint64, err error) []byte
}

// serverSentEvents are those of the HTML standard.
type serverSentEvents struct{}

func (serverSentEvents) media() string { return "text/event-stream" }

func (serverSentEvents) change(b []byte, index uint64) ([]byte, string) {
	return append(eventID(b, index), "data: "...), "\n\n"
}

func (serverSentEvents) missing(b []byte, index uint64) []byte {
	return append(eventID(b, index), "event: missing\ndata: null\n\n"...)
}

func (serverSentEvents) beat(b []byte, index uint64, moved bool) []byte {
	b = append(b, ": heartbeat\n"...)
	if moved {
		b = eventID(b, index) // without data it is no event, but the client takes note of it
	}
	return append(b, '\n')
}

func (serverSentEvents) failure(b []byte, _ uint64, err error) []byte {
	b = append(b, "event: error\ndata: {"...)
	return append(failureFields(b, err), "}\n\n"...)
}

func eventID(b []byte, index uint64) []byte {
	return append(strconv.AppendUint(append(b, "id: "...), index, 10), '\n')
}

// jsonLines are JSON objects, each in a line.
type jsonLines struct{}

func (jsonLines) media() string { return "application/x-ndjson" }

func (jsonLines) change(b []byte, index uint64) ([]byte, string) {
	return append(lineIndex(b, index), `"Value":`...), "}\n"
}

func (jsonLines) missing(b []byte, index uint64) []byte {
	return append(lineIndex(b, index), `"Missing":true}`+"\n"...)
}

func (jsonLines) beat(b []byte, index uint64, _ bool) []byte {
	return append(lineIndex(b, index), `"Heartbeat":true}`+"\n"...)
}

func (jsonLines) failure(b []byte, index uint64, err error) []byte {
	return append(failureFields(lineIndex(b, index), err), "}\n"...)
}

func lineIndex(b []byte, index uint64) []byte {
	return append(strconv.AppendUint(append(b, `{"Index":`...), index, 10), ',')
}

// failureFields says what an ordinary answer would have said of an error.
func failureFields(b []byte, err error) []byte {
	status := statusOf(err)
	text, _ := json.Marshal(cmp.Or(err.Error(), http.StatusText(status)))
	b = append(append(b, `"Error":`...), text...)
	return strconv.AppendInt(append(b, `,"Status":`...), int64(status), 10)
}

// accepted gives the framing of the stream that a client asks for, nil when one
// answer will do. Of what the Accept header names it is the one with the greatest
// weight, the first of several.
func accepted(r *http.Request, op *api.Op) (framing, error) {
	values := r.Header["Accept"]
	if len(values) == 0 || values[0] == "*/*" {
		return nil, nil
	}
	var best framing
	weight, plain := 0.0, false
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			media, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			var as framing
			switch media {
			case serverSentEvents{}.media():
				as = serverSentEvents{}
			case jsonLines{}.media():
				as = jsonLines{}
			case "application/json", "application/*", "*/*":
				plain = true
			default:
				continue
			}
			q, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 64)
			if err == nil && q > weight {
				best, weight = as, q
			}
		}
	}
	if best == nil || streamable(op) {
		return best, nil
	}
	if plain {
		return nil, nil
	}
	return nil, &statusError{http.StatusNotAcceptable, "Cannot stream " + op.Name + " as " + best.media() +
		": only blocking queries can be streamed, the reads of " + streamableNouns() + ". Ask with Accept: application/json."}
}

// streamableNouns lists the nouns with reads that can be followed.
var streamableNouns = sync.OnceValue(func() string {
	var nouns []string
	for _, op := range api.Ops() {
		if streamable(op) {
			noun, _, _ := strings.Cut(op.Name, ".")
			nouns = append(nouns, noun)
		}
	}
	slices.Sort(nouns)
	return strings.Join(slices.Compact(nouns), ", ")
})
