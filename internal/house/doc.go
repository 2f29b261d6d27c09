// Package house holds the rules of this repository that a compiler does not
// know, and the tests that enforce them on every file of it.
//
// # Owns
//
// The import table's check (the table itself is in ARCHITECTURE.md, section
// Rooms), the limits on the sizes of files, functions and structs, the rules
// for documentation and for tests, and allow.txt, the list of exceptions.
//
// # Never
//
// Is never imported by product code, never changes a file, never runs another
// program, never needs the network or git.
//
// # Goroutines
//
// None. A Tree is read once and not changed afterwards.
//
// # Promises
//
// Every rule is a function from a Tree to findings, so that it can be tried
// on sources in memory. Every finding names the place, what was found there
// and what to do about it. The whole takes a few seconds at most.
package house
