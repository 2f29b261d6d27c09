package server

import (
	"math"
	"slices"
	"strings"
	"time"

	"curia/state"
)

// nearest sorts a list by the round-trip time between the node of each element
// and the one that ?near names; those of which nothing is known come last.
// Without a name, or when nothing is known of it, the order stays. The list is
// changed in place.
func nearest[T any](v *state.View, near string, list []T, node func(T) string) []T {
	if near == "" {
		return list
	}
	distance := v.Distances(near)
	if distance == nil {
		return list
	}
	far := map[string]time.Duration{} // once for each node, however often it comes
	for _, x := range list {
		name := node(x)
		if _, done := far[name]; done {
			continue
		}
		d, known := distance(name)
		switch {
		case strings.EqualFold(name, near):
			d = 0 // the model has a node at some distance from itself
		case !known:
			d = math.MaxInt64
		}
		far[name] = d
	}
	slices.SortStableFunc(list, func(a, b T) int {
		switch d, e := far[node(a)], far[node(b)]; {
		case d < e:
			return -1
		case d > e:
			return 1
		}
		return 0
	})
	return list
}
