package check

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"curia/api"
)

// checksFrom reads "service/id:status" words; without a service it is a check of
// the node, and an id that begins with alias makes an alias check.
func checksFrom(t *testing.T, text string) (out []*api.Check) {
	for word := range strings.FieldsSeq(text) {
		id, status, ok := strings.Cut(word, ":")
		service, id2, ok2 := strings.Cut(id, "/")
		if !ok || !ok2 {
			t.Fatalf("bad check %q", word)
		}
		c := &api.Check{CheckID: id2, Name: id2, ServiceID: service, Status: status, Output: "out of " + id2, Type: api.CheckTTL}
		if strings.HasPrefix(id2, "alias") {
			c.Type = api.CheckAlias
		}
		out = append(out, c)
	}
	return out
}

func TestAliasJudges(t *testing.T) {
	all, none := Result{api.Passing, "All checks passing."}, Result{api.Passing, "No checks found."}
	bad := func(status, name string) Result {
		return Result{status, `Aliased check "` + name + `" failing: out of ` + name}
	}
	for _, c := range []struct {
		name, body, checks string
		want               Result
	}{
		{"passing", `{"AliasService":"db"}`, "db/a:passing db/b:passing", all},
		{"warning", `{"AliasService":"db"}`, "db/a:passing db/b:warning", bad("warning", "b")},
		{"critical wins", `{"AliasService":"db"}`, "db/a:warning db/b:critical db/c:critical", bad("critical", "b")},
		{"unknown is critical", `{"AliasService":"db"}`, "db/a:warning db/b:unknown", bad("critical", "b")},
		{"the node counts", `{"AliasService":"db"}`, "db/a:passing /serfHealth:critical", bad("critical", "serfHealth")},
		{"others do not", `{"AliasService":"db"}`, "db/a:passing web/b:critical", all},
		{"no checks", `{"AliasService":"db"}`, "web/b:critical", none},
		{"the node alone", `{"AliasNode":"n"}`, "db/a:critical /serfHealth:passing", all},
		{"the node is ill", `{"AliasNode":"n"}`, "/serfHealth:critical", bad("critical", "serfHealth")},
		{"not itself", `{"ID":"alias1","AliasService":"db"}`, "db/alias1:critical /alias1:critical db/a:passing", all},
		{"no aliases of the node", `{"ID":"alias1","AliasService":"db"}`, "/alias2:critical db/a:passing", all},
		{"aliases of the service", `{"ID":"alias1","AliasService":"db"}`, "db/alias2:critical db/a:passing", bad("critical", "alias2")},
		{"long output", `{"AliasService":"db","OutputMaxSize":20}`, "db/a:critical",
			Result{api.Critical, `Aliased check "a" fa ... (captured 20 of 35 bytes)`}},
	} {
		ck, err := New(define(t, c.body), FromAPI, Options{Aliased: func(context.Context, string, string) (Aliased, error) { return Aliased{}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		got := ck.(*alias).judge(Aliased{Node: "n", ServiceFound: true, Checks: checksFrom(t, c.checks)})
		wantResult(t, c.name+": "+c.checks, got, c.want)
	}
	a := &alias{service: "db"}
	wantResult(t, "no such service", a.judge(Aliased{Node: "n"}), Result{api.Critical, "Service db could not be found on node n"})
}

// source tells what it is given, and when that changes.
type source struct {
	t *testing.T

	mu      sync.Mutex
	state   string
	err     error
	changed chan struct{}
	asked   []time.Duration // since the start
	start   time.Time
	last    context.Context
}

func (s *source) get(ctx context.Context, node, service string) (Aliased, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if node != "far" || service != "db" {
		s.t.Errorf("asked for %q on %q, want db on far", service, node)
	}
	if s.last != nil && s.last.Err() == nil {
		s.t.Error("asked again while the context of the last question lives")
	}
	s.asked, s.last = append(s.asked, time.Since(s.start)), ctx
	if s.err != nil {
		return Aliased{}, s.err
	}
	return Aliased{Node: "far", ServiceFound: true, Checks: checksFrom(s.t, s.state), Changed: s.changed}, nil
}

// set changes what is told, without telling that.
func (s *source) set(state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state, s.err = state, err
}

// change changes what is told, and tells that.
func (s *source) change(state string, err error) {
	s.set(state, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func TestAliasFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &source{t: t, state: "db/a:passing", changed: make(chan struct{}), start: time.Now()}
		c, err := New(define(t, `{"AliasService":"db","AliasNode":"far"}`), FromAPI,
			Options{Aliased: s.get, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		during(t, c, func(results <-chan Result) {
			next := func(want string) {
				t.Helper()
				synctest.Wait()
				got := ""
				if len(results) > 0 {
					got = (<-results).Status
				}
				if got != want {
					t.Errorf("after %v: got %q, want %q", time.Since(s.start), got, want)
				}
			}
			next(api.Passing)
			s.change("db/a:critical", nil)
			next(api.Critical)
			s.change("db/a:critical web/x:passing", nil)
			next("") // nothing that concerns it
			s.set("db/a:warning", nil)
			time.Sleep(aliasRefresh) // nobody told, yet it looks again
			next(api.Warning)
			s.change("", errors.New("no path"))
			next("")
			s.set("db/a:passing", nil)
			time.Sleep(aliasRefresh)
			next(api.Passing)
		})
		want := []time.Duration{0, 0, 0, time.Minute, time.Minute, 2 * time.Minute}
		if diff := gocmp.Diff(want, s.asked); diff != "" {
			t.Errorf("times of the questions (-want +got)\n%s", diff)
		}
		if s.last.Err() == nil {
			t.Error("the context of the last question outlives the check")
		}
		if !strings.Contains(log.String(), `err="no path"`) {
			t.Errorf("got log %q, want the error in it", log.String())
		}
	})
}
