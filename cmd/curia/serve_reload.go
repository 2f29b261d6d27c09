package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lookEvery is how often the files of the configuration are looked at
// (auto_reload_config).
const lookEvery = time.Second

// reloadOnChange asks for a reload when the files of the configuration have
// changed, and have stayed the same for one look: whoever writes them may not
// have finished. It returns when ctx ends.
func (n *node) reloadOnChange(ctx context.Context, paths []string) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	loaded := fingerprint(paths)
	last := loaded
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := fingerprint(paths)
		if now == last && now != loaded {
			loaded = now
			if err := n.askReload(); err != nil {
				n.log.Error("reload failed, keeping the old configuration", "err", err)
			}
		}
		last = now
	}
}

// fingerprint tells one state of files, and of the files in directories, from
// another: by names, sizes and times.
func fingerprint(paths []string) string {
	var b strings.Builder
	note := func(path string) os.FileInfo {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", path, err)
			return nil
		}
		fmt.Fprintf(&b, "%s: %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		return info
	}
	for _, path := range paths {
		if info := note(path); info == nil || !info.IsDir() {
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", path, err)
		}
		for _, e := range entries {
			note(filepath.Join(path, e.Name()))
		}
	}
	return b.String()
}
