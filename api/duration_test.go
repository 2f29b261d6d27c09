package api

import (
	"encoding/json"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	const bad = "error"
	// What each type reads and prints again.
	for _, c := range []struct{ in, duration, readable, lockDelay string }{
		{`"10s"`, `10000000000`, `"10s"`, `10000000000`},
		{`"1m30s"`, `90000000000`, `"1m30s"`, `90000000000`},
		{`"500ms"`, `500000000`, `"500ms"`, `500000000`},
		{`"0s"`, `0`, `"0s"`, `0`},
		{`""`, `0`, `"0s"`, `0`},
		{`null`, `0`, `"0s"`, `0`},
		{`0`, `0`, `"0s"`, `0`},
		{`15`, `15`, `"15ns"`, `15000000000`},
		{`999`, `999`, `"999ns"`, `999000000000`},
		{`1000`, `1000`, `"1µs"`, `1000`},
		{`20000000000`, `20000000000`, `"20s"`, `20000000000`},
		{`1.5e+10`, `15000000000`, `"15s"`, `15000000000`},
		{`"500ns"`, `500`, `"500ns"`, `500000000000`},
		{`-1`, `-1`, `"-1ns"`, `-1000000000`},
		{`"-5s"`, `-5000000000`, `"-5s"`, `-5000000000000000000`},
		{`"-10s"`, `-10000000000`, `"-10s"`, `-9223372036000000000`}, // as far as it goes
		{`"15"`, bad, bad, bad},
		{`"soon"`, bad, bad, bad},
		{`1e300`, bad, bad, bad},
		{`true`, bad, bad, bad},
		{`{}`, bad, bad, bad},
	} {
		again := func(into any) string {
			if err := json.Unmarshal([]byte(c.in), into); err != nil {
				return bad
			}
			b, err := json.Marshal(into)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		for what, p := range map[string][2]string{
			"Duration":         {again(new(Duration)), c.duration},
			"ReadableDuration": {again(new(ReadableDuration)), c.readable},
			"LockDelay":        {again(new(LockDelay)), c.lockDelay},
		} {
			if p[0] != p[1] {
				t.Errorf("%s of %s: got %s; want %s", what, c.in, p[0], p[1])
			}
		}
	}
}

func FuzzLockDelay(f *testing.F) {
	for _, s := range []string{`15`, `"15s"`, `-1`, `1e10`, `null`, `-9223372036854775808`, `"-2562047h"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var d LockDelay
		if err := json.Unmarshal([]byte(in), &d); err != nil {
			return
		}
		if d > 0 && time.Duration(d) < time.Microsecond {
			t.Errorf("LockDelay of %s: got %v; want at least 1 µs, or none", in, time.Duration(d))
		}
		var plain Duration
		if err := json.Unmarshal([]byte(in), &plain); err != nil || (plain < 0) != (d < 0) {
			t.Errorf("LockDelay of %s: got %d, where Duration has %d, %v", in, d, plain, err)
		}
	})
}
