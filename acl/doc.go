// Package acl decides who may do what.
//
// Owns. The vocabulary of permissions (resources, accesses, needs) and the
// Authorizer that answers them.
//
// Never. It does no I/O, keeps no state and knows no token store: a caller
// resolves a token to an Authorizer and asks that.
//
// Goroutines. None. An Authorizer is immutable and may be asked concurrently.
//
// Promises. A Need that is refused names the resource and the access in the
// words that clients see in a 403.
package acl
