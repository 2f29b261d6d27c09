package server

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/metrics"
	"curia/state"
)

// CopyConfig says what a datacenter that is not the primary copies of the
// primary's ACLs. The zero value copies nothing.
type CopyConfig struct {
	// Tokens copies tokens beside policies and roles, and lets this datacenter have
	// local ones ("acl.enable_token_replication").
	Tokens bool
	// Token gives the token to copy with; nil, or an empty token: none.
	Token func() string
	// TTL is how long the copies are believed after they were known to be what the
	// primary has.
	TTL time.Duration
	// Extend says that copies are believed for longer while the primary cannot be
	// asked ("acl.down_policy").
	Extend bool
}

// token is the token to copy with; empty: none.
func (c *CopyConfig) token() string {
	if c.Token == nil {
		return ""
	}
	return c.Token()
}

// wanted reports whether anything is to be copied.
func (c *CopyConfig) wanted() bool { return c.Tokens || c.token() != "" }

// copies is what a server knows of the copies beside the state. Safe for
// concurrent use.
type copies struct {
	hits atomic.Uint64 // tokens that the copies resolved
	away atomic.Int64  // see mayAsk

	mu      sync.Mutex
	status  api.ACLReplicationStatus // while this server leads
	version state.ACLVersion
	with    state.CopyTokens
	sums    [api.CopyKinds][]byte // of the version
}

// awayFor is how long the primary is left alone that could not be asked.
const awayFor = 5 * time.Second

// mayAsk reports whether to ask the primary where old copies could answer. After
// it could not be asked, one asker finds out now and then, and no other waits.
func (c *copies) mayAsk() bool {
	until, now := c.away.Load(), time.Now()
	return until == 0 || now.UnixNano() >= until && c.away.CompareAndSwap(until, now.Add(awayFor).UnixNano())
}

// heard notes how the primary answered who mayAsk, and reports whether it could
// not be asked.
func (c *copies) heard(err error) (away bool) {
	if err == nil || !unreachable(err) {
		c.away.Store(0)
		return false
	}
	c.away.Store(time.Now().Add(awayFor).UnixNano())
	return true
}

// digest sums up the ACLs of a view, once for each version.
func (c *copies) digest(v *state.View, tokens state.CopyTokens) [api.CopyKinds][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version := v.ACLVersion(); c.sums[0] == nil || c.version != version || c.with != tokens {
		c.sums, c.version, c.with = v.ACLSums(tokens), version, tokens
	}
	return c.sums
}

// secondary reports whether another datacenter is the primary of the ACLs.
func (s *Server) secondary() bool { return s.cfg.ACL != nil && s.cfg.ACL.Elsewhere != nil }

// localTokens reports whether this datacenter may have tokens that hold here
// alone, though another is the primary.
func (s *Server) localTokens() bool { return s.secondary() && s.cfg.ACL.Copy.Tokens }

// copied tells how new the copies are; nil when there are none, or none are
// wanted any more.
func (s *Server) copied() *state.ACLCopied {
	if !s.secondary() || !s.cfg.ACL.Copy.wanted() {
		return nil
	}
	c := s.store.View().ACLCopied()
	if c == nil || c.From != s.cfg.ACL.PrimaryDatacenter {
		return nil
	}
	return c
}

// copiedTokens is copied, if tokens are among the copies.
func (s *Server) copiedTokens() *state.ACLCopied {
	if c := s.copied(); c != nil && c.Tokens && s.cfg.ACL.Copy.Tokens {
		return c
	}
	return nil
}

// believes reports whether copies may be believed without asking the primary.
func (s *Server) believes(c *state.ACLCopied) bool {
	return c != nil && ageOf(c) < s.cfg.ACL.Copy.TTL
}

// ageOf is how old copies are. The clocks of the servers of a datacenter agree.
func ageOf(c *state.ACLCopied) time.Duration { return max(time.Since(c.At), 0) }

// resolveCopied resolves a secret in a datacenter that is not the primary: its
// own tokens by itself, others by the copies as long as they are new. Else the
// primary is asked.
func (s *Server) resolveCopied(secret string) (acl.Authorizer, error) {
	who, local, err := s.resolver.resolve(secret)
	if err != nil && !errors.Is(err, api.ErrUnknownToken) {
		return nil, err
	}
	if local {
		if !s.localTokens() {
			return nil, api.ErrUnknownToken
		}
		return who, err
	}
	c := s.copiedTokens()
	if c == nil {
		return s.cfg.ACL.Elsewhere(secret, nil)
	}
	if err == nil && s.believes(c) {
		s.resolver.copies.hits.Add(1)
		return who, nil
	}
	known := &acl.Dated{AsOf: c.At}
	if err == nil {
		known.Holder = who
	}
	return s.cfg.ACL.Elsewhere(secret, known)
}

// identifyCopied is resolveCopied for another agent of this datacenter.
func (s *Server) identifyCopied(ctx context.Context, q *api.IdentifyArgs) (*acl.Identity, error) {
	id, local, err := s.resolver.identify(q.Secret, q.Datacenter)
	if err != nil && !local || s.lag() > identifyAge {
		s.catchUp(ctx) // it may have been made, or deleted, here just now
		id, local, err = s.resolver.identify(q.Secret, q.Datacenter)
	}
	c := s.copiedTokens()
	switch {
	case local && err == nil && s.localTokens():
		id.Age = s.lag()
		return id, nil
	case err != nil || local || c == nil:
		return s.askPrimary(ctx, q)
	case s.believes(c):
		s.resolver.copies.hits.Add(1)
		id.Age = ageOf(c)
		return id, nil
	case !s.cfg.ACL.Copy.Extend:
		return s.askPrimary(ctx, q)
	}
	if s.resolver.copies.mayAsk() {
		asking, cancel := context.WithTimeout(ctx, elsewhereWait)
		defer cancel()
		told, err := s.askPrimary(asking, q)
		if !s.resolver.copies.heard(err) {
			return told, err
		}
	}
	s.resolver.copies.hits.Add(1)
	id.Age = ageOf(c)
	return id, nil
}

// unreachable reports whether an error says that nobody could be asked.
func unreachable(err error) bool {
	switch api.KindOf(err) {
	case api.Unreached, api.NoPath, api.Lost, api.NoLeader, api.Unavailable:
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// catchUp waits a little until this server has applied what the leader has.
func (s *Server) catchUp(ctx context.Context) {
	if s.replica.Ready() || s.cfg.Peers == nil {
		return
	}
	index, err := s.indexes.settled.Next(ctx)
	if err != nil {
		return
	}
	applied, cancel := context.WithTimeout(ctx, applyWait)
	defer cancel()
	_ = s.replica.AwaitApplied(applied, index) // then it answers what it knows
}

// home is where a verb about ACLs is answered in a datacenter that is not the
// primary.
type home uint8

const (
	here         home = iota
	atPrimary         // not here
	primaryFirst      // here while the primary cannot be reached
)

// errNoLocalTokens is the answer to who wants a token that holds here alone.
func (s *Server) errNoLocalTokens() error {
	return api.Errorf(api.Invalid, "Invalid Token: the datacenter %s has no local tokens: set acl.enable_token_replication on its servers, or leave out Local",
		s.cfg.Datacenter)
}

// aclHome says where a request about ACLs is answered: tokens, policies and roles
// are the primary's, what holds here alone is not. Copies answer reads.
func (s *Server) aclHome(ctx context.Context, req *api.Request) (home, error) {
	reads := func(c *state.ACLCopied) home {
		switch {
		case s.believes(c):
			return here
		case c != nil:
			return primaryFirst
		}
		return atPrimary
	}
	switch req.Op {
	case api.ACLIdentify.Op, api.ACLReplication.Op, api.ACLDigestGet.Op, api.ACLMarksGet.Op, api.ACLRowsGet.Op, api.ACLAuthorize.Op,
		api.ACLTemplates.Op, api.ACLTemplateRead.Op, api.ACLTemplatePreview.Op, api.ACLTranslate.Op:
		return here, nil
	case api.ACLPolicies.Op, api.ACLPolicyRead.Op, api.ACLPolicyReadName.Op, api.ACLRoles.Op, api.ACLRoleRead.Op, api.ACLRoleReadName.Op:
		return reads(s.copied()), nil
	case api.ACLTokenCreate.Op:
		if !req.Args.(*api.ACLTokenArgs).Token.Local {
			return atPrimary, nil
		}
		if !s.localTokens() {
			return here, s.errNoLocalTokens()
		}
		return here, nil
	}
	if !s.localTokens() {
		return atPrimary, nil
	}
	switch req.Op {
	case api.ACLTokens.Op:
		if s.copiedTokens() != nil {
			return here, nil // the primary does not know those that are local
		}
	case api.ACLTokenRead.Op, api.ACLTokenUpdate.Op, api.ACLTokenClone.Op, api.ACLTokenDelete.Op:
		id := req.Args.(interface{ RowID() string }).RowID()
		return s.tokenHome(ctx, req, reads, func(v *state.View) *api.ACLToken { return v.ACLToken(id) }), nil
	case api.ACLTokenSelf.Op, api.ACLLogout.Op:
		return s.tokenHome(ctx, req, reads, func(v *state.View) *api.ACLToken { return v.ACLSecret(req.Token) }), nil
	case api.ACLLogin.Op,
		api.ACLAuthMethods.Op, api.ACLAuthMethodCreate.Op, api.ACLAuthMethodRead.Op, api.ACLAuthMethodUpdate.Op, api.ACLAuthMethodDelete.Op,
		api.ACLBindingRules.Op, api.ACLBindingRuleCreate.Op, api.ACLBindingRuleRead.Op, api.ACLBindingRuleUpdate.Op, api.ACLBindingRuleDelete.Op:
		return here, nil
	}
	return atPrimary, nil
}

// tokenHome says where a request about one token is answered.
func (s *Server) tokenHome(ctx context.Context, req *api.Request, reads func(*state.ACLCopied) home, find func(*state.View) *api.ACLToken) home {
	t := find(s.store.View())
	if t == nil {
		s.catchUp(ctx)
		t = find(s.store.View())
	}
	switch {
	case t == nil:
		return atPrimary
	case t.Local:
		return here
	case req.Op.Kind != api.KindRead:
		return atPrimary
	}
	return reads(s.copiedTokens())
}

// callACL carries out a request about ACLs in a datacenter that is not the
// primary, or gives the one that this server answers as any other.
func (s *Server) callACL(ctx context.Context, req *api.Request) (own *api.Request, resp *api.Response, err error) {
	if req.Final || s.Foreign(req) || !strings.HasPrefix(req.Op.Name, "acl.") {
		return req, nil, nil
	}
	if req.Passed {
		return nil, nil, s.errNotPrimary()
	}
	where, err := s.aclHome(ctx, req)
	switch {
	case err != nil:
		return nil, nil, err
	case where == here || where == primaryFirst && !s.resolver.copies.mayAsk():
		return s.restarted(req), nil, nil
	}
	there := *req
	there.Datacenter, there.Passed = s.cfg.ACL.PrimaryDatacenter, true
	if login, ok := req.Args.(*api.ACLLoginArgs); ok {
		from := *login
		from.From = s.cfg.Datacenter
		there.Args = &from
	}
	peers, err := s.passOn(&there)
	if err != nil {
		return nil, nil, err
	}
	asking := ctx
	if where == primaryFirst && req.MinIndex == 0 {
		bounded, cancel := context.WithTimeout(ctx, elsewhereWait)
		defer cancel()
		asking = bounded
	}
	resp, err = peers.Call(asking, &there)
	if where == primaryFirst && ctx.Err() == nil && s.resolver.copies.heard(err) {
		return s.restarted(req), nil, nil
	}
	if err == nil && req.Op.Kind == api.KindWrite {
		s.awaitCopies(ctx, req.Token)
	}
	return nil, resp, err
}

// restarted is a request that does not wait for an index which this datacenter
// never had: that was one of the primary, which answered before.
func (s *Server) restarted(req *api.Request) *api.Request {
	if req.MinIndex <= s.store.Index() {
		return req
	}
	anew := *req
	anew.MinIndex = 0
	return &anew
}

func (s *Server) errNotPrimary() error {
	return api.Errorf(api.Rejected, "the datacenter %s is not the primary: that is %s; set primary_datacenter alike everywhere",
		s.cfg.Datacenter, s.cfg.ACL.PrimaryDatacenter)
}

// ownWriteWait bounds how long a write that the primary has carried out is waited
// for here, and ownWriteAge how old copies may be for that.
const (
	ownWriteWait = 3 * time.Second
	ownWriteAge  = 15 * time.Second
)

// awaitCopies waits until the copies have what the primary has now, so that who
// wrote it reads it here. It does not wait for copies that have long been old.
func (s *Server) awaitCopies(ctx context.Context, token string) {
	c := s.copied()
	if !s.believes(c) {
		s.catchUp(ctx) // the leader may have newer ones
		c = s.copied()
	}
	if !s.believes(c) && (c == nil || ageOf(c) > ownWriteAge) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ownWriteWait)
	defer cancel()
	resp, err := s.cfg.Peers.Call(ctx, &api.Request{
		Op: api.ACLDigestGet.Op, Args: &api.ACLDigestArgs{Tokens: c.Tokens}, Token: token, Passed: true, Datacenter: c.From,
	})
	if err != nil {
		return
	}
	there, _ := resp.Value.(*api.ACLDigest)
	timer := time.NewTimer(ownWriteWait)
	defer timer.Stop()
	for there != nil {
		v := s.store.View()
		if c := v.ACLCopied(); c == nil || reached(c.Indexes, there.Indexes) {
			return
		}
		w := v.Watch()
		if why, err := s.sleep(ctx, &w, timer); err != nil || why != changed {
			return
		}
	}
}

func reached(have, want [api.CopyKinds]uint64) bool {
	for kind := range want {
		if have[kind] < want[kind] {
			return false
		}
	}
	return true
}

// measureCopies tells how copying goes, at the leader, and how often copies were
// enough.
func (s *Server) measureCopies(to *metrics.Scrape, leads float64) {
	if !s.secondary() {
		return
	}
	to.Counter("acl.replication_hit", s.resolver.copies.hits.Load())
	c := s.copied()
	if c == nil || leads == 0 {
		return
	}
	works := 0.0
	if s.believes(c) {
		works = 1
	}
	for kind, name := range [api.CopyKinds]string{"policies", "roles", "tokens"} {
		if kind == int(api.CopiedTokens) && !c.Tokens {
			continue
		}
		to.Gauge("leader.replication.acl-"+name+".status", works)
		to.Gauge("leader.replication.acl-"+name+".index", float64(c.Indexes[kind]))
	}
}
