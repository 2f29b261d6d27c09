package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"curia/api"
)

// RawFunc carries out a verb of kind Raw. It writes the answer itself, or
// returns an error before it has written anything.
type RawFunc func(w http.ResponseWriter, r *http.Request, req *api.Request) error

// Config says how to speak. The zero value has the documented defaults.
type Config struct {
	Rules
	// Off are beginnings of paths whose feature, ACLs, is switched off.
	Off []string
	// DefaultPolicy is what ACLs do where no rule speaks; empty: allow.
	DefaultPolicy string
	// MaxValue bounds the value of a key, MaxTxn the body of a transaction, both
	// in bytes; 0 means 512 KiB.
	MaxValue, MaxTxn int
	// DiscoveryMaxStale is the age up to which any server may answer reads of the
	// catalog and of health that do not say otherwise; 0: the leader is asked.
	DiscoveryMaxStale time.Duration
	// Raw holds the functions of raw verbs.
	Raw map[*api.Op]RawFunc
	// Observe, when not nil, is told how long each call took.
	Observe func(op *api.Op, took time.Duration, status int)
}

// Handler answers the HTTP API. Make one with New; it is safe for concurrent use.
type Handler struct {
	cfg    Config
	rules  atomic.Pointer[Rules]
	caller api.Caller
	log    *slog.Logger
	routes *routes
	policy []string // value of X-Consul-Default-ACL-Policy
	open   context.Context
	drain  context.CancelFunc // ends open, and all streams with it

	sources sources
	streams sync.WaitGroup // those that have taken over their connections
}

// defaultMaxValue is the documented limit of values and transactions.
const defaultMaxValue = 512 << 10

// maxBody bounds the other bodies.
const maxBody = 8 << 20

// Times in which a client must have sent its body, and taken a large answer.
const (
	bodyWait   = time.Minute
	answerWait = 2 * time.Minute
)

// New makes a handler that asks caller.
func New(cfg Config, caller api.Caller, log *slog.Logger) *Handler {
	if cfg.MaxValue <= 0 {
		cfg.MaxValue = defaultMaxValue
	}
	if cfg.MaxTxn <= 0 {
		cfg.MaxTxn = max(defaultMaxValue, cfg.MaxValue)
	}
	policy := allowValue
	if cfg.DefaultPolicy != "" {
		policy = []string{cfg.DefaultPolicy}
	}
	h := &Handler{cfg: cfg, caller: caller, log: log, routes: newRoutes(api.Ops()), policy: policy}
	h.SetRules(cfg.Rules)
	h.open, h.drain = context.WithCancel(context.Background())
	h.sources = sources{caller: caller, log: log, open: h.open, byKey: map[string]*source{}}
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			h.log.Error("panic in a request", "method", r.Method, "path", loggedPath(r.URL.Path), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			writeError(w, errInternal)
		}
	}()
	head := w.Header()
	for k, v := range h.rules.Load().Headers {
		head.Set(k, v)
	}
	head["Vary"] = varyValue
	head["X-Consul-Default-Acl-Policy"] = h.policy
	if err := h.serve(w, r); err != nil {
		writeError(w, err)
	}
}

// serve carries out one request; errors become the answer.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	path := rawPath(r)
	if to, dirty := cleanPath(path); dirty {
		return redirect(w, r, to, http.StatusTemporaryRedirect)
	}
	for _, p := range h.rules.Load().Blocked {
		if strings.HasPrefix(r.URL.Path, p) {
			return &statusError{http.StatusForbidden, "Endpoint is blocked by agent configuration"}
		}
	}
	route, params, found := h.routes.find(path)
	if !found {
		if h.routes.has(path + "/") {
			return redirect(w, r, path+"/", http.StatusMovedPermanently)
		}
		return unknownPath(w, r, path)
	}
	for _, p := range h.cfg.Off {
		if strings.HasPrefix(path, p) {
			return api.Errorf(api.Disabled, "ACL support disabled")
		}
	}
	if unprintable(r.URL.Path) {
		return &statusError{http.StatusBadRequest, ""}
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return &statusError{http.StatusInternalServerError, ""}
	}
	op := route.choose(r.Method, &q)
	if op == nil {
		return h.otherMethod(w, r, route)
	}
	if !h.mayWrite(r) {
		return &statusError{http.StatusForbidden, "Access is restricted"}
	}
	return h.call(w, r, op, params, &q)
}

// call decodes, calls and encodes.
func (h *Handler) call(w http.ResponseWriter, r *http.Request, op *boundOp, params []string, q *query) error {
	began := time.Now()
	status := http.StatusOK
	var as framing
	if h.cfg.Observe != nil {
		defer func() {
			if as == nil { // how long a stream goes on says nothing
				h.cfg.Observe(op.Op, time.Since(began), status)
			}
		}()
	}
	if r.ContentLength != 0 && op.Kind != api.KindRaw {
		// Who sends a part of a body and no more must not hold a request for ever.
		conn := http.NewResponseController(w)
		_ = conn.SetReadDeadline(began.Add(bodyWait))
		defer func() { _ = conn.SetReadDeadline(time.Time{}) }()
	}
	req, err := h.decode(r, op, params, q)
	if err == nil && op.Kind == api.KindRaw {
		err = h.raw(w, r, req)
		if err == nil {
			return nil
		}
	}
	if err == nil {
		as, err = accepted(r, op.Op)
	}
	if as != nil {
		return h.stream(w, r, as, req, began)
	}
	var resp *api.Response
	if err == nil {
		resp, err = h.caller.Call(r.Context(), req)
	}
	tellMeta(w.Header(), op.Op, resp)
	if err != nil {
		status = statusOf(err)
		return err
	}
	return writeResult(w, r, resp, q.has("pretty"))
}

// raw carries out a verb that writes its answer itself.
func (h *Handler) raw(w http.ResponseWriter, r *http.Request, req *api.Request) error {
	f := h.cfg.Raw[req.Op]
	if f == nil {
		return fmt.Errorf("verb %s is not bound", req.Op.Name)
	}
	return f(w, r, req)
}

// otherMethod answers OPTIONS, and 405 to methods that a path does not have.
func (h *Handler) otherMethod(w http.ResponseWriter, r *http.Request, route *route) error {
	w.Header().Set("Allow", route.allow)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return &statusError{http.StatusMethodNotAllowed, "method " + r.Method + " not allowed"}
}

// rawPath is the path as the client sent it, still percent-encoded.
func rawPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		p, _, _ := strings.Cut(r.RequestURI, "?")
		return p
	}
	return r.URL.EscapedPath()
}

// cleanPath gives the path without literal empty, "." and ".." segments, and
// whether there were any.
func cleanPath(p string) (string, bool) {
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p, false
	}
	var out []string
	dirty := false
	segments := strings.Split(p[1:], "/")
	for i, s := range segments {
		switch {
		case s == "" && i < len(segments)-1, s == ".":
			dirty = true
		case s == "..":
			dirty = true
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, s)
		}
	}
	if last := segments[len(segments)-1]; last == "." || last == ".." {
		out = append(out, "")
	}
	return "/" + strings.Join(out, "/"), dirty
}

func redirect(w http.ResponseWriter, r *http.Request, to string, status int) error {
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(status)
	return nil
}

func unknownPath(w http.ResponseWriter, r *http.Request, path string) error {
	switch {
	case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.Header()["Content-Type"] = textValue
		_, err := w.Write([]byte("Consul Agent: UI disabled. To enable, set ui_config.enabled=true in the agent configuration and restart."))
		return err
	case strings.Contains(path, "/v1/"):
		return &statusError{http.StatusNotFound, "Invalid URL path: not a recognized HTTP API endpoint\n"}
	}
	return &statusError{http.StatusNotFound, "Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"}
}

// loggedPath is a path as it may be logged: the older verbs of ACLs have secrets
// behind their names.
func loggedPath(path string) string {
	rest, ok := strings.CutPrefix(path, "/v1/acl/")
	if verb, _, more := strings.Cut(rest, "/"); ok && more {
		return "/v1/acl/" + verb + "/" + api.HiddenSecret
	}
	return path
}

// unprintable reports whether a decoded path has characters that cannot be shown.
func unprintable(path string) bool {
	for i := 0; i < len(path); i++ {
		if c := path[i]; c < ' ' || c >= 0x7f {
			for _, c := range path[i:] {
				if !unicode.IsPrint(c) {
					return true
				}
			}
			return false
		}
	}
	return false
}
