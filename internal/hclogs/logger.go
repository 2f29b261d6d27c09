package hclogs

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
)

// LevelTrace is the level of hclog's traces, which slog has no name for.
const LevelTrace = slog.LevelDebug - 4

// The keys of attributes that the adapter makes or renames.
const (
	keyComponent = "component" // the name of a logger
	keyError     = "err"       // what hclog's users call "error"
	keyExtra     = "extra"     // a value that came without a key
)

// logger is an hclog.Logger over a slog.Handler.
type logger struct {
	root    slog.Handler // knows neither the name nor the implied pairs
	out     slog.Handler // root with both
	name    string
	implied []any // pairs; never of odd length
}

// New makes an hclog.Logger that logs through to. Its name is empty, and the
// attributes and groups of to apply. The name that Named gives becomes the
// attribute "component", joined with dots; the key "error" becomes "err".
func New(to *slog.Logger) hclog.Logger { return newLogger(to.Handler(), "", nil) }

func newLogger(root slog.Handler, name string, implied []any) *logger {
	l := &logger{root: root, out: root, name: name, implied: implied}
	var attrs []slog.Attr
	if name != "" {
		attrs = append(attrs, slog.String(keyComponent, name))
	}
	for i := 0; i < len(implied); i += 2 {
		attrs = append(attrs, attr(implied[i], implied[i+1]))
	}
	if len(attrs) > 0 {
		l.out = root.WithAttrs(attrs)
	}
	return l
}

// Log logs at a level: NoLevel is Info, and Off is nothing.
func (l *logger) Log(level hclog.Level, msg string, args ...any) { l.log(level, msg, args) }

func (l *logger) Trace(msg string, args ...any) { l.log(hclog.Trace, msg, args) }
func (l *logger) Debug(msg string, args ...any) { l.log(hclog.Debug, msg, args) }
func (l *logger) Info(msg string, args ...any)  { l.log(hclog.Info, msg, args) }
func (l *logger) Warn(msg string, args ...any)  { l.log(hclog.Warn, msg, args) }
func (l *logger) Error(msg string, args ...any) { l.log(hclog.Error, msg, args) }

func (l *logger) log(level hclog.Level, msg string, args []any) {
	if !l.enabled(level) {
		return
	}
	// The program counter is left out: it would lead into the library.
	r := slog.NewRecord(time.Now(), slogLevel(level), msg, 0)
	for len(args) >= 2 {
		r.AddAttrs(attr(args[0], args[1]))
		args = args[2:]
	}
	if len(args) == 1 {
		r.AddAttrs(extra(args[0]))
	}
	// hclog has no way to report that the log cannot be written.
	_ = l.out.Handle(context.Background(), r)
}

func (l *logger) enabled(level hclog.Level) bool {
	return level != hclog.Off && l.out.Enabled(context.Background(), slogLevel(level))
}

func (l *logger) IsTrace() bool { return l.enabled(hclog.Trace) }
func (l *logger) IsDebug() bool { return l.enabled(hclog.Debug) }
func (l *logger) IsInfo() bool  { return l.enabled(hclog.Info) }
func (l *logger) IsWarn() bool  { return l.enabled(hclog.Warn) }
func (l *logger) IsError() bool { return l.enabled(hclog.Error) }

// ImpliedArgs gives a copy of the pairs that With added.
func (l *logger) ImpliedArgs() []any { return slices.Clone(l.implied) }

// With adds pairs. A key that is there already gets the new value.
func (l *logger) With(args ...any) hclog.Logger {
	implied := slices.Clone(l.implied)
	if len(args)%2 == 1 {
		last := len(args) - 1
		a := extra(args[last])
		args = append(slices.Clone(args[:last]), a.Key, args[last])
	}
	for ; len(args) > 0; args = args[2:] {
		implied = setPair(implied, args[0], args[1])
	}
	return newLogger(l.root, l.name, implied)
}

func setPair(pairs []any, key, val any) []any {
	for i := 0; i < len(pairs); i += 2 {
		if keyText(pairs[i]) == keyText(key) {
			pairs[i+1] = val
			return pairs
		}
	}
	return append(pairs, key, val)
}

func (l *logger) Name() string { return l.name }

// Named appends to the name, with a dot between.
func (l *logger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

func (l *logger) ResetNamed(name string) hclog.Logger { return newLogger(l.root, name, l.implied) }

// SetLevel does nothing, as hclog allows: the handler knows the level.
func (l *logger) SetLevel(hclog.Level) {}

// GetLevel is the lowest level that the handler lets through at the moment.
func (l *logger) GetLevel() hclog.Level {
	for level := hclog.Trace; level < hclog.Off; level++ {
		if l.enabled(level) {
			return level
		}
	}
	return hclog.Off
}

func (l *logger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(opts), "", 0)
}

func (l *logger) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	w := &lineWriter{to: l}
	if opts != nil {
		w.opts = *opts
	}
	return w
}

func slogLevel(level hclog.Level) slog.Level {
	switch level {
	case hclog.Trace:
		return LevelTrace
	case hclog.Debug:
		return slog.LevelDebug
	case hclog.Warn:
		return slog.LevelWarn
	case hclog.Error:
		return slog.LevelError
	}
	return slog.LevelInfo
}

func attr(key, val any) slog.Attr { return slog.Attr{Key: keyText(key), Value: value(val)} }

// extra is the attribute of a value without a key. A stack says what it is.
func extra(val any) slog.Attr {
	if _, ok := val.(hclog.CapturedStacktrace); ok {
		return attr("stacktrace", val)
	}
	return attr(keyExtra, val)
}

func keyText(key any) string {
	s, ok := key.(string)
	if !ok {
		return fmt.Sprint(key)
	}
	if s == "error" {
		return keyError
	}
	return s
}

// value prints what only hclog knows how to print, and names what would be a
// bare number in JSON, such as the state of a raft node.
func value(v any) slog.Value {
	switch v := v.(type) {
	case hclog.Format:
		if len(v) == 0 {
			return slog.StringValue("")
		}
		return slog.StringValue(fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...))
	case hclog.Hex:
		return slog.StringValue("0x" + strconv.FormatInt(int64(v), 16))
	case hclog.Octal:
		return slog.StringValue("0" + strconv.FormatInt(int64(v), 8))
	case hclog.Binary:
		return slog.StringValue("0b" + strconv.FormatInt(int64(v), 2))
	case hclog.Quote:
		return slog.StringValue(strconv.Quote(string(v)))
	case hclog.CapturedStacktrace:
		return slog.StringValue(string(v))
	case time.Time, time.Duration, error, json.Marshaler, encoding.TextMarshaler, slog.LogValuer:
		return slog.AnyValue(v)
	case fmt.Stringer:
		return slog.StringValue(fmt.Sprint(v)) // unlike v.String, survives a nil pointer
	}
	return slog.AnyValue(v)
}
