// Package agent is this node's own side of Curia.
//
// Owns. What the agent tells about itself: configuration, members, version,
// host, statistics; the events that it has taken notice of; what requests leave
// out and the agent fills in; the query that all share who wait for the same
// (Shared). The services and checks of this node: who registers them, their checks
// at work, maintenance, the files that keep them for a restart, and anti-entropy,
// which makes the catalog follow. The commands that others have run here.
//
// Never. It holds no replicated state and speaks no HTTP.
//
// Goroutines. Run owns them all: one for the catalog, one for states on disk, one
// that removes what is critical for too long, one that tells the servers where
// this node is in the network, one that waits for commands and some for each that
// runs, and one for each check but those with a TTL. Before Run registrations are
// taken over and nothing else happens; when it returns nothing is left. A Shared has
// one for each query that waits, for which the last who waits for it waits. Both
// may be called concurrently.
//
// Promises. It implements api.Caller: verbs about this agent are answered here,
// all others are passed on to the next Caller unchanged but for defaults. What is
// registered here is true: whatever the catalog says otherwise is corrected, at
// once or with the next full comparison. A registration is answered when it is on
// disk, and in the catalog unless that cannot be reached soon.
//
// Locks are taken in this order: registering, runner.mu, those of TTL checks,
// local.mu. Checks are waited for while registering alone is held.
package agent
