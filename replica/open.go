package replica

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// bootstrap forms a cluster of one server, unless there is a log or a snapshot
// already. It may have been interrupted before: a term without entries is not
// yet a cluster.
func bootstrap(logs raft.LogStore, stable raft.StableStore, snaps raft.SnapshotStore, me raft.Server) error {
	last, err := logs.LastIndex()
	if err != nil || last > 0 {
		return err
	}
	if list, err := snaps.List(); err != nil || len(list) > 0 {
		return err
	}
	// The first term of a new cluster; a server that has seen a later one keeps it.
	const first = 1
	key := []byte("CurrentTerm")
	if term, err := stable.GetUint64(key); err != nil || term == 0 {
		if err := stable.SetUint64(key, first); err != nil {
			return err
		}
	}
	return logs.StoreLog(&raft.Log{
		Index: 1, Term: first, Type: raft.LogConfiguration,
		Data: raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{me}}),
	})
}

// newRaft starts raft. It panics when entries are missing that its snapshot
// does not cover; here that is an error like others.
func newRaft(rc *raft.Config, fsm raft.FSM, logs raft.LogStore, stable raft.StableStore, snaps raft.SnapshotStore, trans raft.Transport) (r *raft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: snapshots and entries do not fit together: %v", errDamaged, p)
		}
	}()
	return raft.NewRaft(rc, fsm, logs, stable, snaps, trans)
}

// oldest is the index of the oldest snapshot, 0 without one.
func oldest(snaps raft.SnapshotStore) (uint64, error) {
	list, err := snaps.List()
	if err != nil || len(list) == 0 {
		return 0, err
	}
	index := list[0].Index
	for _, s := range list {
		index = min(index, s.Index)
	}
	return index, nil
}
