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
		list(api.KVKeys, kvKeys),
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

// kvKeys lists names, each cut behind the first separator after the prefix and
// named once.
func kvKeys(v *state.View, q *api.KVKeysArgs) ([]string, error) {
	pairs := v.KVList(q.Prefix)
	if len(pairs) == 0 && q.Prefix != "" {
		return nil, api.ErrNotFound
	}
	names := make([]string, 0, len(pairs))
	seen := map[string]bool{}
	for _, p := range pairs {
		name := p.Key
		if q.Separator != "" {
			if i := strings.Index(name[len(q.Prefix):], q.Separator); i >= 0 {
				name = name[:len(q.Prefix)+i+len(q.Separator)]
				if seen[name] {
					continue
				}
				seen[name] = true
			}
		}
		names = append(names, name)
	}
	return names, nil
}

func kvPut(_ *state.View, _ acl.Authorizer, q *api.KVPutArgs) (state.Command, error) {
	return &state.KVPut{Key: q.Key, Value: q.Value, Flags: q.Flags, CAS: q.CAS, Acquire: q.Acquire, Release: q.Release}, nil
}

func kvDelete(_ *state.View, _ acl.Authorizer, q *api.KVDeleteArgs) (state.Command, error) {
	return &state.KVDelete{Key: q.Key, Recurse: q.Recurse, CAS: q.CAS}, nil
}
