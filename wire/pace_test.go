package wire

import (
	"testing"
	"time"

	"curia/api"
)

// TestRate asks faster than the limit allows, and then without one.
func TestRate(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: echo})
	r := connect(t, time.Second, s.address)
	r.SetRate(0.001, 3)
	for i := range 5 {
		_, err := get(t.Context(), r, "a")
		if refused := api.KindOf(err) == api.TooMany && err.Error() == "RPC rate limit exceeded"; refused != (i >= 3) || err != nil && !refused {
			t.Errorf("request %d of a burst of 3: got %v", i, err)
		}
	}
	r.SetRate(0.001, 3) // as a reload of the same configuration
	if _, err := get(t.Context(), r, "a"); api.KindOf(err) != api.TooMany {
		t.Errorf("the limit was set to what it is: got %v", err)
	}
	r.SetRate(-1, 3)
	for range 10 {
		if _, err := get(t.Context(), r, "a"); err != nil {
			t.Fatalf("without a limit: got %v", err)
		}
	}
	if asked, refused, failed := r.Counts(); asked != 16 || refused != 3 || failed != 0 {
		t.Errorf("got %d requests, %d refused, %d failed, wanted 16, 3 and 0", asked, refused, failed)
	}
}
