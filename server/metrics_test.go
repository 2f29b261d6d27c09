package server_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/internal/metrics"
	"curia/internal/testing/inproc"
	"curia/server"
	"curia/state"
)

// measure makes a function that gives the gauges, and the counts of the samples,
// of a source. The calls of verbs, which every registry tells, are left out.
func measure(t *testing.T, source func(*metrics.Scrape)) func() map[string]float64 {
	t.Helper()
	filter, err := metrics.ParseFilter(nil, metrics.LetThrough)
	if err != nil {
		t.Fatal(err)
	}
	calls := metrics.New(metrics.Config{})
	calls.SetRules(metrics.Rules{Filter: filter})
	all := metrics.New(metrics.Config{})
	all.SetRules(metrics.Rules{Filter: filter})
	all.Add(source)
	return func() map[string]float64 {
		out := map[string]float64{}
		m := all.Metrics()
		for _, g := range m.Gauges {
			out[g.Name] = g.Value
		}
		for _, s := range m.Samples {
			out[s.Name] = float64(s.Count)
		}
		for _, s := range calls.Metrics().Samples {
			delete(out, s.Name)
		}
		return out
	}
}

func TestMeasure(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	figures := measure(t, s.Server.Measure)
	s.Must(t, "PUT", "/v1/kv/a", "1")
	s.Must(t, "PUT", "/v1/session/create", `{"TTL": "60s"}`)
	for figures()["session_ttl.active"] != 1 || figures()["leader.reconcile"] == 0 { // the leader takes notice by itself
		runtime.Gosched()
	}

	got := figures()
	want := map[string]float64{
		"state.nodes": 1, "state.services": 1, "state.service_instances": 1, "state.checks": 1, "state.kv_entries": 1,
		"autopilot.healthy": 1, "autopilot.failure_tolerance": 0,
		"state.sessions": 1, "server.isLeader": 1, "rpc.queries_blocking": 0, "session_ttl.active": 1, "leader.reconcile": 1,
		"raft.fsm_pending": 0, "raft.last_snapshot_index": 0, "raft.term": 2,
	}
	index := float64(s.Store.Index())
	for _, name := range []string{"raft.applied_index", "raft.commit_index", "raft.last_index"} {
		want[name] = index
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures of a server (-want +got):\n%s", diff)
	}
}

func TestBlockingQueriesAreCounted(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	figures := measure(t, s.Server.Measure)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const queries = 3
	done := make(chan struct{})
	for range queries {
		go func() {
			s.DoContext(ctx, "GET", "/v1/kv/a?wait=5m&index="+strconv.FormatUint(s.Store.Index()+100, 10), "")
			done <- struct{}{}
		}()
	}
	for figures()["rpc.queries_blocking"] != queries {
		runtime.Gosched()
	}
	cancel()
	for range queries {
		<-done
	}
	if got := figures()["rpc.queries_blocking"]; got != 0 {
		t.Errorf("waiting queries after all have ended: got %g, want 0", got)
	}
}

func TestApplyTimes(t *testing.T) {
	tests := []struct {
		command state.Command
		name    string
	}{
		{&state.KVPut{}, "fsm.kvs"},
		{&state.KVDelete{}, "fsm.kvs"},
		{&state.Reap{}, "fsm.tombstone"},
		{&state.SessionCreate{}, "fsm.session"},
		{&state.SessionDestroy{}, "fsm.session"},
		{&state.Register{Node: &api.Node{}}, "fsm.register"},
		{&state.Deregister{}, "fsm.deregister"},
		{&state.Txn{}, "fsm.txn"},
		{&state.QueryCreate{}, "fsm.prepared-query"},
		{&state.QueryUpdate{}, "fsm.prepared-query"},
		{&state.QueryDelete{}, "fsm.prepared-query"},
	}
	times := &server.ApplyTimes{}
	figures := measure(t, times.Measure)
	for _, test := range tests {
		before := figures()
		times.Applied([]state.Entry{{Command: test.command}, {}}, time.Millisecond)
		want := before
		want[test.name]++
		if diff := cmp.Diff(want, figures()); diff != "" {
			t.Errorf("counts after %T (-want +got):\n%s", test.command, diff)
		}
	}
	times.Applied(nil, time.Millisecond) // a batch may be empty
}
