package server

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/pause"
	"curia/state"
)

// Bounds of copying.
const (
	copyPage     = 256 << 10              // bytes of rows in an answer, and in an entry of the log
	copyIDs      = 1000                   // rows that are asked for, or deleted, at once
	copyMarks    = 10000                  // marks in an answer
	copyAnswer   = 10 * time.Second       // for an answer that is not held back
	copyHold     = 5 * time.Second        // for which the primary holds back an answer, at most
	copyHoldMin  = 50 * time.Millisecond  // however short the time is for which copies are believed
	copyRest     = 50 * time.Millisecond  // between two rounds
	copyRestMax  = time.Second            // after one that took long
	copyRestOf   = 5                      // a round rests for so many times as long as it took
	copyRetry    = 500 * time.Millisecond // after the first failure; twice as long after each that follows
	copyRetryMax = 15 * time.Second
	copyLook     = time.Second // for a token to copy with
)

// copying is the work of a leader whose datacenter copies from the primary.
type copying struct {
	*Server
	token   string // that it copies with
	seen    [api.CopyKinds]uint64
	refused int    // copies that could not be written in the last round
	told    string // the failure that was logged; empty: none
	retry   time.Duration
}

// copyACLs copies policies, roles and tokens from the primary until ctx ends.
func (s *Server) copyACLs(ctx context.Context) error {
	if !s.secondary() {
		<-ctx.Done()
		return ctx.Err()
	}
	defer s.resolver.copies.note(func(st *api.ACLReplicationStatus) { *st = api.ACLReplicationStatus{} })
	c := &copying{Server: s}
	for {
		conf := &s.cfg.ACL.Copy
		s.resolver.copies.note(func(st *api.ACLReplicationStatus) { st.Enabled, st.Running = conf.wanted(), conf.token() != "" })
		if !conf.wanted() {
			if !pause.For(ctx, copyLook) {
				return ctx.Err()
			}
			continue
		}
		rest, err := c.round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			rest = c.failed(err)
		} else {
			c.worked()
		}
		if !c.rest(ctx, rest) {
			return ctx.Err()
		}
	}
}

// rest waits, unless there is another token to copy with.
func (c *copying) rest(ctx context.Context, d time.Duration) bool {
	for d > 0 && c.token == c.cfg.ACL.Copy.token() {
		step := min(d, copyLook)
		if !pause.For(ctx, step) {
			return false
		}
		d -= step
	}
	return ctx.Err() == nil
}

// note changes what is told about the copies.
func (c *copies) note(change func(*api.ACLReplicationStatus)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.status)
}

// errNoCopyToken says why nothing is copied.
var errNoCopyToken = &api.Error{Kind: api.Denied, Msg: "there is no token to copy with"}

// round asks what there is, copies what differs, and notes that all is copied. It
// tells for how long to rest.
func (c *copying) round(ctx context.Context) (rest time.Duration, err error) {
	c.token = c.cfg.ACL.Copy.token()
	if c.token == "" {
		return 0, errNoCopyToken
	}
	tokens := state.CopyTokens(c.cfg.ACL.Copy.Tokens)
	asked := time.Now()
	hold := min(max(c.cfg.ACL.Copy.TTL/4, copyHoldMin), copyHold)
	there, err := askCopy(ctx, c, api.ACLDigestGet, api.ACLDigestArgs{Tokens: bool(tokens), Seen: c.seen, Wait: hold})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	// What is known is as old as the question, but for the time that the answer was
	// held back: two clocks need not agree for that.
	known := asked.Add(min(max(there.Waited, 0), began.Sub(asked)))
	own := c.resolver.copies.digest(c.store.View(), tokens)
	c.refused = 0
	for kind := range api.CopyKind(api.CopyKinds) {
		buckets, err := differing(own[kind], there.Sums[kind])
		if err == nil && len(buckets) > 0 {
			err = c.fetch(ctx, kind, buckets)
		}
		if err != nil {
			c.seen = [api.CopyKinds]uint64{}
			return 0, err
		}
	}
	copied := state.ACLCopied{From: c.cfg.ACL.PrimaryDatacenter, Indexes: there.Indexes, Tokens: bool(tokens), At: known.UTC()}
	if _, err := c.replica.Propose(ctx, &state.ACLCopyConfirm{Copied: copied}); err != nil {
		return 0, err
	}
	c.seen = there.Indexes
	return min(max(copyRestOf*time.Since(began), copyRest), copyRestMax), nil
}

// askCopy asks the primary with the token to copy with.
func askCopy[Q, R any](ctx context.Context, c *copying, verb api.Verb[Q, *R], args Q) (*R, error) {
	if c.cfg.Peers == nil {
		return nil, api.ErrNoPath
	}
	ctx, cancel := context.WithTimeout(ctx, copyHold+copyAnswer)
	defer cancel()
	resp, err := c.cfg.Peers.Call(ctx, &api.Request{Op: verb.Op, Args: &args, Token: c.token, Passed: true, Datacenter: c.cfg.ACL.PrimaryDatacenter})
	if err != nil {
		return nil, err
	}
	if r, ok := resp.Value.(*R); ok && r != nil {
		return r, nil
	}
	return nil, errNoResult
}

// errOddCopy is the answer of a primary that sums up in another way.
var errOddCopy = &api.Error{Kind: api.Invalid, Msg: "the primary answers what this version does not understand"}

// differing gives the numbers of the buckets whose sums are not the same.
func differing(own, there []byte) ([]byte, error) {
	if len(own) != len(there) {
		return nil, errOddCopy
	}
	var out []byte
	for i := 0; i+8 <= len(own); i += 8 {
		if binary.BigEndian.Uint64(own[i:]) != binary.BigEndian.Uint64(there[i:]) {
			out = append(out, byte(i/8))
		}
	}
	return out, nil
}

// fetch copies the rows of some buckets that differ, a page at a time.
func (c *copying) fetch(ctx context.Context, kind api.CopyKind, buckets []byte) error {
	q := api.ACLMarksArgs{Kind: kind, Buckets: buckets}
	for {
		page, err := askCopy(ctx, c, api.ACLMarksGet, q)
		if err != nil {
			return err
		}
		if len(page.Marks) != 8*len(page.IDs) || page.More && len(page.IDs) == 0 {
			return errOddCopy
		}
		changed, gone := c.store.View().ACLDiffer(&q, page)
		for batch := range slices.Chunk(gone, copyIDs) {
			if err := c.write(ctx, &state.ACLCopy{Kind: kind, Delete: batch}); err != nil {
				return err
			}
		}
		for batch := range slices.Chunk(changed, copyIDs) {
			if err := c.fetchRows(ctx, kind, batch); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		q.After = page.IDs[len(page.IDs)-1]
	}
}

// fetchRows copies rows by ID.
func (c *copying) fetchRows(ctx context.Context, kind api.CopyKind, ids []string) error {
	for len(ids) > 0 {
		rows, err := askCopy(ctx, c, api.ACLRowsGet, api.ACLRowsArgs{Kind: kind, IDs: ids})
		if err != nil {
			return err
		}
		if rows.Taken <= 0 || rows.Taken > len(ids) {
			return errOddCopy
		}
		ids = ids[rows.Taken:]
		if err := c.write(ctx, &state.ACLCopy{Policies: rows.Policies, Roles: rows.Roles, Tokens: rows.Tokens}); err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) write(ctx context.Context, cmd *state.ACLCopy) error {
	n, err := c.replica.Propose(ctx, cmd)
	refused, _ := n.(int)
	c.refused += refused
	return err
}

// worked notes that a round has worked.
func (c *copying) worked() {
	c.retry = 0
	switch {
	case c.refused > 0 && c.told == "":
		c.told = "refused"
		c.log.Warn("some rows of the primary datacenter cannot be copied: local tokens have their IDs or secrets, or builtin policies their names",
			"datacenter", c.cfg.ACL.PrimaryDatacenter, "rows", c.refused)
	case c.refused == 0 && c.told != "":
		c.told = ""
		c.log.Info("ACLs are copied from the primary datacenter again", "datacenter", c.cfg.ACL.PrimaryDatacenter)
	}
}

// failed notes that a round has failed, and tells for how long to rest.
func (c *copying) failed(err error) time.Duration {
	remedy := copyRemedy(err, c.cfg.ACL.Copy.Tokens)
	c.resolver.copies.note(func(st *api.ACLReplicationStatus) {
		st.LastError, st.LastErrorMessage = time.Now().UTC(), err.Error()
	})
	if c.told != remedy {
		c.told = remedy
		c.log.Warn("cannot copy ACLs from the primary datacenter, trying again", "datacenter", c.cfg.ACL.PrimaryDatacenter, "err", err, "remedy", remedy)
	}
	c.retry = min(max(2*c.retry, copyRetry), copyRetryMax)
	return c.retry + rand.N(c.retry/4)
}

// copyRemedy says what to do when copying fails.
func copyRemedy(err error, tokens bool) string {
	need := `acl = "read"`
	if tokens {
		need = `acl = "write"`
	}
	switch api.KindOf(err) {
	case api.Denied:
		if errors.Is(err, errNoCopyToken) {
			return "give every server acl.tokens.replication, a token of the primary with " + need
		}
		return "acl.tokens.replication must be a token of the primary with " + need + " that is not local"
	case api.Disabled:
		return "enable ACLs in the primary datacenter"
	case api.Rejected:
		return "set primary_datacenter alike on all servers of all datacenters"
	case api.Invalid:
		return "let the servers of all datacenters have the same version"
	}
	return "let the servers of the primary datacenter run, and be reached over the WAN"
}

// copyDigest tells a server of another datacenter what there is to copy. The
// answer is held back while nothing has changed.
func (s *Server) copyDigest(ctx context.Context, _ acl.Authorizer, q *api.ACLDigestArgs) (*api.ACLDigest, error) {
	if err := s.mayBeCopied(); err != nil {
		return nil, err
	}
	began := time.Now()
	tokens := state.CopyTokens(q.Tokens)
	timer := time.NewTimer(min(max(q.Wait, 0), copyHold))
	defer timer.Stop()
	for {
		v := s.store.View()
		if v.ACLIndexes(tokens) != q.Seen {
			break
		}
		w := v.Watch()
		why, err := s.sleep(ctx, &w, timer)
		if err != nil {
			return nil, err
		}
		if why != changed {
			break
		}
	}
	d := &api.ACLDigest{Waited: time.Since(began)}
	// Somebody else may lead by now, and know of tokens that are gone.
	if err := s.replica.Confirm(ctx); err != nil {
		return nil, err
	}
	v := s.store.View()
	d.Indexes, d.Sums = v.ACLIndexes(tokens), s.resolver.copies.digest(v, tokens)
	return d, nil
}

// copyMarks tells a server of another datacenter which rows there are.
func (s *Server) copyMarks(_ context.Context, _ acl.Authorizer, q *api.ACLMarksArgs) (*api.ACLMarks, error) {
	if err := s.mayBeCopied(); err != nil {
		return nil, err
	}
	return s.store.View().ACLMarks(q, copyMarks), nil
}

// copyRows gives a server of another datacenter rows to copy.
func (s *Server) copyRows(_ context.Context, _ acl.Authorizer, q *api.ACLRowsArgs) (*api.ACLRows, error) {
	if err := s.mayBeCopied(); err != nil {
		return nil, err
	}
	return s.store.View().ACLRows(q, copyPage), nil
}

// mayBeCopied wants this datacenter to have ACLs of its own.
func (s *Server) mayBeCopied() error {
	switch {
	case s.resolver == nil:
		return &api.Error{Kind: api.Disabled, Msg: "ACL support disabled"}
	case s.secondary():
		return s.errNotPrimary()
	}
	return nil
}

// aclReplication tells how the ACLs of the primary are copied. The leader knows.
func (s *Server) aclReplication(ctx context.Context, q *api.None) (*api.ACLReplicationStatus, error) {
	if !s.secondary() {
		return &api.ACLReplicationStatus{SourceDatacenter: s.cfg.Datacenter}, nil
	}
	leader := s.replica.Leader()
	if !s.replica.Ready() && leader != "" && !s.replica.Leads() && s.cfg.Peers != nil {
		resp, err := s.cfg.Peers.CallAt(ctx, leader, final(&api.Request{Op: api.ACLReplication.Op, Args: q}))
		if err != nil {
			return nil, err
		}
		if st, ok := resp.Value.(*api.ACLReplicationStatus); ok {
			return st, nil
		}
		return nil, errNoResult
	}
	var st api.ACLReplicationStatus
	s.resolver.copies.note(func(now *api.ACLReplicationStatus) { st = *now })
	st.SourceDatacenter = s.cfg.ACL.PrimaryDatacenter
	if !st.Enabled {
		return &st, nil
	}
	st.ReplicationType = "policies"
	if s.cfg.ACL.Copy.Tokens {
		st.ReplicationType = "tokens"
	}
	if c := s.copied(); c != nil {
		st.ReplicatedIndex, st.ReplicatedRoleIndex = c.Indexes[api.CopiedPolicies], c.Indexes[api.CopiedRoles]
		st.ReplicatedTokenIndex, st.LastSuccess = c.Indexes[api.CopiedTokens], c.At
	}
	return &st, nil
}
