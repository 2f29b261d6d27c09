package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"curia/api"
	"curia/client"
)

// debugStamp is how times are written in names of files.
const debugStamp = "20060102T150405Z"

// Times of profiles.
const (
	debugTrace = 5 * time.Second  // of a trace, which grows fast
	debugLate  = 30 * time.Second // that an answer may come after its time
)

// debugIndex says what a capture is about, in index.json.
type debugIndex struct {
	AgentVersion       string
	Interval, Duration string
	Targets            []string
}

// debugCapture is a capture at work.
type debugCapture struct {
	*debugPlan
	*call
	agent *client.Client

	mu     sync.Mutex
	failed int // parts that are missing
}

// keep takes notice of a part that could not be captured, unless somebody has
// interrupted it.
func (d *debugCapture) keep(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed++
	_, _ = fmt.Fprintf(d.err, "Not captured: %v\n", err)
}

// run captures everything until the duration is over or ctx ends.
func (d *debugCapture) run(ctx context.Context, self *api.Self) {
	if d.has("agent") {
		d.keep(d.json("agent.json", self))
	}
	if d.has("host") {
		host, err := api.Call(ctx, d.agent, api.AgentHost, api.None{})
		d.keep(named("host", err, func() error { return d.json("host.json", host) }))
	}
	if d.has("members") {
		members, err := api.Call(ctx, d.agent, api.AgentMembers, api.MembersArgs{})
		d.keep(named("members", err, func() error { return d.json("members.json", members) }))
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	if d.has("logs") {
		parts.Go(func() { d.keep(d.logs(ctx)) })
	}
	if d.has("pprof") {
		parts.Go(func() { d.keep(d.profile(ctx, "profile", "profile.prof", d.Duration)) })
		parts.Go(func() { d.keep(d.profile(ctx, "trace", "trace.out", debugTrace)) })
	}
	d.looks(ctx)
}

// looks looks at what changes, at the start and after each interval.
func (d *debugCapture) looks(ctx context.Context) {
	over := time.NewTimer(d.Duration)
	defer over.Stop()
	tick := time.NewTicker(d.Interval)
	defer tick.Stop()
	for number := 1; ; number++ {
		if d.has("metrics") || d.has("pprof") {
			d.look(ctx, number)
		}
		select {
		case <-tick.C:
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// look captures what there is at a moment.
func (d *debugCapture) look(ctx context.Context, number int) {
	now := time.Now().UTC()
	dir := now.Format(debugStamp)
	d.printf("==> Look %d at %s\n", number, now.Format(time.RFC3339))
	if err := os.Mkdir(filepath.Join(d.output, dir), 0o700); err != nil {
		d.keep(err)
		return
	}
	if d.has("metrics") {
		d.keep(d.stream(ctx, api.AgentMetrics.Op, &api.MetricsArgs{}, filepath.Join(dir, "metrics.json")))
	}
	if d.has("pprof") {
		for _, name := range []string{"heap", "goroutine"} {
			d.keep(d.profile(ctx, name, filepath.Join(dir, name+".prof"), 0))
		}
	}
}

// logs captures the log, the finest of it included.
func (d *debugCapture) logs(ctx context.Context) error {
	during, cancel := context.WithTimeout(ctx, d.Duration)
	defer cancel()
	err := d.stream(during, api.AgentMonitor.Op, &api.MonitorArgs{LogLevel: "TRACE"}, "curia.log")
	switch {
	case during.Err() != nil:
		return nil // its time is over
	case err == nil:
		err = errors.New("the agent ended it")
	}
	return fmt.Errorf("log: %w", err)
}

// profile captures a profile of the agent's process. One that observes takes the
// time given.
func (d *debugCapture) profile(ctx context.Context, name, file string, takes time.Duration) error {
	within, cancel := context.WithTimeout(ctx, takes+debugLate)
	defer cancel()
	args := &api.ProfileArgs{Profile: name, Seconds: uint64(takes / time.Second)}
	if err := d.stream(within, api.AgentProfile.Op, args, file); err != nil {
		return fmt.Errorf("profile %s: %w", name, err)
	}
	return nil
}

// named names what failed, or goes on.
func named(what string, err error, then func() error) error {
	if err == nil {
		err = then()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// stream writes the answer of a verb to a file. There is none without an answer.
func (d *debugCapture) stream(ctx context.Context, op *api.Op, args any, file string) error {
	answer, _, err := d.agent.Stream(ctx, op, args, nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	out, err := os.OpenFile(filepath.Join(d.output, file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, answer)
	return errors.Join(err, out.Close())
}

// json writes a value to a file.
func (d *debugCapture) json(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", file, err)
	}
	return os.WriteFile(filepath.Join(d.output, file), append(text, '\n'), 0o600)
}

// archiveDir makes a compressed archive of a directory, for its owner alone.
func archiveDir(dir, path string) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(path)
		}
	}()
	packed := gzip.NewWriter(out)
	files := tar.NewWriter(packed)
	if err := addAll(files, dir); err != nil {
		return err
	}
	return errors.Join(files.Close(), packed.Close())
}

// addAll adds everything below a directory, under its last name.
func addAll(files *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(filepath.Dir(dir), path)
		if err != nil {
			return err
		}
		head := &tar.Header{Name: filepath.ToSlash(below), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime(), Typeflag: tar.TypeReg}
		if entry.IsDir() {
			head.Name, head.Mode, head.Size, head.Typeflag = head.Name+"/", 0o700, 0, tar.TypeDir
		}
		if err := files.WriteHeader(head); err != nil || entry.IsDir() {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(files, in)
		return err
	})
}
