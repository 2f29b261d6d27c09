package check

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"curia/api"
)

// httpProbe requests a URL ("HTTP checks").
type httpProbe struct {
	method, url, body string
	host              string // empty: that of the URL
	header            http.Header
	client            *http.Client
	limit             int // bytes of output
}

// plainTransport serves every check without TLS settings of its own. Connections
// are not kept: a check is to find out whether one can be made.
var plainTransport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}

func newHTTP(def *api.CheckRegistration, opts Options) *httpProbe {
	p := &httpProbe{
		method: cmp.Or(def.Method, http.MethodGet), url: def.HTTP, body: def.Body,
		header: http.Header{}, limit: opts.OutputMaxSize,
		client: &http.Client{Transport: plainTransport},
	}
	p.header.Set("User-Agent", opts.UserAgent)
	p.header.Set("Accept", "text/plain, text/*, */*")
	for name, values := range def.Header {
		p.header[http.CanonicalHeaderKey(name)] = values
	}
	p.host = p.header.Get("Host")
	p.header.Del("Host")
	if opts.TLS != nil || def.TLSSkipVerify || def.TLSServerName != "" {
		p.client.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: opts.tlsConfig(def),
		}
	}
	if def.DisableRedirects {
		p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return p
}

func (p *httpProbe) probe(ctx context.Context) Result {
	req, err := http.NewRequestWithContext(ctx, p.method, p.url, strings.NewReader(p.body))
	if err != nil {
		return failed(err)
	}
	req.Header = p.header.Clone()
	if p.host != "" {
		req.Host = p.host
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	// The state is in the head: what becomes of the body does not change it.
	output := &tail{limit: p.limit}
	_, _ = io.Copy(output, resp.Body)
	r := Result{Status: api.Critical, Output: fmt.Sprintf("HTTP %s %s: %s Output: %s", p.method, p.url, resp.Status, output.kept())}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		r.Status = api.Passing
	case resp.StatusCode == http.StatusTooManyRequests:
		r.Status = api.Warning
	}
	return r
}
