package agent

import (
	"cmp"
	"context"
	"time"

	"curia/acl"
	"curia/api"
	"curia/check"
)

// putCheck takes over a check whose definition was found good.
func (a *Agent) putCheck(def *api.CheckRegistration, from check.Origin) *localCheck {
	row := &api.Check{
		Node: a.cfg.Node.Node, CheckID: def.Key(), Name: def.Name, Status: def.Status, Notes: def.Notes,
		ServiceID: def.ServiceID, ServiceTags: []string{}, Type: def.Type(),
		Interval: time.Duration(def.Interval).String(), Timeout: time.Duration(def.Timeout).String(),
		Definition: &api.CheckDefinition{},
	}
	if row.Status == "" {
		row.Status = api.Critical
	}
	if s := a.local.service(def.ServiceID); s != nil {
		row.ServiceName, row.ServiceTags = s.Service, s.Tags
	}
	c := &localCheck{row: row, def: def, token: def.Token, from: from}
	if old := a.local.putCheck(c); old != nil {
		a.stopCheck(old)
	}
	a.startCheck(c)
	return c
}

// saveCheck keeps a check for a restart, unless a file of the configuration does.
func (a *Agent) saveCheck(c *localCheck) {
	row, _ := a.local.latest(c)
	if c.from == check.FromAPI {
		a.save(checkFile(row.CheckID), savedCheck{Check: row, Registration: c.def, Token: c.token})
	} else {
		a.unsave(checkFile(row.CheckID))
	}
}

// removeCheck removes a check; it reports whether there was one.
func (a *Agent) removeCheck(id string) bool {
	c := a.local.dropCheck(id)
	if c == nil {
		return false
	}
	a.stopCheck(c)
	a.unsave(checkFile(id))
	a.states.forget(id)
	return true
}

func (a *Agent) checkRegister(ctx context.Context, who caller, q *api.CheckRegisterArgs) (api.Nothing, error) {
	def := q.Definition
	def.Token = cmp.Or(def.Token, who.token)
	err := a.change(func() error {
		service := ""
		if s := a.local.service(def.ServiceID); s != nil {
			service = s.Service
		} else if def.ServiceID != "" {
			return api.Errorf(api.NotFound, "ServiceID %q does not exist", def.ServiceID)
		}
		if err := a.mustWrite(who, service); err != nil {
			return err
		}
		if old := a.local.check(def.Key()); old != nil {
			if err := a.mustWrite(who, old.ServiceName); err != nil {
				return err
			}
		}
		if _, err := check.New(&def, check.FromAPI, a.checkOptions(def.Token)); err != nil {
			return err
		}
		a.saveCheck(a.putCheck(&def, check.FromAPI))
		return nil
	})
	if err == nil {
		a.pushed(ctx)
	}
	return api.Nothing{}, err
}

// checkDeregister takes no action when there is no such check.
func (a *Agent) checkDeregister(ctx context.Context, who caller, q *api.LocalCheckID) (api.Nothing, error) {
	found := false
	err := a.change(func() error {
		row := a.local.check(q.ID)
		if row == nil {
			return a.mustWrite(who, "")
		}
		if err := a.mustWrite(who, row.ServiceName); err != nil {
			return err
		}
		found = a.removeCheck(q.ID)
		return nil
	})
	if found {
		a.pushed(ctx)
	}
	return api.Nothing{}, err
}

// note sets a TTL check to a status.
func (a *Agent) note(status string) func(context.Context, caller, *api.CheckNoteArgs) (api.Nothing, error) {
	return func(ctx context.Context, who caller, q *api.CheckNoteArgs) (api.Nothing, error) {
		return api.Nothing{}, a.update(ctx, who, q.ID, status, q.Note)
	}
}

func (a *Agent) checkUpdate(ctx context.Context, who caller, q *api.CheckUpdateArgs) (api.Nothing, error) {
	return api.Nothing{}, a.update(ctx, who, q.ID, q.Update.Status, q.Update.Output)
}

// update sets the state of a TTL check.
func (a *Agent) update(ctx context.Context, who caller, id, status, output string) error {
	c, row := a.local.find(id)
	if c == nil {
		if err := a.mustWrite(who, ""); err != nil {
			return err
		}
		return api.Errorf(api.NotFound, "Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)
	}
	if err := a.mustWrite(who, row.ServiceName); err != nil {
		return err
	}
	if row.Type != api.CheckTTL {
		return api.Errorf(api.Rejected, "CheckID %q does not have associated TTL", id)
	}
	if err := a.awaitStart(ctx); err != nil {
		return err
	}
	ttl := a.ttl(c)
	if ttl == nil {
		return api.Errorf(api.Unavailable, "check %q has been removed, or the agent is stopping", id)
	}
	ttl.Update(status, output)
	if c.from == check.FromAPI {
		a.states.note(c)
	}
	return nil
}

// startWait is how much earlier than Run a request may come.
const startWait = 500 * time.Millisecond

// awaitStart waits until the checks run: who answers requests may be faster.
func (a *Agent) awaitStart(ctx context.Context) error {
	select {
	case <-a.started:
		return nil
	default:
	}
	timer := time.NewTimer(startWait)
	defer timer.Stop()
	select {
	case <-a.started:
		return nil
	case <-timer.C:
		return api.Errorf(api.Unavailable, "the checks of this agent do not run yet")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reasons of maintenance when none is given.
const (
	nodeReason    = "Maintenance mode is enabled for this node, but no reason was provided. This is a default message."
	serviceReason = "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."
)

// maintain puts a critical check that says why something is out of service, or
// takes it away. The first reason stays. Registrations must not change meanwhile.
func (a *Agent) maintain(row *api.Check, token string, on bool) {
	is := a.local.check(row.CheckID) != nil
	switch {
	case on && !is:
		row.Node, row.Status, row.Definition = a.cfg.Node.Node, api.Critical, &api.CheckDefinition{}
		row.Type, row.Interval, row.Timeout = "maintenance", "", ""
		a.local.putCheck(&localCheck{row: row, token: token})
		a.save(checkFile(row.CheckID), savedCheck{Check: row, Token: token})
		a.log.Info("entered maintenance", "check", row.CheckID, "reason", row.Notes)
	case !on && is:
		a.removeCheck(row.CheckID)
		a.log.Info("left maintenance", "check", row.CheckID)
	}
}

func (a *Agent) nodeMaintenance(ctx context.Context, who caller, q *api.MaintenanceArgs) (api.Nothing, error) {
	if err := a.mustWrite(who, ""); err != nil {
		return api.Nothing{}, err
	}
	_ = a.change(func() error {
		a.maintain(&api.Check{
			CheckID: api.NodeMaintenance, Name: api.NodeMaintenanceName,
			Notes: cmp.Or(q.Reason, nodeReason), ServiceTags: []string{},
		}, who.token, q.On())
		return nil
	})
	a.pushed(ctx)
	return api.Nothing{}, nil
}

func (a *Agent) serviceMaintenance(ctx context.Context, who caller, q *api.ServiceMaintenanceArgs) (api.Nothing, error) {
	err := a.change(func() error {
		s := a.local.service(q.ID)
		if s == nil {
			return api.Errorf(api.NotFound, "Unknown service ID %q. Ensure that the service ID is passed, not the service name.", q.ID)
		}
		if err := who.mustService(acl.Write, s.Service); err != nil {
			return err
		}
		a.maintain(&api.Check{
			CheckID: api.ServiceMaintenance + q.ID, Name: api.ServiceMaintenanceName, Notes: cmp.Or(q.Reason, serviceReason),
			ServiceID: s.ID, ServiceName: s.Service, ServiceTags: s.Tags,
		}, who.token, q.On())
		return nil
	})
	if err == nil {
		a.pushed(ctx)
	}
	return api.Nothing{}, err
}
