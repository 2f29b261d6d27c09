package metrics

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gometrics "github.com/armon/go-metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"curia/api"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// all lets everything through, in both formats.
func all(t *testing.T) Rules {
	t.Helper()
	f, err := ParseFilter(nil, LetThrough)
	if err != nil {
		t.Fatal(err)
	}
	return Rules{Filter: f, Retention: time.Minute}
}

// used is a registry in which every kind of figure has a value, ten seconds
// after it began.
func used(t *testing.T) *Registry {
	t.Helper()
	clock := time.Date(2026, 11, 3, 12, 0, 0, 5e8, time.FixedZone("", 3600))
	r := New(Config{Prefix: "consul", Host: "db-1.example", Clock: func() time.Time { return clock }})
	r.SetRules(all(t))
	r.Observe(api.KVPut.Op, 2*time.Millisecond, 200)
	r.Observe(api.KVPut.Op, 4*time.Millisecond, 200)
	r.Observe(api.KVDelete.Op, 6*time.Millisecond, 500)
	r.Observe(api.KVGet.Op, 500*time.Microsecond, 404)
	r.Observe(api.KVList.Op, 1500*time.Microsecond, 200)
	r.Observe(api.AgentSelf.Op, time.Millisecond, 403)
	r.Observe(&api.Op{Name: "not.declared"}, time.Millisecond, 200)
	r.Add(func(to *Scrape) {
		to.Gauge("state.nodes", 3, Label{"datacenter", "dc1"})
		to.Gauge("broken", math.NaN())
	})
	l := &Libraries{}
	r.Add(l.Measure)
	l.IncrCounter([]string{"raft", "apply"}, 1)
	l.IncrCounter([]string{"raft", "apply"}, 3)
	l.SetGauge([]string{"raft", "peers"}, 2)
	l.SetGauge([]string{"raft", "peers"}, 3)
	l.AddSample([]string{"raft", "commitTime"}, 1.5)
	l.AddSampleWithLabels([]string{"raft", "rpc"}, 2, []gometrics.Label{{Name: "peer_id", Value: "a"}})
	l.AddSampleWithLabels([]string{"raft", "rpc"}, 4, []gometrics.Label{{Name: "peer_id", Value: "b"}})
	l.EmitKey([]string{"raft", "nothing"}, 1)
	clock = clock.Add(10 * time.Second)
	return r
}

func TestMetricsGolden(t *testing.T) {
	got, err := json.MarshalIndent(used(t).Metrics(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "metrics.json", append(got, '\n'))
}

func TestDumpGolden(t *testing.T) {
	var got bytes.Buffer
	if err := used(t).Dump(&got); err != nil {
		t.Fatal(err)
	}
	golden(t, "dump.txt", got.Bytes())
}

// TestEmptyLists: clients tell a list without elements from null.
func TestEmptyLists(t *testing.T) {
	r := New(Config{})
	r.SetRules(Rules{})
	b, err := json.Marshal(r.Metrics())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"Gauges":[]`, `"Points":[]`, `"Counters":[]`, `"Samples":[]`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("metrics with everything held back: got %s, want %s in it", b, want)
		}
	}
}

func scrapeText(t *testing.T, r *Registry) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := r.Prometheus()(w, httptest.NewRequest("GET", "/v1/agent/metrics?format=prometheus", nil)); err != nil {
		t.Fatal(err)
	}
	if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("prometheus: got status %d, content type %q", w.Code, got)
	}
	text := w.Body.String()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("prometheus: %v in\n%s", err, text)
	}
	return text, families
}

func TestPrometheusGolden(t *testing.T) {
	text, families := scrapeText(t, used(t))
	var ours []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "consul") {
			ours = append(ours, line)
		}
	}
	golden(t, "prometheus.txt", []byte(strings.Join(ours, "")))
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total"} {
		if families[name] == nil {
			t.Errorf("prometheus: %s is missing", name)
		}
	}
}

// TestPrometheusSurvives names that clash in that format, or cannot be written
// in it.
func TestPrometheusSurvives(t *testing.T) {
	r := New(Config{Prefix: "9 lives"})
	r.SetRules(all(t))
	var s Sample
	r.Add(func(to *Scrape) {
		to.Gauge("a.b", 1)
		to.Gauge("a-b", 2)
		to.Counter("a.b", 3)
		to.Counter("a.c", 3, Label{"the label", "é\"\n"})
		to.Sample("empty", &s)
		to.Counter("bad", 1, Label{"x", "\xff"})
	})
	_, families := scrapeText(t, r)
	for _, name := range []string{"_9_lives_a_b", "_9_lives_a_c", "_9_lives_empty"} {
		if families[name] == nil {
			t.Errorf("prometheus: got %d families, want %s among them", len(families), name)
		}
	}
}

func TestPrometheusNeedsRetention(t *testing.T) {
	r := New(Config{})
	answer := r.Prometheus()
	for _, retention := range []time.Duration{0, -time.Second} {
		rules := all(t)
		rules.Retention = retention
		r.SetRules(rules)
		w := httptest.NewRecorder()
		err := answer(w, httptest.NewRequest("GET", "/", nil))
		const want = "Prometheus is not enabled since its retention time is not positive"
		if api.KindOf(err) != api.Unsupported || err.Error() != want || w.Body.Len() > 0 {
			t.Errorf("prometheus with retention %s: got %v and %d bytes, want %q and none", retention, err, w.Body.Len(), want)
		}
	}
	r.SetRules(all(t))
	if err := answer(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)); err != nil {
		t.Errorf("prometheus after a reload: %v", err)
	}
}

func TestFilter(t *testing.T) {
	tests := []struct {
		rules []string
		rest  Default
		name  string
		want  bool
	}{
		{nil, LetThrough, "consul.raft.apply", true},
		{nil, HoldBack, "consul.raft.apply", false},
		{[]string{"-consul.raft"}, LetThrough, "consul.raft.apply", false},
		{[]string{"-consul.raft"}, LetThrough, "consul.kvs.apply", true},
		{[]string{"+consul.raft"}, HoldBack, "consul.raft.apply", true},
		{[]string{"+consul.raft"}, HoldBack, "consul.kvs.apply", false},
		{[]string{"-consul", "+consul.raft"}, LetThrough, "consul.raft.apply", true},
		{[]string{"+consul.raft", "-consul"}, LetThrough, "consul.raft.apply", true},
		{[]string{"+consul.raft", "-consul"}, LetThrough, "consul.kvs.apply", false},
		{[]string{"+consul.raft", "-consul.raft"}, LetThrough, "consul.raft.apply", false},
		{[]string{"-consul.raft", "+consul.raft"}, LetThrough, "consul.raft.apply", false},
		{[]string{"+consul.raft.apply", "-consul.raft"}, LetThrough, "consul.raft.commitTime", false},
	}
	for _, test := range tests {
		f, err := ParseFilter(test.rules, test.rest)
		if err != nil {
			t.Errorf("filter %q: %v", test.rules, err)
		}
		if got := f.Allows(test.name); got != test.want {
			t.Errorf("filter %q, default %t: %s: got %t, want %t", test.rules, test.rest, test.name, got, test.want)
		}
	}
}

func TestFilterRefusesRules(t *testing.T) {
	f, err := ParseFilter([]string{"", "consul.raft", "-", "-consul.kvs"}, LetThrough)
	if err == nil || !strings.Contains(err.Error(), `"consul.raft"`) {
		t.Errorf("filter with a rule without sign: got error %v, want one that names it", err)
	}
	if f.Allows("consul.kvs.apply") || !f.Allows("consul.raft.apply") {
		t.Error("the rules that can be read do not decide")
	}
}

// TestFilterHoldsBack compares the names with and without a rule, in both formats.
func TestFilterHoldsBack(t *testing.T) {
	r := used(t)
	rules := all(t)
	var err error
	if rules.Filter, err = ParseFilter([]string{"+consul.db-1.example.state", "+consul.raft.apply"}, HoldBack); err != nil {
		t.Fatal(err)
	}
	r.SetRules(rules)
	m := r.Metrics()
	if len(m.Gauges) != 1 || len(m.Counters) != 1 || len(m.Samples) != 0 {
		t.Errorf("filtered metrics: got %+v, want one gauge and one counter", m)
	}
	_, families := scrapeText(t, r)
	if families["consul_raft_apply"] == nil || families["consul_rpc_query"] != nil {
		t.Errorf("filtered prometheus: got %v", families)
	}
}

func TestSummary(t *testing.T) {
	tests := []struct {
		values       []float64
		want         Summary
		mean, stddev float64
	}{
		{nil, Summary{}, 0, 0},
		{[]float64{3}, Summary{1, 3, 9, 3, 3}, 3, 0},
		{[]float64{0, 0}, Summary{2, 0, 0, 0, 0}, 0, 0},
		{[]float64{2, 4, 4, 4, 5, 5, 7, 9}, Summary{8, 40, 232, 2, 9}, 5, math.Sqrt(32.0 / 7)},
		{[]float64{-1, math.NaN(), 1}, Summary{3, 1, 1, 0, 1}, 1.0 / 3, math.Sqrt(1.0 / 3)},
	}
	near := cmpopts.EquateApprox(1e-9, 0)
	for _, test := range tests {
		var s Sample
		for _, v := range test.values {
			s.Add(v)
		}
		got := s.Summary()
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("summary of %v (-want +got):\n%s", test.values, diff)
		}
		if !cmp.Equal(got.Mean(), test.mean, near) || !cmp.Equal(got.Stddev(), test.stddev, near) {
			t.Errorf("summary of %v: got mean %g, stddev %g, want %g, %g", test.values, got.Mean(), got.Stddev(), test.mean, test.stddev)
		}
	}
}

// TestConcurrent loses nothing when everybody observes, reports and asks at once.
func TestConcurrent(t *testing.T) {
	r := New(Config{})
	r.SetRules(all(t))
	l := &Libraries{}
	r.Add(l.Measure)
	r.Add(Runtime())
	const workers, each = 8, 500
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range each {
				r.Observe(api.KVGet.Op, time.Duration(i)*time.Microsecond, 200+300*(i%2))
				l.IncrCounter([]string{"raft", "apply"}, 1)
				if i%100 == 0 {
					r.Metrics()
					r.SetRules(all(t))
				}
			}
		})
	}
	group.Wait()
	got := map[string]int{}
	m := r.Metrics()
	for _, s := range append(m.Counters, m.Samples...) {
		got[s.Name] = s.Count
	}
	want := map[string]int{
		"api.http": workers * each, "api.http.errors": workers * each / 2, "raft.apply": workers * each, "rpc.query": workers * each,
	}
	for name, count := range want {
		if got[name] != count {
			t.Errorf("count of %s: got %d, want %d", name, got[name], count)
		}
	}
}

// TestLibrariesBounded: peers come and go, memory does not grow with them.
func TestLibrariesBounded(t *testing.T) {
	l := &Libraries{}
	for i := range 2 * maxSeries {
		l.IncrCounter([]string{"peer", strings.Repeat("x", i%500), string(rune('a' + i/500))}, 1)
	}
	if got := len(*l.known.Load()); got != maxSeries {
		t.Errorf("series of libraries: got %d, want %d", got, maxSeries)
	}
}

// TestEventsLeaveRoom: names of events are chosen by users, and keep nothing else
// from being told.
func TestEventsLeaveRoom(t *testing.T) {
	l := &Libraries{}
	for i := range 2 * maxSeries {
		l.IncrCounter([]string{"serf", "events"}, 1)
		l.IncrCounter([]string{"serf", "events", fmt.Sprint("event:", i)}, 1)
	}
	l.IncrCounter([]string{"raft", "apply"}, 1)
	if got, want := len(*l.known.Load()), maxEventSeries+2; got != want {
		t.Errorf("series: got %d, want %d: the sum of events, %d names and another", got, want, maxEventSeries)
	}
}

// TestHearLibraries goes the way that raft's reports go.
func TestHearLibraries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails when something is left running
		r := New(Config{Prefix: "consul"})
		r.SetRules(all(t))
		if err := HearLibraries(r); err != nil {
			t.Fatal(err)
		}
		defer gometrics.Shutdown()
		start := time.Now()
		time.Sleep(3 * time.Millisecond)
		gometrics.MeasureSince([]string{"raft", "commitTime"}, start)
		for _, s := range r.Metrics().Samples {
			if s.Name == "consul.raft.commitTime" && s.Count == 1 && s.Sum == 3 {
				return
			}
		}
		t.Errorf("got %+v, want consul.raft.commitTime of 3 ms", r.Metrics().Samples)
	})
}

// TestObserveAllocatesNothing: neither do the reports of libraries.
func TestObserveAllocatesNothing(t *testing.T) {
	r := New(Config{})
	l := &Libraries{}
	key := []string{"raft", "commitTime"}
	l.AddSample(key, 1)
	got := testing.AllocsPerRun(100, func() {
		r.Observe(api.KVPut.Op, time.Millisecond, 500)
		l.AddSample(key, 1)
	})
	if got != 0 {
		t.Errorf("allocations of an observation: got %g, want 0", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	r := New(Config{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Observe(api.KVPut.Op, time.Duration(i&1023)*time.Microsecond, 200)
	}
}

func BenchmarkObserveParallel(b *testing.B) {
	r := New(Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r.Observe(api.KVPut.Op, time.Millisecond, 200)
		}
	})
}

// BenchmarkLibrary is what raft pays for one report, beside the clock.
func BenchmarkLibrary(b *testing.B) {
	l := &Libraries{}
	b.ReportAllocs()
	for b.Loop() {
		l.AddSample([]string{"raft", "commitTime"}, 1)
	}
}
