package check

import "curia/api"

// gate decides which results count: a failure only when it has come often enough
// in a row, and its end likewise. A warning is a success here.
type gate struct {
	rules               api.CheckThresholds
	successes, failures int // in a row
}

// newGate lets the first result through, whatever it is.
func newGate(rules api.CheckThresholds) *gate {
	if rules.FailuresBeforeWarning <= 0 {
		rules.FailuresBeforeWarning = rules.FailuresBeforeCritical
	}
	return &gate{rules: rules, successes: rules.SuccessBeforePassing, failures: rules.FailuresBeforeCritical}
}

// admit takes the next result; it gives the state to report, and false when the
// check is to stay as it is.
func (g *gate) admit(status string) (string, bool) {
	if status != api.Critical {
		g.failures = 0
		g.successes++
		return status, g.successes >= g.rules.SuccessBeforePassing
	}
	g.successes = 0
	g.failures++
	if g.failures >= g.rules.FailuresBeforeCritical {
		return api.Critical, true
	}
	return api.Warning, g.failures >= g.rules.FailuresBeforeWarning
}
