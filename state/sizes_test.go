package state

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

func TestSizes(t *testing.T) {
	s := NewStore()
	if got := s.Sizes(); got != (Sizes{}) {
		t.Errorf("sizes of an empty store: got %+v, want zeros", got)
	}
	commands := []Command{
		&Register{Node: &api.Node{Node: "a", Address: "1.1.1.1"}, Service: &api.Service{ID: "web1", Service: "web"}},
		&Register{
			Node: &api.Node{Node: "b", Address: "1.1.1.2"}, Service: &api.Service{ID: "web1", Service: "web"},
			Checks: []*api.Check{{Node: "b", CheckID: "mem", Name: "mem", Status: api.Passing}},
		},
		&KVPut{Key: "x"},
		&KVPut{Key: "x/y"},
		&KVPut{Key: "z"},
		&KVDelete{Key: "z"},
		&SessionCreate{Session: api.Session{ID: "s", Node: "a"}},
	}
	var entries []Entry
	for i, c := range commands {
		entries = append(entries, Entry{Index: uint64(i + 1), Now: time.Unix(1, 0), Command: c})
	}
	for i, o := range s.Apply(entries) {
		if o.Err != nil {
			t.Fatalf("apply %+v: %v", commands[i], o.Err)
		}
	}
	want := Sizes{Nodes: 2, Services: 1, ServiceInstances: 2, Checks: 1, KVEntries: 2, Sessions: 1}
	if diff := cmp.Diff(want, s.Sizes()); diff != "" {
		t.Errorf("sizes after %d commands (-want +got):\n%s", len(commands), diff)
	}
}
