package server

import (
	"strconv"

	"curia/acl"
	"curia/api"
	"curia/state"
)

func (s *Server) txnVerbs() []binding { return []binding{put(api.Txn, s.txn)} }

// txnReads is a transaction that only reads: it is answered without the log.
type txnReads struct{ state.Txn }

// Read implements reading.
func (t *txnReads) Read(v *state.View) (any, error) { return v.TxnReads(t.Ops) }

// txn checks and completes the operations of a transaction.
func (s *Server) txn(_ *state.View, _ acl.Authorizer, q *api.TxnArgs) (state.Command, error) {
	if n := len(q.Ops); n > api.MaxTxnOps {
		return nil, api.Errorf(api.TooLarge, "Transaction contains too many operations (%d > %d)", n, api.MaxTxnOps)
	}
	for i, op := range q.Ops {
		if err := s.completeOp(op); err != nil {
			return nil, &api.Error{Kind: api.KindOf(err), Msg: "Invalid operation " + strconv.Itoa(i) + ": " + err.Error()}
		}
	}
	if state.TxnReadsOnly(q.Ops) {
		return &txnReads{state.Txn{Ops: q.Ops}}, nil
	}
	return &state.Txn{Ops: q.Ops}, nil
}

// completeOp fills in what an operation leaves out.
func (s *Server) completeOp(op *api.TxnOp) error {
	switch {
	case op == nil:
		return api.Errorf(api.Invalid, "null is no operation")
	case op.KV != nil:
		if op.KV.Key == "" && op.KV.Verb != api.TxnGetTree && op.KV.Verb != api.TxnDeleteTree {
			return api.Errorf(api.Invalid, "Missing key name")
		}
		if limit := s.cfg.MaxValue; limit > 0 && len(op.KV.Value) > limit {
			return api.Errorf(api.TooLarge, "Value for key %q is too large (%d > %d bytes)", op.KV.Key, len(op.KV.Value), limit)
		}
		return op.KV.Tenancy.Validate()
	case op.Node != nil:
		op.Node.Node.Datacenter = s.cfg.Datacenter
		if op.Node.Node.Node == "" {
			return api.Errorf(api.Invalid, "Must provide node")
		}
	case op.Service != nil:
		if op.Service.Verb != api.TxnSet && op.Service.Verb != api.TxnCAS {
			return nil
		}
		service, err := completeService(&op.Service.Service)
		if err != nil {
			return err
		}
		op.Service.Service.Service = *service
	case op.Check != nil:
		check, err := completeCheck(&op.Check.Check, op.Check.Check.Node)
		if err != nil {
			return err
		}
		op.Check.Check.Check = *check
	}
	return nil
}
