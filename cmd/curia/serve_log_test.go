package main

import (
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSyslog lets a log of the system take events of all levels.
func TestSyslog(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "log")
	in, err := net.ListenPacket("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	system, err := openSyslog("LOCAL3", "unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer system.close()
	level := &slog.LevelVar{}
	log := slog.New(newBySeverity(level, false, system)).With("node", "n1")
	log.Debug("not wanted")
	log.Info("hello", "k", "v")
	log.Warn("careful")
	log.Error("broken")
	level.Set(levelTrace)
	log.Log(t.Context(), levelTrace, "details")
	slog.New(newBySeverity(level, true, system)).Debug("in JSON")

	var got []string
	rest := regexp.MustCompile(`^(<\d+>).* curia\[\d+\]: (.*)\n$`)
	for range 5 {
		if err := in.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1024)
		n, _, err := in.ReadFrom(buf)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, rest.ReplaceAllString(string(buf[:n]), "$1 $2"))
	}
	want := []string{ // facility 19, times 8, plus severity
		"<158> msg=hello node=n1 k=v", "<156> msg=careful node=n1", "<155> msg=broken node=n1", "<159> msg=details node=n1", `<159> {"msg":"in JSON"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got)\n%s", diff)
	}
}

func TestSyslogRefused(t *testing.T) {
	if _, err := openSyslog("LOCAL0", "unixgram", filepath.Join(t.TempDir(), "log")); err == nil {
		t.Error("a log that is not there was opened")
	}
}
