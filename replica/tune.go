package replica

import (
	"fmt"
	"time"
)

// Tune changes when snapshots are made, as Config says it, while the replica
// runs. It may be called concurrently.
func (r *Replica) Tune(snapshotThreshold, trailingLogs uint64, snapshotInterval time.Duration) error {
	rc := r.raft.ReloadableConfig()
	rc.SnapshotThreshold = orDefault(snapshotThreshold, defaultSnapshotThreshold)
	rc.TrailingLogs = orDefault(trailingLogs, defaultTrailingLogs)
	rc.SnapshotInterval = orDefault(snapshotInterval, defaultSnapshotInterval)
	if err := r.raft.ReloadConfig(rc); err != nil {
		return fmt.Errorf("change when snapshots are made: %w", err)
	}
	return nil
}
