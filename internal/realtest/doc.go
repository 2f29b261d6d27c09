// Package realtest examines the binary from outside: as a process of its own,
// over HTTP, with signals, kills, full disks and damaged files.
//
// # Owns
//
// The tests that need a real process: what HashiCorp's Go client sees, what is
// left after a kill, how an agent starts, stops and refuses to start, and whether
// the commands of the documentation do what it says. All of it is test code; there
// is nothing to import.
//
// # Never
//
// It never reaches into the packages of the agent, never uses the network
// beyond the loopback, and leaves no process, mount or file behind.
//
// # Goroutines
//
// Those of the tests, which end with them. The log of an agent is printed when
// its test has failed.
//
// # Promises
//
// Every wait has a deadline and waits for the thing itself. With -short the
// whole takes about a minute on two cores, otherwise about two and a half. Random
// tests print their seed; CURIA_TEST_SEED repeats one. CURIA_TEST_FAILOVERS says
// how often a leader is killed. The binary is built once in each run, unless
// CURIA_TEST_BINARY names one.
package realtest
