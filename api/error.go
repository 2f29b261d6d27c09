package api

import (
	"errors"
	"fmt"
)

// ErrorKind says what went wrong in a way that survives the wire. One map in
// httpapi turns kinds into statuses.
type ErrorKind uint8

// The kinds of errors. The zero kind is a fault of ours.
const (
	Internal    ErrorKind = iota // something broke
	Rejected                     // the request cannot be carried out; documented as a 500 although the caller is at fault
	Invalid                      // the request is malformed
	NotFound                     // there is no such thing
	Denied                       // the token lacks a permission
	Disabled                     // the feature is switched off
	Conflict                     // a precondition of a transaction failed
	TooLarge                     // the body exceeds its limit
	TooMany                      // a rate limit is reached, or the state is unhealthy
	NoLeader                     // there is no leader: nothing was done
	NoPath                       // nobody knows a way to that datacenter
	Unavailable                  // try again later
	Plain                        // no failure: the text is the whole answer
	Unsupported                  // the answer cannot be given in the format that was asked for
	Unreached                    // the server that was asked cannot be reached: nothing was done
	Lost                         // the outcome is unknown: the leader or the way to it was lost before the answer came
)

// Error is an error that a client may see.
type Error struct {
	Kind ErrorKind
	Msg  string
	// Detail, when not nil, is the JSON body of the answer in place of Msg.
	Detail any
	// Waits says that a blocking query which begins with this error goes on until
	// there is something.
	Waits bool
}

func (e *Error) Error() string { return e.Msg }

// Errorf makes an Error of a kind.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Untried reports whether err says that a request was not begun, so that it may
// be sent again, elsewhere or later.
func Untried(err error) bool {
	k := KindOf(err)
	return k == NoLeader || k == Unreached
}

// KindOf gives the kind of err: Internal for errors that carry none.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// ErrNotFound is the silent NotFound: a status without a text, as a read of a
// missing key answers. A blocking query that begins with it waits until there
// is something.
var ErrNotFound = &Error{Kind: NotFound, Waits: true}

// ErrNoLeader is what reads and writes end with when no leader is found in time.
var ErrNoLeader = &Error{Kind: NoLeader, Msg: "No cluster leader"}

// ErrNoPath is the answer to a datacenter that nobody knows.
var ErrNoPath = &Error{Kind: NoPath, Msg: "No path to datacenter"}
