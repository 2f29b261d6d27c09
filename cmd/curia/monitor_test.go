package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/httpapi"
	"curia/internal/testing/inproc"
)

// monitored is an agent whose log can be listened to.
func monitored(t *testing.T) (n *node, url string) {
	t.Helper()
	s := inproc.Start(t, inproc.Options{})
	n = &node{agent: s.Agent, log: slog.New(newLogTee(slog.DiscardHandler))}
	raw := map[*api.Op]httpapi.RawFunc{api.AgentMonitor.Op: n.monitor}
	srv := httptest.NewServer(httpapi.New(httpapi.Config{Raw: raw}, s.Agent, n.log))
	t.Cleanup(srv.Close)
	t.Cleanup(n.tee().stop)
	return n, srv.URL
}

// monitorRun is "curia monitor" while it runs.
type monitorRun struct {
	lines *bufio.Reader
	errs  strings.Builder
	code  chan int
}

// startMonitor returns when the agent has a hearer.
func startMonitor(ctx context.Context, t *testing.T, n *node, line string) *monitorRun {
	t.Helper()
	r, w := io.Pipe()
	m := &monitorRun{lines: bufio.NewReader(r), code: make(chan int, 1)}
	go func() {
		nothing := func(string) (string, bool) { return "", false }
		m.code <- run(ctx, shell{strings.NewReader(""), w, &m.errs, nothing}, strings.Fields(line))
		w.Close()
	}()
	awaitHearers(t, n, 1)
	return m
}

// awaitHearers waits until so many listen.
func awaitHearers(t *testing.T, n *node, want int) {
	t.Helper()
	tick, late := time.NewTicker(time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for len(n.tee().now()) != want {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("hearers of the log: got %d; want %d", len(n.tee().now()), want)
		}
	}
}

// TestMonitor listens to a log at levels of its own.
func TestMonitor(t *testing.T) {
	n, url := monitored(t)
	tests := []struct {
		flags string
		want  []string
	}{
		{"", []string{"level=INFO msg=seen node=n1 group.a=1", "level=ERROR msg=failed"}},
		{"-log-level=trace", []string{"level=TRACE msg=finest", "level=INFO msg=seen node=n1 group.a=1", "level=ERROR msg=failed"}},
		{"-log-level=ERR -log-json", []string{`{"level":"ERROR","msg":"failed"}`}},
	}
	for _, tt := range tests {
		ctx, cancel := context.WithCancel(t.Context())
		m := startMonitor(ctx, t, n, "curia monitor -http-addr="+url+" "+tt.flags)
		n.log.Log(ctx, levelTrace, "finest")
		n.log.With("node", "n1").WithGroup("group").Info("seen", "a", 1)
		n.log.Error("failed")
		var got []string
		for range tt.want {
			line, err := m.lines.ReadString('\n')
			if err != nil {
				t.Fatalf("monitor %s: %v after %q", tt.flags, err, got)
			}
			got = append(got, withoutTime(t, line))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("monitor %s (-want +got):\n%s", tt.flags, diff)
		}
		cancel()
		if code := <-m.code; code != 0 || m.errs.Len() > 0 {
			t.Errorf("monitor %s, interrupted: got exit code %d and %q; want 0 and nothing", tt.flags, code, m.errs.String())
		}
		awaitHearers(t, n, 0)
	}
	m := startMonitor(t.Context(), t, n, "curia monitor -http-addr="+url)
	n.tee().stop()
	if code := <-m.code; code != 1 || !strings.HasPrefix(m.errs.String(), "Remote side ended the monitor!") {
		t.Errorf("monitor of an agent that stops: got exit code %d and %q; want 1 and that it has ended", code, m.errs.String())
	}
}

// withoutTime takes the time off a line.
func withoutTime(t *testing.T, line string) string {
	t.Helper()
	if !strings.HasPrefix(line, "{") {
		_, rest, _ := strings.Cut(line, " ")
		return strings.TrimSpace(rest)
	}
	event := map[string]any{}
	if err := json.Unmarshal([]byte(line), &event); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	delete(event, "time")
	text, _ := json.Marshal(event)
	return string(text)
}

// TestMonitorLevels asks for levels that there are, and for one that there is not.
func TestMonitorLevels(t *testing.T) {
	for _, level := range api.LogLevels {
		if _, ok := logLevels[level]; !ok {
			t.Errorf("level %s has no counterpart in the log", level)
		}
	}
	for given, want := range map[string]string{"": "INFO", "warn": "WARN", "error": "ERR", "Trace": "TRACE"} {
		if a := (&api.MonitorArgs{LogLevel: given}); a.Validate() != nil || a.LogLevel != want {
			t.Errorf("level %q: got %q, %v; want %q", given, a.LogLevel, a.Validate(), want)
		}
	}
	_, url := monitored(t)
	resp, err := http.Get(url + "/v1/agent/monitor?loglevel=Fluff")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); resp.StatusCode != 400 || string(text) != "Unknown log level: Fluff" {
		t.Errorf("loglevel=Fluff: got %d %q, %v; want 400 and that it is unknown", resp.StatusCode, text, err)
	}
	if code, _, errs := inProcess("monitor", "-http-addr="+url, "-log-level=fluff"); code != 1 || errs != "Error! monitor: Unknown log level: fluff\n" {
		t.Errorf("monitor -log-level=fluff: got %d and %q", code, errs)
	}
}

// TestMonitorSlow lets more be logged than a hearer takes, and wants the log
// itself untouched by hearers.
func TestMonitorSlow(t *testing.T) {
	var own bytes.Buffer
	level := &slog.LevelVar{}
	level.Set(slog.LevelWarn)
	tee := newLogTee(logHandler(&own, level, false))
	log := slog.New(tee)
	lines, leave := tee.listen(slog.LevelInfo, false)
	for i := range 2 * monitorLines {
		log.Info(fmt.Sprint("line ", i))
	}
	log.Debug("too fine")
	leave()
	log.Warn("after")
	if len(lines) != monitorLines {
		t.Errorf("lines that wait: got %d; want %d", len(lines), monitorLines)
	}
	if first := withoutTime(t, string(<-lines)); first != `level=INFO msg="line 0"` {
		t.Errorf("first line: got %s; want line 0", first)
	}
	if got := withoutTime(t, own.String()); got != "level=WARN msg=after" {
		t.Errorf("the log itself: got %q; want the warning alone", got)
	}
	if n := testing.AllocsPerRun(100, func() { log.Info("nobody listens") }); n != 0 {
		t.Errorf("an event that nobody wants: got %v allocations; want none", n)
	}
}
