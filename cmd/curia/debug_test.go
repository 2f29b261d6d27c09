package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/acl"
	"curia/agent"
	"curia/client"
	"curia/internal/testing/inproc"
)

// TestDebugPlan completes plans, and refuses those that make no sense.
func TestDebugPlan(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	for _, name := range []string{there, there + "2.tar.gz"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 11, 21, 5, 6, 7, 0, time.UTC)
	for _, c := range []struct {
		plan   debugPlan
		result string
		err    string
	}{
		{plan: debugPlan{Duration: 10 * time.Second, Interval: 10 * time.Second, archive: true}, result: "curia-debug-20261121T050607Z.tar.gz"},
		{plan: debugPlan{Duration: time.Minute, Interval: 5 * time.Second, output: "x"}, result: "x"},
		{plan: debugPlan{Duration: time.Minute, Interval: 5 * time.Second, output: "x.tar.gz", archive: true}, result: "x.tar.gz"},
		{plan: debugPlan{Duration: time.Minute, Interval: 5 * time.Second, output: "x", Targets: []string{"cluster", "logs"}}, result: "x"},
		{plan: debugPlan{Duration: 9 * time.Second, Interval: 5 * time.Second}, err: "debug: -duration must be at least 10s, not 9s"},
		{plan: debugPlan{Duration: time.Minute, Interval: time.Second}, err: "debug: -interval must be at least 5s, not 1s"},
		{plan: debugPlan{Duration: time.Minute, Interval: 2 * time.Minute}, err: "debug: -interval 2m0s is longer than -duration 1m0s; shorten it"},
		{plan: debugPlan{Duration: time.Minute, Interval: time.Minute, Targets: []string{"log"}}, err: `debug: unknown -capture "log": use agent, host, members, metrics, logs, pprof`},
		{plan: debugPlan{Duration: time.Minute, Interval: time.Minute, output: there}, err: "debug: " + there + " is there already; choose another -output"},
		{plan: debugPlan{Duration: time.Minute, Interval: time.Minute, output: there + "2", archive: true}, err: "debug: " + there + "2.tar.gz is there already; choose another -output"},
	} {
		asked := c.plan
		err := c.plan.complete(now)
		if c.err != "" || err != nil {
			if err == nil || err.Error() != c.err {
				t.Errorf("%+v: got %v; want %s", asked, err, c.err)
			}
			continue
		}
		if got := c.plan.result(); got != c.result || len(c.plan.Targets) == 0 || slices.Contains(c.plan.Targets, "cluster") {
			t.Errorf("%+v: got %s of %v; want %s", asked, got, c.plan.Targets, c.result)
		}
	}
}

// debugged captures from an agent, and returns the files of the archive by name
// without its time.
func debugged(ctx context.Context, t *testing.T, s *inproc.Server, targets ...string) (files map[string]string, out, errs string, err error) {
	t.Helper()
	p := &debugPlan{
		Duration: 50 * time.Millisecond, Interval: time.Hour, Targets: targets,
		output: filepath.Join(t.TempDir(), "captured"), archive: true,
	}
	var o, e bytes.Buffer
	nothing := func(string) (string, bool) { return "", false }
	row := debugCommands[0]
	row.ask = func(ctx context.Context, c *call, agent *client.Client) error { return c.capture(ctx, agent, p) }
	err = row.leaf("debug", shell{strings.NewReader(""), &o, &e, nothing}).Run(ctx, []string{"debug", "-http-addr=" + s.Listen()})
	if _, gone := os.Stat(p.output); gone == nil {
		t.Errorf("%s is there beside its archive", p.output)
	}
	return unpacked(t, p.result()), strings.ReplaceAll(o.String(), p.output, "captured"), e.String(), err
}

// unpacked reads an archive; nil when there is none.
func unpacked(t *testing.T, path string) map[string]string {
	t.Helper()
	in, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	plain, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	files, stamp := map[string]string{}, regexp.MustCompile(`\d{8}T\d{6}Z`)
	for r := tar.NewReader(plain); ; {
		head, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag == tar.TypeReg {
			files[stamp.ReplaceAllString(head.Name, "TIME")] = string(text)
		}
	}
}

// TestDebug captures everything from an agent, and parts of it.
func TestDebug(t *testing.T) {
	withProfiles := inproc.Start(t, inproc.Options{TuneAgent: func(c *agent.Config) { c.About.Config["EnableDebug"] = true }})
	without := inproc.Start(t, inproc.Options{})
	everything := []string{
		"captured/TIME/goroutine.prof", "captured/TIME/heap.prof", "captured/TIME/metrics.json", "captured/agent.json",
		"captured/curia.log", "captured/host.json", "captured/index.json", "captured/members.json",
		"captured/profile.prof", "captured/trace.out",
	}
	noProfiles := slices.DeleteFunc(slices.Clone(everything), func(s string) bool { return strings.HasSuffix(s, ".prof") || strings.HasSuffix(s, ".out") })
	for _, c := range []struct {
		name    string
		s       *inproc.Server
		targets []string
		want    []string
		says    string
	}{
		{"everything", withProfiles, debugTargets, everything, ""},
		{"no profiles", without, debugTargets, noProfiles, "==> No profiles: the agent has no enable_debug\n"},
		{"part", withProfiles, []string{"host"}, []string{"captured/host.json", "captured/index.json"}, "Capture: host\n"},
	} {
		// The log of this kind of agent ends at once, and that is told.
		c.targets = slices.Clone(c.targets)
		files, out, errs, err := debugged(t.Context(), t, c.s, c.targets...)
		if slices.Contains(c.targets, "logs") != (err != nil) || err != nil && (err.Error() != "debug: 1 parts could not be captured" || errs != "Not captured: log: the agent ended it\n") {
			t.Errorf("%s: got %v and %q", c.name, err, errs)
		}
		if diff := cmp.Diff(c.want, sortedKeys(files)); diff != "" {
			t.Errorf("%s: files (-want +got)\n%s", c.name, diff)
		}
		if !strings.Contains(out, c.says) || !strings.Contains(out, "==> Saved ") {
			t.Errorf("%s: got %q; want %q in it", c.name, out, c.says)
		}
		if c.name == "everything" && (!strings.Contains(files["captured/agent.json"], `"NodeName": "n1"`) || !strings.Contains(files["captured/members.json"], `"n1"`)) {
			t.Errorf("agent.json: got %s", files["captured/agent.json"])
		}
	}
}

// TestDebugInterrupted keeps what there was before the interruption.
func TestDebugInterrupted(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	p := &debugPlan{Duration: time.Hour, Interval: time.Hour, Targets: []string{"agent", "metrics"}, output: filepath.Join(t.TempDir(), "o")}
	var said, errs bytes.Buffer
	row := debugCommands[0]
	row.ask = func(ctx context.Context, c *call, agent *client.Client) error { return c.capture(ctx, agent, p) }
	out := writerFunc(func(text []byte) (int, error) {
		if bytes.Contains(text, []byte("Look 1")) {
			cancel()
		}
		return said.Write(text)
	})
	nothing := func(string) (string, bool) { return "", false }
	err := row.leaf("debug", shell{strings.NewReader(""), out, &errs, nothing}).Run(ctx, []string{"debug", "-http-addr=" + s.Listen()})
	if code := report("curia", &errs, err); code != 1 || !strings.Contains(errs.String(), "interrupted, what was captured before is saved") {
		t.Errorf("got exit code %d, %q and %q; want 1 and that it was interrupted", code, said.String(), errs.String())
	}
	if _, err := os.Stat(filepath.Join(p.output, "agent.json")); err != nil {
		t.Errorf("what was captured before: %v", err)
	}
}

// TestDebugDenied asks an agent that does not let everybody look.
func TestDebugDenied(t *testing.T) {
	s := inproc.Start(t, inproc.Options{Authorizer: func(string) acl.Authorizer { return acl.DenyAll{} }})
	files, _, _, err := debugged(t.Context(), t, s, "host")
	if err == nil || !strings.HasPrefix(err.Error(), "debug: ask the agent about itself: Permission denied") || files != nil {
		t.Errorf("got %v and the files %v; want that permission is denied, and none", err, files)
	}
}

// TestDebugOfAStoppedAgent keeps what an agent told before it answered no more.
func TestDebugOfAStoppedAgent(t *testing.T) {
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/agent/self" {
			_, _ = io.WriteString(w, `{"Config":{"NodeName":"n1"}}`)
			return
		}
		<-over
	}))
	t.Cleanup(func() { close(over); srv.Close() })
	p := &debugPlan{
		Duration: 50 * time.Millisecond, Interval: time.Hour, late: 50 * time.Millisecond,
		Targets: []string{"agent", "host", "metrics"}, output: filepath.Join(t.TempDir(), "o"),
	}
	var out, errs bytes.Buffer
	nothing := func(string) (string, bool) { return "", false }
	row := debugCommands[0]
	row.ask = func(ctx context.Context, c *call, agent *client.Client) error { return c.capture(ctx, agent, p) }
	err := row.leaf("debug", shell{strings.NewReader(""), &out, &errs, nothing}).Run(t.Context(), []string{"debug", "-http-addr=" + srv.URL})
	if code := report("curia", &errs, err); code != 1 || !strings.Contains(errs.String(), "Error! debug: 2 parts could not be captured") {
		t.Errorf("got exit code %d and %q; want 1, and that two parts are missing", code, errs.String())
	}
	if _, err := os.Stat(filepath.Join(p.output, "agent.json")); err != nil {
		t.Errorf("what was captured before: %v", err)
	}
}

// writerFunc is an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }

func sortedKeys(m map[string]string) []string {
	out := []string{}
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
