package check

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"curia/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// define reads a definition as the agent does, with an interval where one is due.
func define(t testing.TB, body string) *api.CheckRegistration {
	t.Helper()
	def := new(api.CheckRegistration)
	if err := api.DecodeRelaxed([]byte(body), def); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	def.Name = cmp.Or(def.Name, "c")
	if kind := def.Type(); kind != api.CheckTTL && kind != api.CheckAlias {
		def.Interval = cmp.Or(def.Interval, api.ReadableDuration(10*time.Second))
	}
	if err := def.Validate(); err != nil {
		t.Fatalf("validate %s: %v", body, err)
	}
	return def
}

// look makes a check and probes once.
func look(t testing.TB, body string, opts Options) Result {
	t.Helper()
	opts.Scripts = AllScripts
	c, err := New(define(t, body), FromAPI, opts)
	if err != nil {
		t.Fatalf("make check %s: %v", body, err)
	}
	return c.(*periodic).look(t.Context())
}

// wantResult compares a result; an expected output that ends with … is a beginning.
func wantResult(t testing.TB, what string, got, want Result) {
	t.Helper()
	if start, open := strings.CutSuffix(want.Output, "…"); open && strings.HasPrefix(got.Output, start) {
		got.Output = want.Output
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestNewPermitsCommands(t *testing.T) {
	const (
		remote = "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true"
		local  = "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true"
	)
	script, docker := `{"Args":["true"]}`, `{"Script":"true","DockerContainerID":"c"}`
	for _, c := range []struct {
		body string
		rule ScriptRule
		from Origin
		err  string
	}{
		{script, NoScripts, FromAPI, remote},
		{script, NoScripts, FromFile, local},
		{script, ScriptsFromFiles, FromAPI, remote},
		{script, ScriptsFromFiles, FromFile, ""},
		{script, AllScripts, FromAPI, ""},
		{script, AllScripts, FromFile, ""},
		{docker, NoScripts, FromAPI, remote},
		{docker, AllScripts, FromAPI, ""},
		{`{"TTL":"1s"}`, NoScripts, FromAPI, ""},
		{`{"HTTP":"http://h/"}`, NoScripts, FromAPI, ""},
	} {
		_, err := New(define(t, c.body), c.from, Options{Scripts: c.rule})
		if text := errText(err); text != c.err {
			t.Errorf("%s, rule %d, from %d:\n got error %q\nwant error %q", c.body, c.rule, c.from, text, c.err)
		}
		if err != nil && api.KindOf(err) != api.Rejected {
			t.Errorf("%s: got kind %v, want Rejected", c.body, api.KindOf(err))
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		def  api.CheckRegistration
		opts Options
		err  string
	}{
		{api.CheckRegistration{}, Options{}, "Check type is not valid"},
		{*define(t, `{"OSService":"o"}`), Options{}, "Invalid check: OSService checks are not implemented on this system"},
		{*define(t, `{"AliasService":"s"}`), Options{}, "Invalid check: Alias checks are not available here"},
		{*define(t, `{"Script":"true","DockerContainerID":"c"}`), Options{Scripts: AllScripts, DockerHost: "ssh://h"},
			`docker host "ssh://h" has to begin with unix:// or tcp://`},
	} {
		_, err := New(&c.def, FromAPI, c.opts)
		if text := errText(err); text != c.err {
			t.Errorf("%+v:\n got error %q\nwant error %q", c.def, text, c.err)
		}
	}
}

func TestNewRaisesShortIntervals(t *testing.T) {
	for _, c := range []struct {
		given, want time.Duration
		warns       bool
	}{
		{time.Millisecond, time.Second, true},
		{time.Second, time.Second, false},
		{time.Minute, time.Minute, false},
	} {
		var log bytes.Buffer
		def := define(t, `{"Name":"quick","HTTP":"http://h/"}`)
		def.Interval = api.ReadableDuration(c.given)
		got, err := New(def, FromAPI, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if got := got.(*periodic).interval; got != c.want {
			t.Errorf("interval %v: got %v, want %v", c.given, got, c.want)
		}
		if warned := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "check=quick"); warned != c.warns {
			t.Errorf("interval %v: got log %q, want a warning: %v", c.given, log.String(), c.warns)
		}
	}
}

func TestNewLimitsOutput(t *testing.T) {
	for _, c := range []struct{ def, node, want int }{
		{0, 0, 4096}, {100, 0, 100}, {10000, 0, 4096}, {0, 10000, 10000}, {20000, 10000, 10000}, {50, 60, 50},
	} {
		def := define(t, `{"TTL":"1s"}`)
		def.OutputMaxSize = c.def
		got, err := New(def, FromAPI, Options{OutputMaxSize: c.node})
		if err != nil {
			t.Fatal(err)
		}
		if got := got.(*TTL).limit; got != c.want {
			t.Errorf("check %d, node %d: got %d, want %d", c.def, c.node, got, c.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// during runs a check until f returns, and hands every result to f's channel.
func during(t *testing.T, c Checker, f func(results <-chan Result)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	results, ended := make(chan Result, 1000), make(chan error, 1)
	go func() { ended <- c.Run(ctx, func(r Result) { results <- r }) }()
	f(results)
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("Run returned %v, want %v", err, context.Canceled)
	}
}
