package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestLogFile writes lines, one each minute, and looks at what the files hold,
// the oldest first.
func TestLogFile(t *testing.T) {
	lines := strings.Fields("aaaa bbbb cccc dddd eeee")
	for _, c := range []struct {
		name, path string
		most       int
		age        time.Duration
		keep       int
		want       []string
	}{
		{"no bounds", "agent.log", 0, 0, 0, []string{"aaaabbbbccccddddeeee"}},
		{"by size", "agent.log", 8, 0, 0, []string{"aaaabbbb", "ccccdddd", "eeee"}},
		{"lines larger than a file", "agent.log", 3, 0, 0, lines},
		{"by age", "agent.log", 0, 3 * time.Minute, 0, []string{"aaaabbbbcccc", "ddddeeee"}},
		{"by both", "agent.log", 8, 3 * time.Minute, 0, []string{"aaaabbbb", "ccccdddd", "eeee"}},
		{"two are kept", "agent.log", 4, 0, 2, []string{"cccc", "dddd", "eeee"}},
		{"none is kept", "agent.log", 4, 0, -1, []string{"eeee"}},
		{"a directory", "logs/", 4, 0, 1, []string{"dddd", "eeee"}},
		{"no extension", "agent", 4, 0, 1, []string{"dddd", "eeee"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
				t.Fatal(err)
			}
			// These are not logs of this agent.
			for _, other := range []string{"agent-1.txt", "agent-x.log", "other-1.log", "agent.log"} {
				if err := os.WriteFile(filepath.Join(dir, other), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				l, err := openLogFile(dir+"/"+c.path, c.most, c.age, c.keep)
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range lines {
					if n, err := l.Write([]byte(line)); n != len(line) || err != nil {
						t.Fatalf("write %q: %d, %v", line, n, err)
					}
					<-time.After(time.Minute)
				}
				l.close()
			})
			logs := map[string]string{}
			others := 0
			for _, pattern := range []string{"agent-*.log", "logs/curia-*.log", "*"} {
				names, _ := filepath.Glob(filepath.Join(dir, pattern))
				for _, name := range names {
					if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
						logs[name] = string(b)
					} else if err == nil {
						others++
					}
				}
			}
			var got []string
			for _, name := range slices.Sorted(maps.Keys(logs)) {
				got = append(got, logs[name])
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("contents of the files (-want +got)\n%s", diff)
			}
			if others < 4 {
				t.Errorf("%d files of others are left, want 4", others)
			}
		})
	}
}

func TestLogFileRefused(t *testing.T) {
	if _, err := openLogFile(filepath.Join(t.TempDir(), "nowhere", "agent.log"), 0, 0, 0); err == nil {
		t.Error("a file in a directory that is not there was begun")
	}
}
