package config

import "time"

// Agent is what this one agent is.
type Agent struct {
	Node        Node
	Mode        Mode
	Leave       Leave
	Log         Log
	Process     Process
	CheckRules  CheckRules
	Definitions Definitions
}

// Node is the agent's identity in the catalog.
type Node struct {
	Name          string            // never empty; the host name unless set
	ID            string            // UUID, lower case; "" = kept in, or made for, the data directory
	DisableHostID bool              // a new ID is random, not derived from the host
	Meta          map[string]string // may be nil
	// Datacenter and PrimaryDatacenter are lower case and never empty.
	Datacenter        string
	PrimaryDatacenter string
	// Domain and AltDomain are lower case and end in a dot; AltDomain may be "".
	Domain    string
	AltDomain string
	DataDir   string // "" only with -dev: nothing is kept
	// TaggedAddresses has at least lan and wan.
	TaggedAddresses   map[string]string
	TranslateWANAddrs bool
}

// Mode is the part that the agent plays.
type Mode struct {
	Dev    bool // a server that keeps nothing on disk and elects itself
	Server bool // false = client agent
	// Bootstrap: elect itself when there is no raft state yet. Also true for bootstrap_expect = 1 and -dev.
	Bootstrap bool
	// BootstrapExpect is how many servers to wait for before the first election; 0 or at least 2.
	BootstrapExpect int
	// ReadReplica: a server that keeps a copy and never votes.
	ReadReplica bool
}

// Leave is how the agent goes away. The defaults of a server keep it a member, those of a client do not.
type Leave struct {
	OnTerminate     bool // SIGTERM leaves
	SkipOnInterrupt bool // SIGINT does not
}

// Process is about the operating system's process.
type Process struct {
	PIDFile    string // "" = none
	AutoReload bool
	Files      []string // that the configuration was read from, and directories of them
}

func agentSettings() []Setting {
	return []Setting{
		{Key: "node_name", Flag: "node", field: func(c *Config) any { return &c.Node.Name }, Doc: "Name of this node, unique in the datacenter. The host name unless set."},
		{Key: "node_id", Flag: "node-id", field: func(c *Config) any { return &c.Node.ID }, Doc: "UUID of this node. Made once and kept in the data directory unless set."},
		{Key: "disable_host_node_id", Flag: "disable-host-node-id", Default: true, Status: Accepted, field: func(c *Config) any { return &c.Node.DisableHostID }, Doc: "Make a random node ID, rather than one derived from the host."},
		{Key: "node_meta", Flag: "node-meta", Reload: true, field: func(c *Config) any { return &c.Node.Meta }, Doc: "Metadata of this node: up to 64 pairs."},
		{Key: "datacenter", Flag: "datacenter", FlagAliases: []string{"dc"}, Default: "dc1", field: func(c *Config) any { return &c.Node.Datacenter }, Doc: "Datacenter of this agent."},
		{Key: "primary_datacenter", field: func(c *Config) any { return &c.Node.PrimaryDatacenter }, Doc: "Datacenter that holds the ACLs. The agent's own unless set."},
		{Key: "domain", Flag: "domain", Default: "consul.", field: func(c *Config) any { return &c.Node.Domain }, Doc: "Domain that is answered over DNS."},
		{Key: "alt_domain", Flag: "alt-domain", field: func(c *Config) any { return &c.Node.AltDomain }, Doc: "Second domain that is answered over DNS."},
		{Key: "data_dir", Flag: "data-dir", field: func(c *Config) any { return &c.Node.DataDir }, Doc: "Directory of everything that must survive a restart. Required without -dev."},
		{Key: "tagged_addresses", field: func(c *Config) any { return &c.Node.TaggedAddresses }, Doc: "Further addresses of this node by tag, beside lan and wan."},
		{Key: "translate_wan_addrs", Status: Accepted, field: func(c *Config) any { return &c.Node.TranslateWANAddrs }, Doc: "Answer questions about other datacenters with WAN addresses."},
		{Key: "server", Flag: "server", field: func(c *Config) any { return &c.Mode.Server }, Doc: "Be a server: hold the state and vote."},
		{Key: "bootstrap", Flag: "bootstrap", field: func(c *Config) any { return &c.Mode.Bootstrap }, Doc: "Be the first server: elect itself at once."},
		{Key: "bootstrap_expect", Flag: "bootstrap-expect", field: func(c *Config) any { return &c.Mode.BootstrapExpect }, Doc: "Number of servers to wait for before the first election."},
		{Key: "leave_on_terminate", field: func(c *Config) any { return &c.Leave.OnTerminate }, Doc: "Leave the cluster on SIGTERM. False on servers, true on clients unless set."},
		{Key: "skip_leave_on_interrupt", field: func(c *Config) any { return &c.Leave.SkipOnInterrupt }, Doc: "Do not leave the cluster on SIGINT. True on servers, false on clients unless set."},
		{Key: "pid_file", Flag: "pid-file", field: func(c *Config) any { return &c.Process.PIDFile }, Doc: "File that holds the process ID while the agent runs."},
		{Key: "auto_reload_config", Flag: "auto-reload-config", field: func(c *Config) any { return &c.Process.AutoReload }, Doc: "Reload when a configuration file changes."},
		{Key: "disable_update_check", Kind: Bool, Doc: "No effect: Curia never looks for updates."},
		{Key: "disable_anonymous_signature", Kind: Bool, Doc: "No effect: Curia never looks for updates."},
	}
}

// Definitions are services, checks and watches as written in files: decoded, but not yet understood.
type Definitions struct {
	Services      []map[string]any
	Checks        []map[string]any
	Watches       []map[string]any
	ConfigEntries []map[string]any // written once by the first leader
}

// CheckRules are the limits of what the checks of this agent may do.
type CheckRules struct {
	EnableScripts      bool // from the API and from files
	EnableLocalScripts bool // from files only
	DisableRemoteExec  bool
	DiscardOutput      bool
	OutputMaxSize      int           // bytes
	UpdateInterval     time.Duration // between syncs of an output that changes while the status does not
}

func definitionSettings() []Setting {
	return []Setting{
		{Key: "services", Aliases: []string{"service"}, Reload: true, field: func(c *Config) any { return &c.Definitions.Services }, Doc: "Services to register on this agent."},
		{Key: "checks", Aliases: []string{"check"}, Reload: true, field: func(c *Config) any { return &c.Definitions.Checks }, Doc: "Checks to register on this agent."},
		{Key: "watches", Reload: true, field: func(c *Config) any { return &c.Definitions.Watches }, Doc: "Queries to watch, and what to run when their answer changes."},
		{Key: "config_entries.bootstrap", Reload: true, Status: Accepted, field: func(c *Config) any { return &c.Definitions.ConfigEntries }, Doc: "Config entries to write when the first leader is elected."},
		{Key: "enable_script_checks", Flag: "enable-script-checks", field: func(c *Config) any { return &c.CheckRules.EnableScripts }, Doc: "Allow checks that run commands, from files and from the API."},
		{Key: "enable_local_script_checks", Flag: "enable-local-script-checks", field: func(c *Config) any { return &c.CheckRules.EnableLocalScripts }, Doc: "Allow checks that run commands, from files only."},
		{Key: "disable_remote_exec", Default: true, field: func(c *Config) any { return &c.CheckRules.DisableRemoteExec }, Doc: "Do not run the commands that `curia exec` sends."},
		{Key: "discard_check_output", Reload: true, field: func(c *Config) any { return &c.CheckRules.DiscardOutput }, Doc: "Do not keep the output of checks."},
		{Key: "check_output_max_size", Flag: "check_output_max_size", Default: 4096, field: func(c *Config) any { return &c.CheckRules.OutputMaxSize }, Doc: "Bytes kept of the output of a check."},
		{Key: "check_update_interval", Default: 5 * time.Minute, field: func(c *Config) any { return &c.CheckRules.UpdateInterval }, Doc: "How long changes of output alone may wait for the next sync."},
	}
}

// Log is where the log goes, and how much of it.
type Log struct {
	Level          string // TRACE, DEBUG, INFO, WARN or ERR
	JSON           bool
	File           string // the time goes before its extension; "" = standard output only
	RotateBytes    int    // 0 = never by size
	RotateDuration time.Duration
	RotateMaxFiles int // 0 = keep all, less = none
	Syslog         bool
	SyslogFacility string // one of SyslogFacilities
	EnableDebug    bool   // serve /debug/pprof
}

// SyslogFacilities are those of syslog, each at its number; "" is not in use.
var SyslogFacilities = []string{
	"KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP", "", "", "", "",
	"LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7",
}

func logSettings() []Setting {
	return []Setting{
		{Key: "log_level", Flag: "log-level", Default: "INFO", Reload: true, field: func(c *Config) any { return &c.Log.Level }, Doc: "TRACE, DEBUG, INFO, WARN or ERR."},
		{Key: "log_json", Flag: "log-json", field: func(c *Config) any { return &c.Log.JSON }, Doc: "Log JSON objects, one per line."},
		{Key: "log_file", Flag: "log-file", field: func(c *Config) any { return &c.Log.File }, Doc: "File to log to, beside standard output: its time is put into its name. A directory when it ends in a slash."},
		{Key: "log_rotate_bytes", Flag: "log-rotate-bytes", field: func(c *Config) any { return &c.Log.RotateBytes }, Doc: "Size at which a new log file is begun; 0: at none."},
		{Key: "log_rotate_duration", Flag: "log-rotate-duration", Default: 24 * time.Hour, field: func(c *Config) any { return &c.Log.RotateDuration }, Doc: "Age at which a new log file is begun; 0: at none."},
		{Key: "log_rotate_max_files", Flag: "log-rotate-max-files", field: func(c *Config) any { return &c.Log.RotateMaxFiles }, Doc: "Number of old log files to keep; 0: all, -1: none."},
		{Key: "enable_syslog", Flag: "syslog", field: func(c *Config) any { return &c.Log.Syslog }, Doc: "Log to syslog too."},
		{Key: "syslog_facility", Default: "LOCAL0", field: func(c *Config) any { return &c.Log.SyslogFacility }, Doc: "Facility of lines sent to syslog."},
		{Key: "enable_debug", Reload: true, field: func(c *Config) any { return &c.Log.EnableDebug }, Doc: "Serve profiles below /debug/pprof."},
	}
}
