// Package rounds lets many who have the same question share its answer.
//
// Owns. The rule that whoever asks gets an answer to a question that was put
// after they asked.
//
// Never. It does not know what is asked.
//
// Goroutines. One while somebody waits; it ends by itself.
//
// Promises. At most one question is under way. A caller whose context ends goes
// away at once.
package rounds
