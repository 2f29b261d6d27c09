package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	consul "github.com/hashicorp/consul/api"

	"curia/api"
	"curia/internal/testing/inproc"
)

// locker runs "curia lock" with a command that prints ready and then reads its
// standard input to the end.
type locker struct {
	*bufio.Reader          // of the standard output
	finish        *os.File // the standard input; closing it ends the command
	errs          strings.Builder
	code          chan int
}

func startLock(t *testing.T, url string, args ...string) *locker {
	t.Helper()
	in, finish, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	l := &locker{Reader: bufio.NewReader(r), finish: finish, code: make(chan int, 1)}
	args = append([]string{"curia", "lock", "-http-addr=" + url, "-pass-stdin"}, args...)
	args = append(args, "echo ready $CONSUL_LOCK_HELD $CURIA_LOCK_HELD; exec cat")
	ctx, cancel := context.WithCancel(t.Context())
	nothing := func(string) (string, bool) { return "", false }
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.code <- run(ctx, shell{in, w, &l.errs, nothing}, args)
		w.Close()
	}()
	t.Cleanup(func() { cancel(); finish.Close(); r.Close(); <-done; in.Close() })
	return l
}

// ready waits until the command runs.
func (l *locker) ready(t *testing.T) {
	t.Helper()
	if line, err := l.ReadString('\n'); line != "ready true true\n" {
		t.Fatalf("lock: got %q, %v and %q; want that the command is ready", line, err, l.errs.String())
	}
}

// ended waits for the end and compares the exit code and the error.
func (l *locker) ended(t *testing.T, code int, text string) {
	t.Helper()
	if got := <-l.code; got != code || !strings.Contains(l.errs.String(), text) || text == "" && l.errs.Len() > 0 {
		t.Errorf("lock: got exit code %d and %q; want %d and %q", got, l.errs.String(), code, text)
	}
}

// rival is HashiCorp's client, which wants the same lock.
type rival interface {
	take() (<-chan struct{}, error) // nil when it is not to be had
	give() error
}

type rivalLock struct{ *consul.Lock }

func (r rivalLock) take() (<-chan struct{}, error) { return r.Lock.Lock(nil) }
func (r rivalLock) give() error                    { return r.Unlock() }

type rivalSemaphore struct{ *consul.Semaphore }

func (r rivalSemaphore) take() (<-chan struct{}, error) { return r.Acquire(nil) }
func (r rivalSemaphore) give() error                    { return r.Release() }

func newRival(t *testing.T, url, prefix string, limit int, patience time.Duration) rival {
	t.Helper()
	c, err := consul.NewClient(&consul.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	var r rival
	if limit == 1 {
		var l *consul.Lock
		l, err = c.LockOpts(&consul.LockOptions{Key: prefix + "/.lock", LockTryOnce: true, LockWaitTime: patience})
		r = rivalLock{l}
	} else {
		var s *consul.Semaphore
		s, err = c.SemaphoreOpts(&consul.SemaphoreOptions{Prefix: prefix, Limit: limit, SemaphoreTryOnce: true, SemaphoreWaitTime: patience})
		r = rivalSemaphore{s}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLockRivals lets this program and HashiCorp's client exclude each other,
// as the only holder and as two of a semaphore.
func TestLockRivals(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	url := s.Listen()
	for _, limit := range []int{1, 2} {
		prefix, n := fmt.Sprintf("job/%d", limit), fmt.Sprintf("-n=%d", limit)
		var rivals []rival
		for range limit {
			r := newRival(t, url, prefix, limit, time.Minute)
			if lost, err := r.take(); lost == nil || err != nil {
				t.Fatalf("-n=%d: the rival cannot take it: %v", limit, err)
			}
			rivals = append(rivals, r)
		}
		startLock(t, url, n, "-timeout=20ms", prefix).ended(t, 1, "the lock was not to be had in time")
		mine := startLock(t, url, n, prefix)
		if err := rivals[0].give(); err != nil {
			t.Fatalf("-n=%d: the rival cannot give it back: %v", limit, err)
		}
		mine.ready(t)
		if lost, err := newRival(t, url, prefix, limit, 20*time.Millisecond).take(); lost != nil || err != nil {
			t.Errorf("-n=%d: the rival takes what is taken: %v, %v", limit, lost, err)
		}
		mine.finish.Close()
		mine.ended(t, 0, "")
		again := newRival(t, url, prefix, limit, time.Minute)
		if lost, err := again.take(); lost == nil || err != nil {
			t.Errorf("-n=%d: the rival cannot take it after the end: %v", limit, err)
		}
		for _, r := range append(rivals[1:], again) {
			if err := r.give(); err != nil {
				t.Errorf("-n=%d: the rival cannot give it back: %v", limit, err)
			}
		}
		last := startLock(t, url, n, "-try=1m", prefix)
		last.ready(t)
		last.finish.Close()
		last.ended(t, 0, "")
	}
	if keys := s.Do("GET", "/v1/kv/?keys", "").Body.String(); keys != "[]" {
		t.Errorf("keys that are left: got %s; want none", keys)
	}
	if sessions := s.Do("GET", "/v1/session/list?filter=Name+contains+Lock", "").Body.String(); sessions != "[]" {
		t.Errorf("sessions that are left: got %s; want none", sessions)
	}
}

// TestLockLost takes the lock away: the command ends.
func TestLockLost(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	url := s.Listen()
	for _, limit := range []string{"-n=1", "-n=2"} {
		l := startLock(t, url, limit, "-name=mine", "lost/"+limit)
		l.ready(t)
		sessions, err := api.Call(t.Context(), s.Agent, api.SessionList, api.None{})
		if err != nil || len(sessions) != 1 || sessions[0].Name != "mine" || sessions[0].TTL != "15s" {
			t.Fatalf("%s: sessions: got %+v, %v; want one named mine", limit, sessions, err)
		}
		s.Must(t, "PUT", "/v1/session/destroy/"+sessions[0].ID, "")
		l.ended(t, 1, "lost, the command was ended")
		l.finish.Close()
	}
}

// TestLockFlags tries what is refused, and what the exit codes are.
func TestLockFlags(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	url := s.Listen()
	s.Must(t, "PUT", "/v1/kv/plain/.lock", "not a lock")
	s.Must(t, "PUT", "/v1/kv/three/.lock?flags="+fmt.Sprint(semaphoreFlags), `{"Limit":3,"Holders":{}}`)
	tests := []struct {
		line, out, err string
		code           int
	}{
		{line: "-n=0 p true", err: "-n must be positive, not 0", code: 1},
		{line: "-timeout=-1s p true", err: "must be positive", code: 1},
		{line: "p", err: "missing CHILD argument", code: 1},
		{line: "plain true", err: `key "plain/.lock" is not a lock`, code: 1},
		{line: "-n=2 plain true", err: `key "plain/.lock" is not a semaphore`, code: 1},
		{line: "-n=2 three true", err: "has the limit 3, not 2", code: 1},
		{line: "p echo $CONSUL_LOCK_HELD && echo more", out: "true\nmore\n"},
		{line: "-shell=false p/ echo $CONSUL_LOCK_HELD -n", out: "$CONSUL_LOCK_HELD -n\n"},
		{line: "-shell=false p /no/such/program", err: "run command", code: 1},
		{line: "p exit 3", err: "Command failed: exit status 3\n"},
		{line: "-child-exit-code p exit 3", err: "run command: exit status 3", code: 2},
		{line: "-verbose p true", err: "Setting up lock at path: p\nAttempting lock acquisition\nStarting handler"},
	}
	for _, tt := range tests {
		code, out, errs := inProcess(append([]string{"lock", "-http-addr=" + url}, strings.Fields(tt.line)...)...)
		if code != tt.code || out != tt.out || !strings.Contains(errs, tt.err) || tt.err == "" && errs != "" {
			t.Errorf("lock %s\n got %d, %q and %q\nwant %d, %q and %q", tt.line, code, out, errs, tt.code, tt.out, tt.err)
		}
	}
}

// TestLockEndsAll wants nothing of the command to run on when the lock is lost,
// though it reads the standard input: that of a script is no terminal.
func TestLockEndsAll(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	in, finish, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer finish.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var errs strings.Builder
	code := make(chan int, 1)
	go func() {
		nothing := func(string) (string, bool) { return "", false }
		// Both the shell and what it has started hold the standard output.
		line := "(trap 'echo inner told; exit' TERM; echo ready; while :; do sleep 0.05; done); true"
		code <- run(t.Context(), shell{in, w, &errs, nothing}, []string{"curia", "lock", "-http-addr=" + s.Listen(), "-pass-stdin", "all", line})
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatalf("command: got %q and %q; want ready", lines.Text(), errs.String())
	}
	s.Must(t, "DELETE", "/v1/kv/all/.lock", "")
	if !lines.Scan() || lines.Text() != "inner told" {
		t.Errorf("what the command has started, when the lock is lost: got %q, want that it is told", lines.Text())
	}
	if got := <-code; got != 1 || !strings.Contains(errs.String(), "lost, the command was ended") {
		t.Errorf("lock: got exit code %d and %q", got, errs.String())
	}
}

// renewals is a Caller that answers some renewals of a session, and then never.
type renewals struct {
	answered int
	asked    []time.Duration // since began
	began    time.Time
}

func (r *renewals) Call(ctx context.Context, _ *api.Request) (*api.Response, error) {
	r.asked = append(r.asked, time.Since(r.began))
	if len(r.asked) <= r.answered {
		return &api.Response{Value: []*api.Session{}}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestSessionOfAStoppedAgent wants a session to be given up when an agent does not
// answer, but keeps the connection: after its TTL others may have the lock.
func TestSessionOfAStoppedAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &renewals{answered: 2, began: time.Now()}
		err := renewSession(t.Context(), r, "id", 15*time.Second, 7500*time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "its session has ended") {
			t.Errorf("got %v, want that the session has ended", err)
		}
		if took := time.Since(r.began); took != 30*time.Second {
			t.Errorf("given up after %v; want 30s: the last answer was to what was asked after 15s", took)
		}
		want := []time.Duration{7500 * time.Millisecond, 15 * time.Second, 22500 * time.Millisecond, 28500 * time.Millisecond}
		if diff := cmp.Diff(want, r.asked); diff != "" {
			t.Errorf("asked after (-want +got)\n%s", diff)
		}
	})
}
