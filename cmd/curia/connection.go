package main

import (
	"cmp"

	"curia/api"
	"curia/client"
)

// connectionFlags say which agent to ask, and as whom.
var connectionFlags = []flagFunc{
	textFlag("http-addr", "`ADDRESS` of the agent: host:port, http://…, https://… or unix://path. Default 127.0.0.1:8500, or CONSUL_HTTP_ADDR."),
	textFlag("token", "ACL `TOKEN` of the request. Default CONSUL_HTTP_TOKEN."),
	textFlag("token-file", "`FILE` with the token; wins over -token. Default CONSUL_HTTP_TOKEN_FILE."),
	textFlag("ca-file", "PEM `FILE` of the authorities to trust under https. Default CONSUL_CACERT."),
	textFlag("ca-path", "`DIRECTORY` of such files. Default CONSUL_CAPATH."),
	textFlag("client-cert", "PEM `FILE` of the certificate to show under https. Default CONSUL_CLIENT_CERT."),
	textFlag("client-key", "PEM `FILE` of its key. Default CONSUL_CLIENT_KEY."),
	textFlag("tls-server-name", "`NAME` to expect in the certificate of the agent. Default CONSUL_TLS_SERVER_NAME."),
	textFlag("datacenter", "`DATACENTER` to ask. Default: that of the agent."),
	boolFlag("stale", "Let any server answer, at once, from what it knows."),
}

// connect makes the client that the flags and the environment describe. Flags
// win over the environment.
func (c *call) connect() (*client.Client, error) {
	cfg, err := client.FromEnvironment(c.lookupEnv)
	if err != nil {
		return nil, err
	}
	cfg.Address = cmp.Or(c.String("http-addr"), cfg.Address)
	cfg.Token = cmp.Or(c.String("token"), cfg.Token)
	if path := c.String("token-file"); path != "" {
		if cfg.Token, err = client.ReadToken(path); err != nil {
			return nil, err
		}
	}
	cfg.Datacenter = cmp.Or(c.String("datacenter"), cfg.Datacenter)
	cfg.TLS.CAFile = cmp.Or(c.String("ca-file"), cfg.TLS.CAFile)
	cfg.TLS.CAPath = cmp.Or(c.String("ca-path"), cfg.TLS.CAPath)
	cfg.TLS.CertFile = cmp.Or(c.String("client-cert"), cfg.TLS.CertFile)
	cfg.TLS.KeyFile = cmp.Or(c.String("client-key"), cfg.TLS.KeyFile)
	cfg.TLS.ServerName = cmp.Or(c.String("tls-server-name"), cfg.TLS.ServerName)
	if c.Bool("stale") {
		cfg.Consistency = api.Stale
	}
	return client.New(cfg)
}
