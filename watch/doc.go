// Package watch follows the answer of a query and tells somebody each time it
// has changed ("Watches").
//
// Owns. What can be watched and how a watch is written in a configuration file;
// the loop of blocking queries; the handlers that run a program or send a
// request; the set of watches of an agent.
//
// Never. It speaks no HTTP to agents: it asks through api.Caller. It does not
// read files or flags.
//
// Goroutines. Set.Run has one for each watch and returns when all have ended. A
// Plan has none of its own. A Set may be configured from any goroutine.
//
// Promises. A handler is told the first answer and then every other that differs
// from the one before; changes that come while it runs are told as one. A
// handler of a watch runs once at a time. An error never ends a watch.
package watch
