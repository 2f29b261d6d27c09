package api

import (
	"math"
	"testing"
	"time"
)

func TestDistanceTo(t *testing.T) {
	at := func(height, adjustment float64, vec ...float64) *Coordinate {
		return &Coordinate{Vec: vec, Height: height, Adjustment: adjustment}
	}
	for _, c := range []struct {
		a, b *Coordinate
		want time.Duration
	}{
		{at(0, 0), at(0, 0), 0},
		{at(0, 0, 0, 0), at(0, 0, 0.003, 0.004), 5 * time.Millisecond},
		{at(0.001, 0, 0, 0), at(0.002, 0, 0.003, 0.004), 8 * time.Millisecond},
		{at(0.001, 0.005, 0, 0), at(0.002, -0.001, 0.003, 0.004), 12 * time.Millisecond},
		// An adjustment that leaves nothing is not believed.
		{at(0, -0.004, 0), at(0, -0.002, 0.005), 5 * time.Millisecond},
		{at(0, -0.005, 0), at(0, 0, 0.005), 5 * time.Millisecond},
		{at(0, 0, 1), at(0, 0), 0},
	} {
		for _, got := range []time.Duration{c.a.DistanceTo(c.b), c.b.DistanceTo(c.a)} {
			if d := got - c.want; d < -time.Microsecond || d > time.Microsecond {
				t.Errorf("distance of %+v and %+v: got %v, want %v", c.a, c.b, got, c.want)
			}
		}
	}
}

func TestCoordinateValidate(t *testing.T) {
	if err := NewCoordinate().Validate(); err != nil {
		t.Errorf("a new coordinate: %v", err)
	}
	for name, change := range map[string]func(*Coordinate){
		"dimensions": func(c *Coordinate) { c.Vec = c.Vec[1:] },
		"vec":        func(c *Coordinate) { c.Vec[3] = math.NaN() },
		"error":      func(c *Coordinate) { c.Error = math.Inf(1) },
		"adjustment": func(c *Coordinate) { c.Adjustment = math.Inf(-1) },
		"height":     func(c *Coordinate) { c.Height = math.NaN() },
	} {
		c := NewCoordinate()
		change(c)
		if err := c.Validate(); KindOf(err) != Invalid {
			t.Errorf("wrong %s: got %v, want a refusal", name, err)
		}
	}
	if err := (*Coordinate)(nil).Validate(); KindOf(err) != Invalid {
		t.Errorf("no coordinate: got %v, want a refusal", err)
	}
}
