package realtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// TestClientEvents fires more events than an agent keeps, while a client follows
// them by their indexes as HashiCorp's watches do: it sees each once, in order.
func TestClientEvents(t *testing.T) {
	t.Parallel()
	const kept, count = 256, 300
	a := start(t, option{})
	events := a.client().Event()
	followed := make(chan string, 2*count)
	go func() {
		defer close(followed)
		for index, seen := uint64(0), 0; seen < count; {
			list, meta, err := events.List("", &consul.QueryOptions{WaitIndex: index, WaitTime: time.Minute})
			if err != nil {
				t.Errorf("follow after %d events: %v", seen, err)
				return
			}
			fresh := list
			for i, e := range list {
				if events.IDToIndex(e.ID) == index {
					fresh = list[i+1:]
				}
			}
			for _, e := range fresh {
				followed <- e.ID
			}
			index, seen = meta.LastIndex, seen+len(fresh)
		}
	}()
	var fired, heard []string
	for i := range count {
		for i == kept && len(heard) < kept { // who is not farther behind misses nothing
			heard = append(heard, <-followed)
		}
		id, _, err := events.Fire(&consul.UserEvent{Name: fmt.Sprint("e", i%3), Payload: fmt.Append(nil, i)}, nil)
		check(t, err)
		fired = append(fired, id)
	}
	for id := range followed {
		heard = append(heard, id)
	}
	same(t, "events that were followed", heard, fired)
	list, meta, err := events.List("", nil)
	check(t, err)
	var listed []string
	for _, e := range list {
		listed = append(listed, e.ID)
	}
	same(t, "events that are kept", listed, fired[count-kept:])
	same(t, "index", meta.LastIndex, events.IDToIndex(fired[count-1]))

	began := time.Now()
	_, meta, err = events.List("e1", &consul.QueryOptions{WaitIndex: events.IDToIndex(fired[count-2]), WaitTime: 200 * time.Millisecond})
	check(t, err)
	if took := time.Since(began); took < 200*time.Millisecond || meta.LastIndex != events.IDToIndex(fired[count-2]) {
		t.Errorf("wait for an event of a name: answered after %v with index %d, want 200ms and %d", took, meta.LastIndex, events.IDToIndex(fired[count-2]))
	}
	_, _, err = events.Fire(&consul.UserEvent{Name: "large", Payload: []byte(strings.Repeat("x", 512))}, nil)
	if err == nil || !strings.Contains(err.Error(), "user event exceeds limit of 512 bytes") {
		t.Errorf("fire an event that is too large: got %v", err)
	}
}
