package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"curia/api"
)

// request turns a verb with its arguments into an HTTP request. The body is
// that of a raw verb; other verbs bring theirs in their arguments.
func (c *Client) request(ctx context.Context, req *api.Request, body io.Reader) (*http.Request, error) {
	p, err := collect(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", req.Op.Name, err)
	}
	if p.body != nil {
		body = bytes.NewReader(p.body)
	}
	target := strings.TrimSuffix(c.base.String(), "/") + p.path
	if query := p.query.Encode(); query != "" {
		target += "?" + query
	}
	hr, err := http.NewRequestWithContext(ctx, req.Op.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", req.Op.Name, err)
	}
	// A file has a size, but net/http does not look for it.
	if file, ok := body.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			hr.ContentLength = info.Size()
		}
	}
	if req.Token != "" {
		hr.Header.Set("X-Consul-Token", req.Token)
	}
	maps.Copy(hr.Header, p.header)
	if p.json {
		hr.Header.Set("Content-Type", "application/json")
	}
	if user, password, ok := strings.Cut(c.cfg.BasicAuth, ":"); ok {
		hr.SetBasicAuth(user, password)
	}
	return hr, nil
}

// parts are where the arguments of a verb end up.
type parts struct {
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte // nil when there is none
	json   bool
	// segment says that other paths go on behind this one, so that no parameter
	// may have slashes that count.
	segment bool
}

// continued finds the patterns that are the beginning of others.
var continued = sync.OnceValue(func() map[string]bool {
	out := map[string]bool{}
	for _, op := range api.Ops() {
		for _, longer := range api.Ops() {
			if strings.HasPrefix(longer.Path, op.Path+"/") {
				out[op.Path] = true
			}
		}
	}
	return out
})

// collect sorts the arguments of a request by their tags.
func collect(req *api.Request) (*parts, error) {
	p := &parts{path: req.Op.Path, query: commonQuery(req), header: http.Header{}, segment: continued()[req.Op.Path]}
	if req.Op.When != "" {
		p.query.Set(req.Op.When, "")
	}
	args, err := argsValue(req)
	if err != nil {
		return nil, err
	}
	for _, a := range api.ArgsOf(req.Op.Args) {
		v := args.FieldByIndex(a.Index)
		switch a.Source {
		case api.FromPath:
			p.setPath(a.Name, v.String())
		case api.FromQuery:
			err = setQuery(p.query, a.Name, v)
		case api.FromHeader:
			if v.String() != "" {
				p.header.Set(a.Name, v.String())
			}
		case api.FromBody:
			err = p.setBody(a, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// argsValue is the struct that req.Args points to; a nil Args stands for the
// zero value.
func argsValue(req *api.Request) (reflect.Value, error) {
	args := req.Args
	if args == nil {
		args = req.Op.NewArgs()
	}
	v := reflect.ValueOf(args)
	if v.Type() != reflect.PointerTo(req.Op.Args) || v.IsNil() {
		return reflect.Value{}, fmt.Errorf("arguments are a %T instead of a *%s", args, req.Op.Args)
	}
	return v.Elem(), nil
}

// commonQuery holds the parameters that every verb has in common.
func commonQuery(req *api.Request) url.Values {
	q := url.Values{}
	switch req.Consistency {
	case api.Consistent:
		q.Set("consistent", "")
	case api.Stale:
		q.Set("stale", "")
	}
	if req.MaxStale != 0 {
		q.Set("max_stale", req.MaxStale.String())
	}
	if req.MinIndex != 0 {
		q.Set("index", strconv.FormatUint(req.MinIndex, 10))
	}
	if req.MaxWait != 0 {
		q.Set("wait", req.MaxWait.String())
	}
	if req.Filter != "" {
		q.Set("filter", req.Filter)
	}
	if req.Datacenter != "" {
		q.Set("dc", req.Datacenter)
	}
	return q
}

// setPath fills a parameter of the pattern in. The last parameter takes all
// that remains, so slashes may stay slashes there.
func (p *parts) setPath(name, value string) {
	before, after, _ := strings.Cut(p.path, "{"+name+"}")
	text := escapeSegment(value)
	if after == "" && !p.segment {
		text = escapeRest(value)
	}
	p.path = before + text + after
}

// escapeRest escapes a value at the end of a path. Slashes stay as typed where
// the server would see the same value: a slash at the beginning or behind
// another one, and segments that are dots, would be cleaned away.
func escapeRest(value string) string {
	var b strings.Builder
	for i, segment := range strings.Split(value, "/") {
		if i > 0 {
			if text := b.String(); text == "" || strings.HasSuffix(text, "/") || strings.HasSuffix(text, "%2F") {
				b.WriteString("%2F")
			} else {
				b.WriteByte('/')
			}
		}
		b.WriteString(escapeSegment(segment))
	}
	return b.String()
}

// escapeSegment escapes a value so that it is one segment of a path, and never
// one that means "here" or "above".
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.Repeat("%2E", len(s))
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~:@", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// setQuery adds one argument, unless its value says that it was not given.
func setQuery(q url.Values, name string, v reflect.Value) error {
	if qv, ok := v.Addr().Interface().(api.QueryValue); ok {
		if text, given := qv.QueryText(); given {
			q.Set(name, text)
		}
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if !v.IsNil() {
			q.Set(name, fmt.Sprint(v.Elem().Interface()))
		}
		return nil
	}
	if v.IsZero() {
		return nil
	}
	switch v.Kind() {
	case reflect.Bool:
		q.Set(name, "")
	case reflect.Slice:
		for i := range v.Len() {
			q.Add(name, fmt.Sprint(v.Index(i).Interface()))
		}
	case reflect.String, reflect.Uint64, reflect.Int:
		q.Set(name, fmt.Sprint(v.Interface()))
	default:
		return fmt.Errorf("no way to send a %s as ?%s", v.Type(), name)
	}
	return nil
}

func (p *parts) setBody(a api.Arg, v reflect.Value) error {
	if a.Name == "raw" {
		// Not nil, so that an empty value is sent as an empty body.
		p.body = append([]byte{}, v.Bytes()...)
		return nil
	}
	if a.Optional && v.IsZero() {
		return nil
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return fmt.Errorf("encode body: %w", err)
	}
	p.body, p.json = text, true
	return nil
}
