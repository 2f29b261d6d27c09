package metrics

import (
	"fmt"
	"io"
	"strings"
)

// Dump writes everything that was measured, a line for each metric: the moment,
// a letter for its kind (G, C or S), its name with the values of its labels, and
// its figures.
func (r *Registry) Dump(w io.Writer) error {
	var b strings.Builder
	when := r.cfg.Clock().UTC().Format("2006-01-02 15:04:05 -0700 MST")
	for _, p := range r.scrape() {
		name := p.name
		for _, l := range p.labels {
			name += "." + l.Value
		}
		fmt.Fprintf(&b, "[%s][%c] '%s': ", when, "GCS"[p.kind], name)
		if p.kind == gauge {
			fmt.Fprintf(&b, "%.3f\n", p.value)
			continue
		}
		fmt.Fprintf(&b, "Count: %d Min: %.3f Mean: %.3f Max: %.3f Stddev: %.3f Sum: %.3f\n",
			p.sum.Count, p.sum.Min, p.sum.Mean(), p.sum.Max, p.sum.Stddev(), p.sum.Sum)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
