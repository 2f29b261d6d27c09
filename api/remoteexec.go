package api

import (
	"strings"
	"time"
)

// RemoteExecEvent is the name of the event that asks agents to run a command. It
// is the one name with an underscore that may be fired, and is never listed.
const RemoteExecEvent = "_rexec"

// What an agent writes below its name while it runs a command for others.
const (
	RemoteAck    = "ack"  // it has taken the command
	RemoteOutput = "out/" // and a number of five digits: a piece of output, empty as a sign of life
	RemoteExit   = "exit" // the exit code, in digits
)

// RemoteExec is the payload of the event: where in the key/value store a command
// is, and its output belongs. All keys are locked by the session, and deleted with
// it.
type RemoteExec struct {
	Prefix  string // without a slash at the end
	Session string
}

// root is the beginning of all keys.
func (r RemoteExec) root() string { return r.Prefix + "/" + r.Session + "/" }

// JobKey is where the command is, a RemoteJob in JSON.
func (r RemoteExec) JobKey() string { return r.root() + "job" }

// Key is where an agent writes.
func (r RemoteExec) Key(node, what string) string { return r.root() + node + "/" + what }

// All begins every key of the command.
func (r RemoteExec) All() string { return r.root() }

// Parse takes a key apart that Key has made. It is not ok for other keys.
func (r RemoteExec) Parse(key string) (node, what string, ok bool) {
	rest, ok := strings.CutPrefix(key, r.root())
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// RemoteJob is what agents run: the first of Script, Args and Command that is
// given.
type RemoteJob struct {
	Command string   `json:",omitempty"` // for a shell
	Args    []string `json:",omitempty"` // a program and its arguments
	Script  []byte   `json:",omitempty"` // becomes a file that is executed
	// Wait is how long the one who asks waits for news, in nanoseconds.
	Wait time.Duration
}
