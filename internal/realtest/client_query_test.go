package realtest

import (
	"testing"

	consul "github.com/hashicorp/consul/api"
)

func TestClientPreparedQuery(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	q := c.PreparedQuery()
	for _, node := range []string{"a", "b"} {
		_, err := c.Catalog().Register(&consul.CatalogRegistration{
			Node: node, Address: "10.0.0.1", NodeMeta: map[string]string{"rack": node},
			Service: &consul.AgentService{Service: "db", Port: 5432, Tags: []string{"on-" + node}},
		}, nil)
		check(t, err)
	}
	def := &consul.PreparedQueryDefinition{
		Name: "find-db", Token: "secret", DNS: consul.QueryDNSOptions{TTL: "5s"},
		Service: consul.ServiceQuery{
			Service: "db", Tags: []string{"!on-b"}, NodeMeta: map[string]string{"rack": "a"}, ServiceMeta: map[string]string{},
			IgnoreCheckIDs: []string{"x"}, Near: "_agent", OnlyPassing: true,
			Failover: consul.QueryFailoverOptions{NearestN: 2, Datacenters: []string{"dc2"}},
		},
	}
	id, _, err := q.Create(def, nil)
	check(t, err)
	def.ID = id
	got, meta, err := q.Get(id, nil)
	check(t, err)
	same(t, "get", got, []*consul.PreparedQueryDefinition{def})
	if meta.LastIndex == 0 {
		t.Errorf("get: no index in %+v", meta)
	}
	result, _, err := q.Execute("find-db", nil)
	check(t, err)
	if len(result.Nodes) != 1 || result.Nodes[0].Node.Node != "a" || result.Nodes[0].Service.Port != 5432 ||
		result.Service != "db" || result.DNS.TTL != "5s" || result.Datacenter != "dc1" {
		t.Errorf("execute: got %+v", result)
	}

	def.Name, def.Service.Tags, def.Service.NodeMeta = "find-", nil, nil
	def.Service.Service = "${name.suffix}"
	def.Template = consul.QueryTemplate{Type: "name_prefix_match", Regexp: "^find-(.*)$"}
	_, err = q.Update(def, nil)
	check(t, err)
	result, _, err = q.Execute("find-db", &consul.QueryOptions{Near: "a"})
	check(t, err)
	if len(result.Nodes) != 2 {
		t.Errorf("execute of a template: got %+v, wanted both instances", result)
	}
	list, _, err := q.List(nil)
	check(t, err)
	if len(list) != 1 || list[0].Template != def.Template {
		t.Errorf("list: got %+v", list)
	}
	_, err = q.Delete(id, nil)
	check(t, err)
	if _, _, err = q.Execute("find-db", nil); err == nil {
		t.Error("execute of a query that was deleted: got no error")
	}
}
