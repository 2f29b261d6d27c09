package server

import (
	"context"
	"io"

	"curia/acl"
	"curia/api"
)

// permit refuses callers who lack a permission.
func permit(who acl.Authorizer, need acl.Need) error {
	if need.Resource != "" && !who.Allows(need) {
		return &api.Error{Kind: api.Denied, Msg: acl.Refusal(who, need)}
	}
	return nil
}

// SaveSnapshot writes the whole state as an archive to what begin returns; it
// is told the index first.
func (s *Server) SaveSnapshot(ctx context.Context, req *api.Request, begin func(api.Meta) io.Writer) error {
	if _, err := s.admit(ctx, req); err != nil {
		return err
	}
	if !req.Args.(*api.StaleArgs).Stale {
		if err := s.awaitLeader(ctx); err != nil {
			return err
		}
	}
	meta := api.Meta{}
	s.describe(&meta)
	return s.replica.Save(func(index uint64) io.Writer {
		meta.Index = max(index, 1)
		return begin(meta)
	})
}

// RestoreSnapshot replaces the whole state by an archive.
func (s *Server) RestoreSnapshot(ctx context.Context, req *api.Request, archive io.Reader) error {
	if _, err := s.admit(ctx, req); err != nil {
		return err
	}
	if err := s.awaitLeader(ctx); err != nil {
		return err
	}
	return s.replica.Load(ctx, archive)
}

// admit checks that a request may be carried out, and in this datacenter. Unless
// it takes what this server knows, it is held against ACLs as new as the leader's.
func (s *Server) admit(ctx context.Context, req *api.Request) (acl.Authorizer, error) {
	if req.Datacenter != "" && req.Datacenter != s.cfg.Datacenter {
		return nil, api.ErrNoPath
	}
	stale := req.Consistency == api.Stale || req.Op.Bare
	if a, ok := req.Args.(*api.StaleArgs); ok {
		stale = stale || a.Stale
	}
	if s.resolver != nil && !stale {
		if err := s.awaitLeader(ctx); err != nil {
			return nil, err
		}
	}
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
