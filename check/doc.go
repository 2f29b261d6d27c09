// Package check looks after the health of what runs on and around this machine.
//
// Owns. One probe per kind of check (script, http, tcp, udp, grpc, h2ping,
// docker, alias) and the clock of TTL checks; when probes run, how long they may
// take, how many results in a row count, how much of their output is kept, and
// whether commands are allowed.
//
// Never. It keeps no list of checks, stores nothing and knows no catalog: what a
// result means for services is the agent's affair. It does not validate
// definitions beyond what it needs: api.CheckRegistration does.
//
// Goroutines. New starts nothing. A Checker lives inside its Run and reports from
// that goroutine alone; Run returns when its context ends, after a probe under
// way has been cancelled, and leaves neither goroutines nor processes. A TTL
// needs no goroutine when it is used through Start and Stop.
//
// Promises. A probe ends within its timeout: a command is killed with everything
// it started in its process group. Outputs are valid UTF-8 and bounded. The
// first result of a check always counts. There is no report after Run or Stop
// has returned.
package check
