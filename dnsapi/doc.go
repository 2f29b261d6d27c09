// Package dnsapi answers DNS questions from the catalog ("DNS Interface").
//
// Owns. The way from a packet to an answer: names in the domain (node.go,
// service.go), reverse names (ptr.go), names elsewhere, which recursors answer
// (recurse.go); which records are given and which withheld (wire.go); the
// sockets (socket.go).
//
// Never. It holds no state of the cluster: every answer comes from verbs that
// are asked through api.Caller. It parses no messages and packs no records by
// hand: github.com/miekg/dns does both, once per change, and what it packed is
// copied from then on.
//
// Goroutines. Run starts the readers of the sockets, one more whenever all of
// them are busy, and one goroutine per TCP connection. It returns when all of
// them have ended.
//
// Promises. An answer over UDP is never longer than the client can take, and
// its TC bit is set exactly when it lacks records that TCP would give. The
// records of a name are prepared once per change of the name; a question costs
// the records that it gets, not those that there are. The order is random for
// each question. No packet ends the agent.
package dnsapi
