package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Duration is a time span that is printed as integer nanoseconds and read from
// a Go duration ("10s") or a number of nanoseconds.
type Duration time.Duration

// MarshalJSON prints nanoseconds.
func (d Duration) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, int64(d), 10), nil }

// UnmarshalJSON reads either form.
func (d *Duration) UnmarshalJSON(b []byte) error {
	v, err := parseDuration(b)
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// ReadableDuration is a time span that is printed as a Go duration ("10s") and
// read in either form.
type ReadableDuration time.Duration

// MarshalJSON prints a Go duration.
func (d ReadableDuration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// UnmarshalJSON reads either form.
func (d *ReadableDuration) UnmarshalJSON(b []byte) error {
	v, err := parseDuration(b)
	if err != nil {
		return err
	}
	*d = ReadableDuration(v)
	return nil
}

// LockDelay is a time span like Duration, except that amounts below 1000
// nanoseconds are meant as seconds ("small values are treated as seconds").
type LockDelay time.Duration

// MarshalJSON prints nanoseconds.
func (d LockDelay) MarshalJSON() ([]byte, error) { return Duration(d).MarshalJSON() }

// UnmarshalJSON reads either form.
func (d *LockDelay) UnmarshalJSON(b []byte) error {
	v, err := parseDuration(b)
	if err != nil {
		return err
	}
	if v < 1000 {
		v = max(v, math.MinInt64/time.Second) * time.Second // a negative one stays negative
	}
	*d = LockDelay(v)
	return nil
}

func parseDuration(b []byte) (time.Duration, error) {
	b = bytes.TrimSpace(b)
	if bytes.Equal(b, []byte("null")) {
		return 0, nil
	}
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return 0, err
		}
		if s == "" {
			return 0, nil
		}
		return time.ParseDuration(s)
	}
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		return time.Duration(n), nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f != f || f > 1<<62 || f < -(1<<62) {
		return 0, fmt.Errorf("%s is neither a duration like \"10s\" nor a number of nanoseconds", b)
	}
	return time.Duration(f), nil
}
