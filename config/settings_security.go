package config

import "time"

// Security is who may do what, and how connections are protected.
type Security struct {
	ACL ACL
	TLS TLS
}

// ACL are the rules about tokens and permissions.
type ACL struct {
	Enabled bool
	// DefaultPolicy (allow or deny) decides where no rule speaks; DownPolicy
	// (allow, deny, extend-cache or async-cache) when tokens cannot be resolved.
	DefaultPolicy          string
	DownPolicy             string
	TokenTTL               time.Duration // of resolved tokens in the cache
	PolicyTTL              time.Duration
	RoleTTL                time.Duration
	EnableKeyListPolicy    bool
	EnableTokenReplication bool
	EnableTokenPersistence bool // tokens set through the API survive a restart
	Tokens                 Tokens
	LegacyDatacenter       string // acl_datacenter; "" unless set
}

// Tokens are secret IDs; "" = none. What stands in for one that is not there is
// for the agent to know: tokens can be set while it runs.
type Tokens struct {
	InitialManagement string // made a management token by the first leader
	Default           string // of requests that bring none
	Agent             string // of the agent's own work
	AgentRecovery     string // known to this agent alone, even without servers
	Replication       string
	ConfigFileService string // of services registered from files
	DNS               string
}

func aclSettings() []Setting {
	return []Setting{
		{Key: "acl.enabled", field: func(c *Config) any { return &c.ACL.Enabled }, Doc: "Guard the API with ACLs."},
		{Key: "acl.default_policy", Aliases: []string{"acl_default_policy"}, Default: "allow", field: func(c *Config) any { return &c.ACL.DefaultPolicy }, Doc: "allow or deny: the answer where no rule speaks."},
		{Key: "acl.down_policy", Aliases: []string{"acl_down_policy"}, Default: "extend-cache", field: func(c *Config) any { return &c.ACL.DownPolicy }, Doc: "allow, deny, extend-cache or async-cache: what to do when tokens cannot be resolved."},
		{Key: "acl.token_ttl", Aliases: []string{"acl_ttl"}, Default: 30 * time.Second, field: func(c *Config) any { return &c.ACL.TokenTTL }, Doc: "How long resolved tokens are cached."},
		{Key: "acl.policy_ttl", Aliases: []string{"acl_ttl"}, Default: 30 * time.Second, field: func(c *Config) any { return &c.ACL.PolicyTTL }, Doc: "How long resolved policies are cached."},
		{Key: "acl.role_ttl", Aliases: []string{"acl_ttl"}, Default: 30 * time.Second, field: func(c *Config) any { return &c.ACL.RoleTTL }, Doc: "How long resolved roles are cached."},
		{Key: "acl.enable_key_list_policy", Aliases: []string{"acl_enable_key_list_policy"}, field: func(c *Config) any { return &c.ACL.EnableKeyListPolicy }, Doc: "Listing keys needs the `list` permission."},
		{Key: "acl.enable_token_replication", Aliases: []string{"enable_acl_replication"}, field: func(c *Config) any { return &c.ACL.EnableTokenReplication }, Doc: "Copy tokens, too, from the primary datacenter, and have local ones."},
		{Key: "acl.enable_token_persistence", Reload: true, field: func(c *Config) any { return &c.ACL.EnableTokenPersistence }, Doc: "Keep tokens that were set through the API."},
		{Key: "acl.msp_disable_bootstrap", Kind: Bool, Status: Accepted, Doc: "Of an edition that Curia does not have."},
		{Key: "acl.tokens.initial_management", Aliases: []string{"acl.tokens.master", "acl_master_token"}, Secret: true, Reload: true, field: func(c *Config) any { return &c.ACL.Tokens.InitialManagement }, Doc: "Token with all permissions that the first leader makes; nobody can bootstrap then."},
		{Key: "acl.tokens.default", Aliases: []string{"acl_token"}, Secret: true, Reload: true, field: func(c *Config) any { return &c.ACL.Tokens.Default }, Doc: "Token of requests that bring none."},
		{Key: "acl.tokens.agent", Aliases: []string{"acl_agent_token"}, Secret: true, Reload: true, field: func(c *Config) any { return &c.ACL.Tokens.Agent }, Doc: "Token of the agent's own work. `acl.tokens.default` unless set."},
		{Key: "acl.tokens.agent_recovery", Aliases: []string{"acl.tokens.agent_master", "acl_agent_master_token"}, Secret: true, Reload: true, field: func(c *Config) any { return &c.ACL.Tokens.AgentRecovery }, Doc: "Token that this agent obeys even when no server can be asked."},
		{Key: "acl.tokens.replication", Aliases: []string{"acl_replication_token"}, Secret: true, Reload: true, field: func(c *Config) any { return &c.ACL.Tokens.Replication }, Doc: "Token with which servers copy policies, roles and tokens from the primary datacenter."},
		{Key: "acl.tokens.config_file_service_registration", Secret: true, Reload: true, field: func(c *Config) any { return &c.ACL.Tokens.ConfigFileService }, Doc: "Token of services and checks from files that bring none. `acl.tokens.default` unless set."},
		{Key: "acl.tokens.dns", Secret: true, Reload: true, field: func(c *Config) any { return &c.ACL.Tokens.DNS }, Doc: "Token of DNS questions. `acl.tokens.default` unless set."},
		{Key: "acl.tokens.managed_service_provider", Kind: Blocks, Secret: true, Status: Accepted, Doc: "Of an edition that Curia does not have."},
		{Key: "acl_datacenter", field: func(c *Config) any { return &c.ACL.LegacyDatacenter }, Doc: "Older way to say `primary_datacenter` and `acl.enabled` at once."},
		{Key: "acl_enforce_version_8", Kind: Bool, Default: true, Status: Accepted, Doc: "Enforcement for nodes, sessions, agents and events. Always on."},
	}
}

// TLS are the certificates per listener. After Load, what a listener leaves out it has from Defaults.
type TLS struct {
	Defaults    TLSListener
	InternalRPC TLSListener
	HTTPS       TLSListener
	GRPC        TLSListener
	ServerName  string
}

// TLSListener is one side of TLS: files are PEM, "" = none.
type TLSListener struct {
	CAFile, CAPath       string
	CertFile, KeyFile    string
	MinVersion           string // TLSv1_0 to TLSv1_3; "" = the library's choice
	CipherSuites         string // comma-separated
	VerifyIncoming       bool
	VerifyOutgoing       bool
	VerifyServerHostname bool
	UseAutoCert          bool
}

// listener returns the part of t that a group of the tls object is about.
func (t *TLS) listener(group string) *TLSListener {
	switch group {
	case "internal_rpc":
		return &t.InternalRPC
	case "https":
		return &t.HTTPS
	case "grpc":
		return &t.GRPC
	}
	return &t.Defaults
}

// tlsGroups are the parts of the tls object; what the first says holds for the others too.
var tlsGroups = []string{"defaults", "internal_rpc", "https", "grpc"}

func tlsSettings() []Setting {
	rows := []Setting{
		{Key: "server_name", Reload: true, field: func(c *Config) any { return &c.TLS.ServerName }, Doc: "Name that this agent's certificates should carry: a warning says when one does not."},
		{Key: "tls_prefer_server_cipher_suites", Kind: Bool, Status: Removed, Doc: "The server's preference always wins."},
	}
	for _, group := range tlsGroups {
		rows = append(rows, tlsListenerSettings(group)...)
	}
	return append(rows,
		Setting{Key: "tls.internal_rpc.verify_server_hostname", Aliases: []string{"verify_server_hostname", "tls.defaults.verify_server_hostname"}, Reload: true, field: func(c *Config) any { return &c.TLS.InternalRPC.VerifyServerHostname }, Doc: "Servers must have a certificate for `server.<datacenter>.<domain>`."},
		Setting{Key: "tls.grpc.use_auto_cert", Reload: true, Status: Accepted, field: func(c *Config) any { return &c.TLS.GRPC.UseAutoCert }, Doc: "Serve gRPC with the certificate from auto_encrypt."},
	)
}

// tlsListenerSettings returns the rows that every group has, in the same order for all.
func tlsListenerSettings(group string) []Setting {
	at := func(c *Config) *TLSListener { return c.TLS.listener(group) }
	rows := []Setting{
		{Key: "ca_file", field: func(c *Config) any { return &at(c).CAFile }, Doc: "Certificates of the authorities that are trusted."},
		{Key: "ca_path", field: func(c *Config) any { return &at(c).CAPath }, Doc: "Directory of such certificates."},
		{Key: "cert_file", field: func(c *Config) any { return &at(c).CertFile }, Doc: "Certificate of this agent."},
		{Key: "key_file", field: func(c *Config) any { return &at(c).KeyFile }, Doc: "Private key of that certificate."},
		{Key: "tls_min_version", field: func(c *Config) any { return &at(c).MinVersion }, Doc: "TLSv1_0, TLSv1_1, TLSv1_2 or TLSv1_3."},
		{Key: "tls_cipher_suites", field: func(c *Config) any { return &at(c).CipherSuites }, Doc: "Cipher suites up to TLS 1.2, separated by commas."},
		{Key: "verify_incoming", field: func(c *Config) any { return &at(c).VerifyIncoming }, Doc: "Demand a certificate from who connects."},
		{Key: "verify_outgoing", field: func(c *Config) any { return &at(c).VerifyOutgoing }, Doc: "Use TLS, and check the certificate of whom we connect to."},
	}
	for i := range rows {
		s := &rows[i]
		s.Aliases = tlsAliases[group+"."+s.Key]
		s.Status, s.Reload = tlsStatus(group, s.Key), true
		s.Key = "tls." + group + "." + s.Key
	}
	return rows
}

// tlsStatus: there is no gRPC for proxies, and agents connect to nobody over HTTPS.
func tlsStatus(group, key string) Status {
	if group == "grpc" || group == "https" && key == "verify_outgoing" {
		return Accepted
	}
	return Effective
}

// tlsAliases are the flat keys of versions that had one listener's worth of settings for all.
var tlsAliases = map[string][]string{
	"defaults.ca_file":             {"ca_file"},
	"defaults.ca_path":             {"ca_path"},
	"defaults.cert_file":           {"cert_file"},
	"defaults.key_file":            {"key_file"},
	"defaults.tls_min_version":     {"tls_min_version"},
	"defaults.tls_cipher_suites":   {"tls_cipher_suites"},
	"defaults.verify_incoming":     {"verify_incoming"},
	"defaults.verify_outgoing":     {"verify_outgoing"},
	"internal_rpc.verify_incoming": {"verify_incoming_rpc"},
	"https.verify_incoming":        {"verify_incoming_https"},
}
