package hclogs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// newTest gives a logger and what it wrote since the last call, without times.
func newTest(level slog.Level) (hclog.Logger, func() string) {
	var buf bytes.Buffer
	h := slog.NewJSONHandler(&buf, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		},
	})
	return New(slog.New(h)), func() string {
		defer buf.Reset()
		return strings.TrimSuffix(buf.String(), "\n")
	}
}

func TestRecords(t *testing.T) {
	var nobody *raft.ServerSuffrage
	tests := []struct {
		name string
		do   func(hclog.Logger)
		want string
	}{
		{"trace", func(l hclog.Logger) { l.Trace("m") }, `{"level":"DEBUG-4","msg":"m"}`},
		{"debug", func(l hclog.Logger) { l.Debug("m") }, `{"level":"DEBUG","msg":"m"}`},
		{"info", func(l hclog.Logger) { l.Info("m") }, `{"level":"INFO","msg":"m"}`},
		{"warn", func(l hclog.Logger) { l.Warn("m") }, `{"level":"WARN","msg":"m"}`},
		{"error", func(l hclog.Logger) { l.Error("m") }, `{"level":"ERROR","msg":"m"}`},
		{"log at a level", func(l hclog.Logger) { l.Log(hclog.Warn, "m", "k", 1) }, `{"level":"WARN","msg":"m","k":1}`},
		{"log at no level", func(l hclog.Logger) { l.Log(hclog.NoLevel, "m") }, `{"level":"INFO","msg":"m"}`},
		{"log at off", func(l hclog.Logger) { l.Log(hclog.Off, "m") }, ``},
		{"pairs in order", func(l hclog.Logger) { l.Info("m", "b", 1, "a", "x") }, `{"level":"INFO","msg":"m","b":1,"a":"x"}`},
		{"error becomes err", func(l hclog.Logger) { l.Info("m", "error", errors.New("boom")) }, `{"level":"INFO","msg":"m","err":"boom"}`},
		{"key that is no string", func(l hclog.Logger) { l.Info("m", 7, 8) }, `{"level":"INFO","msg":"m","7":8}`},
		{"value without a key", func(l hclog.Logger) { l.Info("m", "a", 1, "b") }, `{"level":"INFO","msg":"m","a":1,"extra":"b"}`},
		{"stack", func(l hclog.Logger) { l.Info("m", hclog.CapturedStacktrace("s")) }, `{"level":"INFO","msg":"m","stacktrace":"s"}`},
		{"name for a number", func(l hclog.Logger) { l.Info("m", "state", raft.Leader) }, `{"level":"INFO","msg":"m","state":"Leader"}`},
		{"nil with a name", func(l hclog.Logger) { l.Info("m", "s", nobody) }, `{"level":"INFO","msg":"m","s":"<nil>"}`},
		{"duration", func(l hclog.Logger) { l.Info("m", "d", time.Microsecond) }, `{"level":"INFO","msg":"m","d":1000}`},
		{"formats", func(l hclog.Logger) {
			l.Info("m", "f", hclog.Fmt("%d of %d", 1, 2), "e", hclog.Format{}, "h", hclog.Hex(255), "o", hclog.Octal(8), "b", hclog.Binary(5), "q", hclog.Quote("\n"))
		}, `{"level":"INFO","msg":"m","f":"1 of 2","e":"","h":"0xff","o":"010","b":"0b101","q":"\"\\n\""}`},
		{"named", func(l hclog.Logger) { l.Named("raft").Named("wal").Info("m") }, `{"level":"INFO","msg":"m","component":"raft.wal"}`},
		{"reset name", func(l hclog.Logger) { l.Named("raft").ResetNamed("wal").Info("m") }, `{"level":"INFO","msg":"m","component":"wal"}`},
		{"no name again", func(l hclog.Logger) { l.Named("raft").ResetNamed("").Info("m") }, `{"level":"INFO","msg":"m"}`},
		{"with", func(l hclog.Logger) { l.With("a", 1).With("b", 2).Info("m", "c", 3) }, `{"level":"INFO","msg":"m","a":1,"b":2,"c":3}`},
		{"with replaces", func(l hclog.Logger) { l.With("a", 1, "b", 2).With("a", 3).Info("m") }, `{"level":"INFO","msg":"m","a":3,"b":2}`},
		{"with without a key", func(l hclog.Logger) { l.With("a", 1, 2).Info("m") }, `{"level":"INFO","msg":"m","a":1,"extra":2}`},
		{"name after with", func(l hclog.Logger) { l.With("a", 1).Named("x").Info("m") }, `{"level":"INFO","msg":"m","component":"x","a":1}`},
		{"parent keeps to itself", func(l hclog.Logger) {
			p := l.With("a", 1)
			p.With("a", 2)
			p.Named("x")
			p.Info("m")
		}, `{"level":"INFO","msg":"m","a":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, wrote := newTest(LevelTrace)
			tt.do(l)
			if got := wrote(); got != tt.want {
				t.Errorf("got    %s\nwanted %s", got, tt.want)
			}
		})
	}
}

func TestAttributesOfTheLoggerBelow(t *testing.T) {
	var buf bytes.Buffer
	below := slog.New(slog.NewTextHandler(&buf, nil)).With("node", "n1")
	New(below).Named("raft").Info("m", "k", "v")
	if want := "level=INFO msg=m node=n1 component=raft k=v\n"; !strings.HasSuffix(buf.String(), want) {
		t.Errorf("got %q, wanted it to end with %q", buf.String(), want)
	}
}

func TestLevels(t *testing.T) {
	tests := []struct {
		handler slog.Level
		want    hclog.Level
		on      [5]bool // trace, debug, info, warn, error
	}{
		{LevelTrace, hclog.Trace, [5]bool{true, true, true, true, true}},
		{slog.LevelDebug, hclog.Debug, [5]bool{false, true, true, true, true}},
		{slog.LevelInfo, hclog.Info, [5]bool{false, false, true, true, true}},
		{slog.LevelWarn, hclog.Warn, [5]bool{false, false, false, true, true}},
		{slog.LevelError, hclog.Error, [5]bool{false, false, false, false, true}},
		{slog.LevelError + 1, hclog.Off, [5]bool{}},
	}
	for _, tt := range tests {
		l, wrote := newTest(tt.handler)
		l.SetLevel(hclog.Trace) // changes nothing
		if got := l.GetLevel(); got != tt.want {
			t.Errorf("GetLevel over %v: got %v, wanted %v", tt.handler, got, tt.want)
		}
		on := [5]bool{l.IsTrace(), l.IsDebug(), l.IsInfo(), l.IsWarn(), l.IsError()}
		if on != tt.on {
			t.Errorf("Is… over %v: got %v, wanted %v", tt.handler, on, tt.on)
		}
		for i, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn, hclog.Error} {
			l.Log(level, "m")
			if got := wrote() != ""; got != tt.on[i] {
				t.Errorf("Log(%v) over %v: wrote %v, wanted %v", level, tt.handler, got, tt.on[i])
			}
		}
	}
}

func TestNameAndImpliedArgs(t *testing.T) {
	l, _ := newTest(slog.LevelInfo)
	l = l.Named("raft").With("a", 1).Named("wal").With("b", 2)
	if got := l.Name(); got != "raft.wal" {
		t.Errorf("Name: got %q, wanted %q", got, "raft.wal")
	}
	args := l.ImpliedArgs()
	if diff := cmp.Diff([]any{"a", 1, "b", 2}, args); diff != "" {
		t.Errorf("ImpliedArgs (-wanted +got):\n%s", diff)
	}
	args[1] = 9
	if diff := cmp.Diff([]any{"a", 1, "b", 2}, l.ImpliedArgs()); diff != "" {
		t.Errorf("ImpliedArgs after a change of what it gave (-wanted +got):\n%s", diff)
	}
}

// onlyErrors takes errors and drops them, so that what is counted below is the
// adapter alone.
type onlyErrors struct{ slog.Handler }

func (onlyErrors) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (onlyErrors) Handle(context.Context, slog.Record) error    { return nil }
func (onlyErrors) WithAttrs([]slog.Attr) slog.Handler           { return onlyErrors{} }

func TestOffAllocatesNothing(t *testing.T) {
	l := New(slog.New(onlyErrors{})).Named("raft").With("a", 1)
	args := []any{"key", "value", "error", io.EOF}
	std := l.StandardWriter(&hclog.StandardLoggerOptions{InferLevels: true, InferLevelsWithTimestamp: true})
	line := []byte("2018/03/02 15:04:05 [DEBUG] memberlist: a long line about some probe\n")
	tests := []struct {
		name string
		do   func()
	}{
		{"Trace", func() { l.Trace("m", args...) }},
		{"Debug", func() { l.Debug("m", args...) }},
		{"Info", func() { l.Info("m", args...) }},
		{"Log", func() { l.Log(hclog.Warn, "m", args...) }},
		{"IsDebug", func() { l.IsDebug() }},
		{"Write", func() { _, _ = std.Write(line) }},
	}
	for _, tt := range tests {
		if got := testing.AllocsPerRun(100, tt.do); got != 0 {
			t.Errorf("%s below the level: got %v allocations, wanted 0", tt.name, got)
		}
	}
	if got := testing.AllocsPerRun(100, func() { l.Error("m", "k", args) }); got == 0 {
		t.Error("Error at the level: got 0 allocations: the test measures nothing")
	}
}
