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
}

type key [sha256.Size]byte

// entry is an answer: a holder, or that there is none.
type entry struct {
	holder acl.Authorizer // nil: nobody has the token
	until  time.Time      // when the token ends; zero: never
	asked  time.Time
}

const (
	maxEntries = 1 << 16
	askWait    = 10 * time.Second
)

// New makes a cache whose answers are believed for ttl.
func New(ask Ask, sets *acl.Sets, ttl time.Duration, down DownPolicy) *Cache {
	return &Cache{ask: ask, sets: sets, ttl: ttl, down: down, known: map[key]*entry{}}
}

// Resolve implements acl.Resolver.
func (c *Cache) Resolve(secret string) (acl.Authorizer, error) {
	if secret == "" {
		secret = api.AnonymousSecret
	}
	k, now := key(sha256.Sum256([]byte(secret))), time.Now()
	c.mu.Lock()
	e := c.known[k]
	c.mu.Unlock()
	if e != nil && now.Sub(e.asked) < c.ttl {
		return e.answer(now)
	}
	if e != nil && c.down == AsyncCache {
		c.flights.DoChan(string(k[:]), func() (any, error) { return c.renew(k, secret) })
		return e.answer(now)
	}
	found, err, _ := c.flights.Do(string(k[:]), func() (any, error) { return c.renew(k, secret) })
	switch {
	case err == nil:
		return found.(*entry).answer(now)
	case c.down == Allow:
		return acl.AllowAll{}, nil
	case c.down != Deny && e != nil:
		return e.answer(now)
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
		e.until = id.Expires
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxEntries {
		clear(c.known)
	}
	c.known[k] = e
	return e, nil
}
