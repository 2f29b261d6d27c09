package check

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"curia/api"
)

// Result is what a check found: a state (api.Passing, api.Warning or
// api.Critical) and what to show for it.
type Result struct{ Status, Output string }

// Checker is one check at work. Run blocks until ctx ends, whose error it
// returns, and calls report for each result that counts, also when it is the same
// as the last. Run is called once at a time.
type Checker interface {
	Run(ctx context.Context, report func(Result)) error
}

// Options are the settings that the checks of a node share. The zero value
// refuses commands and has the documented defaults.
type Options struct {
	Scripts       ScriptRule
	OutputMaxSize int          // bytes of output to keep; 0: 4096
	DockerHost    string       // unix:///path or tcp://host:port; empty: $DOCKER_HOST, else unix:///var/run/docker.sock
	UserAgent     string       // of HTTP and gRPC; empty: "Consul Health Check"
	TLS           *tls.Config  // what definitions may not say: roots, a certificate of our own; nil: the system's roots
	Aliased       AliasSource  // for alias checks
	Log           *slog.Logger // nil: nowhere
}

// Limits of all checks ("Checks", "Interval" and "Timeout").
const (
	MinInterval          = time.Second
	DefaultOutputMaxSize = 4096 // bytes

	probeTimeout   = 10 * time.Second
	commandTimeout = 30 * time.Second

	defaultUserAgent = "Consul Health Check"
)

// ScriptRule says who may define checks that run commands on this machine or in
// its containers ("enable_script_checks", "enable_local_script_checks").
type ScriptRule uint8

// The rules for commands.
const (
	NoScripts        ScriptRule = iota
	ScriptsFromFiles            // of the configuration alone
	AllScripts                  // of the API, too
)

// Origin is where a definition comes from.
type Origin uint8

// The origins of definitions.
const (
	FromAPI Origin = iota
	FromFile
)

// Permit refuses a definition that runs a command where the rule forbids it,
// with the kind Rejected.
func (r ScriptRule) Permit(def *api.CheckRegistration, from Origin) error {
	switch {
	case !def.RunsCommand(), r == AllScripts, r == ScriptsFromFiles && from == FromFile:
		return nil
	case from == FromAPI:
		return api.Errorf(api.Rejected, "Scripts are disabled on this agent from remote calls; "+
			"to enable, configure 'enable_script_checks' to true")
	}
	return api.Errorf(api.Rejected, "Scripts are disabled on this agent; "+
		"to enable, configure 'enable_script_checks' or 'enable_local_script_checks' to true")
}

// New makes a check from a definition that has passed Validate or ValidateProbe.
// It refuses commands that opts.Scripts forbids (Rejected), and kinds that this
// system does not have (Invalid). An interval below MinInterval is raised to it,
// with a warning in the log. TTL checks are of the type *TTL.
func New(def *api.CheckRegistration, from Origin, opts Options) (Checker, error) {
	if err := opts.Scripts.Permit(def, from); err != nil {
		return nil, err
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.Log = opts.Log.With("check", def.Key())
	opts.UserAgent = cmp.Or(opts.UserAgent, defaultUserAgent)
	opts.OutputMaxSize = cmp.Or(max(opts.OutputMaxSize, 0), DefaultOutputMaxSize)
	if def.OutputMaxSize > 0 {
		opts.OutputMaxSize = min(def.OutputMaxSize, opts.OutputMaxSize)
	}
	switch def.Type() {
	case api.CheckTTL:
		return newTTL(def, opts), nil
	case api.CheckAlias:
		return newAlias(def, opts)
	case api.CheckScript:
		return newPeriodic(def, opts, newScript(def, opts), commandTimeout), nil
	case api.CheckDocker:
		p, err := newDocker(def, opts)
		if err != nil {
			return nil, err
		}
		return newPeriodic(def, opts, p, commandTimeout), nil
	case api.CheckHTTP:
		return newPeriodic(def, opts, newHTTP(def, opts), probeTimeout), nil
	case api.CheckTCP:
		return newPeriodic(def, opts, newTCP(def, opts), probeTimeout), nil
	case api.CheckUDP:
		return newPeriodic(def, opts, &udpProbe{addr: def.UDP}, probeTimeout), nil
	case api.CheckGRPC:
		return newPeriodic(def, opts, newGRPC(def, opts), probeTimeout), nil
	case api.CheckH2PING:
		return newPeriodic(def, opts, newH2Ping(def, opts), probeTimeout), nil
	case api.CheckOSService:
		return nil, api.Errorf(api.Invalid, "Invalid check: OSService checks are not implemented on this system")
	}
	return nil, api.Errorf(api.Invalid, "Check type is not valid")
}

// tlsConfig is for one probe of a definition.
func (o *Options) tlsConfig(def *api.CheckRegistration) *tls.Config {
	cfg := o.TLS.Clone()
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg.InsecureSkipVerify = def.TLSSkipVerify
	cfg.ServerName = def.TLSServerName
	return cfg
}
