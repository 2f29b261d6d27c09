package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"curia/api"
	"curia/client"
	"curia/replica"
)

var snapshotCommands = []command{
	{
		name: "snapshot save", args: "FILE", least: 1, most: 1,
		line: "Save the state of a datacenter to a file.",
		help: `The file appears when the archive has been read back and found whole; an older
one of the same name stays until then. It holds secrets, so only its owner may
read it.

Example:

    $ curia snapshot save backup.snap
    Saved and verified snapshot to index 8419`,
		ask: snapshotSave,
	},
	{
		name: "snapshot restore", args: "FILE", least: 1, most: 1,
		line: "Replace the state of a datacenter by that of a file.",
		help: `Everything that was written after the snapshot is lost.

Example:

    $ curia snapshot restore backup.snap
    Restored snapshot`,
		ask: snapshotRestore,
	},
	{
		name: "snapshot inspect", args: "FILE", least: 1, most: 1,
		line: "Check a saved snapshot, and print what it says about itself.",
		help: `The file is read here; no agent is asked.

Example:

    $ curia snapshot inspect backup.snap
    ID           2-8419-1792281600000
    Size         66741
    Index        8419
    Term         2
    Version      1`,
		flags: flags(formatFlag),
		run:   snapshotInspect,
	},
}

func snapshotSave(ctx context.Context, c *call, agent *client.Client) error {
	// An interrupted download should leave nothing behind.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	path := c.arg(0)
	index, err := saveVerified(ctx, agent, path, api.StaleArgs{Stale: c.Bool("stale")})
	if err != nil {
		return fmt.Errorf("save snapshot to %s: %w", path, err)
	}
	c.printf("Saved and verified snapshot to index %d\n", index)
	return nil
}

// saveVerified downloads a snapshot beside path, verifies it and renames it to
// path. It returns the index of the snapshot.
func saveVerified(ctx context.Context, agent *client.Client, path string, args api.StaleArgs) (index uint64, err error) {
	stream, _, err := agent.Stream(ctx, api.SnapshotSave.Op, &args, nil)
	if err != nil {
		return 0, err
	}
	defer stream.Close()
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.tmp")
	if err != nil {
		return 0, err
	}
	defer func() {
		_ = tmp.Close()
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err := io.Copy(tmp, stream); err != nil {
		return 0, fmt.Errorf("download: %w", err)
	}
	if err := tmp.Sync(); err != nil {
		return 0, err
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	archive, err := replica.OpenArchive(tmp, filepath.Dir(path))
	if err != nil {
		return 0, fmt.Errorf("verify: %w", err)
	}
	defer archive.Close()
	if err := tmp.Close(); err != nil {
		return 0, err
	}
	return archive.Meta.Index, os.Rename(tmp.Name(), path)
}

func snapshotRestore(ctx context.Context, c *call, agent *client.Client) error {
	path := c.arg(0)
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	defer file.Close()
	answer, _, err := agent.Stream(ctx, api.SnapshotRestore.Op, &api.None{}, file)
	if err != nil {
		return fmt.Errorf("restore snapshot %s: %w", path, err)
	}
	defer answer.Close()
	c.printf("Restored snapshot\n")
	return nil
}

// snapshotFacts is what "snapshot inspect" prints.
type snapshotFacts struct {
	ID      string
	Size    int64 // of the state, in bytes
	Index   uint64
	Term    uint64
	Version int
}

func snapshotInspect(_ context.Context, c *call) error {
	path := c.arg(0)
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("inspect snapshot: %w", err)
	}
	defer file.Close()
	archive, err := replica.OpenArchive(file, "")
	if err != nil {
		return fmt.Errorf("inspect snapshot %s: %w", path, err)
	}
	defer archive.Close()
	m := archive.Meta
	facts := snapshotFacts{m.ID, m.Size, m.Index, m.Term, int(m.Version)}
	return c.show(facts, func() {
		rows := newDetails(c.out)
		defer rows.flush()
		rows.row("ID", facts.ID)
		rows.row("Size", facts.Size)
		rows.row("Index", facts.Index)
		rows.row("Term", facts.Term)
		rows.row("Version", facts.Version)
	})
}
