// Package api is the vocabulary of Curia: what can be asked, and in which words.
//
// Owns. The nouns (Node, Service, Check, KVPair, Session…) as the HTTP API
// prints them; the verbs, one declaration per operation; Request, Response and
// Caller, through which everything that asks, asks; the kinds of errors.
//
// Never. It does no I/O, holds no state and knows neither servers nor faces.
//
// Goroutines. None. Nouns are immutable once they are in the state; the list of
// verbs is complete after package initialisation.
//
// Promises. A verb is declared once: routing, decoding, permissions, the
// client, the OpenAPI document and the contract tests are derived from its
// declaration. JSON names of fields are those of the documentation.
package api
