package server

import (
	"context"
	"io"
	"time"

	"curia/acl"
	"curia/api"
	"curia/internal/rounds"
)

// Peers reaches other servers. An error of kind Unreached says that nothing was
// sent. All may be called concurrently.
type Peers interface {
	// Caller asks a server of the request's datacenter.
	api.Caller
	// CallAt asks the server at an address of this datacenter.
	CallAt(ctx context.Context, address string, req *api.Request) (*api.Response, error)
	// The methods of archives are those of Server, asked of another.
	SaveSnapshot(ctx context.Context, req *api.Request, begin func(api.Meta) io.Writer) error
	SaveSnapshotAt(ctx context.Context, address string, req *api.Request, begin func(api.Meta) io.Writer) error
	RestoreSnapshot(ctx context.Context, req *api.Request, archive io.Reader) error
	RestoreSnapshotAt(ctx context.Context, address string, req *api.Request, archive io.Reader) error
}

// Times of asking the leader.
const (
	lookAgain = 100 * time.Millisecond // for a leader, when nothing was heard of a change
	indexWait = 2 * time.Second        // for the leader's index
	applyWait = 500 * time.Millisecond // until this server has applied what the leader has
)

// Foreign reports whether a request is for another datacenter.
func (s *Server) Foreign(req *api.Request) bool {
	return req.Datacenter != "" && req.Datacenter != s.cfg.Datacenter
}

// passOn gives the peers for a request that another datacenter answers.
func (s *Server) passOn(req *api.Request) (Peers, error) {
	if s.cfg.Peers == nil || req.Final {
		return nil, api.ErrNoPath
	}
	return s.cfg.Peers, nil
}

// final is a request that the leader answers, or nobody.
func final(req *api.Request) *api.Request {
	last := *req
	last.Final = true
	return &last
}

// atLeader lets here carry out what only the leader can while this server leads,
// and there what is asked of another. Without a leader it waits for one, at most
// for the hold timeout. What was not begun is tried again, and reads are.
func (s *Server) atLeader(ctx context.Context, req *api.Request, here func() error, there func(address string) error) error {
	err := s.tryLeader(req, here, there)
	if !again(req, err) {
		return err
	}
	held := time.NewTimer(s.cfg.HoldTimeout)
	defer held.Stop()
	for {
		changed := s.replica.LeaderChange()
		err := s.tryLeader(req, here, there)
		switch {
		case !again(req, err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case req.Final && !s.replica.Leads():
			return api.ErrNoLeader
		}
		look := time.NewTimer(lookAgain)
		select {
		case <-changed:
		case <-look.C:
		case <-held.C:
			look.Stop()
			return api.ErrNoLeader
		case <-ctx.Done():
			look.Stop()
			return ctx.Err()
		}
		look.Stop()
	}
}

// again reports whether a request that failed may be tried again.
func again(req *api.Request, err error) bool {
	return api.Untried(err) || api.KindOf(err) == api.Lost && req.Op.Kind == api.KindRead
}

func (s *Server) tryLeader(req *api.Request, here func() error, there func(address string) error) error {
	if s.replica.Ready() {
		return here()
	}
	address := s.replica.Leader()
	if address == "" || s.replica.Leads() || req.Final || s.cfg.Peers == nil {
		return api.ErrNoLeader
	}
	return there(address)
}

// askLeader lets the leader at an address answer. When another leads before it has,
// the outcome is unknown: it may be too late for an answer, and too early to know
// what became of the request.
func (s *Server) askLeader(ctx context.Context, address string, req *api.Request) (*api.Response, error) {
	reign := s.replica.Reign()
	if s.replica.Leader() != address {
		return nil, api.ErrNoLeader // it has changed since
	}
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(reign, cancel)()
	resp, err := s.cfg.Peers.CallAt(bounded, address, final(req))
	if err != nil && ctx.Err() == nil && bounded.Err() != nil && !api.Untried(err) {
		return nil, api.Errorf(api.Lost, "server %s did not answer, and another leads now: it may have been carried out", address)
	}
	return resp, err
}

// leaderIndexes are the questions to the leader that readers share.
type leaderIndexes struct{ settled, confirmed rounds.Rounds[uint64] }

// of gives the question of a consistency mode.
func (l *leaderIndexes) of(c api.Consistency) *rounds.Rounds[uint64] {
	if c == api.Consistent {
		return &l.confirmed
	}
	return &l.settled
}

// askIndex asks the leader how far it is.
func (s *Server) askIndex(confirm bool) (uint64, error) {
	address := s.replica.Leader()
	if address == "" || s.replica.Leads() {
		return 0, api.ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(context.Background(), indexWait)
	defer cancel()
	resp, err := s.cfg.Peers.CallAt(ctx, address, &api.Request{Op: api.LeaderIndex.Op, Args: &api.IndexArgs{Confirm: confirm}, Final: true})
	if err != nil {
		return 0, api.ErrNoLeader // it was a question: it may be put again
	}
	index, _ := resp.Value.(uint64)
	return index, nil
}

// leaderIndex answers askIndex.
func (s *Server) leaderIndex(ctx context.Context, q *api.IndexArgs) (uint64, error) {
	if !s.replica.Ready() {
		return 0, api.ErrNoLeader
	}
	if q.Confirm {
		if err := s.replica.Confirm(ctx); err != nil {
			return 0, err
		}
	}
	return s.replica.Applied(), nil
}

// serverStatus tells others how far this server is.
func (s *Server) serverStatus(context.Context, *api.None) (*api.ServerReport, error) {
	stats := s.replica.Stats()
	servers, _ := s.replica.Servers()
	var ids []string
	for _, p := range servers {
		ids = append(ids, p.ID)
	}
	return &api.ServerReport{
		Formed: s.replica.Formed(), Servers: ids, LastContact: s.replica.LastContact(),
		LastTerm: number(stats["last_log_term"]), LastIndex: number(stats["last_log_index"]),
	}, nil
}

func (s *Server) forwardVerbs() []binding {
	return []binding{bare(api.LeaderIndex, s.leaderIndex), bare(api.ServerStatus, s.serverStatus)}
}

// fresh waits until this server's state may answer in the mode of a request. A
// server that lags lets the leader answer instead: the response is not nil then,
// or the error is the leader's.
func (s *Server) fresh(ctx context.Context, req *api.Request) (resp *api.Response, err error) {
	if req.Consistency != api.Consistent && s.replica.Ready() {
		return nil, nil // the way of nearly every read on a leader
	}
	err = s.atLeader(ctx, req, func() error {
		resp = nil
		if req.Consistency == api.Consistent {
			return s.replica.Confirm(ctx)
		}
		return nil
	}, func(address string) error {
		resp = nil // of an attempt that failed
		index, err := s.indexes.of(req.Consistency).Next(ctx)
		if err != nil {
			return err
		}
		applied, cancel := context.WithTimeout(ctx, applyWait)
		defer cancel()
		if s.replica.AwaitApplied(applied, index) == nil {
			return nil
		}
		resp, err = s.askLeader(ctx, address, req)
		return err
	})
	return resp, err
}

// led carries out a verb at the leader: a write, or what it answers beside the log.
func (s *Server) led(ctx context.Context, req *api.Request, b *binding) (resp *api.Response, err error) {
	err = s.atLeader(ctx, req, func() error {
		who, err := s.admit(req)
		if err != nil {
			return err
		}
		if b.write != nil {
			resp, err = s.write(ctx, req, b, who)
			return err
		}
		v, err := b.leader(ctx, who, req)
		resp = &api.Response{Value: v}
		return err
	}, func(address string) error {
		resp, err = s.askLeader(ctx, address, req)
		return err
	})
	return resp, err
}

// admit checks that a request may be carried out by the holder of its token, as
// far as this server's state knows them.
func (s *Server) admit(req *api.Request) (acl.Authorizer, error) {
	if about, ok := req.Args.(api.AboutToken); ok {
		if err := about.SetToken(req.Token); err != nil {
			return nil, err
		}
	}
	who, err := s.Resolve(req.Token)
	if err != nil {
		return nil, err
	}
	if self, ok := req.Args.(api.AboutCaller); ok {
		if h, ok := who.(*acl.Holder); ok {
			self.SetCaller(h.Accessor)
		}
	}
	return who, permit(who, req.Op.Need(req.Args))
}

// admitBare is admit for what a server answers from what it knows itself. Who brings
// no token to what needs no permission is not looked up: so servers ask each other,
// and must not wait for a primary datacenter that does not answer.
func (s *Server) admitBare(req *api.Request) error {
	if req.Token == "" && req.Op.Need(req.Args).Resource == "" {
		return nil
	}
	_, err := s.admit(req)
	return err
}
