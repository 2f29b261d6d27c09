package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"curia/api"
)

// StatusError is an answer other than 2xx. It unwraps to the *api.Error that
// its status and text stand for.
type StatusError struct {
	Status int // of HTTP
	Err    *api.Error
}

func (e *StatusError) Error() string {
	if e.Err.Msg == "" {
		return fmt.Sprintf("the agent answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Err.Msg
}

// Unwrap gives the *api.Error.
func (e *StatusError) Unwrap() error { return e.Err }

// kinds is the way back from a status. A status that several kinds share, 500,
// becomes the most general of them, except for two texts: see kindOf.
var kinds = map[int]api.ErrorKind{
	http.StatusBadRequest:            api.Invalid,
	http.StatusMethodNotAllowed:      api.Invalid,
	http.StatusUnauthorized:          api.Disabled,
	http.StatusForbidden:             api.Denied,
	http.StatusNotFound:              api.NotFound,
	http.StatusConflict:              api.Conflict,
	http.StatusRequestEntityTooLarge: api.TooLarge,
	http.StatusTooManyRequests:       api.TooMany,
	http.StatusServiceUnavailable:    api.Unavailable,
	http.StatusInternalServerError:   api.Rejected,
}

// kindOf gives the kind of an error. HTTP has no status for a missing leader
// or path; their texts are part of the documented API.
func kindOf(status int, text string) api.ErrorKind {
	if status == http.StatusInternalServerError {
		for _, known := range []*api.Error{api.ErrNoLeader, api.ErrNoPath} {
			if text == known.Msg {
				return known.Kind
			}
		}
	}
	return kinds[status]
}

func isSuccess(status int) bool { return status >= 200 && status < 300 }

// readResponse turns the whole of an answer into a result or an error.
func readResponse(op *api.Op, answer *http.Response) (*api.Response, error) {
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer to %s: %w", op.Name, err)
	}
	resp := &api.Response{Meta: readMeta(answer.Header)}
	switch {
	case isSuccess(answer.StatusCode):
		resp.Value, err = decodeResult(op, body)
		if err != nil {
			return nil, fmt.Errorf("decode answer to %s: %w", op.Name, err)
		}
		return resp, nil
	case answer.StatusCode == http.StatusNotFound:
		return resp, newStatusError(op, answer, body)
	}
	return nil, newStatusError(op, answer, body)
}

func newStatusError(op *api.Op, answer *http.Response, body []byte) error {
	text := strings.TrimSpace(string(body))
	e := &api.Error{Kind: kindOf(answer.StatusCode, text), Msg: text}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		if detail, err := decodeResult(op, body); err == nil {
			e.Detail = detail
		}
	}
	if where := answer.Header.Get("Location"); where != "" {
		e.Msg = fmt.Sprintf("the agent answered %s to %s", answer.Status, where)
	}
	return &StatusError{Status: answer.StatusCode, Err: e}
}

// decodeResult gives a value of the type op.Result. An empty body is its zero
// value; bytes that are no JSON are taken as they are.
func decodeResult(op *api.Op, body []byte) (any, error) {
	v := reflect.New(op.Result).Elem()
	isBytes := op.Result.Kind() == reflect.Slice && op.Result.Elem().Kind() == reflect.Uint8
	switch {
	case isBytes:
		v.SetBytes(body)
	case len(body) > 0:
		if err := json.Unmarshal(body, v.Addr().Interface()); err != nil {
			return nil, err
		}
	}
	return v.Interface(), nil
}

// readMeta reads what an answer says about itself. Headers that are missing or
// make no sense count as zero.
func readMeta(h http.Header) api.Meta {
	index, _ := strconv.ParseUint(h.Get("X-Consul-Index"), 10, 64)
	contact, _ := strconv.ParseUint(h.Get("X-Consul-LastContact"), 10, 32)
	m := api.Meta{
		Index:       index,
		KnownLeader: h.Get("X-Consul-KnownLeader") == "true",
		LastContact: time.Duration(contact) * time.Millisecond,
		Filtered:    h.Get("X-Consul-Results-Filtered-By-ACLs") == "true",
	}
	for _, c := range []api.Consistency{api.Consistent, api.Stale} {
		if h.Get("X-Consul-Effective-Consistency") == c.String() {
			m.Consistency = c
		}
	}
	return m
}
