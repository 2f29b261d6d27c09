package api

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSessionJSON(t *testing.T) {
	for _, c := range []struct {
		session Session
		want    string
	}{
		{Session{ID: "s", Node: "n"},
			`{"ID":"s","Name":"","Node":"n","LockDelay":0,"Behavior":"","TTL":"","ServiceChecks":null,"CreateIndex":0,"ModifyIndex":0,"NodeChecks":[],"Checks":[]}`},
		{Session{ID: "s", Name: "x", Node: "n", LockDelay: LockDelay(15 * time.Second), Behavior: BehaviorDelete, TTL: "10s",
			NodeChecks: []string{SerfHealth}, ServiceChecks: []ServiceCheck{{ID: "c"}}, CreateIndex: 3, ModifyIndex: 4},
			`{"ID":"s","Name":"x","Node":"n","LockDelay":15000000000,"Behavior":"delete","TTL":"10s","ServiceChecks":[{"ID":"c"}],"CreateIndex":3,"ModifyIndex":4,"NodeChecks":["serfHealth"],"Checks":["serfHealth"]}`},
	} {
		b, err := json.Marshal(&c.session)
		if err != nil || string(b) != c.want {
			t.Errorf("JSON of %+v\n got %s, %v\nwant %s", c.session, b, err, c.want)
		}
		var again Session
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if again.NodeChecks != nil && len(again.NodeChecks) == 0 {
			again.NodeChecks = nil
		}
		if diff := cmp.Diff(c.session, again); diff != "" {
			t.Errorf("%s reads as another session (-want +got)\n%s", b, diff)
		}
	}
}

func TestSessionChecks(t *testing.T) {
	for _, c := range []struct {
		body string
		want []string
	}{
		{`{}`, []string{SerfHealth}},
		{`{"Checks":null}`, []string{SerfHealth}},
		{`{"Checks":[]}`, []string{}},
		{`{"checks":["a"]}`, []string{"a"}},
		{`{"NodeChecks":[]}`, []string{}},
		{`{"NodeChecks":["b"],"Checks":["a"]}`, []string{"b"}},
	} {
		var spec SessionSpec
		if err := json.Unmarshal([]byte(c.body), &spec); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, spec.AllNodeChecks()); diff != "" {
			t.Errorf("checks of a session from %s (-want +got)\n%s", c.body, diff)
		}
	}
}

func TestTTLDuration(t *testing.T) {
	for ttl, want := range map[string]time.Duration{"": 0, "0s": 0, "10s": 10 * time.Second, "1h": time.Hour, "x": 0, "-5s": 0} {
		if got := (&Session{TTL: ttl}).TTLDuration(); got != want {
			t.Errorf("TTLDuration of %q: got %v; want %v", ttl, got, want)
		}
	}
}
