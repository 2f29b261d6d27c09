package agent

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"curia/api"
)

// manyChecks runs an agent with n TTL checks that are passing.
func manyChecks(b *testing.B, n int) *rig {
	b.Helper()
	r := newRig(b, newCatalog(), func(c *Config) { c.DataDir = b.TempDir() })
	for i := range n {
		def := &api.CheckRegistration{Name: fmt.Sprint("c", i), TTL: 30e9, Status: api.Passing}
		r.putCheck(def, 0)
	}
	return r.run()
}

// BenchmarkPass is the cost of telling one of ten thousand checks that all is well.
func BenchmarkPass(b *testing.B) {
	const n = 10000
	r := manyChecks(b, n)
	reqs := make([]*api.Request, n)
	for i := range reqs {
		reqs[i] = &api.Request{Op: api.LocalCheckPass.Op, Args: &api.CheckNoteArgs{ID: fmt.Sprint("c", i)}}
	}
	ctx := context.Background()
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Call(ctx, reqs[next.Add(1)%n]); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkSaveStates is the cost of keeping the states of ten thousand checks
// that all were updated, whether or not that has to be written.
func BenchmarkSaveStates(b *testing.B) {
	const n = 10000
	for name, ttl := range map[string]api.ReadableDuration{"refreshed": 3600e9, "changed": 1} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, newCatalog(), func(c *Config) { c.DataDir = b.TempDir() })
			defer r.states.close()
			for i := range n {
				c := r.putCheck(&api.CheckRegistration{Name: fmt.Sprint("c", i), TTL: ttl, Status: api.Passing}, 0)
				c.def.TTL = ttl
			}
			all := r.local.all()
			state := func(c *localCheck) (savedState, bool) {
				return savedState{CheckID: c.row.CheckID, Status: c.row.Status, Expires: 1}, true
			}
			for b.Loop() {
				for _, c := range all {
					r.states.note(c)
				}
				r.states.save(state)
			}
		})
	}
}

// BenchmarkRegister is the cost of one more service with a check among ten thousand.
func BenchmarkRegister(b *testing.B) {
	r := manyChecks(b, 10000)
	for i := 0; b.Loop(); i++ {
		def := api.ServiceDefinition{Name: fmt.Sprint("s", i%1000), Check: &api.CheckRegistration{TTL: 30e9}}
		if _, err := r.ask(api.LocalServiceRegister.Op, &api.ServiceRegisterArgs{Definition: def}, ""); err != nil {
			b.Fatal(err)
		}
	}
}
