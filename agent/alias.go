package agent

import (
	"cmp"
	"context"

	"curia/api"
	"curia/check"
)

// aliasedThere tells an alias about a service of another node, from the catalog.
func (a *Agent) aliasedThere(ctx context.Context, node, service, token string) (check.Aliased, error) {
	token = cmp.Or(token, a.tokens.get("agent"))
	known, err := ask(ctx, a, api.CatalogNode, api.NodeName{Node: node}, token)
	if err != nil {
		return check.Aliased{}, err
	}
	health := api.Request{Op: api.HealthNode.Op, Args: &api.NodeName{Node: node}, Token: token}
	resp, err := a.next.Call(ctx, &health)
	if err != nil {
		return check.Aliased{}, err
	}
	checks, _ := resp.Value.([]*api.Check)
	changed := make(chan struct{})
	out := check.Aliased{Node: node, Checks: checks, Changed: changed}
	if known != nil {
		_, out.ServiceFound = known.Services[service]
	}
	health.MinIndex = resp.Index
	a.runner.checks.Go(func() {
		// A wait that fails ends without a word: the alias asks again in a while.
		if _, err := a.next.Call(ctx, &health); err == nil {
			close(changed)
		}
	})
	return out, nil
}
