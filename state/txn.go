package state

import (
	"errors"
	"fmt"

	"curia/api"
)

// Txn carries out operations, all or none. It answers an *api.TxnResponse, or
// an error of kind Conflict with one as its detail.
type Txn struct {
	Ops []*api.TxnOp `cbor:"1,keyasint"`
}

func (*Txn) alone() {}

// Apply implements Command.
func (c *Txn) Apply(tx *Tx) (any, error) {
	return runTxn(c.Ops, func(op *api.TxnOp) ([]*api.TxnResult, error) { return tx.runOp(op) })
}

// TxnReads carries out the operations of a transaction that only reads.
func (v *View) TxnReads(ops []*api.TxnOp) (*api.TxnResponse, error) {
	return runTxn(ops, func(op *api.TxnOp) ([]*api.TxnResult, error) { return readOp(v, op) })
}

// TxnReadsOnly reports whether no operation of a transaction can write.
func TxnReadsOnly(ops []*api.TxnOp) bool {
	for _, op := range ops {
		switch {
		case op.KV != nil:
			switch op.KV.Verb {
			case api.TxnGet, api.TxnGetOrEmpty, api.TxnGetTree, api.TxnCheckIndex, api.TxnCheckSession, api.TxnCheckNotExists:
				continue
			}
		case op.Node != nil && op.Node.Verb == api.TxnGet,
			op.Service != nil && op.Service.Verb == api.TxnGet,
			op.Check != nil && op.Check.Verb == api.TxnGet:
			continue
		}
		return false
	}
	return true
}

func runTxn(ops []*api.TxnOp, run func(*api.TxnOp) ([]*api.TxnResult, error)) (*api.TxnResponse, error) {
	resp := &api.TxnResponse{Results: []*api.TxnResult{}}
	for i, op := range ops {
		results, err := run(op)
		if err != nil {
			resp.Errors = append(resp.Errors, &api.TxnError{OpIndex: i, What: err.Error()})
			continue
		}
		resp.Results = append(resp.Results, results...)
	}
	if resp.Errors != nil {
		resp.Results = nil
		return nil, &api.Error{Kind: api.Conflict, Msg: "transaction failed: " + resp.Errors[0].What, Detail: resp}
	}
	return resp, nil
}

// readOp carries out an operation that only reads.
func readOp(src source, op *api.TxnOp) ([]*api.TxnResult, error) {
	switch {
	case op.KV != nil:
		return readKVOp(src, op.KV)
	case op.Node != nil && op.Node.Verb == api.TxnGet:
		n := nodes.get(src, []byte(fold(op.Node.Node.Node)))
		if n == nil {
			return nil, fmt.Errorf("node %q doesn't exist", op.Node.Node.Node)
		}
		return []*api.TxnResult{{Node: n}}, nil
	case op.Service != nil && op.Service.Verb == api.TxnGet:
		s := services.get(src, join(fold(op.Service.Node), op.Service.Service.ID))
		if s == nil {
			return nil, fmt.Errorf("service %q on node %q doesn't exist", op.Service.Service.ID, op.Service.Node)
		}
		return []*api.TxnResult{{Service: s.Service}}, nil
	case op.Check != nil && op.Check.Verb == api.TxnGet:
		c := checks.get(src, join(fold(op.Check.Check.Node), op.Check.Check.CheckID))
		if c == nil {
			return nil, fmt.Errorf("check %q on node %q doesn't exist", op.Check.Check.CheckID, op.Check.Check.Node)
		}
		return []*api.TxnResult{{Check: c}}, nil
	}
	return nil, fmt.Errorf("unknown verb in operation: name exactly one of KV, Node, Service, Check, Session with a verb that it has")
}

func readKVOp(src source, op *api.TxnKVOp) ([]*api.TxnResult, error) {
	old := kvs.get(src, []byte(op.Key))
	absent := func() error { return fmt.Errorf("key %q doesn't exist", op.Key) }
	switch op.Verb {
	case api.TxnGet:
		if old == nil {
			return nil, absent()
		}
		return []*api.TxnResult{{KV: old}}, nil
	case api.TxnGetOrEmpty:
		if old == nil {
			old = &api.KVPair{Key: op.Key}
		}
		return []*api.TxnResult{{KV: old}}, nil
	case api.TxnGetTree:
		var out []*api.TxnResult
		for _, p := range kvs.collect(src, kvs.id, []byte(op.Key)) {
			out = append(out, &api.TxnResult{KV: p})
		}
		return out, nil
	case api.TxnCheckSession:
		if old == nil {
			return nil, absent()
		}
		if old.Session != op.Session {
			return nil, fmt.Errorf("failed session check for key %q, current session %q != %q", op.Key, old.Session, op.Session)
		}
		return withoutValue(old), nil
	case api.TxnCheckIndex:
		if old == nil {
			return nil, absent()
		}
		if old.ModifyIndex != op.Index {
			return nil, fmt.Errorf("failed index check for key %q, current modify index %d != %d", op.Key, old.ModifyIndex, op.Index)
		}
		return withoutValue(old), nil
	case api.TxnCheckNotExists:
		if old != nil {
			return nil, fmt.Errorf("key %q exists", op.Key)
		}
		return nil, nil
	}
	return nil, fmt.Errorf("unknown KV verb %q", op.Verb)
}

func withoutValue(p *api.KVPair) []*api.TxnResult {
	q := *p
	q.Value = nil
	return []*api.TxnResult{{KV: &q}}
}

// runOp carries out any operation.
func (tx *Tx) runOp(op *api.TxnOp) ([]*api.TxnResult, error) {
	switch {
	case op.KV != nil:
		return tx.runKVOp(op.KV)
	case op.Node != nil:
		return tx.runNodeOp(op)
	case op.Service != nil:
		return tx.runServiceOp(op)
	case op.Check != nil:
		return tx.runCheckOp(op)
	case op.Session != nil && op.Session.Verb == api.TxnDelete:
		s := sessions.get(tx, []byte(op.Session.Session.ID))
		if s == nil {
			return nil, fmt.Errorf("session %q doesn't exist", op.Session.Session.ID)
		}
		endSession(tx, s)
		return nil, nil
	}
	return readOp(tx, op)
}

func (tx *Tx) runKVOp(op *api.TxnKVOp) ([]*api.TxnResult, error) {
	old := kvs.get(tx, []byte(op.Key))
	put := &KVPut{Key: op.Key, Value: op.Value, Flags: op.Flags}
	var refusal string
	switch op.Verb {
	case api.TxnSet:
	case api.TxnCAS:
		put.CAS = &op.Index
		refusal = "failed to set key %q, index is stale"
	case api.TxnLock:
		put.Acquire = &op.Session
		refusal = "failed to lock key %q, lock is already held"
		if lockDelayed(tx, op.Key) {
			refusal = "failed to lock key %q due to lock delay"
		}
	case api.TxnUnlock:
		put.Release = &op.Session
		refusal = "failed to unlock key %q, lock isn't held, or is held by another session"
	case api.TxnDelete:
		if old != nil {
			deleteKV(tx, old)
		}
		return nil, nil
	case api.TxnDeleteCAS:
		if old != nil && old.ModifyIndex != op.Index {
			return nil, fmt.Errorf("failed to delete key %q, index is stale", op.Key)
		}
		if old != nil {
			deleteKV(tx, old)
		}
		return nil, nil
	case api.TxnDeleteTree:
		deleteTree(tx, op.Key)
		return nil, nil
	default:
		return readKVOp(tx, op)
	}
	done, err := put.Apply(tx)
	if err != nil {
		return nil, err
	}
	if done != true {
		return nil, fmt.Errorf(refusal, op.Key)
	}
	return withoutValue(kvs.get(tx, []byte(op.Key))), nil
}

// stale is the error of a check-and-set whose index does not hold.
func stale(what, name string) error {
	return fmt.Errorf("failed to change %s %q, index is stale", what, name)
}

func (tx *Tx) runNodeOp(op *api.TxnOp) ([]*api.TxnResult, error) {
	n := op.Node.Node
	old := nodes.get(tx, []byte(fold(n.Node)))
	var at uint64
	if old != nil {
		at = old.ModifyIndex
	}
	switch op.Node.Verb {
	case api.TxnCAS, api.TxnSet:
		if op.Node.Verb == api.TxnCAS && n.ModifyIndex != at {
			return nil, stale("node", n.Node)
		}
		renamed, err := admitNode(tx, &n, old)
		if err != nil {
			return nil, err
		}
		return []*api.TxnResult{{Node: putNode(tx, &n, old, renamed)}}, nil
	case api.TxnDelete, api.TxnDeleteCAS:
		if op.Node.Verb == api.TxnDeleteCAS && n.ModifyIndex != at {
			return nil, stale("node", n.Node)
		}
		if old != nil {
			removeNode(tx, old)
		}
		return nil, nil
	}
	return readOp(tx, op)
}

func (tx *Tx) runServiceOp(op *api.TxnOp) ([]*api.TxnResult, error) {
	s := op.Service.Service.Service
	key := join(fold(op.Service.Node), s.ID)
	old := services.get(tx, key)
	var at uint64
	if old != nil {
		at = old.Service.ModifyIndex
	}
	switch op.Service.Verb {
	case api.TxnCAS, api.TxnSet:
		n := nodes.get(tx, []byte(fold(op.Service.Node)))
		if n == nil {
			return nil, fmt.Errorf("missing node %q of service %q", op.Service.Node, s.ID)
		}
		if op.Service.Verb == api.TxnCAS && s.ModifyIndex != at {
			return nil, stale("service", s.ID)
		}
		if err := admitNames(s.ID, s.Service); err != nil {
			return nil, err
		}
		putService(tx, n.Node, &s)
		return []*api.TxnResult{{Service: services.get(tx, key).Service}}, nil
	case api.TxnDelete, api.TxnDeleteCAS:
		if op.Service.Verb == api.TxnDeleteCAS && s.ModifyIndex != at {
			return nil, stale("service", s.ID)
		}
		if old != nil {
			removeService(tx, old)
		}
		return nil, nil
	}
	return readOp(tx, op)
}

func (tx *Tx) runCheckOp(op *api.TxnOp) ([]*api.TxnResult, error) {
	c := op.Check.Check.Check
	key := join(fold(c.Node), c.CheckID)
	old := checks.get(tx, key)
	var at uint64
	if old != nil {
		at = old.ModifyIndex
	}
	switch op.Check.Verb {
	case api.TxnCAS, api.TxnSet:
		n := nodes.get(tx, []byte(fold(c.Node)))
		if n == nil {
			return nil, fmt.Errorf("missing node %q of check %q", c.Node, c.CheckID)
		}
		if op.Check.Verb == api.TxnCAS && c.ModifyIndex != at {
			return nil, stale("check", c.CheckID)
		}
		if err := errors.Join(admitNames(c.CheckID), admitCheck(tx, n.Node, &c)); err != nil {
			return nil, err
		}
		putCheck(tx, n.Node, &c)
		return []*api.TxnResult{{Check: checks.get(tx, key)}}, nil
	case api.TxnDelete, api.TxnDeleteCAS:
		if op.Check.Verb == api.TxnDeleteCAS && c.ModifyIndex != at {
			return nil, stale("check", c.CheckID)
		}
		if old != nil {
			removeCheck(tx, old)
		}
		return nil, nil
	}
	return readOp(tx, op)
}
