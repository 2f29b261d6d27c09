package agent

import (
	"fmt"

	"curia/api"
	"curia/check"
)

// Configure takes over the services and checks of configuration files: those
// that were in the files before and are not any more go, the others keep their
// state. When a definition is wrong nothing changes. It may be called at any
// time.
func (a *Agent) Configure(services []*api.ServiceDefinition, checks []*api.CheckRegistration) error {
	a.registering.Lock()
	defer a.registering.Unlock()
	a.restoreServices()
	keepServices, keepChecks, err := a.examine(services, checks)
	if err != nil {
		return err
	}
	for _, id := range a.local.servicesFromFiles(keepServices) {
		a.removeService(id)
	}
	for _, def := range services {
		if err := a.registerService(def, check.FromFile, false); err != nil {
			return fmt.Errorf("service %q: %w", def.ID, err)
		}
		a.unsave(serviceFile(def.ID))
	}
	for _, def := range checks {
		a.saveCheck(a.putCheck(def, check.FromFile))
	}
	for _, id := range a.local.checksFromFiles(keepChecks) {
		a.removeCheck(id)
	}
	a.sync.kick()
	return nil
}

// examine finds what is wrong with definitions, and what they name.
func (a *Agent) examine(services []*api.ServiceDefinition, checks []*api.CheckRegistration) (keepServices, keepChecks map[string]bool, err error) {
	keepServices, keepChecks = map[string]bool{}, map[string]bool{}
	for _, def := range services {
		if err := def.Validate(); err != nil {
			return nil, nil, fmt.Errorf("service %q: %w", def.Name, err)
		}
		keepServices[def.ID] = true
		for _, c := range def.AllChecks() {
			keepChecks[c.Key()] = true
			if _, err := check.New(c, check.FromFile, a.checkOptions(c.Token)); err != nil {
				return nil, nil, fmt.Errorf("service %q: check %q: %w", def.ID, c.Key(), err)
			}
		}
	}
	for _, def := range checks {
		if err := def.Validate(); err != nil {
			return nil, nil, fmt.Errorf("check %q: %w", def.Key(), err)
		}
		if def.ServiceID != "" && !keepServices[def.ServiceID] && !a.local.registered(def.ServiceID) {
			return nil, nil, fmt.Errorf("check %q: unknown service %q", def.Key(), def.ServiceID)
		}
		if _, err := check.New(def, check.FromFile, a.checkOptions(def.Token)); err != nil {
			return nil, nil, fmt.Errorf("check %q: %w", def.Key(), err)
		}
		keepChecks[def.Key()] = true
	}
	return keepServices, keepChecks, nil
}

// registered reports whether there is a service that came over the API.
func (l *local) registered(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.services[id]
	return s != nil && s.from == check.FromAPI
}

// servicesFromFiles lists the services that came from files and are not to be kept.
func (l *local) servicesFromFiles(keep map[string]bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for id, s := range l.services {
		if s.from == check.FromFile && !keep[id] {
			out = append(out, id)
		}
	}
	return out
}

// checksFromFiles lists the checks that came from files and are not to be kept.
func (l *local) checksFromFiles(keep map[string]bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for id, c := range l.checks {
		if c.from == check.FromFile && c.def != nil && !keep[id] {
			out = append(out, id)
		}
	}
	return out
}

// live is what can change of a Config while the agent runs. It is replaced as a
// whole.
type live struct {
	node             api.Node
	meta             map[string]string // that agent/self tells
	discard, persist bool              // DiscardOutput, PersistTokens
}

// Adjust takes over what can change while the agent runs: the metadata of the
// node, DiscardOutput and PersistTokens. The rest of the Config is not looked at.
// It may be called at any time.
func (a *Agent) Adjust(next Config) {
	node := a.cfg.Node
	node.Meta = next.Node.Meta
	a.local.adjust(&live{node, next.About.Meta, next.Checks.DiscardOutput, next.PersistTokens})
	a.sync.kick()
}
