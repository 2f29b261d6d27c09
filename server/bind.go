package server

import (
	"context"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// binding ties a verb to the function that carries it out; one of the functions
// is set. It erases the types of the declaration.
type binding struct {
	op     *api.Op
	read   func(v *state.View, args any) (any, error)
	shared bool // identical reads share one evaluation and one encoding
	write  func(v *state.View, who acl.Authorizer, args any) (state.Command, error)
	leader func(ctx context.Context, who acl.Authorizer, req *api.Request) (any, error)
	bare   func(ctx context.Context, args any) (any, error)
	// last, not nil, makes the answer of a read of what its caller may see.
	last func(args, seen any) any
	// other, not nil, may answer in place of what a read has found, and ask others
	// for it: nothing is evaluated any more.
	other func(ctx context.Context, req *api.Request, found *api.Response) (*api.Response, error)
}

// then adds to a read what is done once everything is gone that the caller may
// not see. It must not change what it is given, which may be shared.
func then[Q, R any](b binding, f func(*Q, R) R) binding {
	b.last = func(args, seen any) any { return f(args.(*Q), seen.(R)) }
	return b
}

// orElse adds to a read what may answer in its place.
func (b binding) orElse(other func(context.Context, *api.Request, *api.Response) (*api.Response, error)) binding {
	b.other = other
	return b
}

// list binds a read whose result identical queries share.
func list[Q, R any](verb api.Verb[Q, R], f func(*state.View, *Q) (R, error)) binding {
	b := get(verb, f)
	b.shared = true
	return b
}

// get binds a read that is evaluated for each caller.
func get[Q, R any](verb api.Verb[Q, R], f func(*state.View, *Q) (R, error)) binding {
	return binding{op: verb.Op, read: func(v *state.View, args any) (any, error) {
		r, err := f(v, args.(*Q))
		if err != nil {
			return nil, err
		}
		return r, nil
	}}
}

// put binds a write. The function may refuse; what it returns decides in log
// order.
func put[Q, R any](verb api.Verb[Q, R], f func(*state.View, acl.Authorizer, *Q) (state.Command, error)) binding {
	return binding{op: verb.Op, write: func(v *state.View, who acl.Authorizer, args any) (state.Command, error) {
		return f(v, who, args.(*Q))
	}}
}

// led binds a verb that the leader carries out beside the log.
func led[Q, R any](verb api.Verb[Q, R], f func(context.Context, acl.Authorizer, *Q) (R, error)) binding {
	return binding{op: verb.Op, leader: func(ctx context.Context, who acl.Authorizer, req *api.Request) (any, error) {
		return f(ctx, who, req.Args.(*Q))
	}}
}

// ledWhole binds a verb of the leader that asks others on behalf of the caller.
func ledWhole[Q, R any](verb api.Verb[Q, R], f func(context.Context, *api.Request, *Q) (R, error)) binding {
	return binding{op: verb.Op, leader: func(ctx context.Context, _ acl.Authorizer, req *api.Request) (any, error) {
		return f(ctx, req, req.Args.(*Q))
	}}
}

// bare binds a read of what this server knows of the cluster.
func bare[Q, R any](verb api.Verb[Q, R], f func(context.Context, *Q) (R, error)) binding {
	return binding{op: verb.Op, bare: func(ctx context.Context, args any) (any, error) { return f(ctx, args.(*Q)) }}
}
