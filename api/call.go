package api

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Caller is what everything that asks, asks through. Implementations stack:
// the agent answers local verbs and passes on the rest. Safe for concurrent use.
type Caller interface {
	// Call carries out one request. Errors that a client may see are *Error.
	// A Response may accompany an error whose kind is NotFound: it carries the
	// index of the answer.
	Call(ctx context.Context, req *Request) (*Response, error)
}

// Consistency is the mode of a read; see "Consistency Modes".
type Consistency uint8

// The consistency modes. The zero value is the default mode.
const (
	Default    Consistency = iota // the leader's state
	Consistent                    // the leader's state after it has asked a quorum
	Stale                         // any server's state
)

// String gives the mode as X-Consul-Effective-Consistency names it.
func (c Consistency) String() string { return [...]string{"leader", "consistent", "stale"}[c] }

// Query holds the options that every read has in common.
type Query struct {
	Consistency Consistency
	// MaxStale bounds the age of a stale answer; 0 means any age.
	MaxStale time.Duration
	// MinIndex makes the query wait until its index is greater; 0 does not wait.
	MinIndex uint64
	// MaxWait bounds the wait; 0 means the server's default.
	MaxWait time.Duration
	// Filter is a boolean expression over the elements of the result.
	Filter string
}

// Request is one operation to be carried out.
type Request struct {
	Op *Op
	// Args points to a struct of type Op.Args and is not changed after the call.
	Args any
	Query
	Token string
	// Datacenter is where to ask; empty means the agent's own.
	Datacenter string
	// Final requests are answered by the server that gets them, or not at all: they
	// were passed on to it.
	Final bool
	// Passed requests were passed on by a datacenter that is not the primary, which
	// this one is: they go no further.
	Passed bool
	// JSON says that the caller takes Response.Encoded in place of Value.
	JSON bool
}

// Question is what must be equal for two requests to ask the same, on behalf of the
// same token. It holds that token: it is not for logs.
func (r *Request) Question() string {
	return fmt.Sprintf("%s %#v %d %d %d %q %q %q %t %t", r.Op.Name, r.Args, r.Consistency, r.MaxStale, r.MinIndex, r.Filter, r.Token, r.Datacenter, r.Final, r.JSON)
}

// Meta is what an answer says about itself, in the X-Consul-… headers.
type Meta struct {
	Index       uint64 // 0 when the answer has none
	KnownLeader bool
	LastContact time.Duration
	Consistency Consistency
	// Filtered says that ACLs removed something from the result.
	Filtered bool
}

// Response is the answer to a Request.
type Response struct {
	// Value has the type Op.Result. It may be shared and must not be changed. It
	// may be nil when the request takes JSON and Encoded is there.
	Value any
	Meta
	// Encoded, when not nil, holds the JSON of Value, shared by all who get it.
	Encoded *Encoded
}

// Encoded is the JSON of a result, made by the first who asks for it. Safe for
// concurrent use.
type Encoded struct {
	once sync.Once
	json []byte
	err  error
}

// EncodedJSON is a result that was encoded elsewhere.
func EncodedJSON(b []byte) *Encoded {
	e := &Encoded{json: b}
	e.once.Do(func() {})
	return e
}

// JSON returns the encoding of v; v must be the same value on every call.
func (e *Encoded) JSON(v any) ([]byte, error) {
	e.once.Do(func() { e.json, e.err = AppendJSON(nil, v) })
	return e.json, e.err
}

// Size is the length of the encoding; it may only be called after JSON.
func (e *Encoded) Size() int { return len(e.json) }

// Call carries out a typed verb through a Caller.
func Call[Q, R any](ctx context.Context, c Caller, v Verb[Q, R], args Q) (R, error) {
	r, _, err := Ask(ctx, c, v, args, Query{})
	return r, err
}

// Ask is Call with the options of a read, and returns what the answer says
// about itself.
func Ask[Q, R any](ctx context.Context, c Caller, v Verb[Q, R], args Q, q Query) (R, Meta, error) {
	var zero R
	resp, err := c.Call(ctx, &Request{Op: v.Op, Args: &args, Query: q})
	if resp == nil {
		return zero, Meta{}, err
	}
	r, _ := resp.Value.(R)
	return r, resp.Meta, err
}
