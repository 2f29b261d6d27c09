package realtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"
)

// TestMetrics reads the metrics of an agent with the Go client and as
// Prometheus does, before and after the format is switched on by a reload.
func TestMetrics(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"telemetry": map[string]any{"disable_hostname": true}}})
	a.must("PUT", "/v1/kv/a", "1")

	info, err := a.client().Agent().Metrics()
	if err != nil {
		t.Fatal(err)
	}
	gauges, samples := map[string]float32{}, map[string]int{}
	for _, g := range info.Gauges {
		gauges[g.Name] = g.Value
	}
	for _, s := range info.Samples {
		if s.Labels["path"] != "" {
			s.Name += " " + s.Labels["method"] + " " + s.Labels["path"]
		}
		samples[s.Name] = s.Count
	}
	if got := gauges["consul.state.kv_entries"]; got != 1 {
		t.Errorf("consul.state.kv_entries: got %g, wanted 1", got)
	}
	for _, name := range []string{"consul.kvs.apply", "consul.fsm.kvs", "consul.api.http PUT v1.kv._"} {
		if samples[name] != 1 {
			t.Errorf("%s: got %d, wanted 1", name, samples[name])
		}
	}
	if samples["consul.raft.commitTime"] == 0 {
		t.Error("consul.raft.commitTime: got nothing, wanted what raft reports")
	}

	stream, err := a.client().Agent().MetricsStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var told api.MetricsInfo
	if err := json.NewDecoder(stream).Decode(&told); err != nil || len(told.Gauges) < len(info.Gauges) {
		t.Errorf("stream of metrics: got %d gauges and %v, wanted %d at least", len(told.Gauges), err, len(info.Gauges))
	}

	const path, reason = "/v1/agent/metrics?format=prometheus", "Prometheus is not enabled since its retention time is not positive"
	if status, _, body, err := a.ask("GET", path, ""); err != nil || status != 415 || body != reason {
		t.Errorf("GET %s: got %d %q %v, wanted 415 %q", path, status, body, err, reason)
	}
	a.configure(map[string]any{"telemetry": map[string]any{
		"disable_hostname": true, "prometheus_retention_time": "60s", "prefix_filter": []string{"-consul.raft"},
	}})
	a.signal(syscall.SIGHUP)
	eventually(t, thingWait, func() error {
		status, _, body, err := a.ask("GET", path, "")
		switch {
		case err != nil || status != 200:
			return fmt.Errorf("GET %s: %d %q %w", path, status, body, err)
		case !strings.Contains(body, "\nconsul_kvs_apply_count 1\n"), strings.Contains(body, "consul_raft"):
			t.Fatalf("GET %s: got %s, wanted consul_kvs_apply and, held back, no consul_raft", path, body)
		}
		return nil
	})
}

// TestMetricsSignal asks for the metrics with SIGUSR1.
func TestMetricsSignal(t *testing.T) {
	t.Parallel()
	a := start(t, option{config: map[string]any{"telemetry": map[string]any{"disable_hostname": true}}})
	a.signal(syscall.SIGUSR1)
	eventually(t, thingWait, func() error { return a.said("[G] 'consul.server.isLeader': 1.000\n") })
	a.must("PUT", "/v1/kv/a", "1") // it goes on
}
