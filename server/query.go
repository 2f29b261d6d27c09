package server

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"curia/acl"
	"curia/api"
	"curia/state"
)

func (s *Server) queryVerbs() []binding {
	return []binding{
		put(api.QueryCreate, queryCreate),
		put(api.QueryUpdate, queryUpdate),
		put(api.QueryDelete, queryDelete),
		list(api.QueryList, func(v *state.View, _ *api.None) ([]*api.PreparedQuery, error) { return v.Queries(), nil }),
		get(api.QueryRead, queryRead),
		then(get(api.QueryExecute, s.queryExecute), limited).orElse(s.failOver),
		then(get(api.QueryElsewhere, s.queryElsewhere), func(q *api.QueryElsewhereArgs, r *api.QueryResult) *api.QueryResult {
			return limited(&q.Asked, r)
		}),
		get(api.QueryExplain, queryExplain),
	}
}

// queryCreate chooses an ID that is no other query's.
func queryCreate(v *state.View, _ acl.Authorizer, q *api.QueryCreateArgs) (state.Command, error) {
	if q.Query.ID != "" {
		return nil, api.Errorf(api.Invalid, "Invalid prepared query: a new one is given its ID, leave it out")
	}
	query, err := completeQuery(q.Query)
	if err != nil {
		return nil, err
	}
	for {
		query.ID = uuid.NewString()
		if v.Query(query.ID) == nil {
			return &state.QueryCreate{Query: query}, nil
		}
	}
}

func queryUpdate(v *state.View, who acl.Authorizer, q *api.QueryUpdateArgs) (state.Command, error) {
	if err := mayWriteQuery(v, who, q.QueryRef.Query); err != nil {
		return nil, err
	}
	query, err := completeQuery(q.Spec)
	if err != nil {
		return nil, err
	}
	query.ID = q.QueryRef.Query
	return &state.QueryUpdate{Query: query}, nil
}

func queryDelete(v *state.View, who acl.Authorizer, q *api.QueryRef) (state.Command, error) {
	if err := mayWriteQuery(v, who, q.Query); err != nil {
		return nil, err
	}
	return &state.QueryDelete{ID: q.Query}, nil
}

// mayWriteQuery refuses callers who may not change a query that is there.
func mayWriteQuery(v *state.View, who acl.Authorizer, id string) error {
	query := v.Query(id)
	if query == nil {
		return api.ErrNoQuery
	}
	return permit(who, query.Need(acl.Write))
}

// completeQuery checks a definition and makes its lists lists.
func completeQuery(q api.PreparedQuery) (api.PreparedQuery, error) {
	if q.Name == "" && q.Session == "" && !q.IsTemplate() {
		return q, api.Errorf(api.Rejected, "Must be bound to a session")
	}
	if q.Service.Service == "" {
		return q, api.Errorf(api.Rejected, "Must provide a Service name to query")
	}
	failover := &q.Service.Failover
	if failover.NearestN < 0 {
		return q, api.Errorf(api.Invalid, "Invalid Failover.NearestN %d: it cannot be negative", failover.NearestN)
	}
	if len(failover.Targets) > 0 && (failover.NearestN > 0 || len(failover.Datacenters) > 0) {
		return q, api.Errorf(api.Invalid, "Invalid Failover: Targets take the place of NearestN and Datacenters, give one or the other")
	}
	if q.DNS.TTL != "" {
		ttl, err := time.ParseDuration(q.DNS.TTL)
		if err != nil {
			return q, api.Errorf(api.Invalid, "Invalid DNS.TTL: %v", err)
		}
		if ttl < 0 {
			return q, api.Errorf(api.Invalid, "Invalid DNS.TTL %q: it cannot be negative", q.DNS.TTL)
		}
	}
	if q.Token == api.HiddenSecret {
		return q, api.Errorf(api.Invalid, "Invalid prepared query: the Token %q stands for one that was not shown, give the token itself or leave it out", q.Token)
	}
	if err := checkTemplate(&q); err != nil {
		return q, err
	}
	q.Service.Namespace, q.Service.Partition = "", "" // their defaults
	for _, l := range []*[]string{&q.Service.Tags, &q.Service.IgnoreCheckIDs, &failover.Datacenters} {
		if *l == nil {
			*l = []string{}
		}
	}
	for _, m := range []*map[string]string{&q.Service.NodeMeta, &q.Service.ServiceMeta} {
		if *m == nil {
			*m = map[string]string{}
		}
	}
	return q, nil
}

// checkTemplate wants a template that can be filled in.
func checkTemplate(q *api.PreparedQuery) error {
	switch {
	case !q.IsTemplate() && (q.Template.Regexp != "" || q.Template.RemoveEmptyTags):
		return api.Errorf(api.Invalid, "Invalid Template: it has no Type, give %q", api.NamePrefixMatch)
	case !q.IsTemplate():
		return nil
	case q.Template.Type != api.NamePrefixMatch:
		return api.Errorf(api.Invalid, "Invalid Template.Type %q: there is only %q", q.Template.Type, api.NamePrefixMatch)
	}
	if _, err := regexp.Compile(q.Template.Regexp); err != nil {
		return api.Errorf(api.Invalid, "Invalid Template.Regexp: %v", err)
	}
	_, err := fillIn(q, q.Name)
	return err
}

func queryRead(v *state.View, q *api.QueryRef) ([]*api.PreparedQuery, error) {
	query := v.Query(q.Query)
	if query == nil {
		return nil, api.ErrNoQuery
	}
	return []*api.PreparedQuery{query}, nil
}

// resolveQuery finds the query that answers to an ID or a name, as it is to be
// executed.
func resolveQuery(v *state.View, name string) (*api.PreparedQuery, error) {
	query := v.FindQuery(name)
	switch {
	case query == nil:
		return nil, api.ErrNoQuery
	case !query.IsTemplate():
		return query, nil
	case query.ID == name:
		return nil, api.Errorf(api.Invalid, "prepared query %s is a template: use a name that begins with %q", name, query.Name)
	}
	return fillIn(query, name)
}

func queryExplain(v *state.View, q *api.QueryRef) (*api.QueryExplanation, error) {
	query, err := resolveQuery(v, q.Query)
	if err != nil {
		return nil, err
	}
	return &api.QueryExplanation{Query: query}, nil
}

// queryExecute executes a query in this datacenter; where else it is executed is
// up to failOver.
func (s *Server) queryExecute(v *state.View, q *api.QueryExecuteArgs) (*api.QueryResult, error) {
	query, err := resolveQuery(v, q.Query)
	if err != nil {
		return nil, err
	}
	return s.execute(v, query, q)
}

// execute finds healthy instances, in random order or the nearest first.
func (s *Server) execute(v *state.View, query *api.PreparedQuery, q *api.QueryExecuteArgs) (*api.QueryResult, error) {
	r := &api.QueryResult{
		Service: query.Service.Service, Nodes: []*api.ServiceHealth{}, DNS: query.DNS,
		Datacenter: s.cfg.Datacenter, Query: query,
	}
	all := v.QueryHealth(query)
	if query.Service.Connect || bool(q.Connect) {
		return r, nil
	}
	r.Nodes = chosen(all, &query.Service)
	if r.Judged() {
		who, err := s.Resolve(query.Token)
		if err != nil {
			return nil, err
		}
		r.Nodes = keep(r.Nodes, func(h *api.ServiceHealth) bool { return h.CanRead(who) })
	}
	rand.Shuffle(len(r.Nodes), func(i, j int) { r.Nodes[i], r.Nodes[j] = r.Nodes[j], r.Nodes[i] })
	nearest(v, q.Origin(query), r.Nodes, func(h *api.ServiceHealth) string { return h.Node.Node })
	return r, nil
}

// limited drops the instances beyond the limit of a request.
func limited(q *api.QueryExecuteArgs, r *api.QueryResult) *api.QueryResult {
	if q.Limit <= 0 || len(r.Nodes) <= int(q.Limit) {
		return r
	}
	few := *r
	few.Nodes = r.Nodes[:q.Limit]
	return &few
}

// chosen copies the instances that a query wants.
func chosen(all []*api.ServiceHealth, q *api.ServiceQuery) []*api.ServiceHealth {
	out := []*api.ServiceHealth{}
	for _, h := range all {
		if !healthyFor(q, h) || !taggedFor(q, h.Service.Tags) || !hasPairs(h.Node.Meta, q.NodeMeta) || !hasPairs(h.Service.Meta, q.ServiceMeta) {
			continue
		}
		mine := *h
		if len(mine.Checks) == 0 {
			mine.Checks = nil // see QueryResult
		}
		out = append(out, &mine)
	}
	return out
}

// healthyFor reports whether no check drops an instance.
func healthyFor(q *api.ServiceQuery, h *api.ServiceHealth) bool {
	return !slices.ContainsFunc(h.Checks, func(c *api.Check) bool {
		bad := c.Status == api.Critical || q.OnlyPassing && c.Status != api.Passing
		return bad && !slices.Contains(q.IgnoreCheckIDs, c.CheckID)
	})
}

// taggedFor reports whether tags have all that must be there, and none that must
// not. Case does not matter.
func taggedFor(q *api.ServiceQuery, tags []string) bool {
	for _, tag := range q.Tags {
		tag, unwanted := strings.CutPrefix(tag, "!")
		has := slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) })
		if has == unwanted {
			return false
		}
	}
	return true
}

// hasPairs reports whether metadata has all pairs that are wanted.
func hasPairs(meta, want map[string]string) bool {
	for k, v := range want {
		if got, ok := meta[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// readableQueries is readable for queries. Who asks for one by its ID may see it
// if it has no name.
func readableQueries(args any, all []*api.PreparedQuery, who acl.Authorizer) ([]*api.PreparedQuery, bool, error) {
	if _, one := args.(*api.QueryRef); one {
		q, err := readableQuery(all[0], who)
		return []*api.PreparedQuery{q}, false, err
	}
	kept := keep(all, func(q *api.PreparedQuery) bool { return q.CanRead(who) })
	for i, q := range kept {
		kept[i] = hideToken(q, who)
	}
	return kept, len(kept) < len(all), nil
}

// readableQuery refuses those who may not see a query.
func readableQuery(q *api.PreparedQuery, who acl.Authorizer) (*api.PreparedQuery, error) {
	if err := permit(who, q.Need(acl.Read)); err != nil {
		return nil, err
	}
	return hideToken(q, who), nil
}

// hideToken keeps the token of a query from those who may not read tokens.
func hideToken(q *api.PreparedQuery, who acl.Authorizer) *api.PreparedQuery {
	if q.Token == "" || who.Allows(acl.Need{Resource: acl.ACL, Access: acl.Write}) {
		return q
	}
	hidden := *q
	hidden.Token = api.HiddenSecret
	return &hidden
}

// readableResult removes instances that the caller may not see, unless the token
// of the query has decided that.
func readableResult(r *api.QueryResult, who acl.Authorizer) (*api.QueryResult, bool, error) {
	if r.Judged() {
		return r, false, nil
	}
	mine := *r
	mine.Nodes = keep(r.Nodes, func(h *api.ServiceHealth) bool { return h.CanRead(who) })
	return &mine, len(mine.Nodes) < len(r.Nodes), nil
}
