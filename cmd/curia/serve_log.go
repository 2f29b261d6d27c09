package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"slices"
	"strings"

	"curia/config"
)

// openLog makes the log: to out, to files if they are named, and to the system's
// log if that is wanted.
func openLog(cfg *config.Config, level *slog.LevelVar, out io.Writer) (*slog.Logger, func(), error) {
	setLevel(level, cfg.Log.Level)
	var undo []func()
	done := func() {
		for _, f := range undo {
			f()
		}
	}
	if l := cfg.Log; l.File != "" {
		f, err := openLogFile(l.File, l.RotateBytes, l.RotateDuration, l.RotateMaxFiles)
		if err != nil {
			return nil, nil, fmt.Errorf("log_file: %w", err)
		}
		out, undo = io.MultiWriter(out, f), append(undo, f.close)
	}
	handler := logHandler(out, level, cfg.Log.JSON)
	if cfg.Log.Syslog {
		system, err := openSyslog(cfg.Log.SyslogFacility, "", "")
		if err != nil {
			done()
			return nil, nil, fmt.Errorf("enable_syslog: cannot reach the log of the system: %w", err)
		}
		undo = append(undo, system.close)
		handler = slog.NewMultiHandler(handler, newBySeverity(level, cfg.Log.JSON, system))
	}
	return slog.New(newLogTee(handler)), done, nil
}

// Severities of the system's log.
const (
	debugLine = iota
	infoLine
	warningLine
	errorLine
	severities
)

// systemLog takes lines by their severity.
type systemLog struct {
	write [severities]func(line string) error
	close func()
}

// openSyslog connects to the log of the system, or to another one at an address.
func openSyslog(facility, network, addr string) (*systemLog, error) {
	number := syslog.Priority(slices.Index(config.SyslogFacilities, facility)) << 3
	w, err := syslog.Dial(network, addr, number|syslog.LOG_INFO, "curia")
	if err != nil {
		return nil, err
	}
	return &systemLog{[severities]func(string) error{w.Debug, w.Info, w.Warning, w.Err}, func() { _ = w.Close() }}, nil
}

// lineWriter hands each line on.
type lineWriter func(line string) error

// Write implements io.Writer.
func (f lineWriter) Write(b []byte) (int, error) {
	return len(b), f(strings.TrimSuffix(string(b), "\n"))
}

// bySeverity writes each event with the handler of its severity.
type bySeverity [severities]slog.Handler

// newBySeverity makes a handler for the log of the system, which knows the time
// and the severity of a line itself.
func newBySeverity(level slog.Leveler, asJSON bool, to *systemLog) (s bySeverity) {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}}
	for i, write := range to.write {
		if asJSON {
			s[i] = slog.NewJSONHandler(lineWriter(write), opts)
		} else {
			s[i] = slog.NewTextHandler(lineWriter(write), opts)
		}
	}
	return s
}

// Enabled implements slog.Handler.
func (s bySeverity) Enabled(ctx context.Context, level slog.Level) bool {
	return s[infoLine].Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (s bySeverity) Handle(ctx context.Context, r slog.Record) error {
	severity := errorLine
	switch {
	case r.Level < slog.LevelInfo:
		severity = debugLine
	case r.Level < slog.LevelWarn:
		severity = infoLine
	case r.Level < slog.LevelError:
		severity = warningLine
	}
	return s[severity].Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s bySeverity) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i, h := range s {
		s[i] = h.WithAttrs(attrs)
	}
	return s
}

// WithGroup implements slog.Handler.
func (s bySeverity) WithGroup(name string) slog.Handler {
	for i, h := range s {
		s[i] = h.WithGroup(name)
	}
	return s
}
