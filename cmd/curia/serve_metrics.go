package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"curia/api"
	"curia/config"
	"curia/httpapi"
	"curia/internal/metrics"
)

// newMetrics makes the registry of an agent, and lets the libraries report to it.
func newMetrics(cfg *config.Config, log *slog.Logger) (*metrics.Registry, error) {
	host := ""
	if !cfg.Telemetry.DisableHostname {
		host, _ = os.Hostname() // a system without a name has none to tell
	}
	r := metrics.New(metrics.Config{Prefix: cfg.Telemetry.MetricsPrefix, Host: host})
	setMetricRules(r, cfg, log)
	r.Add(metrics.Runtime())
	return r, metrics.HearLibraries(r)
}

// openPushers makes those who tell metrics servers what is measured here.
func (n *node) openPushers(cfg *config.Config) error {
	t := cfg.Telemetry
	for _, to := range []struct {
		dialect metrics.Dialect
		address string
		tags    []string
	}{
		{metrics.StatsD, t.StatsdAddr, nil},
		{metrics.Statsite, t.StatsiteAddr, nil},
		{metrics.DogStatsD, t.DogstatsdAddr, t.DogstatsdTags},
	} {
		if to.address == "" {
			continue
		}
		p := metrics.NewPusher(n.metrics, to.dialect, to.address, to.tags, n.log)
		if !t.RetryFailed {
			if err := p.Reach(context.Background()); err != nil {
				return fmt.Errorf("%w; telemetry.retry_failed_connection goes on without it", err)
			}
		}
		n.pushers = append(n.pushers, p)
	}
	return nil
}

// setMetricRules takes over the settings of metrics that can change while the
// agent runs.
func setMetricRules(r *metrics.Registry, cfg *config.Config, log *slog.Logger) {
	filter, err := metrics.ParseFilter(cfg.Telemetry.PrefixFilter, metrics.Default(cfg.Telemetry.FilterDefault))
	if err != nil {
		log.Warn("part of the filter of metrics is ignored", "err", err)
	}
	r.SetRules(metrics.Rules{Filter: filter, Retention: cfg.Telemetry.PrometheusRetention})
}

// tellMetrics answers what was measured, in the format that is asked for.
func (n *node) tellMetrics() httpapi.RawFunc {
	prometheus := n.metrics.Prometheus()
	return func(w http.ResponseWriter, r *http.Request, req *api.Request) error {
		if err := n.agent.Authorize(req); err != nil {
			return err
		}
		if req.Args.(*api.MetricsArgs).Format == "prometheus" {
			return prometheus(w, r)
		}
		return httpapi.WriteValue(w, r, n.metrics.Metrics())
	}
}

// metricsEvery is how often a stream of metrics tells them.
const metricsEvery = 10 * time.Second

// streamMetrics sends what was measured until the client goes, its token loses the
// permission or the agent stops.
func (n *node) streamMetrics(w http.ResponseWriter, r *http.Request, req *api.Request) error {
	if err := n.agent.Authorize(req); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	lines, conn := json.NewEncoder(w), http.NewResponseController(w)
	every := time.NewTicker(metricsEvery)
	defer every.Stop()
	for {
		_ = conn.SetWriteDeadline(time.Now().Add(readerWait))
		if lines.Encode(n.metrics.Metrics()) != nil || conn.Flush() != nil {
			return nil // the client has gone
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-n.tee().stopped:
			return nil
		case <-every.C:
			if n.agent.Authorize(req) != nil {
				return nil
			}
		}
	}
}
