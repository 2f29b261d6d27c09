package aclcache

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"curia/acl"
	"curia/api"
)

// DownPolicy is what to do when nobody can be asked ("acl.down_policy").
type DownPolicy string

// The down policies.
const (
	Allow       DownPolicy = "allow"        // everything
	Deny        DownPolicy = "deny"         // nothing
	ExtendCache DownPolicy = "extend-cache" // believe the last answer; nothing without one
	AsyncCache  DownPolicy = "async-cache"  // as ExtendCache, and old answers are renewed while they are given
)

// Ask finds out who holds a secret. Errors of kind Denied say that nobody does,
// of kind Disabled that ACLs are off; others that nobody could be asked.
type Ask func(ctx context.Context, secret string) (*acl.Identity, error)

// Cache resolves tokens. Make one with New. Safe for concurrent use.
type Cache struct {
	ask  Ask
	sets *acl.Sets
	ttl  time.Duration
	down DownPolicy

	flights singleflight.Group
	mu      sync.Mutex
	known   map[key]*entry
	away    time.Time // until when those who cannot be asked are not waited for, where there is an old answer
}

type key [sha256.Size]byte

// entry is an answer: a holder, or that there is none.
type entry struct {
	holder acl.Authorizer // nil: nobody has the token
	until  time.Time      // when the token ends; zero: never
	asked  time.Time      // or earlier: as old as what was told
}

const (
	maxEntries = 1 << 16
	askWait    = 10 * time.Second
	lastWait   = 3 * time.Second         // for an answer in place of an old one
	tooLong    = 200 * time.Millisecond  // to make everybody wait while nobody can be asked
	awayFor    = askWait + 5*time.Second // longer than it takes to find out that they are still away
)

// New makes a cache whose answers are believed for ttl.
func New(ask Ask, sets *acl.Sets, ttl time.Duration, down DownPolicy) *Cache {
	return &Cache{ask: ask, sets: sets, ttl: ttl, down: down, known: map[key]*entry{}}
}

// Resolve implements acl.Resolver.
func (c *Cache) Resolve(secret string) (acl.Authorizer, error) { return c.ResolveKnown(secret, nil) }

// ResolveKnown is Resolve for those who know something themselves, which is given
// where an old answer is: the newer one of both. nil: they know nothing.
func (c *Cache) ResolveKnown(secret string, known *acl.Dated) (acl.Authorizer, error) {
	if secret == "" {
		secret = api.AnonymousSecret
	}
	k, now := key(sha256.Sum256([]byte(secret))), time.Now()
	c.mu.Lock()
	e, away := c.known[k], now.Before(c.away)
	c.mu.Unlock()
	last := e
	if known != nil && (e == nil || e.asked.Before(known.AsOf)) {
		if last = nil; known.Holder != nil {
			last = &entry{holder: known.Holder}
		}
	}
	// What is newer and knows no such token does not say no by itself: it may be too
	// new for that.
	revoked := e != nil && e.holder != nil && last == nil
	if e != nil && !revoked && now.Sub(e.asked) < c.ttl {
		return e.answer(now)
	}
	told := c.flights.DoChan(string(k[:]), func() (any, error) { return c.renew(k, secret) })
	if last != nil && (c.down == AsyncCache || c.down == ExtendCache && away) {
		return last.answer(now)
	}
	var late <-chan time.Time
	if last != nil && c.down == ExtendCache {
		timer := time.NewTimer(lastWait)
		defer timer.Stop()
		late = timer.C
	}
	var found singleflight.Result
	select {
	case found = <-told:
	case <-late:
		c.setAway()
		return last.answer(now)
	}
	switch {
	case found.Err == nil:
		return found.Val.(*entry).answer(now)
	case c.down == Allow:
		return acl.AllowAll{}, nil
	case c.down != Deny && last != nil:
		return last.answer(now)
	}
	return acl.DenyAll{}, nil
}

func (e *entry) answer(now time.Time) (acl.Authorizer, error) {
	if e.holder == nil || !e.until.IsZero() && !e.until.After(now) {
		return nil, api.ErrUnknownToken
	}
	return e.holder, nil
}

// renew asks, and remembers the answer. Its errors say that there is none.
func (c *Cache) renew(k key, secret string) (*entry, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askWait)
	defer cancel()
	e := &entry{asked: time.Now()}
	id, err := c.ask(ctx, secret)
	c.note(err, time.Since(e.asked))
	switch known := api.KindOf(err); {
	case err != nil && known == api.Denied:
	case err != nil && known == api.Disabled:
		e.holder = acl.AllowAll{}
	case err != nil:
		return nil, err
	case id == nil:
		return nil, errors.New("the answer is empty")
	default:
		if e.holder, err = c.sets.Holder(id); err != nil {
			return nil, err
		}
		e.until, e.asked = id.Expires, e.asked.Add(-max(id.Age, 0))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxEntries {
		clear(c.known)
	}
	c.known[k] = e
	return e, nil
}

// note remembers whether somebody could be asked, if it took long to find out.
func (c *Cache) note(err error, took time.Duration) {
	if err != nil && api.KindOf(err) != api.Denied && api.KindOf(err) != api.Disabled {
		if took >= tooLong {
			c.setAway()
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = time.Time{}
}

// setAway lets nobody wait for an answer for a while who has an old one.
func (c *Cache) setAway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = time.Now().Add(awayFor)
}
