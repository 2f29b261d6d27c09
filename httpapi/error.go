package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"curia/api"
)

// statuses is the one map from kinds of errors to statuses.
var statuses = map[api.ErrorKind]int{
	api.Internal:    http.StatusInternalServerError,
	api.Rejected:    http.StatusInternalServerError,
	api.Invalid:     http.StatusBadRequest,
	api.NotFound:    http.StatusNotFound,
	api.Denied:      http.StatusForbidden,
	api.Disabled:    http.StatusUnauthorized,
	api.Conflict:    http.StatusConflict,
	api.TooLarge:    http.StatusRequestEntityTooLarge,
	api.TooMany:     http.StatusTooManyRequests,
	api.NoLeader:    http.StatusInternalServerError,
	api.NoPath:      http.StatusInternalServerError,
	api.Unavailable: http.StatusServiceUnavailable,
	api.Plain:       http.StatusOK,
	api.Unsupported: http.StatusUnsupportedMediaType,
	api.Unreached:   http.StatusInternalServerError,
	api.Lost:        http.StatusInternalServerError,
}

var errInternal = errors.New("internal error, see the log of the agent")

// statusError is an error of HTTP itself.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func statusOf(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	return statuses[api.KindOf(err)]
}

// writeError answers with an error: its text, or the detail that it carries.
func writeError(w http.ResponseWriter, err error) {
	body := []byte(err.Error())
	head := w.Header()
	head.Del("Content-Encoding")
	head["Content-Type"] = textValue
	var known *api.Error
	if errors.As(err, &known) && known.Detail != nil {
		if b, jerr := json.Marshal(known.Detail); jerr == nil {
			body = b
			head["Content-Type"] = jsonValue
		}
	}
	head["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(statusOf(err))
	_, _ = w.Write(body)
}
