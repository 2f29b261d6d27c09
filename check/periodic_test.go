package check

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/internal/pause"
)

// scripted gives one status after the other, each after it has taken some time.
type scripted struct {
	takes    time.Duration
	statuses []string

	mu    sync.Mutex
	began []time.Time
	ended []error // of the contexts
}

func (s *scripted) probe(ctx context.Context) Result {
	s.mu.Lock()
	n := len(s.began)
	s.began = append(s.began, time.Now())
	s.mu.Unlock()
	pause.For(ctx, s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, ctx.Err())
	return Result{s.statuses[n%len(s.statuses)], "out\xff"}
}

func TestPeriodicPausesAfterEachProbe(t *testing.T) {
	const interval, takes = 10 * time.Second, 300 * time.Millisecond
	firsts := map[time.Duration]bool{}
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{takes: takes, statuses: []string{api.Passing}}
			start := time.Now()
			during(t, &periodic{prober: s, interval: interval, timeout: time.Minute}, func(results <-chan Result) {
				for range 4 {
					wantResult(t, "probe", <-results, Result{api.Passing, "out\uFFFD"})
				}
			})
			first := s.began[0].Sub(start)
			if first < 0 || first >= interval {
				t.Errorf("first probe after %v, want less than %v", first, interval)
			}
			firsts[first] = true
			for i, at := range s.began[1:] {
				if got, want := at.Sub(s.began[i]), interval+takes; got != want {
					t.Errorf("probe %d began %v after the one before, want %v", i+1, got, want)
				}
			}
		})
	}
	if len(firsts) < 10 {
		t.Errorf("20 checks began at %d different moments, want them spread", len(firsts))
	}
}

func TestPeriodicBoundsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{takes: time.Hour, statuses: []string{api.Critical}}
		during(t, &periodic{prober: s, interval: time.Second, timeout: 3 * time.Second}, func(results <-chan Result) {
			<-results
			if got := time.Since(s.began[0]); got != 3*time.Second {
				t.Errorf("probe ended after %v, want 3s", got)
			}
		})
		if diff := gocmp.Diff(context.DeadlineExceeded.Error(), s.ended[0].Error()); diff != "" {
			t.Errorf("context of the probe (-want +got)\n%s", diff)
		}
	})
}

func TestPeriodicDropsTheResultWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{takes: time.Hour, statuses: []string{api.Critical}}
		during(t, &periodic{prober: s, interval: time.Second, timeout: time.Hour}, func(results <-chan Result) {
			time.Sleep(2 * time.Second) // of the bubble: the probe is under way
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.began) != 1 {
				t.Fatalf("%d probes have begun, want 1", len(s.began))
			}
			t.Cleanup(func() {
				if len(results) != 0 {
					t.Errorf("got %v after the end, want nothing", <-results)
				}
			})
		})
	})
}

func TestPeriodicAppliesThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{statuses: []string{"passing", "critical", "critical", "critical", "passing", "passing"}}
		rules := api.CheckThresholds{SuccessBeforePassing: 2, FailuresBeforeWarning: 2, FailuresBeforeCritical: 3}
		during(t, &periodic{prober: s, interval: time.Second, timeout: time.Second, thresholds: rules}, func(results <-chan Result) {
			for _, want := range []string{"passing", "warning", "critical", "passing"} {
				if got := <-results; got.Status != want {
					t.Errorf("got %s, want %s", got.Status, want)
				}
			}
		})
	})
}

func TestTimeoutOf(t *testing.T) {
	opts := Options{Scripts: AllScripts}
	for _, c := range []struct {
		body string
		want time.Duration
	}{
		{`{"Args":["true"]}`, 30 * time.Second},
		{`{"Args":["true"],"Timeout":"2s"}`, 2 * time.Second},
		{`{"Script":"true","DockerContainerID":"c"}`, 30 * time.Second},
		{`{"HTTP":"http://h/"}`, 10 * time.Second},
		{`{"HTTP":"http://h/","Timeout":"1m"}`, time.Minute},
		{`{"TCP":"h:1"}`, 10 * time.Second},
		{`{"UDP":"h:1","Timeout":"-1s"}`, 10 * time.Second},
		{`{"GRPC":"h:1"}`, 10 * time.Second},
		{`{"H2PING":"h:1"}`, 10 * time.Second},
	} {
		p, err := New(define(t, c.body), FromAPI, opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.(*periodic).timeout; got != c.want {
			t.Errorf("%s: got %v, want %v", c.body, got, c.want)
		}
	}
}
