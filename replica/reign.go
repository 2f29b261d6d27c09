package replica

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// overtakenWait is how long the answers of a leader may still be on their way when
// another leads.
const overtakenWait = time.Second

// reigns tells the time of one leader from that of the next. The zero value is
// ready.
type reigns struct {
	mu     sync.Mutex
	leader raft.ServerID // the last that was heard of
	ctx    context.Context
	end    context.CancelFunc
}

// heard notes that there is a leader; none at all ends nothing: the last may come
// back.
func (r *reigns) heard(leader raft.ServerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leader == "" || leader == r.leader {
		return
	}
	if r.end != nil {
		time.AfterFunc(overtakenWait, r.end)
	}
	r.leader = leader
	r.ctx, r.end = context.WithCancel(context.Background())
}

func (r *reigns) current() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		r.ctx, r.end = context.WithCancel(context.Background())
	}
	return r.ctx
}

// Reign is a context that ends a moment after another leads than now: who still
// waits for the answer of this leader, which may have been stopped with its
// connections open, need not wait any longer.
func (r *Replica) Reign() context.Context { return r.reigns.current() }
