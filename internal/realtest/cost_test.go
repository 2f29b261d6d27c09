package realtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// These are no tests: they measure, and docs/performance.md has what they found.
//
//	go test -run - -bench 'Checks|Flip' -benchtime 100x -timeout 30m ./internal/realtest

// cpu is the time that the agent has used since it started.
func (a *agent) cpu() time.Duration {
	a.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.cmd.Process.Pid))
	check(a.t, err)
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	const utime, stime, perSecond = 11, 12, 100
	sum := 0
	for _, field := range []string{fields[utime], fields[stime]} {
		n, err := strconv.Atoi(field)
		check(a.t, err)
		sum += n
	}
	return time.Duration(sum) * time.Second / perSecond
}

// Numbers of BenchmarkChecks.
const (
	benchServices = 1000
	benchTTLs     = 10 // per service
	benchWindow   = 60 * time.Second
	benchRefresh  = 15 * time.Second // in which every TTL check is told to be well, once
)

// BenchmarkChecks measures what ten thousand TTL checks and a thousand HTTP
// checks every ten seconds cost an agent: in cores, when the TTL checks are told
// every 15 seconds to be well, and when nobody speaks.
func BenchmarkChecks(b *testing.B) {
	var looked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		looked.Add(1)
		_, _ = w.Write([]byte("ok"))
	}))
	b.Cleanup(web.Close)
	a := start(b, option{})
	forEach(benchServices, func(i int) {
		checks := []string{fmt.Sprintf(`{"CheckID":"h%d","HTTP":"%s","Interval":"10s"}`, i, web.URL)}
		for j := range benchTTLs {
			checks = append(checks, fmt.Sprintf(`{"CheckID":"t%d-%d","TTL":"1h","Status":"passing"}`, i, j))
		}
		a.must("PUT", "/v1/agent/service/register", fmt.Sprintf(`{"Name":"s%d","Checks":[%s]}`, i, strings.Join(checks, ",")))
	})
	eventually(b, thingWait, func() error {
		if _, body := a.must("GET", "/v1/health/state/critical", ""); body != "[]" {
			return fmt.Errorf("critical: %.200s", body)
		}
		return nil
	})
	tell := func(until time.Time) {
		every := time.NewTicker(benchRefresh / 1000)
		defer every.Stop()
		for n := 0; time.Now().Before(until); n++ {
			<-every.C
			for k := range benchServices * benchTTLs / 1000 {
				i := n*10 + k
				a.must("PUT", fmt.Sprintf("/v1/agent/check/pass/t%d-%d", i/benchTTLs%benchServices, i%benchTTLs), "")
			}
		}
	}
	for _, c := range []struct {
		name string
		work func(until time.Time)
	}{
		{"silent", func(until time.Time) { <-time.After(time.Until(until)) }},
		{"refreshed", tell},
	} {
		b.Run(c.name, func(b *testing.B) {
			before, probes, began := a.cpu(), looked.Load(), time.Now()
			for range b.N {
				c.work(time.Now().Add(benchWindow))
			}
			took := time.Since(began)
			b.ReportMetric(float64(a.cpu()-before)/float64(took), "cores")
			b.ReportMetric(float64(looked.Load()-probes)/took.Seconds(), "probes/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// forEach calls f for each number below n, some at once.
func forEach(n int, f func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		group.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				f(i)
			}
		})
	}
	group.Wait()
}

// BenchmarkFlip measures how long after a check has flipped that can be seen in
// health/service, in DNS and by a blocking query.
func BenchmarkFlip(b *testing.B) {
	port := freePort(b)
	a := start(b, option{flags: []string{fmt.Sprintf("-dns-port=%d", port)}})
	var sick atomic.Bool
	answered := make(chan time.Time, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		select {
		case answered <- time.Now():
		default:
		}
	}))
	b.Cleanup(web.Close)
	o := &observer{agent: a, dns: fmt.Sprintf("127.0.0.1:%d", port)}
	a.must("PUT", "/v1/agent/service/register", `{"Name":"ttl","Address":"127.0.0.9","Check":{"CheckID":"t","TTL":"1h","Status":"passing"}}`)
	a.must("PUT", "/v1/agent/service/register",
		fmt.Sprintf(`{"Name":"http","Address":"127.0.0.9","Check":{"CheckID":"h","HTTP":"%s","Interval":"1s"}}`, web.URL))
	eventually(b, thingWait, func() error { return o.healthy("http", true) })

	b.Run("ttl", func(b *testing.B) {
		o.measure(b, "ttl", func(up bool) time.Time {
			began := time.Now()
			verb := map[bool]string{true: "pass", false: "fail"}[up]
			a.must("PUT", "/v1/agent/check/"+verb+"/t", "")
			return began
		})
	})
	b.Run("http", func(b *testing.B) {
		o.measure(b, "http", func(up bool) time.Time {
			select {
			case <-answered: // with the old status
			default:
			}
			sick.Store(!up)
			return <-answered
		})
	})
}

// observer looks at a service in every way there is.
type observer struct {
	*agent
	dns string
}

// measure flips a check again and again, down and up.
func (o *observer) measure(b *testing.B, service string, flip func(up bool) time.Time) {
	seen := map[string][]time.Duration{}
	for i := range 2 * b.N {
		up := i%2 == 1
		header, _ := o.must("GET", "/v1/health/service/"+service+"?passing", "")
		var group sync.WaitGroup
		at := map[string]time.Time{}
		var mu sync.Mutex
		look := func(name string, look func() error) {
			group.Go(func() {
				for look() != nil {
				}
				mu.Lock()
				defer mu.Unlock()
				at[name] = time.Now()
			})
		}
		look("blocking", func() error {
			_, body := o.must("GET", "/v1/health/service/"+service+"?passing&wait=1m&index="+header.Get("X-Consul-Index"), "")
			return wantUp(body != "[]", up)
		})
		began := flip(up)
		// Who asks again and again takes the processor from others: not earlier.
		look("health", func() error { return o.healthy(service, up) })
		look("dns", func() error { return o.resolves(service, up) })
		group.Wait()
		for name, t := range at {
			seen[name] = append(seen[name], t.Sub(began))
		}
	}
	for name, all := range seen {
		slices.Sort(all)
		for _, p := range []int{50, 99} {
			b.ReportMetric(float64(all[len(all)*p/100].Microseconds())/1000, fmt.Sprintf("%s-p%d-ms", name, p))
		}
	}
	b.ReportMetric(0, "ns/op")
}

func (o *observer) healthy(service string, up bool) error {
	_, body := o.must("GET", "/v1/health/service/"+service+"?passing", "")
	return wantUp(body != "[]", up)
}

func (o *observer) resolves(service string, up bool) error {
	m, err := dns.Exchange(new(dns.Msg).SetQuestion(service+".service.consul.", dns.TypeA), o.dns)
	if err != nil {
		return err
	}
	return wantUp(len(m.Answer) > 0, up)
}

func wantUp(got, want bool) error {
	if got != want {
		return fmt.Errorf("up: got %t, wanted %t", got, want)
	}
	return nil
}
