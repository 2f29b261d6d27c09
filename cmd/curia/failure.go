package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"curia/api"
	"curia/client"
)

// The exit codes that have a meaning of their own.
const (
	exitFailure  = 1
	exitNothing  = 2   // members: none matches
	exitRemote   = 2   // exec: the command failed on a node
	exitChild    = 2   // lock -child-exit-code: the command failed
	exitNotFound = 127 // there is no such command
)

// exit is an error with an exit code. Without an error of its own it is silent.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// refusal is an outcome whose text is documented, capital letter and all.
type refusal string

func (r refusal) Error() string { return string(r) }

// agentFailure is an error of the agent, which is printed as it prints
// everything about itself.
type agentFailure struct{ err error }

func (e *agentFailure) Error() string {
	return "==> " + strings.ReplaceAll(e.err.Error(), "\n", "\n==> ")
}

func (e *agentFailure) Unwrap() error { return e.err }

// report prints an error and gives the exit code.
func report(program string, w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var failed *agentFailure
	var coded *exit
	code := exitFailure
	if errors.As(err, &coded) {
		code = coded.code
	}
	switch text := err.Error(); {
	case errors.As(err, &failed):
		_, _ = fmt.Fprintln(w, text)
	case text != "":
		_, _ = fmt.Fprintf(w, "Error! %s%s\n", text, remedy(program, err))
	}
	return code
}

// remedy says what to do about an error, where the error does not say it.
func remedy(program string, err error) string {
	var unreachable *client.UnreachableError
	if errors.As(err, &unreachable) {
		if text := remedyTLS(unreachable); text != "" {
			return text
		}
		return fmt.Sprintf("; start an agent with \"%s agent -dev\", or name another with -http-addr or CURIA_HTTP_ADDR", program)
	}
	switch api.KindOf(err) {
	case api.Denied:
		return "; give a token that may do this with -token or CURIA_HTTP_TOKEN"
	case api.NoLeader:
		return "; wait for an election, or read with -stale what this agent knows"
	case api.NoPath:
		return fmt.Sprintf("; see \"%s catalog datacenters\"", program)
	}
	return ""
}

// remedyTLS says what to do where an agent is there, and TLS is between us.
func remedyTLS(err *client.UnreachableError) string {
	var plain tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var otherName x509.HostnameError
	var op *net.OpError
	switch {
	case errors.As(err, &plain), errors.Is(err, http.ErrSchemeMismatch):
		return "; it speaks HTTP there: use http:// in the address, and no CONSUL_HTTP_SSL"
	case errors.As(err, &unknown):
		return "; name the authority of its certificate with -ca-file or CONSUL_CACERT"
	case errors.As(err, &otherName):
		return "; name the agent as its certificate does, in the address or with -tls-server-name"
	case errors.As(err, &op) && op.Op == "remote error": // an alert of TLS
		return "; show a certificate that it accepts with -client-cert and -client-key, or CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
	case strings.HasPrefix(err.Address, "https:") && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		// The alert is lost when the agent ends the connection while we write.
		return "; if it demands a certificate, show one with -client-cert and -client-key, or CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
	}
	return ""
}

// asUsageError says which command was called wrongly, and where its help is.
func asUsageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	return fmt.Errorf("%s: %w; see \"%s -help\"", words(c), err, c.FullName())
}

// words are the words of a command without the name of the program.
func words(c *cli.Command) string {
	_, name, ok := strings.Cut(c.FullName(), " ")
	if !ok {
		return c.FullName()
	}
	return name
}

// missingCommand is what happens where a further word of a command belongs.
func missingCommand(c *cli.Command) error {
	if !c.Args().Present() {
		printHelp(c.Root().ErrWriter, "", c)
		if c == c.Root() {
			return &exit{code: exitNotFound}
		}
		return &exit{code: exitFailure}
	}
	name := c.Args().First()
	hint := ""
	if near := nearest(c.Commands, name); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	if c != c.Root() {
		name = words(c) + " " + name
	}
	return &exit{exitNotFound, fmt.Errorf("unknown command %q%s; see \"%s -help\"", name, hint, c.FullName())}
}

// nearest finds the command that was probably meant: one letter in three may be
// wrong, and two at most.
func nearest(cmds []*cli.Command, name string) string {
	best, found := 3, ""
	for _, c := range cmds {
		if d := distance(c.Name, name); d < best && 3*d <= len(name) {
			best, found = d, c.Name
		}
	}
	return found
}

// distance counts the letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
