// Package pause waits for a while.
//
// Owns. Waiting that a context ends.
//
// Never. It does not wait for anything but time: what others signal is waited for
// where it is signalled.
//
// Goroutines. None.
//
// Promises. Nobody waits longer than their context lasts.
package pause

import (
	"context"
	"time"
)

// For waits for d. It reports false when ctx ended first, at once if it has ended
// already.
func For(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
