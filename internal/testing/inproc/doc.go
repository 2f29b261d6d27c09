// Package inproc assembles a whole server in the process of a test.
//
// Owns. The wiring of store, replica, server, agent and HTTP handler for tests;
// a log that tests can look through; requests in one line.
//
// Never. Product code does not import it. It opens no socket unless Listen is
// called, so that a server can run in a synctest bubble.
//
// Goroutines. Replication, and the agent if asked for, run from Start to Stop,
// which the test's cleanup calls; it returns when everything has ended.
//
// Promises. When Start returns, the server leads and its catalog holds itself:
// nothing changes any more unless the test changes it. A panic below the
// handler fails the test.
package inproc
