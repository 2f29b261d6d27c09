package hclogs

import (
	"bytes"

	"github.com/hashicorp/go-hclog"
)

// lineWriter makes a record of each write, which is how log.Logger writes its
// lines.
type lineWriter struct {
	to   *logger
	opts hclog.StandardLoggerOptions
}

// tags are the levels that a line may begin with.
var tags = []struct {
	text  []byte
	level hclog.Level
}{
	{[]byte("[TRACE]"), hclog.Trace},
	{[]byte("[DEBUG]"), hclog.Debug},
	{[]byte("[INFO]"), hclog.Info},
	{[]byte("[WARN]"), hclog.Warn},
	{[]byte("[ERR]"), hclog.Error},
	{[]byte("[ERROR]"), hclog.Error},
}

// Write logs a line without its level, at that level when the options ask for
// it. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	line := bytes.TrimRight(p, " \t\r\n")
	level := hclog.Info
	switch {
	case w.opts.ForceLevel != hclog.NoLevel:
		_, line = cutTag(line)
		level = w.opts.ForceLevel
	case w.opts.InferLevels && w.opts.InferLevelsWithTimestamp:
		level, line = cutTag(cutTime(line))
	case w.opts.InferLevels:
		level, line = cutTag(line)
	}
	// Asked here because the text of a line that nobody wants is not worth its
	// copy: gossip writes such lines all day.
	if w.to.enabled(level) {
		w.to.log(level, string(line), nil)
	}
	return len(p), nil
}

// cutTag splits a line into its level, Info when it says none, and its text.
func cutTag(line []byte) (hclog.Level, []byte) {
	for _, t := range tags {
		if rest, ok := bytes.CutPrefix(line, t.text); ok {
			return t.level, bytes.TrimSpace(rest)
		}
	}
	return hclog.Info, line
}

// cutTime removes the date and the time of day that a line begins with. A text
// that itself begins with one loses it, too.
func cutTime(line []byte) []byte {
	for {
		line = bytes.TrimLeft(line, " \t")
		word, _, _ := bytes.Cut(line, []byte(" "))
		if !isTime(word) {
			return line
		}
		line = line[len(word):]
	}
}

// isTime tells "2018/03/02", "15:04:05.123" and "2018-03-02T15:04:05Z" from
// words and from mere numbers.
func isTime(word []byte) bool {
	return len(word) > 0 && '0' <= word[0] && word[0] <= '9' &&
		bytes.ContainsAny(word, ":/-") && len(bytes.Trim(word, "0123456789:/.,+-TZ")) == 0
}
