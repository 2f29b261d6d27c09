package server

import (
	"curia/acl"
	"curia/api"
	"curia/state"
)

func (s *Server) configVerbs() []binding {
	return []binding{
		put(api.ConfigPut, configPut),
		get(api.ConfigGet, configGet),
		list(api.ConfigList, configList),
		put(api.ConfigDelete, configDelete),
	}
}

func configPut(_ *state.View, _ acl.Authorizer, q *api.ConfigPutArgs) (state.Command, error) {
	entry := q.Entry
	if err := entry.Complete(); err != nil {
		return nil, err
	}
	return &state.ConfigSet{Entry: entry, CAS: q.CAS}, nil
}

func configGet(v *state.View, q *api.ConfigEntryArgs) (*api.ConfigEntry, error) {
	if err := api.CheckKind(q.Kind); err != nil {
		return nil, err
	}
	if e := v.ConfigEntry(q.Kind, q.Name); e != nil {
		return e, nil
	}
	missing := api.Errorf(api.NotFound, "Config entry not found for %q / %q", q.Kind, q.Name)
	missing.Waits = true
	return nil, missing
}

func configList(v *state.View, q *api.ConfigKindArgs) ([]*api.ConfigEntry, error) {
	if err := api.CheckKind(q.Kind); err != nil {
		return nil, err
	}
	return v.ConfigEntries(q.Kind), nil
}

func configDelete(_ *state.View, _ acl.Authorizer, q *api.ConfigDeleteArgs) (state.Command, error) {
	if err := api.CheckKind(q.Kind); err != nil {
		return nil, err
	}
	return &state.ConfigDelete{Kind: q.Kind, Name: q.Name, CAS: q.CAS}, nil
}
