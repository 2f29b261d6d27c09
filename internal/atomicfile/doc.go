// Package atomicfile writes files that a crash leaves whole.
//
// Owns. Writing a file under a name at once, or not at all.
//
// Never. It keeps nothing and knows no format.
//
// Goroutines. None; Write may be called concurrently, also for one path.
//
// Promises. Who reads the path finds the old content or the new, never a part.
package atomicfile
