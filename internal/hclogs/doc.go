// Package hclogs lets libraries that log through hclog log through slog.
//
// Owns. The translation of hclog's levels, names and key/value pairs into
// slog's, and of lines like "[WARN] text" for libraries that know only the
// standard library's logger.
//
// Never. It keeps no level of its own: what is printed, and where, is for the
// slog.Handler alone.
//
// Goroutines. None. A Logger is immutable and may be used concurrently.
//
// Promises. A message whose level is off costs the question whether it is, and
// no allocation. A message that is on becomes one record.
package hclogs
