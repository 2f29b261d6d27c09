// Package agent is this node's own side of Curia.
//
// Owns. What the agent tells about itself: configuration, members, version,
// host, statistics; the events that it has taken notice of; what requests leave
// out and the agent fills in.
//
// Never. It holds no replicated state and speaks no HTTP.
//
// Goroutines. None. An Agent may be called concurrently.
//
// Promises. It implements api.Caller: verbs about this agent are answered here,
// all others are passed on to the next Caller unchanged but for defaults.
package agent
