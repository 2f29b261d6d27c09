package filter_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/filter"
)

func TestFilterExpressions(t *testing.T) {
	nodes := []*api.Node{
		{Node: "n1", Address: "10.0.0.1", Meta: map[string]string{"rack": "a"}},
		{Node: "n2", Address: "10.0.0.2", TaggedAddresses: map[string]string{"wan": "1.1.1.1"}},
	}
	services := []*api.ServiceNode{
		{Node: "n1", ServiceName: "web", ServiceID: "w1", ServiceTags: []string{"v1", "blue"}, ServicePort: 80, ServiceMeta: map[string]string{"env": "prod"}},
		{Node: "n2", ServiceName: "web", ServiceID: "w2", ServiceTags: []string{}, ServicePort: 81, ServiceWeights: api.Weights{Passing: 3}},
	}
	health := []*api.ServiceHealth{
		{Node: nodes[0], Service: &api.Service{ID: "w1", Service: "web", Tags: []string{"v1"}}, Checks: []*api.Check{{CheckID: "c", Status: api.Passing}}},
		{Node: nodes[1], Service: &api.Service{ID: "w2", Service: "web", Tags: []string{"v2"}}, Checks: []*api.Check{{CheckID: "c", Status: api.Warning}, {CheckID: "d", Status: api.Passing}}},
	}
	checks := []*api.Check{{Node: "n1", CheckID: "mem", Status: api.Passing}, {Node: "n1", CheckID: "disk", Status: api.Critical, Output: "full"}}
	sessions := []*api.Session{{ID: "s1", Name: "lock", Node: "n1"}, {ID: "s2", Node: "n2", Behavior: api.BehaviorDelete}}
	pairs := []*api.KVPair{{Key: "a", Flags: 1}, {Key: "b", Session: "s1"}}
	of := &api.NodeServices{Node: nodes[0], Services: map[string]*api.Service{"w1": health[0].Service, "w2": health[1].Service}}
	list := &api.NodeServiceList{Node: nodes[0], Services: []*api.Service{health[0].Service, health[1].Service}}
	names := map[string][]string{"web": {"v1"}, "consul": {}}
	for _, c := range []struct {
		value any
		expr  string
		want  []string // what the answer tells the kept elements by
		err   string
	}{
		{nodes, `Node == n1`, []string{"n1"}, ""},
		{nodes, `Node != "n1"`, []string{"n2"}, ""},
		{nodes, `Meta.rack == a`, []string{"n1"}, ""},
		{nodes, `rack in Meta`, []string{"n1"}, ""},
		{nodes, `Meta is empty`, []string{"n2"}, ""},
		{nodes, `TaggedAddresses.wan == "1.1.1.1"`, []string{"n2"}, ""},
		{nodes, `Address matches "^10[.]0[.]0[.][12]$"`, []string{"n1", "n2"}, ""},
		{nodes, `Node == n3 or (Node == n2 and not Meta.rack == a)`, []string{"n2"}, ""},
		{nodes, `Node == n9`, nil, ""},
		{services, `ServicePort == 80`, []string{"n1"}, ""},
		{services, `blue in ServiceTags`, []string{"n1"}, ""},
		{services, `blue not in ServiceTags`, []string{"n2"}, ""},
		{services, `ServiceTags is empty`, []string{"n2"}, ""},
		{services, `ServiceMeta.env == prod`, []string{"n1"}, ""},
		{services, `ServiceWeights.Passing == 3`, []string{"n2"}, ""},
		{services, `ServiceName contains "we"`, []string{"n1", "n2"}, ""},
		{health, `Service.ID == w2`, []string{"w2"}, ""},
		{health, `Node.Meta.rack == a`, []string{"w1"}, ""},
		{health, `v2 in Service.Tags`, []string{"w2"}, ""},
		{health, `any Checks as c { c.Status == "warning" }`, []string{"w2"}, ""},
		{checks, `Status == critical`, []string{"disk"}, ""},
		{checks, `Output contains ful`, []string{"disk"}, ""},
		{sessions, `Name == lock`, []string{"s1"}, ""},
		{sessions, `Behavior == delete or Node == n1`, []string{"s1", "s2"}, ""},
		{pairs, `Flags == 1`, []string{"a"}, ""},
		{of, `Service == web and v1 in Tags`, []string{"w1"}, ""},
		{list, `ID == w2`, []string{"w2"}, ""},
		{names, `ServiceName == web`, []string{"web"}, ""},
		{names, `v1 in ServiceTags`, []string{"web"}, ""},
		{(*api.NodeServices)(nil), `ID == x`, nil, ""},
		{[]*api.ServiceHealth{}, `Service.ID == w2 and Node.Meta.rack == a`, nil, ""},
		{[]*api.Check{}, `Definition.HTTP == ""`, nil, ""},
		// What is wrong, also with nothing to hold it against.
		{nodes, `Node ==`, nil, "Failed to create boolean expression evaluator: "},
		{nodes, `Color == red`, nil, `Failed to create boolean expression evaluator: Selector "Color" is not valid`},
		{[]*api.Node{}, `Color == red`, nil, `Failed to create boolean expression evaluator: Selector "Color" is not valid`},
		{[]*api.ServiceHealth{}, `Service.Color == red`, nil, `Failed to create boolean expression evaluator: Selector "Service.Color" is not valid`},
		{nodes, strings.Repeat("(", 20_000), nil, "Failed to create boolean expression evaluator: 20000 bytes are too long"},
		{checks, `Node matches "["`, nil, "Failed to"},
	} {
		got, err := filter.Apply(c.value, c.expr)
		if c.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.err) || api.KindOf(err) != api.Invalid {
				t.Errorf("%.60s over %T: got %v, %v; want the refusal %q", c.expr, c.value, got, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, told(t, got)); diff != "" || err != nil {
			t.Errorf("%s over %T: %v (-want +got)\n%s", c.expr, c.value, err, diff)
		}
		if b, _ := api.AppendJSON(nil, got); len(c.want) == 0 && string(b) != "[]" && c.value != any((*api.NodeServices)(nil)) {
			t.Errorf("%s over %T keeps nothing and is printed as %s", c.expr, c.value, b)
		}
	}
}

// told names the elements of a result.
func told(t *testing.T, value any) []string {
	t.Helper()
	var out []string
	switch v := value.(type) {
	case *api.NodeServices:
		if v == nil {
			return nil
		}
		for id := range v.Services {
			out = append(out, id)
		}
		return out
	case *api.NodeServiceList:
		value = v.Services
	case map[string][]string:
		for name := range v {
			out = append(out, name)
		}
		return out
	}
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Node    any
		Key     string
		CheckID string
		ID      string
		Service any
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		service, _ := e.Service.(map[string]any)
		node, _ := e.Node.(string)
		switch {
		case service != nil:
			out = append(out, service["ID"].(string))
		case e.Key != "":
			out = append(out, e.Key)
		case e.CheckID != "":
			out = append(out, e.CheckID)
		case e.ID != "":
			out = append(out, e.ID)
		default:
			out = append(out, node)
		}
	}
	return out
}
