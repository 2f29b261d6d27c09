package replica

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// stuckPipeline is a pipeline whose reader has given up: a writer waits until it is
// closed.
type stuckPipeline struct {
	raft.AppendPipeline
	entered, closed chan struct{}
	once            sync.Once
}

func (p *stuckPipeline) AppendEntries(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	close(p.entered)
	<-p.closed
	return nil, raft.ErrPipelineShutdown
}

func (p *stuckPipeline) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// TestStuckPipeline ends a pipeline that is stuck when replication stops.
func TestStuckPipeline(t *testing.T) {
	all := &pipes{open: map[*pipe]struct{}{}}
	inner := &stuckPipeline{entered: make(chan struct{}), closed: make(chan struct{})}
	one := &pipe{inner, all}
	all.open[one] = struct{}{}
	done := make(chan error, 1)
	go func() {
		_, err := one.AppendEntries(nil, nil)
		done <- err
	}()
	<-inner.entered
	all.abort()
	select {
	case err := <-done:
		if err != raft.ErrPipelineShutdown {
			t.Errorf("a pipeline that was ended: got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the pipeline is still stuck")
	}
	if err := one.Close(); err != nil || len(all.open) > 0 {
		t.Errorf("after its end: %v, and %d pipelines are open", err, len(all.open))
	}
}

// TestAsking lets no question begin after the end, and the end wait for those that
// have begun.
func TestAsking(t *testing.T) {
	var a asking
	if !a.begin() {
		t.Fatal("a new one takes no questions")
	}
	closed := make(chan struct{})
	go func() {
		a.close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("it is closed while a question is under way")
	default:
	}
	a.end()
	<-closed
	if a.begin() {
		t.Error("a question begins after the end")
	}
}
