package agent

import (
	"context"

	"curia/acl"
	"curia/api"
)

// caller is who asks, for functions whose permissions depend on what the agent
// has.
type caller struct {
	acl.Authorizer
	token string
}

// bindAs binds a verb to a function that looks after permissions itself.
func bindAs[Q, R any](a *Agent, verb api.Verb[Q, R], f func(context.Context, caller, *Q) (R, error)) {
	a.bound[verb.Op] = func(ctx context.Context, who caller, req *api.Request) (*api.Response, error) {
		v, err := f(ctx, who, req.Args.(*Q))
		return &api.Response{Value: v}, err
	}
}

// bind binds a verb whose permission is declared or that everybody has.
func bind[Q, R any](a *Agent, verb api.Verb[Q, R], f func(context.Context, *Q) (R, error)) {
	bindAs(a, verb, func(ctx context.Context, _ caller, q *Q) (R, error) { return f(ctx, q) })
}

// bindSeen binds a verb that leaves out what the caller may not see, to a function
// that says whether there was any.
func bindSeen[Q, R any](a *Agent, verb api.Verb[Q, R], f func(context.Context, caller, *Q) (r R, hidden bool, err error)) {
	a.bound[verb.Op] = func(ctx context.Context, who caller, req *api.Request) (*api.Response, error) {
		v, hidden, err := f(ctx, who, req.Args.(*Q))
		return &api.Response{Value: v, Meta: api.Meta{Filtered: hidden && !acl.Nameless(who.Authorizer)}}, err
	}
}

// must refuses a caller who lacks a permission.
func (c caller) must(need acl.Need) error {
	if need.Resource == "" || c.Allows(need) {
		return nil
	}
	return &api.Error{Kind: api.Denied, Msg: acl.Refusal(c.Authorizer, need)}
}

// mustService refuses a caller who lacks an access to services with a name.
func (c caller) mustService(access acl.Access, name string) error {
	return c.must(acl.Need{Resource: acl.Service, Access: access, Name: name})
}

// mustWrite refuses a caller who may not change the checks of a service, or, when
// the name is empty, those of the node.
func (a *Agent) mustWrite(who caller, service string) error {
	if service != "" {
		return who.mustService(acl.Write, service)
	}
	return who.must(acl.Need{Resource: acl.Node, Access: acl.Write, Name: a.cfg.Node.Node})
}

// mustRead refuses a caller who may not see the checks of a service, or, when the
// name is empty, those of the node.
func (a *Agent) mustRead(who caller, service string) error {
	if service != "" {
		return who.mustService(acl.Read, service)
	}
	return who.must(acl.Need{Resource: acl.Node, Access: acl.Read, Name: a.cfg.Node.Node})
}

// visible keeps what the caller may see.
func visible[T interface{ CanRead(acl.Authorizer) bool }](all []T, who caller) []T {
	kept := make([]T, 0, len(all))
	for _, v := range all {
		if v.CanRead(who) {
			kept = append(kept, v)
		}
	}
	return kept
}
