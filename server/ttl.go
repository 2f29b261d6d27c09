package server

import (
	"context"
	"sync"
	"time"

	"curia/api"
	"curia/internal/pause"
	"curia/state"
)

// ttlKeeper ends sessions that are not renewed. It works on the leader alone; a
// new leader gives every session its full time again. A session lives at least
// its TTL and about twice as long. renew may be called concurrently.
type ttlKeeper struct {
	mu        sync.Mutex
	deadlines map[string]time.Time // by session; nil while this server does not lead
}

// ttlScan is the least time between two looks at all sessions that expire.
const ttlScan = 100 * time.Millisecond

func newTTLKeeper() *ttlKeeper { return &ttlKeeper{} }

// renew restarts the time of a session.
func (k *ttlKeeper) renew(s *api.Session) {
	ttl := s.TTLDuration()
	if ttl == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deadlines != nil {
		k.deadlines[s.ID] = time.Now().Add(2 * ttl)
	}
}

// expire ends sessions whose time is up, until ctx ends.
func (s *Server) expireSessions(ctx context.Context) error {
	defer s.ttl.reset(nil)
	s.ttl.reset(map[string]time.Time{})
	for {
		v := s.store.View()
		due, next := s.ttl.due(v.SessionsWithTTL(), time.Now())
		for _, id := range due {
			if _, err := s.replica.Propose(ctx, &state.SessionDestroy{ID: id}); err != nil {
				s.log.Warn("cannot end an expired session, trying again", "session", id, "err", err)
				break
			}
			s.log.Info("session expired", "session", id)
		}
		if !pause.For(ctx, ttlScan) {
			return ctx.Err()
		}
		timer := time.NewTimer(time.Until(next))
		w := v.Watch()
		_, err := s.sleep(ctx, &w, timer)
		timer.Stop()
		if err != nil {
			return err
		}
	}
}

func (k *ttlKeeper) reset(to map[string]time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deadlines = to
}

// active counts the sessions that expire; 0 while this server does not lead.
func (k *ttlKeeper) active() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.deadlines)
}

// due takes note of new and gone sessions, and returns those whose time is up
// and when the next one's will be.
func (k *ttlKeeper) due(live []*api.Session, now time.Time) (due []string, next time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next = now.Add(time.Minute)
	kept := make(map[string]time.Time, len(live))
	for _, s := range live {
		at, ok := k.deadlines[s.ID]
		if !ok {
			at = now.Add(2 * s.TTLDuration())
		}
		kept[s.ID] = at
		if !at.After(now) {
			due = append(due, s.ID)
		} else if at.Before(next) {
			next = at
		}
	}
	k.deadlines = kept
	return due, next
}
