package check

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/api"
)

// The letters are the results and the states that are reported: p(assing),
// w(arning), c(ritical); a dot is a result that does not count.
func TestGate(t *testing.T) {
	words := map[byte]string{'p': api.Passing, 'w': api.Warning, 'c': api.Critical}
	for _, c := range []struct {
		name          string
		success, w, c int
		results, want string
	}{
		{"no thresholds", 0, 0, 0, "pwcpc", "pwcpc"},
		{"ones are none", 1, 1, 1, "pwcpc", "pwcpc"},
		{"the first counts, passing", 3, 0, 3, "pccc", "p..c"},
		{"the first counts, critical", 3, 0, 3, "cppp", "c..p"},
		{"the first counts, warning", 3, 0, 3, "wc", "w."},
		{"and it goes on counting", 3, 0, 3, "ppcc", "pp.."},
		{"three in a row", 0, 0, 3, "pccpcccc", "p..p..cc"},
		{"a warning is a success", 2, 0, 2, "cwwcwcc", "c.w...c"},
		{"warning breaks a row of failures", 0, 0, 2, "pcwcwcc", "p.w.w.c"},
		{"a failure breaks a row of successes", 3, 0, 1, "cppcppp", "c..c..p"},
		{"warning on the way", 0, 2, 4, "pcccccp", "p.wwccp"},
		{"warning at once", 0, 1, 3, "pcccp", "pwwcp"},
		{"warning and critical together", 0, 3, 3, "pcccc", "p..cc"},
		{"without a threshold for warning", 0, 0, 2, "pcc", "p.c"},
		{"negative is none", -1, -2, -1, "pcp", "pcp"},
	} {
		g := newGate(api.CheckThresholds{SuccessBeforePassing: c.success, FailuresBeforeWarning: c.w, FailuresBeforeCritical: c.c})
		var got strings.Builder
		for _, r := range []byte(c.results) {
			status, counts := g.admit(words[r])
			if !counts {
				status = "."
			}
			got.WriteByte(status[0])
		}
		if diff := gocmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("%s: %s (-want +got)\n%s", c.name, c.results, diff)
		}
	}
}
