package main

import (
	"net/http"
	"net/http/pprof"
	"sync/atomic"

	"curia/api"
	"curia/config"
)

// switches are what others turn while the agent runs.
type switches struct {
	reloads chan chan<- error // who asks for a reload, and waits for its end
	debug   atomic.Bool       // profiles are served
	limits  atomic.Pointer[config.Limits]
}

func newSwitches(cfg *config.Config) *switches {
	s := &switches{reloads: make(chan chan<- error)}
	s.debug.Store(cfg.Log.EnableDebug)
	s.limits.Store(&cfg.Limits)
	return s
}

// profiles looks into the process, when enable_debug allows it. The command line
// is not shown: flags may hold secrets.
func (n *node) profiles(w http.ResponseWriter, r *http.Request, req *api.Request) error {
	if !n.debug.Load() {
		return api.Errorf(api.NotFound, "profiles are not served: set enable_debug in the configuration of the agent")
	}
	if err := n.agent.Authorize(req); err != nil {
		return err
	}
	switch req.Args.(*api.ProfileArgs).Profile {
	case "cmdline":
		return api.Errorf(api.NotFound, "the command line is not shown")
	case "profile":
		pprof.Profile(w, r)
	case "trace":
		pprof.Trace(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	default:
		pprof.Index(w, r)
	}
	return nil
}
