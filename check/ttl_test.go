package check

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/api"
)

func makeTTL(t testing.TB, body string) *TTL {
	t.Helper()
	c, err := New(define(t, body), FromAPI, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*TTL)
}

// TestTTL plays steps: "sleep 1s", "pass TEXT", "warn TEXT", "fail TEXT", "stop",
// "start TEXT", and compares what is reported, at which second.
func TestTTL(t *testing.T) {
	for _, c := range []struct {
		name        string
		steps, want []string
	}{
		{"expires from the start", []string{"sleep 9s", "sleep 2s", "sleep 100s"},
			[]string{"10 critical TTL expired"}},
		{"expires with its last output", []string{"sleep 1s", "pass fine", "sleep 100s"},
			[]string{"1 passing fine", "11 critical TTL expired (last output before timeout follows): fine"}},
		{"expires with the output of an earlier life", []string{"stop", "start old", "sleep 100s"},
			[]string{"10 critical TTL expired (last output before timeout follows): old"}},
		{"each update restarts the clock", []string{"sleep 9s", "pass a", "sleep 9s", "pass a", "sleep 9s", "warn b", "sleep 9s"},
			[]string{"9 passing a", "18 passing a", "27 warning b"}},
		{"an update ends the expiry", []string{"sleep 15s", "pass back", "sleep 15s"},
			[]string{"10 critical TTL expired", "15 passing back", "25 critical TTL expired (last output before timeout follows): back"}},
		{"a failure expires, too", []string{"fail broken", "sleep 11s"},
			[]string{"0 critical broken", "10 critical TTL expired (last output before timeout follows): broken"}},
		{"nothing after the end", []string{"sleep 5s", "stop", "pass late", "sleep 100s"}, nil},
		{"it can start again", []string{"sleep 5s", "stop", "sleep 7s", "start", "sleep 9s", "sleep 1s"},
			[]string{"22 critical TTL expired"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			ttl, start := makeTTL(t, `{"TTL":"10s"}`), time.Now()
			var got []string
			report := func(r Result) {
				got = append(got, fmt.Sprintf("%d %s %s", int(time.Since(start).Seconds()), r.Status, r.Output))
			}
			ttl.Start("", report)
			for _, step := range c.steps {
				verb, text, _ := strings.Cut(step, " ")
				switch verb {
				case "sleep":
					d, err := time.ParseDuration(text)
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(d)
					synctest.Wait()
				case "pass":
					ttl.Update(api.Passing, text)
				case "warn":
					ttl.Update(api.Warning, text)
				case "fail":
					ttl.Update(api.Critical, text)
				case "stop":
					ttl.Stop()
				case "start":
					ttl.Start(text, report)
				}
			}
			ttl.Stop()
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %q (-want +got)\n%s", c.name, c.steps, diff)
			}
		})
	}
}

func TestTTLRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ttl := makeTTL(t, `{"TTL":"10s"}`)
		during(t, ttl, func(results <-chan Result) {
			wantResult(t, "expiry", <-results, Result{api.Critical, "TTL expired"})
			ttl.Update(api.Passing, "x")
			if got, want := ttl.Deadline(), time.Now().Add(10*time.Second); !got.Equal(want) {
				t.Errorf("got deadline %v, want %v", got, want)
			}
			wantResult(t, "update", <-results, Result{api.Passing, "x"})
		})
		ttl.Update(api.Passing, "after the end")
	})
}

func TestTTLCutsOutput(t *testing.T) {
	ttl := makeTTL(t, `{"TTL":"10s","OutputMaxSize":3}`)
	var got Result
	ttl.Start("", func(r Result) { got = r })
	defer ttl.Stop()
	ttl.Update(api.Passing, "abcdef")
	wantResult(t, "update", got, Result{api.Passing, "abc ... (captured 3 of 6 bytes)"})
}

// TestTTLKeepsOrder races updates with the expiry: whatever the order, the last
// report is the state that the clock is about.
func TestTTLKeepsOrder(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			ttl := makeTTL(t, `{"TTL":"1s"}`)
			var got []string
			ttl.Start("", func(r Result) { got = append(got, r.Status) })
			time.Sleep(time.Second) // the expiry is due now, as is the update
			ttl.Update(api.Passing, "")
			synctest.Wait()
			if last := got[len(got)-1]; last != api.Passing {
				t.Errorf("got %v after an update at the deadline, want passing last", got)
			}
			ttl.Stop()
		})
	}
}

// BenchmarkTTLUpdate is the cost of an update among ten thousand checks.
func BenchmarkTTLUpdate(b *testing.B) {
	const checks = 10000
	all := make([]*TTL, checks)
	reports := 0
	for i := range all {
		all[i] = makeTTL(b, `{"TTL":"30s"}`)
		all[i].Start("", func(Result) { reports++ })
		defer all[i].Stop()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		all[i%checks].Update(api.Passing, "all is well")
	}
}
