// Package gossip is a pool of members that watch each other: the agents of one
// datacenter (LAN), or the servers of all (WAN).
//
// Owns. Who is in a pool and how it is (alive, leaving, left, failed), as
// members and as events; joining, leaving and who is let in; events of users;
// the keys of the encryption; network coordinates.
//
// Never. It knows no catalog and no log, and decides nothing on what it sees.
// What members tell each other is private to Curia.
//
// Goroutines. Open starts those of the library, and opens the sockets; Run adds
// two and calls its handler from one of them, one event at a time. All have
// ended when Close or Run returns. Every method may be called concurrently.
//
// Promises. The library never waits for the handler: what is too much for the
// queue is dropped and logged, so who needs the truth asks Members now and
// then. No member is let in that belongs elsewhere, and who is refused is told
// why. Nothing that members do ends the process.
package gossip
