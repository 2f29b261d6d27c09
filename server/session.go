package server

import (
	"context"
	"time"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// maxSessionTTL is the longest TTL of a session.
const maxSessionTTL = 24 * time.Hour

func (s *Server) sessionVerbs() []binding {
	return []binding{
		put(api.SessionCreate, s.sessionCreate),
		put(api.SessionDestroy, sessionDestroy),
		led(api.SessionRenew, s.sessionRenew),
		list(api.SessionList, func(v *state.View, _ *api.None) ([]*api.Session, error) { return v.Sessions(), nil }),
		list(api.SessionNode, func(v *state.View, q *api.NodeName) ([]*api.Session, error) { return v.SessionsOf(q.Node), nil }),
		get(api.SessionInfo, sessionInfo),
	}
}

// sessionCreate fills in what the caller left out.
func (s *Server) sessionCreate(v *state.View, who acl.Authorizer, q *api.SessionCreateArgs) (state.Command, error) {
	spec := &q.Spec
	if spec.Node == "" {
		return nil, api.Errorf(api.Rejected, "Must provide Node")
	}
	if n := nodeNamed(v, spec.Node); n != nil { // the request may have it in another case
		if err := permit(who, acl.Need{Resource: acl.Session, Access: acl.Write, Name: n.Node}); err != nil {
			return nil, err
		}
	}
	session := api.Session{
		Name: spec.Name, Node: spec.Node, TTL: spec.TTL, LockDelay: api.LockDelay(api.DefaultLockDelay),
		Behavior: spec.Behavior, NodeChecks: spec.AllNodeChecks(), ServiceChecks: spec.ServiceChecks,
	}
	if spec.LockDelay != nil {
		session.LockDelay = *spec.LockDelay
	}
	switch spec.Behavior {
	case "":
		session.Behavior = api.BehaviorRelease
	case api.BehaviorRelease, api.BehaviorDelete:
	default:
		return nil, api.Errorf(api.Rejected, "Invalid Behavior setting '%s'", spec.Behavior)
	}
	if spec.TTL != "" {
		ttl, err := time.ParseDuration(spec.TTL)
		if err != nil {
			return nil, api.Errorf(api.Rejected, "Session TTL '%s' invalid: %v", spec.TTL, err)
		}
		if ttl != 0 && (ttl < s.cfg.SessionTTLMin || ttl > maxSessionTTL) {
			return nil, api.Errorf(api.Rejected, "Invalid Session TTL '%d', must be between [%s=%s]", ttl, s.cfg.SessionTTLMin, maxSessionTTL)
		}
	}
	for {
		session.ID = uuid.NewString()
		if v.Session(session.ID) == nil {
			return &state.SessionCreate{Session: session}, nil
		}
	}
}

// mayEnd refuses callers who may not write the sessions of a session's node.
func mayEnd(who acl.Authorizer, session *api.Session) error {
	return permit(who, acl.Need{Resource: acl.Session, Access: acl.Write, Name: session.Node})
}

func sessionDestroy(v *state.View, who acl.Authorizer, q *api.SessionID) (state.Command, error) {
	if session := v.Session(q.ID); session != nil {
		if err := mayEnd(who, session); err != nil {
			return nil, err
		}
	}
	return &state.SessionDestroy{ID: q.ID}, nil
}

// sessionRenew restarts the TTL of a session. It changes no index.
func (s *Server) sessionRenew(_ context.Context, who acl.Authorizer, q *api.SessionID) ([]*api.Session, error) {
	session := s.store.View().Session(q.ID)
	if session == nil {
		return nil, api.Errorf(api.NotFound, "Session id '%s' not found", q.ID)
	}
	if err := mayEnd(who, session); err != nil {
		return nil, err
	}
	s.ttl.renew(session)
	return []*api.Session{session}, nil
}

func sessionInfo(v *state.View, q *api.SessionID) ([]*api.Session, error) {
	if session := v.Session(q.ID); session != nil {
		return []*api.Session{session}, nil
	}
	return []*api.Session{}, nil
}
