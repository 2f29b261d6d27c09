// Package aclcache resolves tokens by asking others, and remembers the answers.
//
// Owns. Who holds a token as others told it, for how long that is believed, and
// what to do when they cannot be asked (the down policy).
//
// Never. It keeps no policies of its own and knows no state.
//
// Goroutines. One for each token that is asked about while an older answer is
// given (async-cache, or nobody can be asked); it ends with the question's deadline.
//
// Promises. Many who need the same answer ask once. A revoked token stops
// working when the time has passed that answers are believed, which counts from
// when it was known to whoever told it.
package aclcache
