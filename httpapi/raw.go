package httpapi

import (
	"net/http"

	"curia/api"
)

// WriteValue answers a raw verb with a value as JSON, as other verbs are
// answered: indented with ?pretty, compressed if the client takes that.
func WriteValue(w http.ResponseWriter, r *http.Request, v any) error {
	return writeResult(w, r, &api.Response{Value: v}, r.URL.Query().Has("pretty"))
}
