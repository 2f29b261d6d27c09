// Command behind starts a client agent with a server behind it where a suite of
// tests expects a server: it takes the command line of an agent and a
// configuration file for a single server. BEHIND_BINARY names the binary under
// test. Other commands than agent are handed to it as they are.
//
// Owns. What of a server's configuration is the client agent's, and what the
// server's.
//
// Never. It is not part of the product.
//
// Goroutines. One for each agent that it started; the agents end with it.
//
// Promises. A signal reaches the client agent; when that ends, the server is
// stopped, and the exit code is that of the client agent.
package main
