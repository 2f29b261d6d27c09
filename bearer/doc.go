// Package bearer decides whether to believe tokens that somebody else signed.
//
// Owns. The configuration of auth methods of type jwt; the keys that it gives
// or says where to fetch, and what was fetched of them; signatures, audiences,
// issuers and times; the claims that are taken over.
//
// Never. It knows no token of ours, no auth method by name and no state. It
// prints neither tokens nor the parts of addresses that may be secret.
//
// Goroutines. None of its own. A Verifier may be used concurrently; of those
// who need the keys of one source, one fetches them and the others wait.
//
// Promises. A fetch ends within its time, reads a bounded answer, leaves no
// connection behind, and happens at most once in ten seconds for one source.
// Only public keys verify: no key of the configuration signs.
package bearer
