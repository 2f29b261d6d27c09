package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// TestRequestLimits asks more than the limits allow, in each mode.
func TestRequestLimits(t *testing.T) {
	const (
		elsewhere = "rate limit exceeded, try again later or against a different server"
		later     = "rate limit exceeded for operation that can only be performed by the leader, try again later"
	)
	read, write := "GET /v1/kv/a", "PUT /v1/session/create"
	for _, c := range []struct {
		mode                server.LimitMode
		request             string
		status              int // beyond the limit
		text                string
		logged              int
		readRate, writeRate float64
	}{
		{server.LimitsEnforced, read, http.StatusTooManyRequests, elsewhere, 1, 0.1, -1},
		{server.LimitsEnforced, read, http.StatusNotFound, "", 0, -1, 0.1},
		{server.LimitsEnforced, write, http.StatusServiceUnavailable, later, 1, -1, 0.1},
		{server.LimitsEnforced, write, http.StatusOK, "", 0, 0.1, -1},
		{server.LimitsEnforced, "GET /v1/status/leader", http.StatusOK, "", 0, 0.1, 0.1},
		{server.LimitsEnforced, "GET /v1/operator/autopilot/configuration", http.StatusOK, "", 0, 0.1, 0.1},
		{server.LimitsLog, read, http.StatusNotFound, "", 1, 0.1, 0.1},
		{server.LimitsLog, write, http.StatusOK, "", 1, 0.1, 0.1},
		{server.LimitsOff, read, http.StatusNotFound, "", 0, 0.1, 0.1},
	} {
		t.Run(fmt.Sprintf("%s %s %v %v", c.mode, c.request, c.readRate, c.writeRate), func(t *testing.T) {
			s := inproc.Start(t, inproc.Options{})
			s.Server.SetLimits(server.RequestLimits{Mode: c.mode, Read: c.readRate, Write: c.writeRate})
			var method, path string
			if _, err := fmt.Sscan(c.request, &method, &path); err != nil {
				t.Fatal(err)
			}
			s.Do(method, path, "") // a burst of one
			for range 3 {
				got := s.Do(method, path, "")
				if got.Code != c.status || c.text != "" && got.Body.String() != c.text {
					t.Errorf("got %d %q, wanted %d %q", got.Code, got.Body, c.status, c.text)
				}
			}
			if got := s.Log.Find("more requests than the limit"); len(got) != c.logged {
				t.Errorf("the log has %q, wanted %d lines", got, c.logged)
			}
			s.Server.SetLimits(server.RequestLimits{})
			if got := s.Do(method, path, "").Code; got >= 429 {
				t.Errorf("without limits: got %d", got)
			}
		})
	}
}

// TestUnlimitedVerbs lists the verbs that no limit stops.
func TestUnlimitedVerbs(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	s.Server.SetLimits(server.RequestLimits{Mode: server.LimitsEnforced, Read: 0, Write: 0})
	var got []string
	for _, op := range api.Ops() {
		if op.Kind == api.KindLocal || op.Kind == api.KindRaw {
			continue
		}
		_, err := s.Server.Call(t.Context(), &api.Request{Op: op, Args: op.NewArgs()})
		if k := api.KindOf(err); k != api.TooMany && k != api.Unavailable {
			got = append(got, op.Name)
		}
	}
	slices.Sort(got)
	want := []string{
		"acl.replication", "acl.template-read", "acl.templates", "catalog.datacenters", "coordinate.datacenters",
		"operator.autopilot-configuration", "operator.autopilot-configure", "operator.autopilot-health", "operator.autopilot-state",
		"operator.keyring-install", "operator.keyring-list", "operator.keyring-remove", "operator.keyring-use",
		"operator.raft-configuration", "operator.raft-remove-peer", "operator.raft-transfer-leader", "operator.usage",
		"status.leader", "status.peers",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verbs without a limit (-want +got):\n%s", diff)
	}
}
