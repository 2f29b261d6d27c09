package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"curia/internal/testing/inproc"
)

// TestWatchPrints follows a key without a command, until it is interrupted.
func TestWatchPrints(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	var errs strings.Builder
	code := make(chan int, 1)
	go func() {
		nothing := func(string) (string, bool) { return "", false }
		code <- run(ctx, shell{strings.NewReader(""), w, &errs, nothing}, strings.Fields("curia watch -http-addr="+s.Listen()+" -type=keyprefix -prefix=app/"))
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("watch printed %q; want %q", lines.Text(), want)
		}
	}
	next("[]")
	s.Must(t, "PUT", "/v1/kv/app/a", "hello")
	for _, want := range []string{"[", "    {", `        "LockIndex": 0,`, `        "Key": "app/a",`, "Flags", `"Value": "aGVsbG8="`, "CreateIndex", "ModifyIndex", "    }", "]"} {
		next(want)
	}
	cancel()
	if got := <-code; got != 0 || errs.Len() > 0 {
		t.Errorf("watch, interrupted: got exit code %d and %q; want 0 and nothing", got, errs.String())
	}
}
