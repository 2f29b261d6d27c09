// Package child runs commands that end when they are told to.
//
// # Owns
//
// The start of a command, by a shell or directly, in a process group of its
// own; its end: asked first, forced after a while.
//
// # Never
//
// It does not decide what runs, and keeps nothing of what is printed.
//
// # Goroutines
//
// None but those of os/exec, which end with Run.
//
// # Promises
//
// When Run returns after its context has ended, nothing is left of the command
// and of what it has started, unless that has left its process group.
package child
