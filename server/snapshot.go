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
	if s.Foreign(req) {
		peers, err := s.passOn(req)
		if err != nil {
			return err
		}
		return peers.SaveSnapshot(ctx, req, begin)
	}
	save := func() error {
		if _, err := s.admit(req); err != nil {
			return err
		}
		meta := api.Meta{}
		s.describe(&meta)
		return s.replica.Save(func(index uint64) io.Writer {
			meta.Index = max(index, 1)
			return begin(meta)
		})
	}
	if req.Args.(*api.StaleArgs).Stale {
		return save()
	}
	return s.atLeader(ctx, req, save, func(address string) error {
		return s.cfg.Peers.SaveSnapshotAt(ctx, address, final(req), begin)
	})
}

// RestoreSnapshot replaces the whole state by an archive.
func (s *Server) RestoreSnapshot(ctx context.Context, req *api.Request, archive io.Reader) error {
	if s.Foreign(req) {
		peers, err := s.passOn(req)
		if err != nil {
			return err
		}
		return peers.RestoreSnapshot(ctx, req, archive)
	}
	return s.atLeader(ctx, req, func() error {
		if _, err := s.admit(req); err != nil {
			return err
		}
		return s.replica.Load(ctx, archive)
	}, func(address string) error {
		return s.cfg.Peers.RestoreSnapshotAt(ctx, address, final(req), archive)
	})
}
