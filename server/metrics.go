package server

import (
	"strconv"
	"sync/atomic"
	"time"

	"curia/internal/metrics"
	"curia/state"
)

// figures is what a server counts of itself.
type figures struct {
	blocking  atomic.Int64 // queries that wait for a change
	reconcile metrics.Sample
}

// raftGauges are the figures of raft that are told, under their documented or
// nearest names.
var raftGauges = map[string]string{
	"applied_index": "raft.applied_index", "commit_index": "raft.commit_index", "fsm_pending": "raft.fsm_pending",
	"last_log_index": "raft.last_index", "last_snapshot_index": "raft.last_snapshot_index", "term": "raft.term",
}

// Measure tells the figures of the server: the sizes of its tables, where its
// copy of the log stands, and who waits.
func (s *Server) Measure(to *metrics.Scrape) {
	dc := metrics.Label{Name: "datacenter", Value: s.cfg.Datacenter}
	n := s.store.Sizes()
	to.Gauge("state.nodes", float64(n.Nodes), dc)
	to.Gauge("state.services", float64(n.Services), dc)
	to.Gauge("state.service_instances", float64(n.ServiceInstances), dc)
	to.Gauge("state.checks", float64(n.Checks), dc)
	to.Gauge("state.kv_entries", float64(n.KVEntries), dc)
	to.Gauge("state.sessions", float64(n.Sessions), dc)
	leads := 0.0
	if s.replica.Ready() {
		leads = 1
	}
	to.Gauge("server.isLeader", leads)
	stats := s.replica.Stats()
	for stat, name := range raftGauges {
		if v, err := strconv.ParseFloat(stats[stat], 64); err == nil {
			to.Gauge(name, v)
		}
	}
	to.Gauge("rpc.queries_blocking", float64(s.figures.blocking.Load()))
	s.limits.measure(to)
	to.Gauge("session_ttl.active", float64(s.ttl.active()))
	to.Sample("leader.reconcile", &s.figures.reconcile)
	s.measureCopies(to, leads)
	if h := s.steady.latest(); h != nil && leads == 1 {
		healthy := 0.0
		if h.Healthy {
			healthy = 1
		}
		to.Gauge("autopilot.healthy", healthy)
		to.Gauge("autopilot.failure_tolerance", float64(h.FailureTolerance))
	}
}

// ApplyTimes sums up how long commands take to be applied, by noun (fsm.…). The
// zero value is ready.
type ApplyTimes struct {
	kvs, tombstone, session, register, deregister, txn, query, autopilot, coordinate, config metrics.Sample
}

// Applied notes that a batch of entries took so long. Its commands share the
// time evenly: to look at the clock for each would cost more than some of them.
func (t *ApplyTimes) Applied(entries []state.Entry, took time.Duration) {
	each := took / time.Duration(max(len(entries), 1))
	for _, e := range entries {
		switch e.Command.(type) {
		case *state.KVPut, *state.KVDelete:
			t.kvs.Observe(each)
		case *state.Reap:
			t.tombstone.Observe(each)
		case *state.SessionCreate, *state.SessionDestroy:
			t.session.Observe(each)
		case *state.Register:
			t.register.Observe(each)
		case *state.Deregister:
			t.deregister.Observe(each)
		case *state.Txn:
			t.txn.Observe(each)
		case *state.QueryCreate, *state.QueryUpdate, *state.QueryDelete:
			t.query.Observe(each)
		case *state.AutopilotSet:
			t.autopilot.Observe(each)
		case *state.CoordinateBatch:
			t.coordinate.Observe(each)
		case *state.ConfigSet, *state.ConfigDelete:
			t.config.Observe(each)
		}
	}
}

// Measure tells the figures.
func (t *ApplyTimes) Measure(to *metrics.Scrape) {
	to.Sample("fsm.kvs", &t.kvs)
	to.Sample("fsm.tombstone", &t.tombstone)
	to.Sample("fsm.session", &t.session)
	to.Sample("fsm.register", &t.register)
	to.Sample("fsm.deregister", &t.deregister)
	to.Sample("fsm.txn", &t.txn)
	to.Sample("fsm.prepared-query", &t.query)
	to.Sample("fsm.autopilot", &t.autopilot)
	to.Sample("fsm.coordinate", &t.coordinate)
	to.Sample("fsm.config_entry", &t.config)
}
