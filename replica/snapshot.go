package replica

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"curia/api"
	"curia/state"
)

// spoolDir is where archives are spooled: beside the log, so that the space
// that they need is that of the data.
func (r *Replica) spoolDir() string {
	if r.cfg.Dir == "" {
		return os.TempDir()
	}
	return filepath.Join(r.cfg.Dir, "raft")
}

// Save writes the state as an archive to what begin returns, which is told the
// index. The state is that of the moment of the call, however long writing
// takes. After an error before begin was called, nothing has been written.
func (r *Replica) Save(begin func(index uint64) io.Writer) error {
	snap := r.store.Snapshot()
	f := r.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return fmt.Errorf("save snapshot: %w", err)
	}
	term := r.raft.CurrentTerm()
	meta := raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: fmt.Sprintf("%d-%d", term, snap.Index()),
		Index: snap.Index(), Term: term, Configuration: f.Configuration(), ConfigurationIndex: f.Index(),
	}
	to := &lateWriter{begin: func() io.Writer { return begin(meta.Index) }}
	return WriteArchive(to, r.spoolDir(), meta, func(w io.Writer) error {
		_, err := snap.WriteTo(w)
		return err
	})
}

// lateWriter asks for its writer when there is something to write.
type lateWriter struct {
	begin func() io.Writer
	w     io.Writer
}

func (l *lateWriter) Write(p []byte) (int, error) {
	if l.w == nil {
		l.w = l.begin()
	}
	return l.w.Write(p)
}

// Load replaces the state of the whole cluster by an archive. An archive that
// is damaged is refused and changes nothing. Only the leader can do it.
func (r *Replica) Load(ctx context.Context, archive io.Reader) error {
	if !r.Ready() {
		return api.ErrNoLeader
	}
	a, err := OpenArchive(archive, r.spoolDir())
	if err != nil {
		return err
	}
	defer a.Close()
	stream, err := a.State()
	if err != nil {
		return err
	}
	if _, _, err := state.CheckSnapshot(stream); err != nil {
		return api.Errorf(api.Rejected, "the snapshot cannot be restored: %v", err)
	}
	if stream, err = a.State(); err != nil {
		return err
	}
	if stream, err = state.RaiseFloor(stream, r.store.Index()+1); err != nil {
		return err
	}
	raised, err := os.CreateTemp(r.spoolDir(), "restore-*.tmp")
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	defer os.Remove(raised.Name())
	defer raised.Close()
	meta := a.Meta
	if meta.Size, err = io.Copy(raised, stream); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	if _, err := raised.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	meta.Version = raft.SnapshotVersionMax
	if err := r.raft.Restore(&meta, raised, 0); err != nil {
		return proposeError(err)
	}
	return nil
}
