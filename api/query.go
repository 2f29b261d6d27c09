package api

import (
	"strconv"

	"curia/acl"
)

// NamePrefixMatch is the type of templates: they answer every name that begins
// with their own.
const NamePrefixMatch = "name_prefix_match"

// PreparedQuery is a question about a service that is kept under a name
// ("Prepared Queries").
type PreparedQuery struct {
	ID string `cbor:"1,keyasint"`
	// Name is unique without regard to case. Queries without one are bound to a
	// session and known by their ID alone.
	Name string `cbor:"2,keyasint,omitempty"`
	// Session ends the query with itself; empty: the query stays.
	Session string `cbor:"3,keyasint,omitempty"`
	// Token decides what the query finds; empty: that of whoever executes it.
	Token       string        `cbor:"4,keyasint,omitempty"`
	Template    QueryTemplate `cbor:"5,keyasint,omitzero"`
	Service     ServiceQuery  `cbor:"6,keyasint"`
	DNS         QueryDNS      `cbor:"7,keyasint,omitzero"`
	CreateIndex uint64        `cbor:"8,keyasint"`
	ModifyIndex uint64        `cbor:"9,keyasint"`
}

// ErrNoQuery is the answer to an ID or a name that no query has.
var ErrNoQuery = &Error{Kind: NotFound, Msg: "Query not found"}

// IsTemplate reports whether the query answers names other than its own.
func (q *PreparedQuery) IsTemplate() bool { return q.Template.Type != "" }

// Need is the permission for an access to the query; the zero Need for one
// without a name: to know its ID is enough.
func (q *PreparedQuery) Need(access acl.Access) acl.Need {
	if q.Name == "" && !q.IsTemplate() {
		return acl.Need{}
	}
	return acl.Need{Resource: acl.Query, Access: access, Name: q.Name}
}

// CanRead reports whether the query is listed for the holder of a. Queries
// without a name are listed only for those who may read tokens.
func (q *PreparedQuery) CanRead(a acl.Authorizer) bool {
	need := q.Need(acl.Read)
	if need.Resource == "" {
		need = acl.Need{Resource: acl.ACL, Access: acl.Write}
	}
	return a.Allows(need)
}

// QueryTemplate makes a query answer many names ("Prepared Query Templates").
// The zero value is no template.
type QueryTemplate struct {
	Type string `cbor:"1,keyasint,omitempty"` // NamePrefixMatch, or empty
	// Regexp takes the name apart for ${match(N)}.
	Regexp string `cbor:"2,keyasint,omitempty"`
	// RemoveEmptyTags drops tags of which nothing is left once they are filled in.
	RemoveEmptyTags bool `cbor:"3,keyasint,omitempty"`
}

// ServiceQuery says which instances of a service are wanted.
type ServiceQuery struct {
	Service  string        `cbor:"1,keyasint"`
	Failover QueryFailover `cbor:"2,keyasint"`
	// OnlyPassing drops instances with a check that is not passing; otherwise
	// only critical ones drop them.
	OnlyPassing    bool              `cbor:"3,keyasint,omitempty"`
	IgnoreCheckIDs []string          `cbor:"4,keyasint"` // checks that drop no instance
	Near           string            `cbor:"5,keyasint,omitempty"`
	Tags           []string          `cbor:"6,keyasint"` // all must be there, those after a "!" must not
	NodeMeta       map[string]string `cbor:"7,keyasint"` // pairs that the node must have
	ServiceMeta    map[string]string `cbor:"8,keyasint"` // pairs that the instance must have
	// Connect wants instances in the mesh; there is no mesh, so there are none.
	Connect bool `cbor:"9,keyasint,omitempty"`

	// What other systems divide services by: only defaults are taken, and not kept.
	Namespace     string `json:",omitempty" cbor:"-"`
	Partition     string `json:",omitempty" cbor:"-"`
	SamenessGroup string `json:",omitempty" cbor:"-"`
	Peer          string `json:",omitempty" cbor:"-"`
}

// Validate refuses every namespace, partition, sameness group and peer but the
// default.
func (s *ServiceQuery) Validate() error {
	if s.SamenessGroup != "" || s.Peer != "" {
		return Errorf(Invalid, "Invalid prepared query: SamenessGroup and Peer are not supported, leave them out")
	}
	return Tenancy{Namespace: s.Namespace, Partition: s.Partition}.Validate()
}

// QueryFailover says where else to look when no instance is healthy.
type QueryFailover struct {
	NearestN    int           `cbor:"1,keyasint,omitempty"` // so many of the nearest datacenters
	Datacenters []string      `cbor:"2,keyasint"`           // then these
	Targets     []QueryTarget `json:",omitempty" cbor:"3,keyasint,omitempty"`
}

// QueryTarget is a place to look, in place of those that NearestN and
// Datacenters name.
type QueryTarget struct {
	Peer       string `json:",omitempty" cbor:"1,keyasint,omitempty"`
	Datacenter string `json:",omitempty" cbor:"2,keyasint,omitempty"`
}

// QueryDNS says how DNS answers a query.
type QueryDNS struct {
	TTL string `cbor:"1,keyasint,omitempty"` // a Go duration; empty: that of the service
}

// QueryResult is what a query finds.
type QueryResult struct {
	Service string
	// Nodes are in the order in which they are to be tried. Checks without
	// elements are nil, printed as null.
	Nodes      []*ServiceHealth
	DNS        QueryDNS
	Datacenter string // where the instances are
	// Failovers is how many datacenters were asked after the one that executed the
	// query first, those that failed included.
	Failovers int
	// Query is what was executed, for the server that did so; nil elsewhere.
	Query *PreparedQuery `json:"-" cbor:"-"`
}

// Judged reports whether the token of the query has decided what Nodes holds;
// otherwise that of the caller has to.
func (r *QueryResult) Judged() bool { return r.Query != nil && r.Query.Token != "" }

// QueryExplanation shows a query as it would be executed.
type QueryExplanation struct {
	Query *PreparedQuery
}

// QueryID names a query in answers.
type QueryID struct {
	ID string
}

// QueryRef names a query in paths: by ID, and where it is executed by name too.
type QueryRef struct {
	Query string `path:"query"`
}

// Validate wants an ID or a name.
func (a *QueryRef) Validate() error {
	if a.Query == "" {
		return Errorf(Invalid, "Missing query")
	}
	return nil
}

// QueryCreateArgs creates a query.
type QueryCreateArgs struct {
	Query PreparedQuery `body:"json,optional"`
}

// Validate refuses what there is only one of.
func (a *QueryCreateArgs) Validate() error { return a.Query.Service.Validate() }

// QueryUpdateArgs replaces a query; its ID is that of the path.
type QueryUpdateArgs struct {
	QueryRef
	Spec PreparedQuery `body:"json,optional"`
}

// Validate wants an ID and refuses what there is only one of.
func (a *QueryUpdateArgs) Validate() error {
	if err := a.QueryRef.Validate(); err != nil {
		return err
	}
	return a.Spec.Service.Validate()
}

// QueryLimit bounds the instances in a result; none if it is not positive.
type QueryLimit int

// ParseQuery takes a number; an empty value means no bound.
func (l *QueryLimit) ParseQuery(v string) error {
	if v == "" {
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return Errorf(Rejected, "Bad limit: %v", err)
	}
	*l = QueryLimit(n)
	return nil
}

// QueryText leaves 0 out.
func (l *QueryLimit) QueryText() (string, bool) { return strconv.Itoa(int(*l)), *l != 0 }

// MeshOnly is the ?connect parameter: true when present, unless its value says
// false.
type MeshOnly bool

// ParseQuery takes a truth value; an empty one means true.
func (m *MeshOnly) ParseQuery(v string) error {
	if v == "" {
		*m = true
		return nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return Errorf(Invalid, "Invalid value for ?connect")
	}
	*m = MeshOnly(b)
	return nil
}

// QueryText leaves false out.
func (m *MeshOnly) QueryText() (string, bool) { return "", bool(*m) }

// QueryExecuteArgs executes a query.
type QueryExecuteArgs struct {
	QueryRef
	Limit QueryLimit `query:"limit"`
	// Near names a node, in place of the one in the query.
	Near    string   `query:"near"`
	Connect MeshOnly `query:"connect"`
	// Asked is the node of the agent that is asked, for queries that want what is
	// near to it; empty when there is none.
	Asked string
}

// DefaultNode implements NodeDefaulter.
func (a *QueryExecuteArgs) DefaultNode(name string) { a.Asked = name }

// Origin is the node that a query wants instances near to; empty for no node.
func (a *QueryExecuteArgs) Origin(q *PreparedQuery) string {
	near := a.Near
	if near == "" {
		near = q.Service.Near
	}
	if near == nearAgent {
		return a.Asked
	}
	return near
}

// QueryElsewhereArgs executes a query that a server of another datacenter knows.
type QueryElsewhereArgs struct {
	// Definition is the query as it is to be executed: a template is filled in. Its
	// token is left out, it is that of the request.
	Definition PreparedQuery
	// Asked is what was asked of the other server.
	Asked QueryExecuteArgs
}

// QueryElsewhere is how a query fails over to another datacenter.
var QueryElsewhere = Inner[QueryElsewhereArgs, *QueryResult]("query.execute-elsewhere",
	"Executes a prepared query of another datacenter.")

// The verbs of prepared queries.
var (
	QueryCreate = Write[QueryCreateArgs, QueryID]("POST /v1/query", "query.create",
		"Creates a prepared query.",
		Needs(func(a *QueryCreateArgs) acl.Need { return a.Query.Need(acl.Write) }))
	QueryList = Read[None, []*PreparedQuery]("GET /v1/query", "query.list",
		"Lists the prepared queries.")
	QueryRead = Read[QueryRef, []*PreparedQuery]("GET /v1/query/{query}", "query.read",
		"Reads a prepared query by its ID.")
	QueryUpdate = Write[QueryUpdateArgs, Nothing]("PUT /v1/query/{query}", "query.update",
		"Replaces a prepared query.",
		Needs(func(a *QueryUpdateArgs) acl.Need { return a.Spec.Need(acl.Write) }))
	QueryDelete = Write[QueryRef, Nothing]("DELETE /v1/query/{query}", "query.delete",
		"Removes a prepared query.")
	QueryExecute = Read[QueryExecuteArgs, *QueryResult]("GET /v1/query/{query}/execute", "query.execute",
		"Finds the healthy instances that a prepared query asks for, in random order.", Drawn[QueryExecuteArgs]())
	QueryExplain = Read[QueryRef, *QueryExplanation]("GET /v1/query/{query}/explain", "query.explain",
		"Shows a prepared query as it would be executed under a name.")
)
