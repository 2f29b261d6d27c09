package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curia/acl"
	"curia/agent"
	"curia/api"
	"curia/internal/metrics"
)

// TestMetricsStreamEnds takes the token of a client away that follows the metrics.
func TestMetricsStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var revoked atomic.Bool
		who := func(string) (acl.Authorizer, error) {
			if revoked.Load() {
				return nil, api.ErrUnknownToken
			}
			return acl.AllowAll{}, nil
		}
		n := &node{
			agent: agent.New(agent.Config{Authorizer: who}, nil, slog.New(slog.DiscardHandler)), metrics: metrics.New(metrics.Config{}),
			log: slog.New(newLogTee(slog.DiscardHandler)),
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*metricsEvery)
		defer cancel()
		time.AfterFunc(2*metricsEvery+time.Second, func() { revoked.Store(true) })
		w := httptest.NewRecorder()
		req := &api.Request{Op: api.AgentMetricsStream.Op, Args: &api.None{}, Token: "x"}
		if err := n.streamMetrics(w, httptest.NewRequestWithContext(ctx, "GET", "/v1/agent/metrics/stream", nil), req); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(w.Body.String(), "\n"); got != 3 || ctx.Err() != nil {
			t.Errorf("a stream whose token was revoked after three lines: got %d, want 3 and then its end", got)
		}
	})
}
