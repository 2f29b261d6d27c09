package gossip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLateEventsAreHushed writes what the library writes about events that come
// too late, between other lines.
func TestLateEventsAreHushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		h := &hushed{to: &out}
		late := func(n int) {
			fmt.Fprintf(h, "[WARN] serf: received old event event:x from time %d (current: 900)\n", n)
		}
		late(1)
		for n := range 2000 {
			late(n)
		}
		fmt.Fprintln(h, "[INFO] serf: EventMemberJoin: a")
		<-time.After(lateEvery) // of the bubble
		late(2)
		<-time.After(lateEvery)
		late(3)
		want := `[WARN] serf: received old event event:x from time 1 (current: 900)
[INFO] serf: EventMemberJoin: a
[WARN] serf: received old event event:x from time 2 (current: 900); 2000 more before
[WARN] serf: received old event event:x from time 3 (current: 900)
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("lines (-want +got)\n%s", diff)
		}
	})
}
