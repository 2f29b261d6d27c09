package realtest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is a number of clients that write, each to keys of its own, and know
// exactly which of their writes were acknowledged. It lives over the lives of
// an agent: run and verify take turns.
type load struct {
	t       *testing.T
	writers []*writer
	http    *http.Client

	mu      sync.Mutex
	indexes map[string]uint64 // by path: the highest index that an answer had
}

// writer is one client of a load. Its values are numbers that grow with each
// write, so that a value says which writes it has seen.
type writer struct {
	id    int
	keys  int
	size  int // bytes that each value is filled up to
	seq   uint64
	acked map[string]uint64 // by key: the last acknowledged write
	tried map[string]uint64 // by key: the last write that was sent
	count atomic.Int64      // acknowledged writes
}

// newLoad makes a load of small writers and, last, one of large values that
// fill the log.
func newLoad(t *testing.T, small, large int) *load {
	l := &load{t: t, indexes: map[string]uint64{}, http: &http.Client{
		Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: small + 1},
	}}
	t.Cleanup(l.http.CloseIdleConnections)
	for i := range small + 1 {
		w := &writer{id: i, keys: 8, acked: map[string]uint64{}, tried: map[string]uint64{}}
		if i == small {
			w.size, w.keys = large, 2
		}
		l.writers = append(l.writers, w)
	}
	return l
}

// acked counts the writes that were acknowledged.
func (l *load) acked() (n int64) {
	for _, w := range l.writers {
		n += w.count.Load()
	}
	return n
}

// run writes until ctx ends or the agent does not answer any more. Answers that
// are errors are passed to onError; nil stops the writer at the first.
func (l *load) run(ctx context.Context, addr string, onError func(status int, text string)) {
	var all sync.WaitGroup
	for _, w := range l.writers {
		all.Go(func() { l.write(ctx, w, "http://"+addr, onError) })
	}
	all.Wait()
}

func (l *load) write(ctx context.Context, w *writer, url string, onError func(int, string)) {
	for ctx.Err() == nil {
		w.seq++
		key := fmt.Sprintf("load/%d/%d", w.id, w.seq%uint64(w.keys))
		value := strconv.FormatUint(w.seq, 10)
		if pad := w.size - len(value); pad > 0 {
			value += " " + strings.Repeat("x", pad-1)
		}
		w.tried[key] = w.seq
		status, _, text, err := askCtx(ctx, l.http, "PUT", url+"/v1/kv/"+key, value)
		switch {
		case err != nil:
			return
		case status == 200 && text == "true":
			w.acked[key] = w.seq
			w.count.Add(1)
		case onError == nil:
			l.t.Errorf("put %s: got %d %q", key, status, text)
			return
		default:
			onError(status, text)
			continue
		}
		if w.seq%4 == 0 && w.size == 0 {
			path := "/v1/kv/" + key
			if status, header, _, err := askCtx(ctx, l.http, "GET", url+path, ""); err == nil && status == 200 {
				l.saw(path, number(header))
			}
		}
	}
}

// saw notes the index of an answer; the indexes of one writer's reads of one
// key must not go back.
func (l *load) saw(path string, index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index < l.indexes[path] {
		l.t.Errorf("index of %s: got %d after %d", path, index, l.indexes[path])
	}
	l.indexes[path] = max(l.indexes[path], index)
}

// verify checks that every acknowledged write is there, that nothing is there
// which was never sent, and that no index is behind one that was shown.
func (l *load) verify(a *agent) {
	l.t.Helper()
	for _, w := range l.writers {
		if len(w.acked) == 0 {
			continue
		}
		prefix := fmt.Sprintf("load/%d/", w.id)
		header, body := a.must("GET", "/v1/kv/"+prefix+"?recurse", "")
		var pairs []struct {
			Key   string
			Value []byte
		}
		check(l.t, json.Unmarshal([]byte(body), &pairs))
		there := map[string]uint64{}
		for _, p := range pairs {
			text, pad, _ := strings.Cut(string(p.Value), " ")
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil || strings.Trim(pad, "x") != "" {
				l.t.Errorf("%s: the value %.40q was never written", p.Key, p.Value)
			}
			there[p.Key] = n
		}
		for _, key := range slices.Sorted(maps.Keys(w.acked)) {
			if n := there[key]; n < w.acked[key] || n > w.tried[key] {
				l.t.Errorf("%s: got write %d, acknowledged was %d, sent was %d", key, n, w.acked[key], w.tried[key])
			}
			// What survived though nobody was told is a fact from now on.
			w.acked[key] = max(w.acked[key], there[key])
		}
		l.saw("/v1/kv/"+prefix+"?recurse", number(header))
	}
	l.mu.Lock()
	paths := maps.Clone(l.indexes)
	l.mu.Unlock()
	for path := range paths {
		header, _ := a.must("GET", path, "")
		l.saw(path, number(header))
	}
}

// lifetime is how long an agent lives under load. Some live long enough to make
// a snapshot, which takes one to two seconds.
func lifetime(r *rand.Rand, life int) time.Duration {
	if life%6 == 5 {
		return time.Second + time.Duration(r.IntN(1200))*time.Millisecond
	}
	return time.Duration(20+r.IntN(350)) * time.Millisecond
}

// TestKill kills an agent under load again and again. Whatever it acknowledged
// is there after each start, no index goes back, and it always starts; also
// when it is killed while it starts, makes a snapshot or begins a new segment
// of its log.
func TestKill(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(seed(t), 1))
	kills := scale(3, 22)
	a := start(t, option{config: map[string]any{
		"raft_snapshot_threshold": 150, "raft_snapshot_interval": "1s", "raft_trailing_logs": 100,
	}})
	l := newLoad(t, 4, 64<<10)
	early := 0
	for i := range kills {
		ctx, cancel := context.WithTimeout(t.Context(), thingWait)
		before := l.acked()
		killed := make(chan struct{})
		pause := time.NewTimer(lifetime(r, i))
		go func() {
			defer close(killed)
			<-pause.C
			_ = a.cmd.Process.Kill()
		}()
		l.run(ctx, a.addr, nil)
		cancel()
		<-killed
		a.awaitExit()
		// Now and then the next kill comes before the agent has started.
		for r.IntN(3) == 0 {
			early++
			a.launch()
			died := time.NewTimer(time.Duration(r.IntN(120)) * time.Millisecond)
			select {
			case <-died.C:
			case <-a.exited:
				t.Fatalf("kill %d: the agent exited by itself with %v", i, a.cmd.ProcessState)
			}
			a.kill()
		}
		a.restart()
		l.verify(a)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", i+1, kills)
		}
		if l.acked() == before {
			t.Logf("kill %d: nothing was acknowledged before it", i+1)
		}
	}
	t.Logf("%d kills under load and %d while starting, %d acknowledged writes", kills, early, l.acked())
	if l.acked() < int64(kills) {
		t.Errorf("only %d writes were acknowledged: there was no load", l.acked())
	}
}
