package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// logFile is a log in files of bounded size and age ("log_file",
// "log_rotate_bytes", "log_rotate_duration", "log_rotate_max_files"). Each has
// the time of its beginning in its name, in nanoseconds since 1970. Safe for
// concurrent use.
type logFile struct {
	before, after string        // the names of the files, around the time
	most          int           // bytes of a file; 0 or less: no bound
	age           time.Duration // of a file; 0: no bound
	keep          int           // files beside the one that is written; 0: all, less: none

	mu    sync.Mutex
	file  *os.File
	size  int
	since time.Time
}

// openLogFile begins a file. A path that ends in a separator is a directory; one
// without an extension gets ".log".
func openLogFile(path string, most int, age time.Duration, keep int) (*logFile, error) {
	if strings.HasSuffix(path, string(filepath.Separator)) {
		path += "curia"
	}
	ext := filepath.Ext(path)
	l := &logFile{before: strings.TrimSuffix(path, ext) + "-", after: ext, most: most, age: age, keep: keep}
	if ext == "" {
		l.after = ".log"
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

// Write implements io.Writer. When no new file can be begun the old one grows.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.most > 0 && l.size > 0 && l.size+len(b) > l.most
	old := l.age > 0 && time.Since(l.since) >= l.age
	if full || old {
		_ = l.begin() // there is no log to tell
	}
	n, err := l.file.Write(b)
	l.size += n
	return n, err
}

// begin goes on in a new file and deletes what is not to be kept. It needs the lock.
func (l *logFile) begin() error {
	now := time.Now()
	name := l.before + strconv.FormatInt(now.UnixNano(), 10) + l.after
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("begin a log file: %w", err)
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file, l.size, l.since = file, 0, now
	l.prune(name)
	return nil
}

// prune deletes the oldest files beyond those to keep.
func (l *logFile) prune(current string) {
	if l.keep == 0 {
		return
	}
	entries, err := os.ReadDir(filepath.Dir(l.before))
	if err != nil {
		return // they are found the next time
	}
	var old []string
	for _, e := range entries {
		name := filepath.Join(filepath.Dir(l.before), e.Name())
		began, isLog := strings.CutPrefix(name, filepath.Clean(l.before))
		began, ends := strings.CutSuffix(began, l.after)
		if _, err := strconv.ParseUint(began, 10, 64); isLog && ends && err == nil && name != filepath.Clean(current) {
			old = append(old, name)
		}
	}
	slices.Sort(old) // all times have the same number of digits until 2286
	for _, name := range old[:max(len(old)-max(l.keep, 0), 0)] {
		_ = os.Remove(name)
	}
}

func (l *logFile) close() { _ = l.file.Close() }
