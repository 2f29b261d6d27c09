// Package acl decides who may do what.
//
// Owns. The vocabulary of permissions (resources, accesses, needs); the rule
// language in both its generations and in HCL and JSON; merging policies into
// an Authorizer; the templates of policies; the text of a refusal.
//
// Never. It does no I/O, keeps no state and knows no token store: a caller
// resolves a token to policies and compiles them.
//
// Goroutines. None. Policies and Authorizers are immutable and may be asked
// concurrently.
//
// Promises. Asking an Authorizer allocates nothing and takes time logarithmic
// in the number of rules. Authorizers with the same rules have the same ID.
// No text makes Parse panic. A refusal names the token by its accessor, never
// by its secret, and the permission in the words of the rule language.
package acl
