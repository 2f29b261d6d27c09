package server

import (
	"context"
	"io"

	"curia/acl"
	"curia/api"
)

// Authorize checks the permission that a request needs. Faces ask it for verbs
// that they carry out themselves.
func (s *Server) Authorize(req *api.Request) error {
	return permit(s.authorizer(req.Token), req.Op.Need(req.Args))
}

// permit refuses callers who lack a permission.
func permit(who acl.Authorizer, need acl.Need) error {
	if need.Resource != "" && !who.Allows(need) {
		return api.Errorf(api.Denied, "Permission denied: token lacks permission %s", need)
	}
	return nil
}

// SaveSnapshot writes the whole state as an archive to what begin returns; it
// is told the index first.
func (s *Server) SaveSnapshot(ctx context.Context, req *api.Request, begin func(api.Meta) io.Writer) error {
	if err := s.local(req); err != nil {
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
	if err := s.local(req); err != nil {
		return err
	}
	if err := s.awaitLeader(ctx); err != nil {
		return err
	}
	return s.replica.Load(ctx, archive)
}

// local checks that a request may be carried out, and in this datacenter.
func (s *Server) local(req *api.Request) error {
	if req.Datacenter != "" && req.Datacenter != s.cfg.Datacenter {
		return api.ErrNoPath
	}
	return s.Authorize(req)
}
