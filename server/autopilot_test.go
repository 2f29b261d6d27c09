package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// TestJudge shows for each way to be unhealthy what becomes of the whole.
func TestJudge(t *testing.T) {
	conf := api.DefaultAutopilot()
	fine := ServerFacts{Status: api.MemberAlive, LastTerm: 3, LastIndex: 1000}
	with := func(change func(*ServerFacts)) ServerFacts {
		f := fine
		change(&f)
		return f
	}
	silent := with(func(f *ServerFacts) { f.LastContact = 201 * time.Millisecond })
	for _, c := range []struct {
		name      string
		servers   []ServerFacts // the first leads; all vote
		nonVoters []ServerFacts
		want      string // health of each, of all, failure tolerance
	}{
		{"nobody", nil, nil, "[] false 0"},
		{"one", []ServerFacts{fine}, nil, "[true] true 0"},
		{"two", []ServerFacts{fine, fine}, nil, "[true true] true 0"},
		{"three", []ServerFacts{fine, fine, fine}, nil, "[true true true] true 1"},
		{"five", []ServerFacts{fine, fine, fine, fine, fine}, nil, "[true true true true true] true 2"},
		{"at the threshold", []ServerFacts{fine, with(func(f *ServerFacts) { f.LastContact = 200 * time.Millisecond }), fine}, nil, "[true true true] true 1"},
		{"silent", []ServerFacts{fine, silent, fine}, nil, "[true false true] false 0"},
		{"too many silent", []ServerFacts{fine, silent, silent}, nil, "[true false false] false 0"},
		{"failed", []ServerFacts{fine, with(func(f *ServerFacts) { f.Status = api.MemberFailed }), fine}, nil, "[true false true] false 0"},
		{"other term", []ServerFacts{fine, with(func(f *ServerFacts) { f.LastTerm = 2 }), fine}, nil, "[true false true] false 0"},
		{"a little behind", []ServerFacts{fine, with(func(f *ServerFacts) { f.LastIndex = 750 }), fine}, nil, "[true true true] true 1"},
		{"far behind", []ServerFacts{fine, with(func(f *ServerFacts) { f.LastIndex = 749 }), fine}, nil, "[true false true] false 0"},
		{"ahead of a slow leader", []ServerFacts{fine, with(func(f *ServerFacts) { f.LastIndex = 1001 })}, nil, "[true true] true 0"},
		{"nothing known", []ServerFacts{fine, {}}, nil, "[true false] false 0"},
		{"who does not vote does not count", []ServerFacts{fine, fine, fine}, []ServerFacts{fine, silent}, "[true true true true false] false 1"},
	} {
		var peers []*api.RaftServer
		facts := map[string]ServerFacts{}
		for i, f := range append(c.servers, c.nonVoters...) {
			id := fmt.Sprint(i)
			facts[id] = f
			peers = append(peers, &api.RaftServer{ID: id, Leader: i == 0, Voter: i < len(c.servers)})
		}
		h := judge(&conf, peers, facts)
		each := []bool{}
		for _, s := range h.Servers {
			each = append(each, s.Healthy)
		}
		if got := fmt.Sprint(each, h.Healthy, h.FailureTolerance); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestSteadiness follows since when servers are as they are.
func TestSteadiness(t *testing.T) {
	var k steadiness
	start := time.Unix(1_000_000_000, 5).UTC()
	for i, c := range []struct{ servers, want string }{
		{"a+ b+", "a0 b0"},
		{"a+ b-", "a0 b1"},
		{"a+ b-", "a0 b1"},
		{"a-", "a3"},
		{"a- b-", "a3 b4"}, // b was gone
		{"a+ b-", "a5 b4"},
	} {
		h := &api.AutopilotHealth{}
		for _, s := range strings.Fields(c.servers) {
			h.Servers = append(h.Servers, &api.ServerHealth{ID: s[:1], Healthy: s[1] == '+'})
		}
		k.date(h, start.Add(time.Duration(i)*time.Second))
		var got []string
		for _, s := range h.Servers {
			got = append(got, fmt.Sprintf("%s%d", s.ID, s.StableSince.Unix()-start.Unix()))
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" || k.latest() != h {
			t.Errorf("look %d at %s (-want +got):\n%s", i, c.servers, diff)
		}
	}
}
