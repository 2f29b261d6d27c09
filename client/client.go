package client

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"curia/api"
)

// DefaultAddress is where an agent answers when nothing else is configured.
const DefaultAddress = "127.0.0.1:8500"

// Config says which agent to ask, and as whom. The zero value asks the agent
// on this machine without a token.
type Config struct {
	// Address is host:port, http://host:port, https://host:port or
	// unix:///path/of/socket; empty means DefaultAddress.
	Address string
	// Token goes with every request that brings none of its own.
	Token string
	// BasicAuth is "user:password" for a proxy in front of the agent; empty
	// sends none.
	BasicAuth string
	// Datacenter is where requests go that name none; empty means the agent's.
	Datacenter string
	// Consistency is the mode of reads that ask for none.
	Consistency api.Consistency
	TLS         TLS
}

// Client implements api.Caller over HTTP. Safe for concurrent use.
type Client struct {
	cfg  Config
	base *url.URL // scheme, host and maybe a path that goes before every path
	http *http.Client
}

// New makes a client. It reads the files of cfg.TLS and connects to nothing.
// Errors are those of the configuration, and name the part of it.
func New(cfg Config) (*Client, error) {
	cfg.Address = cmp.Or(cfg.Address, DefaultAddress)
	base, socket, err := parseAddress(cfg.Address, cfg.TLS.Enabled)
	if err != nil {
		return nil, err
	}
	transport, err := newTransport(cfg.TLS, socket)
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Address is where the agent is asked, as a URL or the path of a socket.
func (c *Client) Address() string {
	if strings.HasPrefix(c.cfg.Address, unixScheme) {
		return c.cfg.Address
	}
	return c.base.String()
}

// Call implements api.Caller for all verbs but raw ones, see Stream. An answer
// with the status 404 gives a Response with its index beside the error.
func (c *Client) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	if req.Op.Kind == api.KindRaw {
		return nil, fmt.Errorf("call %s: the answer is a stream", req.Op.Name)
	}
	hr, err := c.request(ctx, c.withDefaults(req), nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.do(hr)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return readResponse(req.Op, answer)
}

// Stream carries out a verb whose body or answer is a stream of bytes. Args
// points to a struct of type op.Args. The body may be nil; the caller closes
// the stream that is returned. An answer other than 2xx is an error.
func (c *Client) Stream(ctx context.Context, op *api.Op, args any, body io.Reader) (io.ReadCloser, http.Header, error) {
	hr, err := c.request(ctx, c.withDefaults(&api.Request{Op: op, Args: args}), body)
	if err != nil {
		return nil, nil, err
	}
	answer, err := c.do(hr)
	if err != nil {
		return nil, nil, err
	}
	if isSuccess(answer.StatusCode) {
		return answer.Body, answer.Header, nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("read answer to %s: %w", op.Name, err)
	}
	return nil, answer.Header, newStatusError(op, answer, text)
}

// withDefaults fills in what the configuration says and the request does not.
func (c *Client) withDefaults(req *api.Request) *api.Request {
	out := *req
	out.Token = cmp.Or(req.Token, c.cfg.Token)
	out.Datacenter = cmp.Or(req.Datacenter, c.cfg.Datacenter)
	if req.Op.Kind == api.KindRead {
		out.Consistency = cmp.Or(req.Consistency, c.cfg.Consistency)
	}
	return &out
}

func (c *Client) do(hr *http.Request) (*http.Response, error) {
	answer, err := c.http.Do(hr)
	if err == nil {
		return answer, nil
	}
	if ctxErr := hr.Context().Err(); ctxErr != nil {
		return nil, ctxErr
	}
	// The URL, with arguments, belongs in no message; the cause does.
	if ue, ok := err.(*url.Error); ok {
		err = ue.Err
	}
	return nil, &UnreachableError{Address: c.Address(), Err: err}
}

// UnreachableError says that no agent answered.
type UnreachableError struct {
	Address string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach the agent at %s: %v", e.Address, e.Err)
}

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }
