package hclogs

import (
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestLines(t *testing.T) {
	infer := &hclog.StandardLoggerOptions{InferLevels: true}
	timed := &hclog.StandardLoggerOptions{InferLevels: true, InferLevelsWithTimestamp: true}
	force := &hclog.StandardLoggerOptions{InferLevels: true, ForceLevel: hclog.Debug}
	tests := []struct {
		opts  *hclog.StandardLoggerOptions
		line  string
		level string
		msg   string
	}{
		{nil, "plain", "INFO", "plain"},
		{nil, "[WARN] kept", "INFO", "[WARN] kept"},
		{infer, "plain", "INFO", "plain"},
		{infer, "[TRACE] x", "DEBUG-4", "x"},
		{infer, "[DEBUG] x", "DEBUG", "x"},
		{infer, "[INFO] x", "INFO", "x"},
		{infer, "[WARN] serf: x", "WARN", "serf: x"},
		{infer, "[ERR] x", "ERROR", "x"},
		{infer, "[ERROR] x", "ERROR", "x"},
		{infer, "[ODD] x", "INFO", "[ODD] x"},
		{infer, "", "INFO", ""},
		{infer, "2018/03/02 [WARN] x", "INFO", "2018/03/02 [WARN] x"},
		{timed, "2018/03/02 15:04:05 [WARN] x", "WARN", "x"},
		{timed, "2018-03-02T15:04:05.123Z [ERR] x", "ERROR", "x"},
		{timed, "2018-03-02T15:04:05+01:00 [DEBUG] x", "DEBUG", "x"},
		{timed, "[DEBUG] x", "DEBUG", "x"},
		{timed, "The end", "INFO", "The end"},
		{timed, "3 nodes joined", "INFO", "3 nodes joined"},
		{timed, "10.0.0.1:8301 is gone", "INFO", "is gone"}, // the price of the option
		{timed, "15:04:05", "INFO", ""},
		{force, "[ERR] x", "DEBUG", "x"},
		{force, "x", "DEBUG", "x"},
		{&hclog.StandardLoggerOptions{ForceLevel: hclog.Off}, "x", "", ""},
	}
	for _, tt := range tests {
		l, wrote := newTest(LevelTrace)
		l.Named("serf").StandardLogger(tt.opts).Print(tt.line)
		want := ""
		if tt.level != "" {
			want = fmt.Sprintf(`{"level":%q,"msg":%q,"component":"serf"}`, tt.level, tt.msg)
		}
		if got := wrote(); got != want {
			t.Errorf("%+v: %q\ngot    %s\nwanted %s", tt.opts, tt.line, got, want)
		}
	}
}

func TestWriteTakesTheWholeLine(t *testing.T) {
	l, wrote := newTest(LevelTrace)
	line := "[WARN] one\n  two \r\n"
	n, err := l.StandardWriter(&hclog.StandardLoggerOptions{InferLevels: true}).Write([]byte(line))
	if n != len(line) || err != nil {
		t.Errorf("Write(%q): got %d, %v, wanted %d and no error", line, n, err, len(line))
	}
	if got, want := wrote(), `{"level":"WARN","msg":"one\n  two"}`; got != want {
		t.Errorf("Write(%q):\ngot    %s\nwanted %s", line, got, want)
	}
}
