// Package cluster is several servers and client agents in the process of a test,
// over a network that can fail.
//
// Owns. The wiring of a node: store, replica on disk, server, server port,
// router. The network between nodes, on loopback addresses, with its faults:
// stalled and cut ways, delays. Kills and restarts.
//
// Never. Product code does not import it. There is no gossip: every node knows
// all servers from the start, and nobody looks whether one has failed.
//
// Goroutines. Those of the nodes, from New or Restart to Kill, Stop or the end of
// the test, which waits for them.
//
// Promises. Whatever a node that is killed had not yet put on the network is
// never seen by others. An answer that was not there when the node was killed is
// lost. Every wait ends by a deadline, which fails the test.
package cluster
