package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/semaphore"

	"curia/api"
	"curia/internal/hclogs"
	"curia/internal/pause"
	"curia/internal/rounds"
	"curia/state"
)

// Config says how a server takes part in replication.
type Config struct {
	// Dir is where log and snapshots lie; empty keeps them in memory.
	Dir string
	// ID names this server for ever, Address is where others reach it.
	ID, Address string
	// Bootstrap forms a cluster of this server alone if there is none yet.
	Bootstrap bool
	// Network reaches the other servers; nil: there are none.
	Network Network
	// AddressOf finds where another server is now, by its ID; empty, or without the
	// function: where it was when it became part of the log. It may be called
	// concurrently, and must not block.
	AddressOf func(id string) string
	// Multiplier scales the timeouts of elections; 1 is the fastest, 0 means 1.
	Multiplier int
	// SnapshotThreshold entries after the last snapshot make another one, looked
	// for every SnapshotInterval; TrailingLogs entries stay behind it. 0 means
	// the default of each.
	SnapshotThreshold, TrailingLogs uint64
	SnapshotInterval                time.Duration
	// Applied, when not nil, is told after each batch of commands how long it
	// took. It is called from one goroutine and must not keep the entries.
	Applied func(entries []state.Entry, took time.Duration)
}

// The defaults of Config.
const (
	defaultSnapshotThreshold = 1 << 16
	defaultTrailingLogs      = 100_000
	defaultSnapshotInterval  = 30 * time.Second
)

// Bounds of the path of a write.
const (
	maxBatch      = 256              // entries that share a sync and a transaction
	maxInFlight   = 64 << 20         // bytes of commands that are not yet applied
	enqueueWait   = 10 * time.Second // until raft takes a command
	barrierWait   = 60 * time.Second // until a new leader has caught up
	stopWait      = 5 * time.Second  // until raft has stopped
	retainedSnaps = 2
)

// Replica is this server's copy of the log.
type Replica struct {
	cfg     Config
	log     *slog.Logger
	raft    *raft.Raft
	fsm     *fsm
	store   *state.Store
	disk    *diskLog // nil in memory
	room    *semaphore.Weighted
	leading chan bool
	ready   gate
	reads   rounds.Rounds[struct{}]
	led     signal // somebody else leads, or nobody
	reigns  reigns
	pipes   *pipes // nil without a network
	asking  asking
}

// Open opens or creates the log and starts replication; Run must be called to
// end it. Errors name the directory.
func Open(cfg Config, store *state.Store, log *slog.Logger) (_ *Replica, err error) {
	r := &Replica{
		cfg: cfg, log: log, store: store,
		fsm:     &fsm{store: store, applied: cfg.Applied, failed: make(chan struct{})},
		room:    semaphore.NewWeighted(maxInFlight),
		leading: make(chan bool, 16),
	}
	r.reads.Ask = func() (struct{}, error) {
		if !r.asking.begin() {
			return struct{}{}, raft.ErrNotLeader
		}
		defer r.asking.end()
		return struct{}{}, r.raft.VerifyLeader().Error()
	}
	hlog := hclogs.New(r.log)
	logs, stable, snaps, err := r.openStores()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && r.disk != nil {
			_ = r.disk.Close()
		}
	}()
	cached, err := raft.NewLogCache(4*maxBatch, logs)
	if err != nil {
		return nil, fmt.Errorf("open log cache: %w", err)
	}
	trans := r.transport(hlog)
	rc := r.raftConfig()
	rc.Logger = hlog
	recovered, err := r.recover(rc, logs, stable, snaps, trans)
	if err != nil {
		return nil, err
	}
	if cfg.Bootstrap && !recovered {
		me := raft.Server{Suffrage: raft.Voter, ID: rc.LocalID, Address: raft.ServerAddress(cfg.Address)}
		if err := bootstrap(cached, stable, snaps, me); err != nil {
			return nil, fmt.Errorf("form a cluster in %s: %w", cfg.Dir, err)
		}
	}
	if r.raft, err = newRaft(rc, r.fsm, cached, stable, snaps, trans); err != nil {
		return nil, fmt.Errorf("start replication from %s: %w", cfg.Dir, err)
	}
	r.observe()
	if r.alone() {
		// Nobody else can lead: there is no need to wait for an election timeout.
		var resp raft.TimeoutNowResponse
		if err := trans.TimeoutNow(rc.LocalID, trans.LocalAddr(), &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: rc.ProtocolVersion}}, &resp); err != nil {
			log.Warn("could not ask for an election at once", "err", err)
		}
	}
	return r, nil
}

// openStores opens the log, the stable store and the snapshots.
func (r *Replica) openStores() (raft.LogStore, raft.StableStore, raft.SnapshotStore, error) {
	if r.cfg.Dir == "" {
		mem := raft.NewInmemStore()
		return mem, mem, raft.NewInmemSnapshotStore(), nil
	}
	dir := filepath.Join(r.cfg.Dir, "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("create log: %w", err)
	}
	hlog := hclogs.New(r.log)
	sweep(dir, hlog)
	snaps, err := raft.NewFileSnapshotStoreWithLogger(dir, retainedSnaps, hlog.Named("snapshot"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	needed, err := oldest(snaps)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open snapshots in %s: %w", dir, err)
	}
	disk, err := openDiskLog(filepath.Join(dir, "wal"), needed, hlog.Named("wal"))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("open log in %s: %w", dir, err)
	}
	r.disk = disk
	return disk, &patientStable{StableStore: disk, log: r.log}, snaps, nil
}

func (r *Replica) raftConfig() *raft.Config {
	m := time.Duration(max(r.cfg.Multiplier, 1))
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(r.cfg.ID)
	rc.HeartbeatTimeout = 200 * time.Millisecond * m
	rc.ElectionTimeout = 200 * time.Millisecond * m
	rc.LeaderLeaseTimeout = 100 * time.Millisecond * m
	rc.CommitTimeout = 5 * time.Millisecond
	rc.MaxAppendEntries = maxBatch
	rc.BatchApplyCh = true
	rc.NoLegacyTelemetry = true
	rc.SnapshotThreshold = orDefault(r.cfg.SnapshotThreshold, defaultSnapshotThreshold)
	rc.TrailingLogs = orDefault(r.cfg.TrailingLogs, defaultTrailingLogs)
	rc.SnapshotInterval = orDefault(r.cfg.SnapshotInterval, defaultSnapshotInterval)
	rc.NotifyCh = r.leading
	return rc
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// alone reports whether this server is the only voter.
func (r *Replica) alone() bool {
	servers := r.raft.GetConfiguration().Configuration().Servers
	return len(servers) == 1 && servers[0].ID == raft.ServerID(r.cfg.ID) && servers[0].Suffrage == raft.Voter
}

// Run calls lead whenever this server leads, with a context that ends with its
// leadership, until ctx ends; then it stops replication. It returns an error
// when an entry of the log could not be carried out.
func (r *Replica) Run(ctx context.Context, lead func(context.Context) error) error {
	defer r.close()
	t := &term{}
	defer t.end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.fsm.failed:
			return r.fsm.err
		case leads := <-r.leading:
			r.ready.shut()
			t.end()
			if leads {
				t.begin(ctx, func(ctx context.Context) { r.lead(ctx, lead) })
			}
		}
	}
}

// term is the time in which this server leads.
type term struct {
	cancel context.CancelFunc // nil between terms
	duties sync.WaitGroup
}

func (t *term) begin(ctx context.Context, duties func(context.Context)) {
	ctx, t.cancel = context.WithCancel(ctx)
	t.duties.Go(func() { duties(ctx) })
}

// end returns when the duties have ended.
func (t *term) end() {
	if t.cancel != nil {
		t.cancel()
		t.cancel = nil
	}
	t.duties.Wait()
}

// lead waits until everything that was ever acknowledged is applied, then lets
// reads in and carries out the duties of the leader.
func (r *Replica) lead(ctx context.Context, duties func(context.Context) error) {
	for ctx.Err() == nil {
		term := r.raft.CurrentTerm()
		err := r.raft.Barrier(barrierWait).Error()
		if err == nil {
			if r.disk != nil {
				r.disk.cool()
			}
			r.ready.open(term)
			r.led.give()
			err = duties(ctx)
		}
		if ctx.Err() != nil || r.raft.State() != raft.Leader {
			return
		}
		r.log.Error("leader duties failed, beginning again", "err", err)
		pause.For(ctx, time.Second)
	}
}

func (r *Replica) close() {
	r.ready.shut()
	stopped := make(chan error, 1)
	go func() {
		r.asking.close()
		f := r.raft.Shutdown()
		if r.pipes != nil {
			r.pipes.abort()
		}
		stopped <- f.Error()
	}()
	select {
	case err := <-stopped:
		if err != nil {
			r.log.Error("could not stop replication", "err", err)
		}
	case <-time.After(stopWait):
		// A disk that takes no writes holds raft; what was acknowledged is safe.
		r.log.Error("replication does not stop, leaving it behind")
		return
	}
	if r.disk != nil {
		if err := r.disk.Close(); err != nil {
			r.log.Error("could not close the log", "err", err)
		}
	}
}

// Propose carries out a command: it is written to the log of a quorum and
// applied. The answer is that of the command. Errors of kind NoLeader mean that
// this server does not lead, or stopped leading before it knew the outcome.
func (r *Replica) Propose(ctx context.Context, c state.Command) (any, error) {
	b, err := state.Encode(c, time.Now())
	if err != nil {
		return nil, err
	}
	size := min(int64(len(b)), maxInFlight)
	if err := r.room.Acquire(ctx, size); err != nil {
		return nil, err
	}
	defer r.room.Release(size)
	if !r.asking.begin() {
		return nil, api.ErrNoLeader
	}
	defer r.asking.end()
	f := r.raft.Apply(b, enqueueWait)
	if err := f.Error(); err != nil {
		return nil, proposeError(err)
	}
	out := f.Response().(state.Outcome)
	return out.Value, out.Err
}

// proposeError tells clients what became of their write.
func proposeError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return api.ErrNoLeader
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore),
		errors.Is(err, raft.ErrRaftShutdown): // also of what a quorum has, and is only not applied here
		return &api.Error{Kind: api.Lost, Msg: "the outcome of the write is unknown: " + err.Error()}
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return &api.Error{Kind: api.Unavailable, Msg: "the log takes no writes at the moment: " + err.Error()}
	}
	return fmt.Errorf("write to the log: %w", err)
}

// Ready reports whether this server leads and has applied everything that was
// acknowledged before: its state may answer default reads.
// A server that was elected again is not ready before it has caught up with what
// others acknowledged in between: the state is looked at before the term, so that
// both are of one.
func (r *Replica) Ready() bool {
	return r.raft.State() == raft.Leader && r.ready.isOpen(r.raft.CurrentTerm())
}

// Leads reports whether this server leads, ready or not.
func (r *Replica) Leads() bool { return r.raft.State() == raft.Leader }

// AwaitReady waits until this server is Ready, or ctx ends.
func (r *Replica) AwaitReady(ctx context.Context) error { return r.ready.await(ctx) }

// Confirm asks a quorum whether this server still leads. All who wait for the
// same round share it. A server that is the only voter is its own quorum: nobody
// can have been elected without an entry in its log that adds another.
func (r *Replica) Confirm(ctx context.Context) error {
	if r.Ready() && r.alone() {
		return nil
	}
	if _, err := r.reads.Next(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return proposeError(err)
	}
	if !r.Ready() { // it may lead again, with another's writes still to be applied
		return api.ErrNoLeader
	}
	return nil
}

// Leader gives the address of the leader, empty when there is none.
func (r *Replica) Leader() string {
	addr, id := r.raft.LeaderWithID()
	if id == "" {
		return string(addr)
	}
	if now := r.addressOf(string(id)); now != "" {
		return now
	}
	return string(addr)
}

// LeaderChange is closed when there is another leader, or none any more, or when
// this server has become ready to lead.
func (r *Replica) LeaderChange() <-chan struct{} { return r.led.next() }

// observe lets raft tell of changes of the leader.
func (r *Replica) observe() {
	r.raft.RegisterObserver(raft.NewObserver(nil, false, func(o *raft.Observation) bool {
		if to, ok := o.Data.(raft.LeaderObservation); ok {
			r.reigns.heard(to.LeaderID)
			r.led.give()
		}
		return false // it was heard; nothing is to be sent
	}))
}

// Applied is the index of the last command that is applied here.
func (r *Replica) Applied() uint64 { return r.store.Index() }

// AwaitApplied waits until the command at an index is applied here and everybody
// who watches has been told of it, or ctx ends.
func (r *Replica) AwaitApplied(ctx context.Context, index uint64) error {
	for {
		more := r.fsm.moved.next()
		if r.fsm.told.Load() >= index {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// LastContact is how long ago the leader was heard of; 0 on the leader.
func (r *Replica) LastContact() time.Duration {
	if r.raft.State() == raft.Leader {
		return 0
	}
	at := r.raft.LastContact()
	if at.IsZero() {
		return 0
	}
	return max(time.Since(at), 0)
}

// Servers lists the members of the replicated log and the index of the entry
// that made them so.
func (r *Replica) Servers() ([]*api.RaftServer, uint64) {
	f := r.raft.GetConfiguration()
	_, leader := r.raft.LeaderWithID() // its address may be newer than the log's
	out := []*api.RaftServer{}
	for _, s := range f.Configuration().Servers {
		out = append(out, &api.RaftServer{
			ID: string(s.ID), Node: string(s.ID), Address: string(s.Address),
			Leader: s.ID == leader, Voter: s.Suffrage == raft.Voter,
			ProtocolVersion: "3", LastIndex: r.raft.LastIndex(),
		})
	}
	return out, f.Index()
}

// Stats gives the figures that raft keeps, as texts.
func (r *Replica) Stats() map[string]string { return r.raft.Stats() }
