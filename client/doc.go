// Package client asks an agent over its HTTP API: a verb becomes a request,
// and the answer becomes a typed result.
//
// # Owns
//
// Where the agent is and how it is reached (Config, the environment variables,
// TLS, unix sockets), how the arguments of a verb become method, path, query
// and body, and how headers, statuses and bodies become api.Meta, api.Error and
// the result.
//
// # Never
//
// It never knows a single verb by name: everything follows from its
// declaration. It never retries, never follows a redirection (it would carry
// the token elsewhere) and never logs.
//
// # Goroutines
//
// None of its own. A Client is safe for concurrent use.
//
// # Promises
//
// A path parameter arrives at the server byte for byte, whatever is in it.
// A refusal by the agent is a *StatusError, which unwraps to an *api.Error; an
// agent that does not answer is an *UnreachableError.
package client
