package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"curia/api"
)

// arg is how to fill one field of an argument struct.
type arg struct {
	api.Arg
	set func(field reflect.Value, q *query, name string) error // of query arguments
}

// planArgs prepares the decoding of a verb's arguments.
func planArgs(op *api.Op) []arg {
	var plan []arg
	for _, a := range api.ArgsOf(op.Args) {
		p := arg{Arg: a}
		if a.Source == api.FromQuery {
			p.set = querySetter(a.Type)
		}
		plan = append(plan, p)
	}
	return plan
}

// querySetter gives the function that fills a field of a type from a parameter
// that is present.
func querySetter(t reflect.Type) func(reflect.Value, *query, string) error {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[api.QueryValue]()) {
		return func(f reflect.Value, q *query, name string) error {
			v, _ := q.get(name)
			return f.Addr().Interface().(api.QueryValue).ParseQuery(v)
		}
	}
	switch t {
	case reflect.TypeFor[string]():
		return func(f reflect.Value, q *query, name string) error {
			v, _ := q.get(name)
			f.SetString(v)
			return nil
		}
	case reflect.TypeFor[*string]():
		return func(f reflect.Value, q *query, name string) error {
			v, _ := q.get(name)
			f.Set(reflect.ValueOf(&v))
			return nil
		}
	case reflect.TypeFor[bool]():
		return func(f reflect.Value, _ *query, _ string) error {
			f.SetBool(true)
			return nil
		}
	case reflect.TypeFor[[]string]():
		return func(f reflect.Value, q *query, name string) error {
			f.Set(reflect.ValueOf(q.all(name)))
			return nil
		}
	case reflect.TypeFor[uint64]():
		return func(f reflect.Value, q *query, name string) error {
			n, err := parseUint(q, name)
			f.SetUint(n)
			return err
		}
	case reflect.TypeFor[*uint64]():
		return func(f reflect.Value, q *query, name string) error {
			n, err := parseUint(q, name)
			f.Set(reflect.ValueOf(&n))
			return err
		}
	}
	panic(fmt.Sprintf("httpapi: no way to fill a %s from a query", t))
}

// parseUint answers a bad number as the documentation does: with a 500 that
// quotes the parser.
func parseUint(q *query, name string) (uint64, error) {
	v, _ := q.get(name)
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, api.Errorf(api.Rejected, "%v", err)
	}
	return n, nil
}

// decode makes the call that a request asks for.
func (h *Handler) decode(r *http.Request, op *boundOp, params []string, q *query) (*api.Request, error) {
	req := &api.Request{Op: op.Op, Token: token(r, q), JSON: true}
	if err := tenancy(r, q); err != nil {
		return nil, err
	}
	req.Datacenter = datacenter(q)
	if op.Kind == api.KindRead || op.Blocks {
		if err := readOptions(q, &req.Query); err != nil {
			return nil, err
		}
		h.preferStale(req, q)
	} else if op.Kind == api.KindLocal {
		req.Filter, _ = q.get("filter")
	}
	args := reflect.New(op.Args)
	req.Args = args.Interface()
	for i := range op.args {
		a := &op.args[i]
		var err error
		switch a.Source {
		case api.FromPath:
			for j := 0; j < len(params); j += 2 {
				if params[j] == a.Name {
					args.Elem().FieldByIndex(a.Index).SetString(params[j+1])
				}
			}
		case api.FromQuery:
			if q.has(a.Name) {
				err = a.set(args.Elem().FieldByIndex(a.Index), q, a.Name)
			}
		case api.FromHeader:
			args.Elem().FieldByIndex(a.Index).SetString(r.Header.Get(a.Name))
		case api.FromBody:
			err = h.body(r, op.Op, a, args.Interface(), args.Elem().FieldByIndex(a.Index))
		}
		if err != nil {
			return nil, err
		}
	}
	if v, ok := req.Args.(api.Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, err
		}
	}
	return req, nil
}

// token finds the token: ?token, X-Consul-Token, Authorization: Bearer.
func token(r *http.Request, q *query) string {
	if t, _ := q.get("token"); t != "" {
		return t
	}
	if t := r.Header["X-Consul-Token"]; len(t) > 0 && t[0] != "" {
		return t[0]
	}
	if a := r.Header["Authorization"]; len(a) > 0 {
		if scheme, rest, _ := strings.Cut(a[0], " "); strings.EqualFold(scheme, "bearer") {
			if f := strings.Fields(rest); len(f) > 0 {
				return f[0]
			}
		}
	}
	return ""
}

// tenancy refuses every namespace and partition but default.
func tenancy(r *http.Request, q *query) error {
	for _, t := range []struct{ param, header, what string }{
		{"ns", "X-Consul-Namespace", "Namespaces"}, {"partition", "X-Consul-Partition", "Partitions"},
	} {
		if v, _ := q.get(t.param); v != "" && v != "default" {
			return api.Errorf(api.Invalid, "Invalid query parameter: %q - %s are a Consul Enterprise feature", t.param, t.what)
		}
		if v := r.Header[t.header]; len(v) > 0 && v[0] != "" && v[0] != "default" {
			return api.Errorf(api.Invalid, "Invalid header: %q - %s are a Consul Enterprise feature", t.header, t.what)
		}
	}
	return nil
}

func datacenter(q *query) string {
	if dc, _ := q.get("datacenter"); dc != "" {
		return dc
	}
	dc, _ := q.get("dc")
	return dc
}

// preferStale lets any server that is not too old answer about nodes, services
// and health, when the request does not choose (discovery_max_stale).
func (h *Handler) preferStale(req *api.Request, q *query) {
	discovery := strings.HasPrefix(req.Op.Name, "catalog.") || strings.HasPrefix(req.Op.Name, "health.")
	if h.cfg.DiscoveryMaxStale > 0 && discovery && req.Consistency == api.Default && !q.has("leader") {
		req.Consistency, req.MaxStale = api.Stale, h.cfg.DiscoveryMaxStale
	}
}

// readOptions reads what all reads have in common; see "Blocking Queries" and
// "Consistency Modes".
func readOptions(q *query, to *api.Query) error {
	if len(q.pairs) == 0 {
		return nil
	}
	to.Filter, _ = q.get("filter")
	stale, consistent := q.has("stale"), q.has("consistent")
	if v, ok := q.get("max_stale"); ok {
		d, err := time.ParseDuration(v)
		if err != nil {
			return api.Errorf(api.Invalid, "Invalid max_stale value %q", v)
		}
		to.MaxStale, stale = max(d, 0), true
	}
	switch {
	case stale && consistent:
		return api.Errorf(api.Invalid, "Cannot specify ?stale with ?consistent, conflicting semantics.")
	case q.has("cached") && consistent:
		return api.Errorf(api.Invalid, "Cannot specify ?cached with ?consistent, conflicting semantics.")
	case stale && !q.has("leader"):
		to.Consistency = api.Stale
	case consistent:
		to.Consistency = api.Consistent
	}
	if v, ok := q.get("wait"); ok && v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			return api.Errorf(api.Invalid, "Invalid wait time")
		}
		to.MaxWait = d
	}
	if v, ok := q.get("index"); ok && v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return api.Errorf(api.Invalid, "Invalid index")
		}
		to.MinIndex = n
	}
	return nil
}

// body fills a field from the body.
func (h *Handler) body(r *http.Request, op *api.Op, a *arg, args any, field reflect.Value) error {
	limit := maxBody
	switch {
	case a.Name == "raw":
		limit = h.cfg.MaxValue
	case op == api.Txn.Op:
		limit = h.cfg.MaxTxn
	}
	b, err := readBody(r, limit)
	if err != nil {
		return err
	}
	if a.Name == "raw" {
		field.SetBytes(b)
		return nil
	}
	if len(b) == 0 && a.Optional {
		return nil
	}
	if err := decodeJSON(b, a, field.Addr().Interface()); err != nil {
		var known *api.Error
		if errors.As(err, &known) {
			return known
		}
		prefix := "Request decode failed: "
		if p, ok := args.(api.BodyNamer); ok {
			prefix = p.BodyError()
		}
		return api.Errorf(api.Invalid, "%s%v", prefix, err)
	}
	return nil
}

// decodeJSON reads the first value of a body as leniently as its argument says.
func decodeJSON(b []byte, a *arg, into any) error {
	if a.Relaxed {
		return api.DecodeRelaxed(b, into)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if a.Strict {
		dec.DisallowUnknownFields()
	}
	return dec.Decode(into)
}

// readBody reads a body of at most limit bytes, whether or not it says how long
// it is.
func readBody(r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		drain(r)
		return nil, tooLarge(fmt.Sprintf("(%d bytes)", r.ContentLength), limit)
	}
	if n := r.ContentLength; n >= 0 {
		b := make([]byte, n)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return nil, api.Errorf(api.Invalid, "Request decode failed: the body ended early: %v", err)
		}
		return b, nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err != nil {
		return nil, api.Errorf(api.Invalid, "Request decode failed: %v", err)
	}
	if len(b) > limit {
		drain(r)
		return nil, tooLarge("", limit)
	}
	return b, nil
}

// maxDrained bounds what is read, in bytes, of a body that is too large.
const maxDrained = 64 << 20

// drain takes the rest of a body that nobody wants: many clients look at an answer
// only when they have sent everything, and would find the connection reset. Those
// that ask first are told without.
func drain(r *http.Request) {
	if r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	}
}

func tooLarge(size string, limit int) error {
	return api.Errorf(api.TooLarge, "Request body%s too large, max size: %d bytes. "+
		"See https://developer.hashicorp.com/docs/agent/config/config-files#kv_max_value_size.", size, limit)
}
