package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

const (
	jobSession = "11111111-2222-4333-8444-555555555555"
	jobToken   = "agent"
)

// jobStore is an api.Caller with the keys of one session, and the catalog for
// everything else.
type jobStore struct {
	*catalog
	mu      sync.Mutex
	keys    map[string]string
	over    bool // the session has ended
	written chan string
}

func newJobStore(job string) *jobStore {
	run := api.RemoteExec{Prefix: "_rexec", Session: jobSession}
	return &jobStore{catalog: newCatalog(), keys: map[string]string{run.JobKey(): job}, written: make(chan string, 10000)}
}

func (s *jobStore) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch q := req.Args.(type) {
	case *api.KeyArgs:
		if req.Token != jobToken {
			return nil, api.Errorf(api.Denied, "Permission denied")
		}
		return &api.Response{Value: []*api.KVPair{{Key: q.Key, Value: []byte(s.keys[q.Key]), Session: jobSession}}}, nil
	case *api.KVPutArgs:
		switch {
		case req.Token != jobToken:
			return nil, api.Errorf(api.Denied, "Permission denied")
		case q.Acquire == nil || *q.Acquire != jobSession:
			return nil, fmt.Errorf("%s is written without the session", q.Key)
		case s.over:
			return nil, api.Errorf(api.Rejected, "invalid session %q", jobSession)
		}
		s.keys[q.Key] = string(q.Value)
		_, what, _ := api.RemoteExec{Prefix: "_rexec", Session: jobSession}.Parse(q.Key)
		s.written <- what + "=" + string(q.Value)
		return &api.Response{Value: true}, nil
	}
	return s.catalog.Call(ctx, req)
}

// output gives what the command printed and how it ended, "" when it did not.
func (s *jobStore) output() (text, exit string, pieces int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := api.RemoteExec{Prefix: "_rexec", Session: jobSession}
	for {
		piece, ok := s.keys[run.Key("n1", fmt.Sprintf("out/%05d", pieces))]
		if !ok {
			return text, s.keys[run.Key("n1", api.RemoteExit)], pieces
		}
		text += piece
		pieces++
	}
}

// next waits for the next key that is written.
func (s *jobStore) next(t *testing.T) string {
	t.Helper()
	select {
	case line := <-s.written:
		return line
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is written")
		return ""
	}
}

// until waits for a key.
func (s *jobStore) until(t *testing.T, what string) {
	t.Helper()
	for !strings.HasPrefix(s.next(t), what+"=") {
	}
}

// jobRig is an agent that runs commands of others.
func jobRig(t *testing.T, s *jobStore, rule RemoteExec) *rig {
	t.Helper()
	r := newRig(t, s.catalog, func(c *Config) { c.RemoteExec = rule })
	r.Agent.next = s
	return r.run()
}

// rexec fires the event that asks for the command.
func (r *rig) rexec(f api.EventFilter) {
	r.t.Helper()
	payload, err := json.Marshal(api.RemoteExec{Prefix: "_rexec", Session: jobSession})
	if err != nil {
		r.t.Fatal(err)
	}
	fire(r.t, r.Agent, api.EventFireArgs{Name: api.RemoteExecEvent, EventFilter: f, Payload: payload})
}

// TestRemoteExec runs commands of each kind to their ends.
func TestRemoteExec(t *testing.T) {
	long := strings.Repeat("x", 3*outputPiece+1)
	for _, c := range []struct {
		name   string
		job    api.RemoteJob
		output string
		code   string
	}{
		{"command", api.RemoteJob{Command: "echo $((1+1)); echo wrong >&2; exit 3"}, "2\nwrong\n", "3"},
		{"arguments", api.RemoteJob{Args: []string{"echo", "$HOME", "a  b"}}, "$HOME a  b\n", "0"},
		{"script", api.RemoteJob{Script: []byte("echo plain")}, "plain\n", "0"},
		{"script of another interpreter", api.RemoteJob{Script: []byte("#!/bin/cat\nhere\n")}, "#!/bin/cat\nhere\n", "0"},
		{"no program", api.RemoteJob{Args: []string{"/no/such"}}, "run the command: fork/exec /no/such: no such file or directory\n", "255"},
		{"signal", api.RemoteJob{Command: "kill -9 $$"}, "the command was ended: signal: killed\n", "255"},
		{"much", api.RemoteJob{Args: []string{"printf", long}}, long, "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, _ := json.Marshal(c.job)
			s := newJobStore(string(text))
			r := jobRig(t, s, AllowRemoteExec)
			r.rexec(api.EventFilter{})
			if first := s.next(t); first != "ack=" {
				t.Errorf("%+v: the first key is %q; want ack", c.job, first)
			}
			s.until(t, api.RemoteExit)
			output, code, pieces := s.output()
			if output != c.output || code != c.code || pieces > len(output)/outputPiece+2 {
				t.Errorf("%+v\n got %q in %d pieces and %s\nwant %q and %s", c.job, output, pieces, code, c.output, c.code)
			}
			if got := listed(t, r.Agent, api.EventListArgs{}); len(got) > 0 {
				t.Errorf("events: got %v; want none, commands are not listed", got)
			}
		})
	}
}

// TestRemoteExecRefusals asks for what is not run.
func TestRemoteExecRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		rule   RemoteExec
		job    string
		filter api.EventFilter
		logged string
	}{
		{"disabled", NoRemoteExec, `{"Command":"true"}`, api.EventFilter{}, "remote execution is disabled"},
		{"other node", AllowRemoteExec, `{"Command":"true"}`, api.EventFilter{Node: "^n2$"}, ""},
		{"other service", AllowRemoteExec, `{"Command":"true"}`, api.EventFilter{Service: "web"}, ""},
		{"nothing", AllowRemoteExec, `{}`, api.EventFilter{}, "nothing to run"},
		{"no job", AllowRemoteExec, `kein`, api.EventFilter{}, "decode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newJobStore(c.job)
				r := jobRig(t, s, c.rule)
				r.rexec(c.filter)
				synctest.Wait()
				if len(s.written) > 0 || !strings.Contains(r.logged.String(), c.logged) {
					t.Errorf("%s: %d keys are written; want none, and %q in\n%s", c.name, len(s.written), c.logged, r.logged)
				}
			})
		})
	}
	for _, payload := range []string{"", "{}", `{"Prefix":"p","Session":"../x"}`, `{"Session":"` + jobSession + `"}`} {
		s := newJobStore(`{"Command":"true"}`)
		r := newRig(t, s.catalog, func(c *Config) { c.RemoteExec = AllowRemoteExec })
		r.hearJob([]byte(payload))
		if len(r.events.jobs) > 0 {
			t.Errorf("payload %s: it is taken; want that it is not", payload)
		}
	}
	r := newRig(t, newCatalog(), func(c *Config) { c.RemoteExec = AllowRemoteExec })
	for range 2 * maxJobs {
		r.rexec(api.EventFilter{})
	}
	if got := len(r.events.jobs); got != maxJobs || !strings.Contains(r.logged.String(), "too many commands") {
		t.Errorf("commands that wait: got %d; want %d, and a warning in\n%s", got, maxJobs, r.logged)
	}
}

// TestRemoteExecEnds ends commands before they end by themselves: with what they
// have started.
func TestRemoteExecEnds(t *testing.T) {
	const line = `(trap 'echo inner ended; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait`
	text, _ := json.Marshal(api.RemoteJob{Command: line})
	t.Run("session", func(t *testing.T) {
		t.Parallel()
		text, _ := json.Marshal(api.RemoteJob{Command: "echo ready; sleep 0.7; echo more; sleep 100"})
		s := newJobStore(string(text))
		r := jobRig(t, s, AllowRemoteExec)
		r.rexec(api.EventFilter{})
		s.until(t, "out/00000")
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		began := time.Now()
		for !strings.Contains(r.logged.String(), "broken off") {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("the command goes on without its session\n%s", r.logged)
			}
			<-time.After(time.Millisecond)
		}
	})
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		s := newJobStore(string(text))
		r := jobRig(t, s, AllowRemoteExec)
		r.rexec(api.EventFilter{})
		s.until(t, "out/00000")
		began := time.Now()
		r.stop() // the leak test of the package finds what it leaves behind
		if took := time.Since(began); took > jobGrace+5*time.Second {
			t.Errorf("the agent stopped after %v", took)
		}
	})
}

// TestJobOutput plays what a command prints against the clock.
func TestJobOutput(t *testing.T) {
	piece := func(n int) string { return strings.Repeat("p", n) }
	for _, c := range []struct {
		name  string
		print []any // texts, and times to wait
		want  []string
	}{
		{"silence", []any{12 * time.Second}, []string{"5s 0 ", "10s 1 "}},
		{"one line", []any{"a\n", time.Second}, []string{"500ms 0 a\n"}},
		{"two lines", []any{"a\n", 100 * time.Millisecond, "b\n", time.Second}, []string{"500ms 0 a\nb\n"}},
		{"rest", []any{"a\n", 100 * time.Millisecond}, []string{"100ms 0 a\n"}},
		{"full", []any{piece(outputPiece), time.Second}, []string{"0s 0 " + piece(outputPiece)}},
		{"more than full", []any{piece(outputPiece + 1), time.Second}, []string{"0s 0 " + piece(outputPiece), "500ms 1 p"}},
		{"alive after output", []any{time.Second, "a", 6 * time.Second}, []string{"1.5s 0 a", "6.5s 1 "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var got []string
				o := newJobOutput(func(_ context.Context, what string, text []byte) error {
					var number int
					_, _ = fmt.Sscanf(what, api.RemoteOutput+"%d", &number)
					got = append(got, fmt.Sprintf("%v %d %s", time.Since(began), number, text))
					return nil
				})
				done := make(chan error)
				go func() { done <- o.run(t.Context()) }()
				for _, p := range c.print {
					switch p := p.(type) {
					case string:
						_, _ = o.Write([]byte(p))
					case time.Duration:
						pass(p)
					}
				}
				o.close()
				if err := <-done; err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s (-want +got)\n%s", c.name, diff)
				}
			})
		})
	}
}

// TestJobOutputBound prints more than is sent: the rest is dropped, and signs of
// life go on.
func TestJobOutputBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent strings.Builder
		alive := 0
		o := newJobOutput(func(_ context.Context, _ string, text []byte) error {
			if len(text) == 0 {
				alive++
			}
			sent.Write(text)
			return nil
		})
		done := make(chan error)
		go func() { done <- o.run(t.Context()) }()
		for range outputLimit/outputPiece + 100 {
			_, _ = o.Write(make([]byte, outputPiece))
			pass(100 * time.Millisecond)
		}
		o.close()
		<-done
		text := sent.String()
		if !strings.HasSuffix(text, "the rest is dropped]\n") || len(text) > outputLimit+200 || alive != 1 {
			t.Errorf("got %d bytes, %q at the end, %d signs of life; want %d and a word about the rest, and one", len(text), text[max(0, len(text)-80):], alive, outputLimit)
		}
	})
	t.Run("fails", func(t *testing.T) {
		failure := fmt.Errorf("gone")
		o := newJobOutput(func(context.Context, string, []byte) error { return failure })
		done := make(chan error)
		go func() { done <- o.run(t.Context()) }()
		for range 10 {
			_, _ = o.Write(make([]byte, outputPiece)) // never blocks for long
		}
		if err := <-done; err != failure {
			t.Errorf("got %v; want %v", err, failure)
		}
	})
}
