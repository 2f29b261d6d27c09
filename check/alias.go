package check

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// Aliased is what there is to know about a node whose health an alias follows.
type Aliased struct {
	Node         string       // its name, for texts
	Checks       []*api.Check // all of the node and of its services; not changed by anyone
	ServiceFound bool         // whether the node has the service; of no meaning when none is asked for
	// Changed is closed when the rest may have changed; nil when nobody can say.
	Changed <-chan struct{}
}

// AliasSource tells about a service on a node; an empty node stands for the
// agent's own, an empty service for the node itself. What it starts to find out
// about changes ends with ctx, which ends before the next call for the same
// alias. It is called from the goroutines of the checks.
type AliasSource func(ctx context.Context, node, service string) (Aliased, error)

// aliasRefresh is how long an alias trusts what it has been told.
const aliasRefresh = time.Minute

// alias follows the checks of a service or a node ("Alias checks").
type alias struct {
	key           string // its own ID
	node, service string
	source        AliasSource
	log           *slog.Logger
	limit         int // bytes of output
}

func newAlias(def *api.CheckRegistration, opts Options) (*alias, error) {
	if opts.Aliased == nil {
		return nil, api.Errorf(api.Invalid, "Invalid check: Alias checks are not available here")
	}
	return &alias{key: def.Key(), node: def.AliasNode, service: def.AliasService,
		source: opts.Aliased, log: opts.Log, limit: opts.OutputMaxSize}, nil
}

// Run implements Checker. It reports changes only. While the source fails, the
// state stays as it was.
func (a *alias) Run(ctx context.Context, report func(Result)) error {
	var last Result
	for {
		r, err := a.follow(ctx, last, report)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			a.log.Warn("cannot read the checks of an alias, trying again", "node", a.node, "service", a.service, "err", err)
			pause.For(ctx, aliasRefresh)
			continue
		}
		last = r
	}
}

// follow asks once and waits until it is time to ask again.
func (a *alias) follow(ctx context.Context, last Result, report func(Result)) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	now, err := a.source(ctx, a.node, a.service)
	if err != nil {
		return last, err
	}
	r := a.judge(now)
	if r != last && ctx.Err() == nil {
		report(r)
	}
	timer := time.NewTimer(aliasRefresh)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-now.Changed:
	case <-timer.C:
	}
	return r, nil
}

// judge takes the worst state, and of the checks in it the first.
func (a *alias) judge(now Aliased) Result {
	if a.service != "" && !now.ServiceFound {
		return Result{api.Critical, fmt.Sprintf("Service %s could not be found on node %s", a.service, now.Node)}
	}
	var worst *api.Check
	found := false
	for _, c := range now.Checks {
		if !a.concerns(c) {
			continue
		}
		found = true
		if c.Status != api.Passing && (worst == nil || worst.Status == api.Warning && c.Status != api.Warning) {
			worst = c
		}
	}
	switch {
	case !found:
		return Result{api.Passing, "No checks found."}
	case worst == nil:
		return Result{api.Passing, "All checks passing."}
	}
	r := Result{api.Critical, clip(fmt.Sprintf("Aliased check %q failing: %s", worst.Name, worst.Output), a.limit)}
	if worst.Status == api.Warning {
		r.Status = api.Warning
	}
	return r
}

// concerns reports whether the alias follows a check. Aliases never follow
// aliases of the node, nor themselves: of two that follow each other, neither
// could ever turn passing again.
func (a *alias) concerns(c *api.Check) bool {
	if c.ServiceID == "" {
		return c.Type != api.CheckAlias
	}
	return c.ServiceID == a.service && !(c.CheckID == a.key && c.Type == api.CheckAlias)
}
