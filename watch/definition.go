package watch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"curia/api"
	"curia/internal/child"
)

// Definition is a watch with its handler, as configuration files describe it.
type Definition struct {
	Plan
	// Argv is the program to run and its arguments; empty when HTTP is not nil.
	Argv []string
	HTTP *HTTPHandler
	// text is how it was written, to tell whether it has changed.
	text string
}

// HTTPHandler says where to send what has changed.
type HTTPHandler struct {
	Path          string // a URL
	Method        string
	Timeout       time.Duration
	Header        http.Header
	TLSSkipVerify bool
}

// Defaults of an HTTPHandler.
const (
	defaultMethod  = http.MethodPost
	defaultTimeout = 10 * time.Second
)

// list is one string, or several.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = list{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// written is a definition with the names that files use.
type written struct {
	Type        string `json:"type"`
	Key         string `json:"key"`
	Prefix      string `json:"prefix"`
	Service     string `json:"service"`
	Tag         list   `json:"tag"`
	PassingOnly bool   `json:"passingonly"`
	State       string `json:"state"`
	Name        string `json:"name"`
	Filter      string `json:"filter"`
	Token       string `json:"token"`
	Datacenter  string `json:"datacenter"`
	Stale       bool   `json:"stale"`
	writtenHandler
}

type writtenHandler struct {
	Handler           string         `json:"handler"`
	Args              []string       `json:"args"`
	HandlerType       string         `json:"handler_type"`
	HTTPHandlerConfig *writtenTarget `json:"http_handler_config"`
}

type writtenTarget struct {
	Path          string               `json:"path"`
	Method        string               `json:"method"`
	Timeout       api.ReadableDuration `json:"timeout"`
	Header        map[string]list      `json:"header"`
	TLSSkipVerify bool                 `json:"tls_skip_verify"`
}

// common may be written in every definition, special beside it in those of a type.
var (
	common = []string{
		"type", "token", "datacenter", "handler", "args", "handler_type", "http_handler_config", "filter",
	}
	special = map[string][]string{
		"key": {"key", "stale"}, "keyprefix": {"prefix", "stale"}, "services": {"stale"}, "nodes": {"stale"},
		"service": {"service", "tag", "passingonly", "stale"}, "checks": {"service", "state", "stale"}, "event": {"name"},
	}
)

// Parse reads a definition as it is decoded from a file. What the type of the
// watch has no use for is an error.
func Parse(raw map[string]any) (*Definition, error) {
	text, err := json.Marshal(raw)
	if err != nil {
		return nil, fmt.Errorf("encode watch: %w", err)
	}
	var w written
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, undecodable(err)
	}
	d := &Definition{
		Plan: Plan{
			Type: w.Type, Key: w.Key, Prefix: w.Prefix, Service: w.Service, Tags: w.Tag, PassingOnly: w.PassingOnly,
			State: w.State, Name: w.Name, Filter: w.Filter, Token: w.Token, Datacenter: w.Datacenter, Stale: w.Stale,
		},
		text: string(text),
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if err := d.CheckNames(slices.Collect(maps.Keys(raw))); err != nil {
		return nil, err
	}
	if w.Type == "keyprefix" && raw["prefix"] == nil {
		return nil, errors.New("watch: a prefix must be given")
	}
	return d, d.setHandler(&w.writtenHandler)
}

// CheckNames refuses names of parameters that the type of the watch has no use
// for. The type must be valid.
func (p *Plan) CheckNames(names []string) error {
	var unknown []string
	for _, name := range names {
		if !slices.Contains(common, name) && !slices.Contains(special[p.Type], name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return api.Errorf(api.Invalid, "Invalid parameters: %v", unknown)
}

// undecodable says which parameter has a value of the wrong kind.
func undecodable(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("decode watch: %w", err)
	}
	want := map[reflect.Kind]string{reflect.String: "a string", reflect.Bool: "true or false", reflect.Slice: "a list of strings"}[wrong.Type.Kind()]
	name := strings.TrimPrefix(wrong.Field, "writtenHandler.")
	return fmt.Errorf("watch: %s must be %s, not of the type %s", name, cmp.Or(want, "an object"), wrong.Value)
}

// setHandler takes over the one handler that a watch must have.
func (d *Definition) setHandler(w *writtenHandler) error {
	given := 0
	for _, is := range []bool{w.Handler != "", len(w.Args) > 0, w.HTTPHandlerConfig != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return api.Errorf(api.Invalid, "Only one watch handler allowed")
	case given == 0 && w.HandlerType != "http":
		return api.Errorf(api.Invalid, "Must define a watch handler")
	case w.HandlerType == "http", w.HandlerType == "" && w.HTTPHandlerConfig != nil:
		return d.setTarget(w.HTTPHandlerConfig)
	case w.HandlerType != "" && w.HandlerType != "script":
		return fmt.Errorf("watch: handler_type %q is neither script nor http", w.HandlerType)
	case w.HTTPHandlerConfig != nil:
		return errors.New(`watch: http_handler_config goes with the handler_type "http"`)
	case w.Handler != "":
		d.Argv = child.Shell(w.Handler)
	case w.Args[0] == "":
		return errors.New("watch: args must begin with the name of a program")
	default:
		d.Argv = w.Args
	}
	return nil
}

func (d *Definition) setTarget(t *writtenTarget) error {
	if t == nil || t.Path == "" {
		return errors.New("watch: the path of http_handler_config must be given")
	}
	h := &HTTPHandler{
		Path: t.Path, Method: strings.ToUpper(t.Method), Timeout: time.Duration(t.Timeout),
		Header: http.Header{}, TLSSkipVerify: t.TLSSkipVerify,
	}
	if h.Method == "" {
		h.Method = defaultMethod
	}
	switch {
	case h.Timeout < 0:
		return fmt.Errorf("watch: the timeout of http_handler_config must be positive, not %v", h.Timeout)
	case h.Timeout == 0:
		h.Timeout = defaultTimeout
	}
	for name, values := range t.Header {
		for _, v := range values {
			h.Header.Add(name, v)
		}
	}
	req, err := http.NewRequest(h.Method, h.Path, nil)
	if err != nil {
		return fmt.Errorf("watch: http_handler_config: %w", err)
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" {
		return fmt.Errorf("watch: the path of http_handler_config is %q; write a URL like http://127.0.0.1:8000/changed", h.Path)
	}
	d.HTTP = h
	return nil
}
