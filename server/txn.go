package server

import (
	"strconv"
	"strings"

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
func (s *Server) txn(v *state.View, who acl.Authorizer, q *api.TxnArgs) (state.Command, error) {
	if n := len(q.Ops); n > api.MaxTxnOps {
		return nil, api.Errorf(api.TooLarge, "Transaction contains too many operations (%d > %d)", n, api.MaxTxnOps)
	}
	var refused []*api.TxnError
	for i, op := range q.Ops {
		if err := s.completeOp(op); err != nil {
			return nil, &api.Error{Kind: api.KindOf(err), Msg: "Invalid operation " + strconv.Itoa(i) + ": " + err.Error()}
		}
		for _, need := range opNeeds(v, q.Ops[:i], op) {
			if err := permit(who, need); err != nil {
				refused = append(refused, &api.TxnError{OpIndex: i, What: err.Error()})
				break
			}
		}
	}
	if refused != nil {
		return nil, &api.Error{Kind: api.Conflict, Msg: refused[0].What, Detail: &api.TxnResponse{Errors: refused}}
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

// opNeeds gives the permissions that an operation needs: those of the verb that
// does the same, on what is there and on what the operations before it make, as
// well as on what is to be.
func opNeeds(v *state.View, before []*api.TxnOp, op *api.TxnOp) []acl.Need {
	access := func(verb string) acl.Access {
		switch verb {
		case api.TxnGet, api.TxnGetOrEmpty, api.TxnGetTree, api.TxnCheckIndex, api.TxnCheckSession, api.TxnCheckNotExists:
			return acl.Read
		}
		return acl.Write
	}
	switch {
	case op.KV != nil:
		tree := op.KV.Verb == api.TxnGetTree || op.KV.Verb == api.TxnDeleteTree
		return []acl.Need{{Resource: acl.Key, Access: access(op.KV.Verb), Name: op.KV.Key, Prefix: tree}}
	case op.Node != nil:
		n := &op.Node.Node
		if op.Node.Verb == api.TxnSet || op.Node.Verb == api.TxnCAS {
			return nodeChangeNeeds(v, n.Node, n.ID)
		}
		return nodeNeeds(v, access(op.Node.Verb), n.Node)
	case op.Service != nil:
		s := &op.Service.Service.Service
		if needs := serviceNeeds(v, access(op.Service.Verb), op.Service.Node, s.ID, []string{s.Service}); len(needs) > 0 {
			return needs
		}
		return nodeNeeds(v, access(op.Service.Verb), op.Service.Node)
	case op.Check != nil:
		c := &op.Check.Check.Check
		needs := checkNeeds(v, access(op.Check.Verb), c.Node, c.CheckID)
		if len(needs) == 0 || op.Check.Verb == api.TxnSet || op.Check.Verb == api.TxnCAS {
			needs = append(needs, subjectNeeds(v, access(op.Check.Verb), c.Node, c.ServiceID, namesMade(before, c.Node, c.ServiceID))...)
		}
		return needs
	case op.Session != nil:
		if session := v.Session(op.Session.Session.ID); session != nil {
			return []acl.Need{{Resource: acl.Session, Access: acl.Write, Name: session.Node}}
		}
	}
	return nil
}

// namesMade gives the names under which operations write the service with an ID on
// a node.
func namesMade(ops []*api.TxnOp, node, id string) []string {
	var names []string
	for _, op := range ops {
		s := op.Service
		if s != nil && (s.Verb == api.TxnSet || s.Verb == api.TxnCAS) && strings.EqualFold(s.Node, node) && s.Service.Service.ID == id {
			names = append(names, s.Service.Service.Service)
		}
	}
	return names
}

// serviceNeeds gives the permissions for the named services and for the one
// that has the ID on a node.
func serviceNeeds(v *state.View, access acl.Access, node, id string, names []string) []acl.Need {
	for _, s := range v.ServicesOf(node) {
		if s.ID == id {
			names = append(names, s.Service)
		}
	}
	var needs []acl.Need
	for _, name := range names {
		if name != "" {
			needs = append(needs, acl.Need{Resource: acl.Service, Access: access, Name: name})
		}
	}
	return needs
}
