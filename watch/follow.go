package watch

import (
	"bytes"
	"context"
	"errors"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// Change is an answer that differs from the one before.
type Change struct {
	Index uint64
	Body  []byte // JSON, without a line feed; not to be changed
}

// Times between an error and the next attempt: retryStep times the square of
// the number of errors in a row.
const (
	retryStep = 5 * time.Second
	retryMax  = 180 * time.Second
)

// Follower is who hears about the changes of a watch.
type Follower struct {
	// Changed is told each change, one after the other. An error ends Follow.
	Changed func(ctx context.Context, c Change) error
	// Failed is told why a query failed, and when the next will be. Nil: nobody is.
	Failed func(err error, next time.Duration)
}

// errNoIndex keeps Follow from asking without a pause.
var errNoIndex = errors.New("the answer has no index to wait with")

// Follow asks until ctx ends or the follower returns an error, and returns that.
// The plan must be valid.
func (p *Plan) Follow(ctx context.Context, agent api.Caller, f Follower) error {
	var after uint64
	var last []byte
	for failures := 0; ; {
		body, index, err := p.ask(ctx, agent, after)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && index == 0 {
			err = errNoIndex
		}
		if err != nil {
			failures++
			wait := min(retryStep*time.Duration(min(failures*failures, 100)), retryMax)
			if f.Failed != nil {
				f.Failed(err, wait)
			}
			if !pause.For(ctx, wait) {
				return ctx.Err()
			}
			continue
		}
		failures = 0
		before := after
		if after = index; index == before {
			continue
		}
		if index < before && p.Type != "event" {
			after = 0 // the state was replaced by an older one: begin again
		}
		if last != nil && bytes.Equal(last, body) {
			continue
		}
		last = body
		if err := f.Changed(ctx, Change{index, body}); err != nil {
			return err
		}
	}
}
