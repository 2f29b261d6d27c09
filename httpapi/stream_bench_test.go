package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"curia/internal/testing/inproc"
)

// crowd is how many follow one answer in the benchmarks.
const crowd = 1000

// readers are connections on which the same request was sent.
type readers struct {
	conns []net.Conn
	got   chan time.Time // one for each answer that arrived, of any of them
}

// gather sends a request on many connections, and waits for the answers that
// come at once. Headers, chunks and heartbeats are no answers.
func gather(b *testing.B, s *inproc.Server, request string, buffer, atOnce int) *readers {
	b.Helper()
	r := &readers{got: make(chan time.Time, crowd)}
	addr := strings.TrimPrefix(s.Listen(), "http://")
	for range crowd {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		r.conns = append(r.conns, c)
		fmt.Fprintf(c, "%s\r\nHost: x\r\n\r\n", request)
		go func() {
			in := bufio.NewReaderSize(c, buffer)
			for {
				line, err := in.ReadSlice('\n')
				if err != nil && err != bufio.ErrBufferFull {
					return
				}
				if bytes.HasSuffix(line, []byte("\n")) && !bytes.HasSuffix(line, []byte("\r\n")) && !bytes.HasSuffix(line, []byte("true}\n")) {
					r.got <- time.Now()
				}
			}
		}()
	}
	for range atOnce {
		<-r.got
	}
	return r
}

func (r *readers) close() {
	for _, c := range r.conns {
		_ = c.Close()
	}
}

// BenchmarkStreamDelivery changes what a thousand streams follow, and tells how
// long after the write began the answer has arrived. The readers are in the same
// process.
func BenchmarkStreamDelivery(b *testing.B) {
	for _, c := range []struct{ name, target string }{
		{"key", "/v1/kv/a"},
		{"service-of-100", "/v1/health/service/web"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := inproc.Start(b, inproc.Options{})
			change := func(i int) {
				s.Must(b, "PUT", "/v1/kv/a", fmt.Sprint(i))
			}
			if c.name != "key" {
				change = func(i int) {
					s.Must(b, "PUT", "/v1/catalog/register", fmt.Sprintf(
						`{"Node":"m%d","Address":"10.0.0.1","Service":{"Service":"web","Port":%d}}`, i%100, i+1))
				}
				for i := range 100 {
					change(i)
				}
			}
			change(1)
			r := gather(b, s, "GET "+c.target+" HTTP/1.1\r\nAccept: "+ndjson, 16<<10, crowd)
			defer r.close()
			cpu := processorTime(b)
			took := make([]time.Duration, 0, crowd*b.N)
			ofChange := make([]time.Duration, 0, b.N)
			for i := range b.N {
				began := time.Now()
				change(1000 + i)
				for range crowd {
					took = append(took, (<-r.got).Sub(began))
				}
				last := took[len(took)-crowd:]
				slices.Sort(last)
				ofChange = append(ofChange, last[crowd*99/100])
			}
			b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/float64(crowd*b.N), "cpu-µs/delivery")
			// On a machine with other work a few changes fall into its time: the median
			// change tells what they cost by themselves.
			slices.Sort(ofChange)
			b.ReportMetric(float64(ofChange[b.N/2].Microseconds())/1000, "p99-of-median-change-ms")
			slices.Sort(took)
			for _, p := range []struct {
				name string
				at   float64
			}{{"p50-ms", 0.5}, {"p99-ms", 0.99}, {"max-ms", 1}} {
				b.ReportMetric(float64(took[int(p.at*float64(len(took)-1))].Microseconds())/1000, p.name)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkIdleStreams holds a thousand streams against a thousand blocking
// queries: the memory that each takes in this process with its reader, and the
// time of a processor that all take per second of a minute.
func BenchmarkIdleStreams(b *testing.B) {
	for _, c := range []struct {
		name, request string
		atOnce        int
	}{
		{"queries", "GET /v1/kv/a?index=INDEX HTTP/1.1", 0},
		{"streams", "GET /v1/kv/a HTTP/1.1\r\nAccept: " + ndjson, crowd},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				s := inproc.Start(b, inproc.Options{})
				s.Must(b, "PUT", "/v1/kv/a", "1")
				before := inUse()
				r := gather(b, s, strings.Replace(c.request, "INDEX", fmt.Sprint(s.Store.Index()), 1), 512, c.atOnce)
				<-time.After(5 * time.Second) // until all of them wait
				b.ReportMetric(float64(inUse()-before)/crowd/1024, "KiB/each")
				began := processorTime(b)
				<-time.After(time.Minute)
				b.ReportMetric(float64((processorTime(b)-began).Microseconds())/1000/60, "cpu-ms/s")
				r.close()
				s.Stop()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// inUse is the memory that is not free after a collection.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
