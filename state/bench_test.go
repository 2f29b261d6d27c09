package state

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"curia/api"
)

var benchNow = time.Unix(1_000_000_000, 0)

// encoded is how a command comes out of the log.
func encoded(b *testing.B, c Command) []byte {
	b.Helper()
	e, err := Encode(c, benchNow)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// applyAll decodes entries and applies them in batches.
func applyAll(b *testing.B, s *Store, log [][]byte, batch int) {
	b.Helper()
	index := s.Index()
	entries := make([]Entry, 0, batch)
	for i, e := range log {
		index++
		entry, err := Decode(e, index)
		if err != nil {
			b.Fatal(err)
		}
		if entries = append(entries, entry); len(entries) == batch || i == len(log)-1 {
			for _, o := range s.Apply(entries) {
				if o.Err != nil {
					b.Fatal(o.Err)
				}
			}
			entries = entries[:0]
		}
	}
}

func benchKeys(b *testing.B, n, size int, round string) [][]byte {
	log := make([][]byte, n)
	value := []byte(strings.Repeat("v", size-len(round)) + round)
	for i := range log {
		log[i] = encoded(b, &KVPut{Key: fmt.Sprintf("bench/%03d/key-%06d", i%100, i), Value: value})
	}
	return log
}

// BenchmarkApplyKVPut changes one of 10k keys per operation, decoding included.
func BenchmarkApplyKVPut(b *testing.B) {
	const keys = 10_000
	for _, batch := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s := NewStore()
			rounds := [2][][]byte{benchKeys(b, keys, 128, "a"), benchKeys(b, keys, 128, "b")}
			applyAll(b, s, rounds[1], 256)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; {
				n := min(keys, b.N-done)
				applyAll(b, s, rounds[(done/keys)%2][:n], batch)
				done += n
			}
		})
	}
}

// benchRegistrations registers instances, ten to a node, each with one check of
// its own, under so many service names.
func benchRegistrations(b *testing.B, instances, names int, round string) [][]byte {
	log := make([][]byte, instances)
	for i := range log {
		node := i / 10
		id := fmt.Sprintf("svc-%04d-%06d", i%names, i)
		log[i] = encoded(b, &Register{
			Node: &api.Node{
				ID:   fmt.Sprintf("11111111-2222-3333-4444-%012d", node),
				Node: fmt.Sprintf("node-%05d", node), Address: "10.0.0.1", Datacenter: "dc1",
				TaggedAddresses: map[string]string{"lan": "10.0.0.1", "wan": "10.0.0.1"},
			},
			Service: &api.Service{
				ID: id, Service: fmt.Sprintf("svc-%04d", i%names), Tags: []string{"v1", "primary"}, Port: 8080,
				Address: "10.0.0.1", Weights: api.Weights{Passing: 1, Warning: 1},
			},
			Checks: []*api.Check{{
				CheckID: "service:" + id, Name: "Service check", Status: api.Passing, Output: "HTTP GET: 200 OK " + round, ServiceID: id,
				ServiceTags: []string{}, Type: "http", Interval: "10s", Timeout: "5s",
			}},
		})
	}
	return log
}

// BenchmarkApplyRegister registers 10k instances again and again; the output of
// the check changes each time.
func BenchmarkApplyRegister(b *testing.B) {
	const instances = 10_000
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s := NewStore()
			rounds := [2][][]byte{benchRegistrations(b, instances, 1000, "a"), benchRegistrations(b, instances, 1000, "b")}
			applyAll(b, s, rounds[1], 64)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; {
				n := min(instances, b.N-done)
				applyAll(b, s, rounds[(done/instances)%2][:n], batch)
				done += n
			}
		})
	}
}

// BenchmarkApplyRegisterNew registers instances that are not there yet.
func BenchmarkApplyRegisterNew(b *testing.B) {
	s := NewStore()
	log := benchRegistrations(b, b.N, 1000, "a")
	b.ReportAllocs()
	b.ResetTimer()
	applyAll(b, s, log, 64)
}

func BenchmarkViewKV(b *testing.B) {
	s := NewStore()
	applyAll(b, s, benchKeys(b, 10_000, 128, "a"), 256)
	b.ReportAllocs()
	for b.Loop() {
		v := s.View()
		if v.KV("bench/042/key-000042") == nil {
			b.Fatal("no such key")
		}
		w := v.Watch()
		runtime.KeepAlive(&w)
	}
}

// BenchmarkViewServiceHealth100 reads a service of 100 instances with node and
// check among 1000 services.
func BenchmarkViewServiceHealth100(b *testing.B) {
	s := NewStore()
	applyAll(b, s, benchRegistrations(b, 10_000, 100, "a"), 64)
	b.ReportAllocs()
	for b.Loop() {
		if got := len(s.View().ServiceHealth("svc-0042")); got != 100 {
			b.Fatalf("got %d instances, want 100", got)
		}
	}
}

// BenchmarkWatchFanOut bumps one topic under 10k goroutines that wait for it,
// and waits until all have looked again.
func BenchmarkWatchFanOut(b *testing.B) {
	const watchers = 10_000
	s := NewStore()
	rounds := [2][][]byte{benchRegistrations(b, 1, 1, "a"), benchRegistrations(b, 1, 1, "b")}
	applyAll(b, s, rounds[1], 1)
	var woken, ended sync.WaitGroup
	var ready sync.WaitGroup
	stop := make(chan struct{})
	ready.Add(watchers)
	for range watchers {
		ended.Go(func() {
			for {
				v := s.View()
				v.about(healthTopic("svc-0000"), 0)
				w := v.Watch()
				ready.Done()
				select {
				case <-w.Changed[0]:
					woken.Done()
				case <-stop:
					return
				}
			}
		})
	}
	ready.Wait()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		woken.Add(watchers)
		ready.Add(watchers)
		applyAll(b, s, rounds[i%2], 1)
		woken.Wait()
		ready.Wait()
	}
	b.StopTimer()
	close(stop)
	ended.Wait()
}

// BenchmarkRestore reads back a snapshot of 100k keys.
func BenchmarkRestore(b *testing.B) {
	s := NewStore()
	applyAll(b, s, benchKeys(b, 100_000, 128, "a"), 256)
	var snap strings.Builder
	if _, err := s.Snapshot().WriteTo(&snap); err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Snapshot().WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := NewStore().Restore(strings.NewReader(snap.String())); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHeap tells the bytes of live heap that a key of 128 bytes, a service
// instance and what belongs to it take. Its times mean nothing.
func BenchmarkHeap(b *testing.B) {
	for _, c := range []struct {
		name string
		rows int
		log  func() [][]byte
	}{
		{"key", 100_000, func() [][]byte { return benchKeys(b, 100_000, 128, "a") }},
		{"instance", 20_000, func() [][]byte { return benchRegistrations(b, 20_000, 1000, "a") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				log := c.log()
				before := liveHeap()
				s := NewStore()
				applyAll(b, s, log, 64)
				b.ReportMetric(float64(liveHeap()-before)/float64(c.rows), "heap-B/"+c.name)
				runtime.KeepAlive(s)
				runtime.KeepAlive(log)
			}
		})
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
