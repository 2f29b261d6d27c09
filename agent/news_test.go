package agent

import (
	"testing"

	"curia/api"
)

// TestNews wants who waits for a service to be woken by that service, its checks
// and the node, and by nothing else.
func TestNews(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"Name":"web","Check":{"CheckID":"w","TTL":"24h","Status":"passing"}}`)
		r.service(`{"Name":"db","Check":{"CheckID":"d","TTL":"24h","Status":"passing"}}`)
		r.check(`{"Name":"disk","TTL":"24h","Status":"passing"}`)
		for _, c := range []struct {
			name string
			do   func()
			want bool
		}{
			{"a check of another service", func() { r.update("d", api.Warning, "hm") }, false},
			{"another service", func() { r.service(`{"Name":"cache","Check":{"CheckID":"k","TTL":"24h"}}`) }, false},
			{"the end of another service", func() { r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "cache"}) }, false},
			{"the same state", func() { r.update("w", api.Passing, "") }, false},
			{"its check", func() { r.update("w", api.Warning, "") }, true},
			{"a new check", func() { r.check(`{"ID":"x","Name":"x","ServiceID":"web","TTL":"24h"}`) }, true},
			{"its check, which becomes one of another", func() { r.check(`{"ID":"x","Name":"x","ServiceID":"db","TTL":"24h"}`) }, true},
			{"a check of the node", func() { r.update("disk", api.Critical, "") }, true},
			{"the service", func() { r.service(`{"Name":"web","Port":80}`) }, true},
			{"its end", func() { r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "web"}) }, true},
		} {
			_, _, changed := r.local.followed("web")
			c.do()
			woke := false
			select {
			case <-changed:
				woke = true
			default:
			}
			same(t, "woken by "+c.name, woke, c.want)
		}
	})
}
