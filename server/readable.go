package server

import (
	"maps"
	"reflect"
	"slices"

	"curia/acl"
	"curia/api"
)

// reader is a noun that knows who may see it.
type reader interface{ CanRead(acl.Authorizer) bool }

// readable removes from a result what its caller may not see, and reports
// whether there was any. A listing of keys of which nothing is left is not
// found, as if there were none.
func readable(args, value any, who acl.Authorizer) (any, bool, error) {
	switch v := value.(type) {
	case *api.ACLToken:
		if _, own := args.(*api.ACLSelfArgs); own {
			return v, false, nil
		}
		return v.Redacted(who), false, nil
	case *api.ACLTokenExpanded:
		shown := *v
		shown.ACLToken = *v.Redacted(who)
		return &shown, false, nil
	case []*api.ACLToken:
		shown := make([]*api.ACLToken, 0, len(v))
		for _, t := range v {
			shown = append(shown, t.Redacted(who))
		}
		return shown, false, nil
	case []*api.KVPair:
		may := func(p *api.KVPair) bool { return p.CanRead(who) }
		if len(v) > 0 && every(v, may) {
			return value, false, nil
		}
		kept := keep(v, may)
		if len(kept) == 0 {
			return nil, true, api.ErrNotFound
		}
		return kept, len(kept) < len(v), nil
	case []string:
		kept := keep(v, func(key string) bool { return (&api.KVPair{Key: key}).CanRead(who) })
		if q, ok := args.(*api.KVKeysArgs); ok && len(kept) == 0 && q.Prefix != "" {
			return nil, true, api.ErrNotFound
		}
		return kept, len(kept) < len(v), nil
	case map[string][]string:
		kept := maps.Clone(v)
		maps.DeleteFunc(kept, func(name string, _ []string) bool { return !(&api.Service{Service: name}).CanRead(who) })
		return kept, len(kept) < len(v), nil
	case []*api.PreparedQuery:
		return readableQueries(args, v, who)
	case *api.QueryExplanation:
		q, err := readableQuery(v.Query, who)
		return &api.QueryExplanation{Query: q}, false, err
	case *api.QueryResult:
		return readableResult(v, who)
	case *api.NodeServices:
		if v == nil || !v.Node.CanRead(who) {
			return (*api.NodeServices)(nil), v != nil, nil
		}
		kept := maps.Clone(v.Services)
		maps.DeleteFunc(kept, func(_ string, s *api.Service) bool { return !s.CanRead(who) })
		return &api.NodeServices{Node: v.Node, Services: kept}, len(kept) < len(v.Services), nil
	case *api.NodeServiceList:
		if v == nil || !v.Node.CanRead(who) {
			return (*api.NodeServiceList)(nil), v != nil, nil
		}
		kept := keep(v.Services, func(s *api.Service) bool { return s.CanRead(who) })
		return &api.NodeServiceList{Node: v.Node, Services: kept}, len(kept) < len(v.Services), nil
	}
	rv := reflect.ValueOf(value)
	if rv.Kind() != reflect.Slice || !rv.Type().Elem().Implements(reflect.TypeFor[reader]()) {
		return value, false, nil
	}
	first := 0 // that is hidden
	for first < rv.Len() && rv.Index(first).Interface().(reader).CanRead(who) {
		first++
	}
	if first == rv.Len() {
		return value, false, nil
	}
	kept := reflect.MakeSlice(rv.Type(), 0, rv.Len())
	for i := range rv.Len() {
		if rv.Index(i).Interface().(reader).CanRead(who) {
			kept = reflect.Append(kept, rv.Index(i))
		}
	}
	return kept.Interface(), kept.Len() < rv.Len(), nil
}

// every reports whether f holds for all elements.
func every[T any](all []T, f func(T) bool) bool {
	return !slices.ContainsFunc(all, func(x T) bool { return !f(x) })
}
