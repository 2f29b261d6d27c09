package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"curia/api"
)

// TestConcurrency does everything at once, while the agent starts and until
// after its end. The race detector, goleak and the end of the test are what it asks.
func TestConcurrency(t *testing.T) {
	for range 3 {
		c := newCatalog()
		r := newRig(t, c, func(cfg *Config) {
			cfg.DataDir = t.TempDir()
			cfg.Checks.UpdateInterval = time.Millisecond
		})
		ctx, cancel := context.WithCancel(context.Background())
		var work sync.WaitGroup
		id := func() string { return fmt.Sprint(rand.N(4)) }
		service := func() *api.ServiceRegisterArgs {
			n := id()
			def := api.ServiceDefinition{ID: "s" + n, Name: "web" + id(), Checks: []*api.CheckRegistration{
				{CheckID: "c" + n, TTL: api.ReadableDuration(time.Millisecond + rand.N(20*time.Millisecond))},
				{CheckID: "a" + n, CheckProbe: api.CheckProbe{AliasService: "s" + id()}},
				{CheckID: "r" + n, CheckProbe: api.CheckProbe{AliasService: "s" + id(), AliasNode: "n2"}},
				{CheckID: "t" + n, CheckProbe: api.CheckProbe{TCP: "127.0.0.1:1"}, Interval: 1e9},
			}}
			return &api.ServiceRegisterArgs{Definition: def, Replace: rand.N(2) == 0}
		}
		for _, do := range []func(){
			func() { _, _ = r.ask(api.LocalServiceRegister.Op, service(), "") },
			func() { _, _ = r.ask(api.LocalServiceRegister.Op, service(), "") },
			func() { _, _ = r.ask(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: "s" + id()}, "") },
			func() { _, _ = r.ask(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: "c" + id()}, "") },
			func() { _, _ = r.ask(api.LocalCheckPass.Op, &api.CheckNoteArgs{ID: "c" + id(), Note: id()}, "") },
			func() { _, _ = r.ask(api.LocalCheckWarn.Op, &api.CheckNoteArgs{ID: "c" + id(), Note: id()}, "") },
			func() { _, _ = r.ask(api.LocalServiceMaintenance.Op, maintainService("s"+id(), "true", ""), "") },
			func() { _, _ = r.ask(api.LocalServiceMaintenance.Op, maintainService("s"+id(), "false", ""), "") },
			func() { _, _ = r.ask(api.LocalServices.Op, &api.None{}, "") },
			func() { _, _ = r.ask(api.LocalChecks.Op, &api.None{}, "") },
			func() { _, _ = r.ask(api.LocalHealthByName.Op, &api.LocalHealthArgs{Service: "web" + id()}, "") },
			func() { _, _ = r.ask(api.LocalServiceGet.Op, &api.LocalServiceArgs{ID: "s" + id(), Hash: "x"}, "") },
			func() { _ = r.Configure([]*api.ServiceDefinition{&service().Definition}, nil) },
			func() { r.reap(time.Now().Add(time.Hour)) },
			func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				if n := c.nodes["n1"]; n != nil {
					clear(n.checks)
				}
			},
		} {
			work.Go(func() {
				for ctx.Err() == nil {
					do()
				}
			})
		}
		r.run()
		time.AfterFunc(300*time.Millisecond, cancel)
		<-ctx.Done()
		r.stop()
		work.Wait()
	}
}

// TestEndWakesWaiters stops an agent while somebody waits for a service to change.
func TestEndWakesWaiters(t *testing.T) {
	play(t, nil, func(t *testing.T, r *rig) {
		r.service(`{"Name":"web"}`)
		args := &api.LocalServiceArgs{ID: "web"}
		args.Hash = r.must(api.LocalServiceGet.Op, args).(*api.LocalService).ContentHash
		began := time.Now()
		done := make(chan time.Duration)
		go func() {
			_, _ = r.ask(api.LocalServiceGet.Op, args, "")
			done <- time.Since(began)
		}()
		pass(time.Second)
		r.stop()
		if took := <-done; took > time.Second {
			t.Errorf("the reader waited %v, want it to end with the agent", took)
		}
	})
}
