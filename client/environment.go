package client

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Prefixes of the environment variables, the one that wins first.
var prefixes = []string{"CURIA_", "CONSUL_"}

// FromEnvironment reads the configuration that the environment variables of
// the command line describe: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN,
// CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_AUTH, CONSUL_HTTP_SSL,
// CONSUL_HTTP_SSL_VERIFY, CONSUL_CACERT, CONSUL_CAPATH, CONSUL_CLIENT_CERT,
// CONSUL_CLIENT_KEY, CONSUL_TLS_SERVER_NAME and CONSUL_DATACENTER. Each has a
// twin that begins with CURIA_ and wins over it. Empty variables count as
// missing. The lookup is os.LookupEnv.
func FromEnvironment(lookup func(string) (string, bool)) (Config, error) {
	e := environment{lookup: lookup}
	cfg := Config{
		Address:    e.text("HTTP_ADDR"),
		BasicAuth:  e.text("HTTP_AUTH"),
		Datacenter: e.text("DATACENTER"),
		Token:      e.text("HTTP_TOKEN"),
		TLS: TLS{
			Enabled:    e.truth("HTTP_SSL", false),
			CAFile:     e.text("CACERT"),
			CAPath:     e.text("CAPATH"),
			CertFile:   e.text("CLIENT_CERT"),
			KeyFile:    e.text("CLIENT_KEY"),
			ServerName: e.text("TLS_SERVER_NAME"),
			SkipVerify: !e.truth("HTTP_SSL_VERIFY", true),
		},
	}
	if path := e.text("HTTP_TOKEN_FILE"); path != "" {
		token, err := ReadToken(path)
		e.err = cmp.Or(e.err, err)
		cfg.Token = cmp.Or(token, cfg.Token)
	}
	return cfg, e.err
}

// ReadToken reads a token from a file, without the white space around it.
func ReadToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// environment looks variables up and keeps the first error.
type environment struct {
	lookup func(string) (string, bool)
	err    error
}

// find gives the value of a variable and its full name.
func (e *environment) find(name string) (value, full string) {
	for _, prefix := range prefixes {
		if v, ok := e.lookup(prefix + name); ok && v != "" {
			return v, prefix + name
		}
	}
	return "", ""
}

func (e *environment) text(name string) string {
	value, _ := e.find(name)
	return value
}

func (e *environment) truth(name string, otherwise bool) bool {
	value, full := e.find(name)
	if value == "" {
		return otherwise
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		e.err = cmp.Or(e.err, fmt.Errorf("environment variable %s: %q is neither true nor false", full, value))
		return otherwise
	}
	return b
}
