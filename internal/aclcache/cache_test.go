package aclcache_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/aclcache"
)

// others are those who are asked.
type others struct {
	mu    sync.Mutex
	age   time.Duration // of what they know
	takes time.Duration // until they answer, or fail
	err   error
	asked int
}

func (o *others) ask(ctx context.Context, secret string) (*acl.Identity, error) {
	o.mu.Lock()
	takes, age, err := o.takes, o.age, o.err
	o.asked++
	o.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return &acl.Identity{Accessor: "of " + secret, Age: age}, nil
}

func (o *others) are(err error, takes, age time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err, o.takes, o.age = err, takes, age
}

var (
	errAway = api.Errorf(api.Unreached, "nobody is there")
	ttl     = 30 * time.Second
)

// who gives the accessor of a holder, or the error, and how long that took.
func who(c *aclcache.Cache, known *acl.Dated) (string, time.Duration) {
	began := time.Now()
	a, err := c.ResolveKnown("s", known)
	took := time.Since(began)
	if err != nil {
		return err.Error(), took
	}
	if h, ok := a.(*acl.Holder); ok {
		return h.Accessor, took
	}
	return a.ID(), took
}

// wants holds what a cache answers, and how long that takes, against what is
// wanted.
func wants(t *testing.T, what string, c *aclcache.Cache, known *acl.Dated, want string, within time.Duration) {
	t.Helper()
	if got, took := who(c, known); got != want || took > within {
		t.Errorf("%s: got %q after %v, want %q within %v", what, got, took, want, within)
	}
}

var denyAll = acl.DenyAll{}.ID()

// TestAge believes an answer for so much less as what it tells is old.
func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &others{age: 20 * time.Second}
		c := aclcache.New(o.ask, acl.NewSets(acl.Options{Default: acl.DenyAll{}}), ttl, aclcache.ExtendCache)
		for range 12 {
			who(c, nil)
			time.Sleep(time.Second)
		}
		if o.asked != 2 {
			t.Errorf("asked %d times in 12 seconds, want 2: at once, and after 10", o.asked)
		}
	})
}

// TestKnown has both an old answer and what somebody knows: the newer one counts.
func TestKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &others{}
		c := aclcache.New(o.ask, acl.NewSets(acl.Options{Default: acl.DenyAll{}}), ttl, aclcache.ExtendCache)
		before := time.Now().Add(-time.Second)
		holder := &acl.Holder{Authorizer: acl.DenyAll{}, Accessor: "known"}
		wants(t, "an answer", c, &acl.Dated{Holder: holder, AsOf: before}, "of s", 0)
		time.Sleep(time.Second)
		o.are(errAway, 0, 0)
		wants(t, "it is believed", c, &acl.Dated{AsOf: before}, "of s", 0)
		wants(t, "but for newer knowledge that the token is gone", c, &acl.Dated{AsOf: time.Now()}, denyAll, 0)
		time.Sleep(ttl)
		wants(t, "an old answer and older knowledge", c, &acl.Dated{Holder: holder, AsOf: before}, "of s", 0)
		wants(t, "an old answer and newer knowledge", c, &acl.Dated{Holder: holder, AsOf: time.Now()}, "known", 0)
		wants(t, "newer knowledge that the token is gone", c, &acl.Dated{AsOf: time.Now()}, denyAll, 0)
		wants(t, "an old answer alone", c, nil, "of s", 0)
	})
}

// TestAway lets nobody wait for long while others take long to be away, and
// notices when they are back.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &others{}
		c := aclcache.New(o.ask, acl.NewSets(acl.Options{Default: acl.DenyAll{}}), ttl, aclcache.ExtendCache)
		wants(t, "an answer", c, nil, "of s", 0)
		time.Sleep(ttl)
		o.are(errAway, 9*time.Second, 0)
		wants(t, "the first who finds out", c, nil, "of s", 3*time.Second)
		for range 60 {
			wants(t, "those who follow", c, nil, "of s", 0)
			time.Sleep(time.Second)
		}
		if _, err := c.ResolveKnown("never seen", nil); err != nil {
			t.Errorf("a token without an old answer: got %v", err)
		}
		o.are(api.ErrUnknownToken, 0, 0)
		time.Sleep(10 * time.Second)
		who(c, nil)
		synctest.Wait()
		wants(t, "after they came back", c, nil, "ACL not found", 0)
	})
}
