package state

import (
	"maps"
	"slices"
	"strings"
	"time"

	"curia/api"
)

// model is the state again, as plain maps and without indexes: slow, and short
// enough to be believed. Names in it are in lower case.
type model struct {
	index uint64
	now   time.Time

	kv       map[string]api.KVPair
	sessions map[string]api.Session
	nodes    map[string]api.Node
	services map[on]api.Service
	checks   map[on]api.Check
	delays   map[string]time.Time
	queries  map[string]api.PreparedQuery
}

// on names a service or a check on a node.
type on struct{ node, id string }

func newModel() *model {
	return &model{
		kv: map[string]api.KVPair{}, sessions: map[string]api.Session{}, nodes: map[string]api.Node{},
		services: map[on]api.Service{}, checks: map[on]api.Check{}, delays: map[string]time.Time{},
		queries: map[string]api.PreparedQuery{},
	}
}

func (m *model) clone() *model {
	c := *m
	c.kv, c.sessions, c.nodes = maps.Clone(m.kv), maps.Clone(m.sessions), maps.Clone(m.nodes)
	c.services, c.checks, c.delays = maps.Clone(m.services), maps.Clone(m.checks), maps.Clone(m.delays)
	c.queries = maps.Clone(m.queries)
	return &c
}

// apply carries out a command and tells its value, or that it fails.
func (m *model) apply(e Entry) (value any, ok bool) {
	m.index, m.now = e.Index, e.Now
	switch c := e.Command.(type) {
	case *KVPut:
		return m.put(c)
	case *KVDelete:
		return m.delete(c), true
	case *SessionCreate:
		return api.SessionID{ID: c.Session.ID}, m.create(c.Session)
	case *SessionDestroy:
		m.end(c.ID)
		return true, true
	case *Register:
		before := m.clone()
		if !m.register(c) {
			*m = *before
			return nil, false
		}
		return true, true
	case *QueryCreate:
		_, used := m.queries[c.Query.ID]
		return nil, !used && m.putQuery(c.Query)
	case *QueryUpdate:
		_, ok := m.queries[c.Query.ID]
		return nil, ok && m.putQuery(c.Query)
	case *QueryDelete:
		_, ok := m.queries[c.ID]
		delete(m.queries, c.ID)
		return nil, ok
	case *Deregister:
		m.deregister(c)
		return true, true
	case *Txn:
		before := m.clone()
		good := true
		for _, op := range c.Ops {
			good = m.op(op) && good
		}
		if !good {
			*m = *before
		}
		return nil, good
	}
	return nil, true // Reap, or nothing
}

func (m *model) put(c *KVPut) (any, bool) {
	old, had := m.kv[c.Key]
	p := api.KVPair{Key: c.Key, Value: c.Value, Flags: c.Flags, Session: old.Session, LockIndex: old.LockIndex}
	if len(p.Value) == 0 {
		p.Value = nil
	}
	switch {
	case c.CAS != nil:
		if *c.CAS != old.ModifyIndex {
			return false, true
		}
	case c.Acquire != nil:
		if _, ok := m.sessions[*c.Acquire]; !ok {
			return nil, false
		}
		if old.Session != *c.Acquire {
			if old.Session != "" || m.now.Before(m.delays[c.Key]) {
				return false, true
			}
			p.Session = *c.Acquire
			p.LockIndex++
		}
	case c.Release != nil:
		if *c.Release == "" {
			return nil, false
		}
		if old.Session != *c.Release {
			return false, true
		}
		p.Session = ""
	}
	p.CreateIndex, p.ModifyIndex = m.index, m.index
	if had {
		p.CreateIndex = old.CreateIndex
	}
	same := p
	same.ModifyIndex = old.ModifyIndex
	if had && showKV(&same) == showKV(&old) {
		return true, true
	}
	m.kv[c.Key] = p
	return true, true
}

func (m *model) delete(c *KVDelete) bool {
	if c.Recurse {
		maps.DeleteFunc(m.kv, func(k string, _ api.KVPair) bool { return strings.HasPrefix(k, c.Key) })
		return true
	}
	old, had := m.kv[c.Key]
	if had && c.CAS != nil && *c.CAS != old.ModifyIndex {
		return false
	}
	delete(m.kv, c.Key)
	return true
}

// checksOf lists what a session depends on.
func checksOf(s api.Session) []string {
	ids := slices.Clone(s.NodeChecks)
	for _, c := range s.ServiceChecks {
		ids = append(ids, c.ID)
	}
	return ids
}

func (m *model) create(s api.Session) bool {
	if _, used := m.sessions[s.ID]; used {
		return false
	}
	if _, ok := m.nodes[s.Node]; !ok {
		return false
	}
	for _, id := range checksOf(s) {
		if c, ok := m.checks[on{s.Node, id}]; !ok || c.Status == api.Critical {
			return false
		}
	}
	s.CreateIndex, s.ModifyIndex = m.index, m.index
	m.sessions[s.ID] = s
	return true
}

func (m *model) end(id string) {
	s, ok := m.sessions[id]
	if !ok {
		return
	}
	delete(m.sessions, id)
	maps.DeleteFunc(m.queries, func(_ string, q api.PreparedQuery) bool { return q.Session == id })
	for k, p := range m.kv {
		if p.Session != id {
			continue
		}
		if s.Behavior == api.BehaviorDelete {
			delete(m.kv, k)
		} else {
			p.Session, p.ModifyIndex = "", m.index
			m.kv[k] = p
		}
		if d := min(time.Duration(s.LockDelay), time.Minute); d > 0 {
			m.delays[k] = m.now.Add(d)
		}
	}
}

// putQuery writes a query unless another answers to the same name.
func (m *model) putQuery(q api.PreparedQuery) bool {
	if _, ok := m.sessions[q.Session]; !ok && q.Session != "" {
		return false
	}
	for id, other := range m.queries {
		if q.Name == id && !q.IsTemplate() || other.Name == q.ID && !other.IsTemplate() {
			return false
		}
		if id != q.ID && other.Name == q.Name && other.IsTemplate() == q.IsTemplate() && (q.Name != "" || q.IsTemplate()) {
			return false
		}
	}
	if q.Name == q.ID && !q.IsTemplate() {
		return false
	}
	old, had := m.queries[q.ID]
	q.CreateIndex, q.ModifyIndex = m.index, m.index
	if had {
		q.CreateIndex = old.CreateIndex
		same := q
		same.ModifyIndex = old.ModifyIndex
		if showQuery(&same) == showQuery(&old) {
			return true
		}
	}
	m.queries[q.ID] = q
	return true
}

func (m *model) endOfCheck(at on) {
	for id, s := range m.sessions {
		if s.Node == at.node && slices.Contains(checksOf(s), at.id) {
			m.end(id)
		}
	}
}

func (m *model) register(c *Register) bool {
	if _, exists := m.nodes[c.Node.Node]; !exists || !c.SkipNodeUpdate {
		if !m.putNode(*c.Node) {
			return false
		}
	}
	if c.Service != nil {
		m.putService(c.Node.Node, *c.Service)
	}
	for _, check := range c.Checks {
		if !m.putCheck(c.Node.Node, *check) {
			return false
		}
	}
	return true
}

func (m *model) putNode(n api.Node) bool {
	if n.Address == "" {
		return false
	}
	old, had := m.nodes[n.Node]
	n.CreateIndex, n.ModifyIndex = m.index, m.index
	if n.ID == "" {
		n.ID = old.ID
	} else {
		serf, alive := m.checks[on{n.Node, api.SerfHealth}]
		if old.ID != "" && old.ID != n.ID && alive && serf.Status != api.Critical {
			return false
		}
	}
	if had {
		n.CreateIndex = old.CreateIndex
		if n.ID == old.ID && n.Address == old.Address {
			return true
		}
	}
	for name, other := range m.nodes {
		if n.ID != "" && other.ID == n.ID && name != n.Node {
			n.CreateIndex = other.CreateIndex
			m.removeNode(name)
		}
	}
	m.nodes[n.Node] = n
	return true
}

func (m *model) putService(node string, s api.Service) {
	at := on{node, s.ID}
	old, had := m.services[at]
	s.CreateIndex, s.ModifyIndex = m.index, m.index
	if had {
		s.CreateIndex = old.CreateIndex
		same := s
		same.ModifyIndex = old.ModifyIndex
		if showService(&same) == showService(&old) {
			return
		}
	}
	m.services[at] = s
	for k, c := range m.checks {
		if k.node == node && c.ServiceID == s.ID && (c.ServiceName != s.Service || !slices.Equal(c.ServiceTags, s.Tags)) {
			c.ServiceName, c.ServiceTags, c.ModifyIndex = s.Service, s.Tags, m.index
			m.checks[k] = c
		}
	}
}

func (m *model) putCheck(node string, c api.Check) bool {
	at := on{node, c.CheckID}
	c.Node = node
	if c.ServiceID != "" {
		s, ok := m.services[on{node, c.ServiceID}]
		if !ok {
			return false
		}
		c.ServiceName, c.ServiceTags = s.Service, s.Tags
	}
	old, had := m.checks[at]
	c.CreateIndex, c.ModifyIndex = m.index, m.index
	if had {
		c.CreateIndex = old.CreateIndex
		same := c
		same.ModifyIndex = old.ModifyIndex
		if showCheck(&same) == showCheck(&old) {
			return true
		}
	}
	m.checks[at] = c
	if c.Status == api.Critical {
		m.endOfCheck(at)
	}
	return true
}

func (m *model) deregister(c *Deregister) {
	switch {
	case c.ServiceID != "":
		m.removeService(on{c.Node, c.ServiceID})
	case c.CheckID != "":
		m.removeCheck(on{c.Node, c.CheckID})
	default:
		m.removeNode(c.Node)
	}
}

func (m *model) removeCheck(at on) {
	if _, ok := m.checks[at]; ok {
		delete(m.checks, at)
		m.endOfCheck(at)
	}
}

func (m *model) removeService(at on) {
	for k, c := range m.checks {
		if k.node == at.node && c.ServiceID == at.id {
			m.removeCheck(k)
		}
	}
	delete(m.services, at)
}

func (m *model) removeNode(name string) {
	for k := range m.services {
		if k.node == name {
			m.removeService(k)
		}
	}
	for k := range m.checks {
		if k.node == name {
			m.removeCheck(k)
		}
	}
	for id, s := range m.sessions {
		if s.Node == name {
			m.end(id)
		}
	}
	delete(m.nodes, name)
}

// op carries out an operation of a transaction and reports whether it succeeds.
func (m *model) op(op *api.TxnOp) bool {
	switch {
	case op.KV != nil:
		return m.kvOp(op.KV)
	case op.Node != nil && op.Node.Verb == api.TxnSet:
		return m.putNode(op.Node.Node)
	case op.Node != nil:
		m.removeNode(op.Node.Node.Node)
	case op.Service != nil && op.Service.Verb == api.TxnSet:
		if _, ok := m.nodes[op.Service.Node]; !ok {
			return false
		}
		m.putService(op.Service.Node, op.Service.Service.Service)
	case op.Service != nil:
		m.removeService(on{op.Service.Node, op.Service.Service.ID})
	case op.Check != nil && op.Check.Verb == api.TxnSet:
		if _, ok := m.nodes[op.Check.Check.Node]; !ok {
			return false
		}
		return m.putCheck(op.Check.Check.Node, op.Check.Check.Check)
	case op.Check != nil:
		m.removeCheck(on{op.Check.Check.Node, op.Check.Check.CheckID})
	case op.Session != nil:
		_, ok := m.sessions[op.Session.Session.ID]
		m.end(op.Session.Session.ID)
		return ok
	}
	return true
}

func (m *model) kvOp(op *api.TxnKVOp) bool {
	old, had := m.kv[op.Key]
	put := &KVPut{Key: op.Key, Value: op.Value, Flags: op.Flags}
	switch op.Verb {
	case api.TxnGet:
		return had
	case api.TxnCheckNotExists:
		return !had
	case api.TxnCheckIndex:
		return had && old.ModifyIndex == op.Index
	case api.TxnDelete:
		return m.delete(&KVDelete{Key: op.Key})
	case api.TxnDeleteCAS:
		return m.delete(&KVDelete{Key: op.Key, CAS: &op.Index})
	case api.TxnDeleteTree:
		return m.delete(&KVDelete{Key: op.Key, Recurse: true})
	case api.TxnCAS:
		put.CAS = &op.Index
	case api.TxnLock:
		put.Acquire = &op.Session
	case api.TxnUnlock:
		put.Release = &op.Session
	}
	done, ok := m.put(put)
	return ok && done == true
}
