package realtest

import (
	"fmt"
	"testing"

	consul "github.com/hashicorp/consul/api"
)

// TestQueryFailover executes queries of one datacenter in another, until that is
// gone.
func TestQueryFailover(t *testing.T) {
	t.Parallel()
	here := start(t, option{})
	there := start(t, option{config: map[string]any{"datacenter": "dc2"}})
	check(t, there.client().Agent().Join(here.wanAddress(), true))
	register(t, there.client())
	c := here.client()
	for name, failover := range map[string]consul.QueryFailoverOptions{
		"nearest": {NearestN: 1}, "named": {Datacenters: []string{"dc7", "dc2"}}, "targets": {Targets: []consul.QueryFailoverTarget{{Datacenter: "dc2"}}},
	} {
		_, _, err := c.PreparedQuery().Create(&consul.PreparedQueryDefinition{
			Name: name, Service: consul.ServiceQuery{Service: "web", Tags: []string{"green"}, OnlyPassing: true, Failover: failover}, DNS: consul.QueryDNSOptions{TTL: "7s"},
		}, nil)
		check(t, err)
		executes(t, c, name, "[w1] of dc2 after 1, TTL 7s")
	}
	_, err := c.Catalog().Register(web("w9", "10.0.0.9", 80, consul.HealthPassing, "green"), nil)
	check(t, err)
	executes(t, c, "nearest", "[w9] of dc1 after 0, TTL 7s")
	_, err = c.Catalog().Deregister(&consul.CatalogDeregistration{Node: "w9"}, nil)
	check(t, err)
	there.kill()
	executes(t, c, "nearest", "[] of dc1 after 1, TTL 7s")
}

// executes waits until a query finds what is wanted.
func executes(t *testing.T, c *consul.Client, name, want string) {
	t.Helper()
	eventually(t, thingWait, func() error {
		r, _, err := c.PreparedQuery().Execute(name, nil)
		if err != nil {
			return err
		}
		nodes := []string{}
		for _, n := range r.Nodes {
			nodes = append(nodes, n.Node.Node)
		}
		if got := fmt.Sprintf("%v of %s after %d, TTL %s", nodes, r.Datacenter, r.Failovers, r.DNS.TTL); got != want {
			return fmt.Errorf("query %s: got %s, want %s", name, got, want)
		}
		return nil
	})
}
