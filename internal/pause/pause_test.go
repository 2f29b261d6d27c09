package pause

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	for _, c := range []struct {
		lasts, d, took time.Duration
		want           bool
	}{
		{lasts: time.Minute, d: time.Second, took: time.Second, want: true},
		{lasts: time.Second, d: time.Minute, took: time.Second},
		{lasts: 0, d: time.Minute},
		{lasts: 0, d: 0},
		{lasts: time.Minute, d: 0, want: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.lasts)
			defer cancel()
			begun := time.Now()
			if got := For(ctx, c.d); got != c.want || time.Since(begun) != c.took {
				t.Errorf("context of %v, For(%v): got %v after %v; want %v after %v", c.lasts, c.d, got, time.Since(begun), c.want, c.took)
			}
		})
	}
}
