package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"curia/acl"
	"curia/api"
	"curia/check"
)

// registerService takes over a service with its checks, or nothing of it.
func (a *Agent) registerService(def *api.ServiceDefinition, from check.Origin, replace bool) error {
	checks := def.AllChecks()
	for _, c := range checks {
		if _, err := check.New(c, from, a.checkOptions(c.Token)); err != nil {
			return err
		}
	}
	row := def.Instance()
	a.local.putService(row, def.Token, from)
	kept := map[string]bool{}
	for _, c := range checks {
		kept[c.Key()] = true
		a.saveCheck(a.putCheck(c, from))
	}
	if replace {
		for _, id := range a.local.checksOf(row.ID) {
			if !kept[id] && !strings.HasPrefix(id, api.ServiceMaintenance) {
				a.removeCheck(id)
			}
		}
	}
	if from == check.FromAPI {
		a.save(serviceFile(row.ID), savedService{Token: def.Token, Service: row})
	}
	return nil
}

// removeService removes a service with its checks; it reports whether there was one.
func (a *Agent) removeService(id string) bool {
	for _, c := range a.local.checksOf(id) {
		a.removeCheck(c)
	}
	a.unsave(serviceFile(id))
	return a.local.dropService(id)
}

// serviceRegister also wants the permission for the name that a service had
// before, and for what its checks take the place of. Without a token in the body,
// the caller's is used from then on.
func (a *Agent) serviceRegister(ctx context.Context, who caller, q *api.ServiceRegisterArgs) (api.Nothing, error) {
	def := q.Definition
	def.Token = cmp.Or(def.Token, who.token)
	err := a.change(func() error {
		if old := a.local.service(def.ID); old != nil {
			if err := who.mustService(acl.Write, old.Service); err != nil {
				return err
			}
		}
		for _, c := range def.AllChecks() {
			if old := a.local.check(c.Key()); old != nil && old.ServiceID != def.ID {
				if err := a.mustWrite(who, old.ServiceName); err != nil {
					return err
				}
			}
		}
		return a.registerService(&def, check.FromAPI, bool(q.Replace))
	})
	if err == nil {
		a.pushed(ctx)
	}
	return api.Nothing{}, err
}

// serviceDeregister takes no action when there is no such service.
func (a *Agent) serviceDeregister(ctx context.Context, who caller, q *api.LocalServiceID) (api.Nothing, error) {
	found := false
	err := a.change(func() error {
		s := a.local.service(q.ID)
		if s == nil {
			return who.mustService(acl.Write, q.ID)
		}
		if err := who.mustService(acl.Write, s.Service); err != nil {
			return err
		}
		found = a.removeService(q.ID)
		return nil
	})
	if found {
		a.pushed(ctx)
	}
	return api.Nothing{}, err
}

// change lets no two registrations mix.
func (a *Agent) change(f func() error) error {
	a.registering.Lock()
	defer a.registering.Unlock()
	return f()
}

// show gives a service as the agent prints it.
func (a *Agent) show(s *api.Service) *api.LocalService {
	return &api.LocalService{Service: *s, Datacenter: a.cfg.Datacenter, ServiceMeta: s.Meta}
}

func (a *Agent) services(_ context.Context, who caller, _ *api.None) (shown map[string]*api.LocalService, hidden bool, err error) {
	rows, _ := a.local.rows()
	out := make(map[string]*api.LocalService, len(rows))
	for _, s := range visible(rows, who) {
		out[s.ID] = a.show(s)
	}
	return out, len(out) < len(rows), nil
}

func (a *Agent) checks(_ context.Context, who caller, _ *api.None) (shown map[string]*api.Check, hidden bool, err error) {
	_, rows := a.local.rows()
	out := make(map[string]*api.Check, len(rows))
	for _, c := range rows {
		if a.mustRead(who, c.ServiceName) == nil {
			out[c.CheckID] = c
		}
	}
	return out, len(out) < len(rows), nil
}

// serviceGet reads one service; with a hash it waits until the service is
// another one.
func (a *Agent) serviceGet(ctx context.Context, who caller, q *api.LocalServiceArgs) (*api.LocalService, error) {
	wait, err := parseWait(q.Wait)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for waiting := true; ; {
		row, changed := a.local.awaited(q.ID)
		if row == nil {
			return nil, api.Errorf(api.NotFound, "unknown service ID: %s", q.ID)
		}
		if err := who.mustService(acl.Read, row.Service); err != nil {
			return nil, err
		}
		s := a.show(row)
		if s.ContentHash, err = contentHash(s); err != nil || q.Hash == "" || s.ContentHash != q.Hash || !waiting {
			return s, err
		}
		select {
		case <-changed:
		case <-timer.C:
			waiting = false
		case <-a.ended:
			waiting = false
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// The token may have lost its permissions while the query waited.
		if who.Authorizer, err = a.resolve(who.token); err != nil {
			return nil, err
		}
	}
}

// The default and the longest wait of a read by hash.
const (
	defaultHashWait = 5 * time.Minute
	maxHashWait     = 10 * time.Minute
)

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return defaultHashWait, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, api.Errorf(api.Invalid, "Invalid wait time")
	}
	return min(max(d, 0), maxHashWait), nil
}

// contentHash tells definitions of services apart.
func contentHash(s *api.LocalService) (string, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), nil
}

// healthByID sums up one service.
func (a *Agent) healthByID(_ context.Context, who caller, q *api.LocalHealthArgs) (*api.LocalHealth, error) {
	row := a.local.service(q.Service)
	if row == nil {
		return nil, healthAnswer(q, api.NotFound, "ServiceId "+q.Service+" not found", nil)
	}
	if err := who.mustService(acl.Read, row.Service); err != nil {
		return nil, err
	}
	h := a.health(row)
	return h, healthAnswer(q, healthKinds[h.AggregatedStatus], h.AggregatedStatus, h)
}

// healthByName sums up all services with a name; the worst of them decides.
func (a *Agent) healthByName(_ context.Context, who caller, q *api.LocalHealthArgs) ([]*api.LocalHealth, error) {
	if err := who.mustService(acl.Read, q.Service); err != nil {
		return nil, err
	}
	rows, _ := a.local.rows()
	out := []*api.LocalHealth{}
	worst := api.Passing
	for _, s := range rows {
		if s.Service == q.Service {
			h := a.health(s)
			worst = worse(worst, h.AggregatedStatus)
			out = append(out, h)
		}
	}
	if len(out) == 0 {
		return nil, healthAnswer(q, api.NotFound, "ServiceName "+q.Service+" Not Found", out)
	}
	slices.SortFunc(out, func(x, y *api.LocalHealth) int { return strings.Compare(x.Service.ID, y.Service.ID) })
	return out, healthAnswer(q, healthKinds[worst], worst, out)
}

// maintenance is the state of what was taken out of service.
const maintenance = "maintenance"

// healthKinds gives each state its error; passing has none.
var healthKinds = map[string]api.ErrorKind{
	api.Warning: api.TooMany, api.Critical: api.Unavailable, maintenance: api.Unavailable,
}

// healthAnswer makes the state the status of the answer: an error with the same
// body, or the word alone for who wants text.
func healthAnswer(q *api.LocalHealthArgs, kind api.ErrorKind, word string, detail any) error {
	text := q.Format == "text" || strings.HasPrefix(q.Accept, "text/plain")
	switch {
	case word == api.Passing && !text:
		return nil
	case word == api.Passing:
		return &api.Error{Kind: api.Plain, Msg: word}
	case text:
		detail = nil
	}
	return &api.Error{Kind: kind, Msg: word, Detail: detail}
}

// health sums up a service: its checks and those of the node.
func (a *Agent) health(s *api.Service) *api.LocalHealth {
	h := &api.LocalHealth{AggregatedStatus: api.Passing, Service: a.show(s), Checks: []*api.Check{}}
	_, checks := a.local.rows()
	for _, c := range checks {
		if c.ServiceID != "" && c.ServiceID != s.ID {
			continue
		}
		status := c.Status
		if c.CheckID == api.NodeMaintenance || strings.HasPrefix(c.CheckID, api.ServiceMaintenance) {
			status = maintenance
		}
		h.AggregatedStatus = worse(h.AggregatedStatus, status)
		h.Checks = append(h.Checks, c)
	}
	slices.SortFunc(h.Checks, func(x, y *api.Check) int { return strings.Compare(x.CheckID, y.CheckID) })
	return h
}

// worse returns the worse of two states.
func worse(a, b string) string {
	order := []string{api.Passing, api.Warning, api.Critical, maintenance}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}
