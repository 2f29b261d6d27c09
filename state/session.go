package state

import (
	"strings"
	"time"

	"curia/api"
)

var (
	sessions        = newTable("sessions", func(b []byte, s *api.Session) []byte { return append(b, s.ID...) })
	_, sessionsNode = sessions.by(func(out [][]byte, s *api.Session) [][]byte {
		return append(out, join(fold(s.Node), s.ID))
	})
	// sessionsCheck finds the sessions that end with a check.
	_, sessionsCheck = sessions.by(func(out [][]byte, s *api.Session) [][]byte {
		for _, c := range s.NodeChecks {
			out = append(out, join(fold(s.Node), c, s.ID))
		}
		for _, c := range s.ServiceChecks {
			out = append(out, join(fold(s.Node), c.ID, s.ID))
		}
		return out
	})
	// sessionsTTL finds the sessions that expire.
	_, sessionsTTL = sessions.by(func(out [][]byte, s *api.Session) [][]byte {
		if s.TTLDuration() == 0 {
			return out
		}
		return append(out, []byte(s.ID))
	})
)

// fold makes names comparable that differ in case only.
func fold(name string) string { return strings.ToLower(name) }

func sessionsTopic(node string) string { return "sessions/" + fold(node) }

// Session reads one session; nil when it does not exist.
func (v *View) Session(id string) *api.Session {
	s := one(v, sessions, []byte(id))
	if s == nil {
		v.missing = true
		v.raise(v.tableIndex(sessions.id))
		return nil
	}
	v.raise(s.ModifyIndex)
	return s
}

// SessionsOf reads the sessions of a node.
func (v *View) SessionsOf(node string) []*api.Session {
	v.missing = !v.about(sessionsTopic(node), max(v.tableIndex(sessions.id), v.tableIndex(nodes.id)))
	out := []*api.Session{}
	sessions.prefix(v, sessionsNode, join(fold(node), ""), func(s *api.Session) bool {
		out = append(out, s)
		return true
	})
	return out
}

// Sessions reads all sessions, by ID.
func (v *View) Sessions() []*api.Session { return all(v, sessions) }

// SessionsWithTTL reads the sessions that expire.
func (v *View) SessionsWithTTL() []*api.Session { return under(v, sessions, sessionsTTL, nil) }

// SessionCreate creates a session whose ID and defaults were filled in before.
// It answers the ID.
type SessionCreate struct {
	Session api.Session `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *SessionCreate) Apply(tx *Tx) (any, error) {
	s := c.Session
	if sessions.get(tx, []byte(s.ID)) != nil {
		return nil, rejected("Session ID %q is already in use", s.ID)
	}
	n := nodes.get(tx, []byte(fold(s.Node)))
	if n == nil {
		return nil, rejected("Missing node registration")
	}
	s.Node = n.Node
	ids := s.NodeChecks
	for _, sc := range s.ServiceChecks {
		ids = append(ids[:len(ids):len(ids)], sc.ID)
	}
	for _, id := range ids {
		check := checks.get(tx, join(fold(s.Node), id))
		switch {
		case check == nil:
			return nil, rejected("Missing check '%s' registration", id)
		case check.Status == api.Critical:
			return nil, rejected("Check '%s' is in critical state", id)
		}
	}
	s.CreateIndex, s.ModifyIndex = tx.index, tx.index
	sessions.put(tx, &s)
	tx.bump(sessionsTopic(s.Node))
	return api.SessionID{ID: s.ID}, nil
}

// SessionDestroy ends a session. It answers true, also when there is none.
type SessionDestroy struct {
	ID string `cbor:"1,keyasint"`
}

// Apply implements Command.
func (c *SessionDestroy) Apply(tx *Tx) (any, error) {
	if s := sessions.get(tx, []byte(c.ID)); s != nil {
		endSession(tx, s)
	}
	return true, nil
}

// endSession removes a session; the keys that it holds are released or deleted
// and fall under its lock delay. Its prepared queries are removed.
func endSession(tx *Tx, s *api.Session) {
	sessions.remove(tx, s)
	tx.bump(sessionsTopic(s.Node))
	endQueriesOfSession(tx, s.ID)
	delay := min(time.Duration(s.LockDelay), maxLockDelay)
	for _, p := range kvs.collect(tx, kvsHeld, join(s.ID, "")) {
		if s.Behavior == api.BehaviorDelete {
			deleteKV(tx, p)
		} else {
			free := *p
			free.Session = ""
			free.ModifyIndex = tx.index
			kvs.put(tx, &free)
		}
		if delay > 0 {
			lockDelays.put(tx, &lockDelay{Key: p.Key, Until: tx.now.Add(delay)})
		}
	}
}

// endSessionsOfCheck ends the sessions that depend on a check of a node.
func endSessionsOfCheck(tx *Tx, node, check string) {
	for _, s := range sessions.collect(tx, sessionsCheck, join(fold(node), check, "")) {
		endSession(tx, s)
	}
}

// endSessionsOfNode ends all sessions of a node that goes away.
func endSessionsOfNode(tx *Tx, node string) {
	for _, s := range sessions.collect(tx, sessionsNode, join(fold(node), "")) {
		endSession(tx, s)
	}
	tx.dropTopic(sessionsTopic(node))
}
