// Package httpapi speaks HTTP: it turns requests into calls of verbs and
// answers into bytes.
//
// Owns. Routes derived from api.Ops(); decoding of paths, queries and bodies;
// encoding, headers, compression; streams of the answers to blocking queries; the
// map from error kinds to statuses; limits on bodies; the OpenAPI document.
//
// Never. It knows no noun and decides nothing about the state.
//
// Goroutines. net/http owns those of requests. Each question that streams follow
// has one, which the last of them waits for; each stream over HTTP/1.1 has two,
// which Drain ends and Wait waits for. A Handler may be used concurrently.
//
// Promises. Whatever comes in, the answer is a documented status; a panic
// below is a 500 and one line in the log. Nothing is read beyond its limit, and
// nothing is queued for the reader of a stream.
package httpapi
