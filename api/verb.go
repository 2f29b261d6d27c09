package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"curia/acl"
)

// Kind is the contract of a verb: where it runs and what may be promised of it.
type Kind uint8

// The kinds of verbs.
const (
	KindRead   Kind = iota // any server; may block, be stale, be filtered
	KindWrite              // the leader, through the log
	KindLeader             // the leader, outside the log
	KindLocal              // this agent
	KindRaw                // this agent; streams and raw bodies
)

func (k Kind) String() string {
	return [...]string{"read", "write", "leader", "local", "raw"}[k]
}

// Op is the declaration of a verb with its types erased. All fields are
// read-only after package initialisation.
type Op struct {
	Name   string // noun.verb, as metrics and logs call it
	Method string
	Path   string // pattern: literal segments and {name} parameters; the last one takes all that remains
	When   string // query parameter whose presence chooses this verb among those of the same method and path
	Kind   Kind
	Doc    string // one line

	// Methods beside Method that clients of some version use for the same thing.
	AlsoMethods []string

	// Bare says that a read needs no leader and tells nothing about itself: no
	// index, no consistency mode.
	Bare bool

	// Blocks says that a local verb waits for a change as reads do, and that its
	// answer has an index.
	Blocks bool

	// Drawn says that the answer is drawn anew for each who asks, and is not to be
	// shared.
	Drawn bool

	Args   reflect.Type // struct of arguments, see Arg
	Result reflect.Type

	need func(args any) acl.Need
}

// NewArgs makes a zero argument struct and returns a pointer to it.
func (o *Op) NewArgs() any { return reflect.New(o.Args).Interface() }

// Need gives the permission that the verb with these arguments needs; the zero
// Need when everybody may ask and the result is filtered.
func (o *Op) Need(args any) acl.Need {
	if o.need == nil {
		return acl.Need{}
	}
	return o.need(args)
}

// Verb is the declaration of an operation with arguments Q and result R.
type Verb[Q, R any] struct{ *Op }

// Option adds to a declaration.
type Option[Q any] func(*Op)

// Needs declares the permission that the caller must hold.
func Needs[Q any](f func(*Q) acl.Need) Option[Q] {
	return func(o *Op) { o.need = func(args any) acl.Need { return f(args.(*Q)) } }
}

// Also declares a further method for the same path.
func Also[Q any](method string) Option[Q] {
	return func(o *Op) { o.AlsoMethods = append(o.AlsoMethods, method) }
}

// Bare declares a read that any server answers from what it knows of the cluster.
func Bare[Q any]() Option[Q] { return func(o *Op) { o.Bare = true } }

// Blocking declares a local verb that waits for a change as reads do.
func Blocking[Q any]() Option[Q] { return func(o *Op) { o.Blocks = true } }

// Drawn declares a read whose answer is drawn anew for each who asks.
func Drawn[Q any]() Option[Q] { return func(o *Op) { o.Drawn = true } }

// None is the argument struct of verbs without arguments.
type None struct{}

var ops, inner []*Op

// Inner declares a verb that agents ask servers, and that no face shows. A
// server answers it from what it knows itself.
func Inner[Q, R any](name, doc string, opts ...Option[Q]) Verb[Q, R] {
	op := &Op{Name: name, Kind: KindRead, Bare: true, Doc: doc, Args: reflect.TypeFor[Q](), Result: reflect.TypeFor[R]()}
	for _, opt := range opts {
		opt(op)
	}
	inner = append(inner, op)
	return Verb[Q, R]{op}
}

var byName = sync.OnceValue(func() map[string]*Op {
	m := map[string]*Op{}
	for _, op := range slices.Concat(ops, inner) {
		m[op.Name] = op
	}
	return m
})

// OpNamed finds a verb by its name, those that no face shows included; nil if
// there is none.
func OpNamed(name string) *Op { return byName()[name] }

// Ops lists every declared verb by path, method and selector.
func Ops() []*Op {
	out := slices.Clone(ops)
	slices.SortFunc(out, func(a, b *Op) int {
		return strings.Compare(a.Path+" "+a.Method+" "+a.When, b.Path+" "+b.Method+" "+b.When)
	})
	return out
}

// Read declares a verb that looks at the replicated state.
func Read[Q, R any](route, name, doc string, opts ...Option[Q]) Verb[Q, R] {
	return declare[Q, R](KindRead, route, name, doc, opts)
}

// Write declares a verb that changes the replicated state.
func Write[Q, R any](route, name, doc string, opts ...Option[Q]) Verb[Q, R] {
	return declare[Q, R](KindWrite, route, name, doc, opts)
}

// Leader declares a verb that the leader answers outside the log.
func Leader[Q, R any](route, name, doc string, opts ...Option[Q]) Verb[Q, R] {
	return declare[Q, R](KindLeader, route, name, doc, opts)
}

// Local declares a verb that the agent answers about itself.
func Local[Q, R any](route, name, doc string, opts ...Option[Q]) Verb[Q, R] {
	return declare[Q, R](KindLocal, route, name, doc, opts)
}

// Raw declares a verb whose body or answer is a stream of bytes.
func Raw[Q any](route, name, doc string, opts ...Option[Q]) Verb[Q, []byte] {
	return declare[Q, []byte](KindRaw, route, name, doc, opts)
}

// declare parses a route like "GET /v1/kv/{key}?recurse".
func declare[Q, R any](kind Kind, route, name, doc string, opts []Option[Q]) Verb[Q, R] {
	method, path, ok := strings.Cut(route, " ")
	if !ok {
		panic(fmt.Sprintf("api: route %q of %s has no method", route, name))
	}
	path, when, _ := strings.Cut(path, "?")
	op := &Op{
		Name: name, Method: method, Path: path, When: when, Kind: kind, Doc: doc,
		Args: reflect.TypeFor[Q](), Result: reflect.TypeFor[R](),
	}
	for _, opt := range opts {
		opt(op)
	}
	ops = append(ops, op)
	return Verb[Q, R]{op}
}
