// Package filter selects elements of results by boolean expressions.
//
// Owns. The ?filter parameter of reads and lists; selectors, which are held against
// facts that are no nouns.
//
// Never. It parses no expressions itself and keeps nothing between calls.
//
// Goroutines. None; Apply and a Selector may be called concurrently.
//
// Promises. A result is never changed: what is kept is in a new one. An
// expression that names a field which does not exist is an error.
package filter
