// Package metrics counts and times what an agent does, and tells it as
// documented under "agent/metrics" and in Prometheus' text format.
//
// Owns. Samples, which others keep and feed; the calls of verbs; the names of
// metrics, their prefix and the filter over them; both formats; what raft and
// gossip libraries report about themselves; telling metrics servers (StatsD and
// what is like it).
//
// Never. It knows no state and asks no server: what is known only at the moment
// of asking comes from sources that others add.
//
// Goroutines. None but that of who calls Pusher.Run. Registry and Sample may be
// used concurrently.
//
// Promises. Observing costs a few atomic operations, and neither locks nor
// allocates. Figures sum up the time since the agent started. Those of one
// sample are read one after the other, so that a call which ends meanwhile may
// be in some and not yet in others.
package metrics
