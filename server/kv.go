package server

import (
	"strings"

	"curia/acl"
	"curia/api"
	"curia/state"
)

func (s *Server) kvVerbs() []binding {
	return []binding{
		get(api.KVGet, kvGet),
		get(api.KVRaw, kvRaw),
		list(api.KVList, kvList),
		then(list(api.KVKeys, kvKeys), cutKeys),
		put(api.KVPut, kvPut),
		put(api.KVDelete, kvDelete),
	}
}

func kvGet(v *state.View, q *api.KeyArgs) ([]*api.KVPair, error) {
	p := v.KV(q.Key)
	if p == nil {
		return nil, api.ErrNotFound
	}
	return []*api.KVPair{p}, nil
}

func kvRaw(v *state.View, q *api.KeyArgs) (api.RawValue, error) {
	p := v.KV(q.Key)
	if p == nil {
		return nil, api.ErrNotFound
	}
	return p.Value, nil
}

func kvList(v *state.View, q *api.PrefixArgs) ([]*api.KVPair, error) {
	pairs := v.KVList(q.Prefix)
	if len(pairs) == 0 {
		return nil, api.ErrNotFound
	}
	return pairs, nil
}

// kvKeys lists names.
func kvKeys(v *state.View, q *api.KVKeysArgs) ([]string, error) {
	pairs := v.KVList(q.Prefix)
	if len(pairs) == 0 && q.Prefix != "" {
		return nil, api.ErrNotFound
	}
	names := make([]string, 0, len(pairs))
	for _, p := range pairs {
		names = append(names, p.Key)
	}
	return names, nil
}

// cutKeys cuts each name behind the first separator after the prefix, and names
// it once: a folder is there for those who may see something in it.
func cutKeys(q *api.KVKeysArgs, names []string) []string {
	if q.Separator == "" {
		return names
	}
	out := make([]string, 0, len(names))
	last := "" // what begins alike stands together
	for _, name := range names {
		if i := strings.Index(name[len(q.Prefix):], q.Separator); i >= 0 {
			name = name[:len(q.Prefix)+i+len(q.Separator)]
			if name == last {
				continue
			}
			last = name
		}
		out = append(out, name)
	}
	return out
}

func kvPut(_ *state.View, _ acl.Authorizer, q *api.KVPutArgs) (state.Command, error) {
	return &state.KVPut{Key: q.Key, Value: q.Value, Flags: q.Flags, CAS: q.CAS, Acquire: q.Acquire, Release: q.Release}, nil
}

func kvDelete(_ *state.View, _ acl.Authorizer, q *api.KVDeleteArgs) (state.Command, error) {
	return &state.KVDelete{Key: q.Key, Recurse: q.Recurse, CAS: q.CAS}, nil
}
