package api

import (
	"fmt"
	"strings"
	"time"
)

// The kinds of checks, as CheckRegistration.Type names them.
const (
	CheckTTL       = "ttl"        // others tell the state, in time
	CheckHTTP      = "http"       // an HTTP request
	CheckTCP       = "tcp"        // a connection, plain or TLS
	CheckUDP       = "udp"        // a datagram
	CheckGRPC      = "grpc"       // the gRPC health protocol
	CheckH2PING    = "h2ping"     // an HTTP/2 ping
	CheckDocker    = "docker"     // a command in a container
	CheckOSService = "os_service" // a service of the operating system
	CheckScript    = "script"     // a command on this machine
	CheckAlias     = "alias"      // the checks of another service or node
)

// CheckRegistration is a check as clients ("agent/check/register") and
// configuration files define it on an agent. Read it with DecodeRelaxed.
type CheckRegistration struct {
	ID        string `json:",omitempty"` // of the check on its node; empty: CheckID, else Name
	CheckID   string `json:",omitempty"` // the name of ID in checks inside a service registration
	Name      string `json:",omitempty"`
	Notes     string `json:",omitempty"` // for people
	ServiceID string `json:",omitempty"` // a service of this agent; empty: a check of the node
	Status    string `json:",omitempty"` // the first state; empty: critical
	Token     string `json:",omitempty"` // from files only: used to write the check to the catalog

	Interval ReadableDuration `json:",omitempty"` // between the end of a probe and the next; for all kinds but TTL and alias
	Timeout  ReadableDuration `json:",omitempty"` // of a probe; 0: 10 s, or 30 s for commands
	TTL      ReadableDuration `json:",omitempty"` // within which the next update must come

	// DeregisterCriticalServiceAfter removes the service when the check has been
	// critical for longer; 0: never. See ReapAfter.
	DeregisterCriticalServiceAfter ReadableDuration `json:",omitempty"`

	OutputMaxSize int `json:",omitempty"` // bytes; 0: the limit of the agent, which it can only lower

	CheckProbe
	CheckThresholds
	Tenancy
}

// CheckProbe says what a check looks at; at most one kind may be given.
type CheckProbe struct {
	CommandProbe
	HTTPProbe
	TCP       string `json:",omitempty"` // host:port
	TCPUseTLS bool   `json:",omitempty"`
	UDP       string `json:",omitempty"` // host:port
	OSService string `json:",omitempty"`
	GRPCProbe
	AliasNode    string `json:",omitempty"` // empty: this node
	AliasService string `json:",omitempty"` // ID of a service; empty: the checks of the node itself

	TLSSkipVerify bool   `json:",omitempty"` // for HTTP, TCP, GRPC and H2PING with TLS
	TLSServerName string `json:",omitempty"` // empty: the host that is probed
}

// CommandProbe runs a command: exit code 0 is passing, 1 warning, anything else
// critical.
type CommandProbe struct {
	Script            string   `json:",omitempty"`                    // for a shell
	Args              []string `json:",omitempty" alias:"ScriptArgs"` // without a shell; not together with Script
	DockerContainerID string   `json:",omitempty"`                    // runs the command in this container
	Shell             string   `json:",omitempty"`                    // for Script in a container; empty: $SHELL, else /bin/sh
}

// HTTPProbe requests a URL: 2xx is passing, 429 warning, anything else critical.
type HTTPProbe struct {
	HTTP             string              `json:",omitempty"`
	Header           map[string][]string `json:",omitempty"` // Host sets the name that is asked for
	Method           string              `json:",omitempty"` // empty: GET
	Body             string              `json:",omitempty"`
	DisableRedirects bool                `json:",omitempty"` // takes the status of a redirect as it is
}

// GRPCProbe asks over HTTP/2.
type GRPCProbe struct {
	GRPC         string `json:",omitempty"` // host:port, or host:port/service
	GRPCUseTLS   bool   `json:",omitempty"`
	H2PING       string `json:",omitempty"` // host:port
	H2PingUseTLS *bool  `json:",omitempty"` // nil: true
}

// CheckThresholds say when results count. TTL and alias checks have none.
type CheckThresholds struct {
	SuccessBeforePassing   int `json:",omitempty"` // results in a row that end a failure; 0 and 1: the first
	FailuresBeforeWarning  int `json:",omitempty"` // results in a row until warning; 0: as FailuresBeforeCritical
	FailuresBeforeCritical int `json:",omitempty"` // results in a row until critical; 0 and 1: the first
}

// Key is the ID of the check on its node.
func (c *CheckRegistration) Key() string {
	switch {
	case c.ID != "":
		return c.ID
	case c.CheckID != "":
		return c.CheckID
	}
	return c.Name
}

// minReap is the shortest time after which a critical service is removed.
const minReap = time.Minute

// ReapAfter is how long the check may be critical before its service is removed;
// 0: for ever. Spans below a minute count as a minute.
func (c *CheckRegistration) ReapAfter() time.Duration {
	if c.DeregisterCriticalServiceAfter <= 0 {
		return 0
	}
	return max(minReap, time.Duration(c.DeregisterCriticalServiceAfter))
}

// PingUsesTLS is H2PingUseTLS with its default.
func (p *GRPCProbe) PingUsesTLS() bool { return p.H2PingUseTLS == nil || *p.H2PingUseTLS }

// Type is the kind of check: one of the words above, or empty when none is given.
func (c *CheckRegistration) Type() string {
	if kinds := c.kinds(); len(kinds) > 0 {
		return kinds[0]
	}
	return ""
}

// RunsCommand reports whether the check runs a command, which an agent must allow.
func (p *CommandProbe) RunsCommand() bool { return p.Script != "" || len(p.Args) > 0 }

func (c *CheckRegistration) kinds() []string {
	docker := c.DockerContainerID != ""
	var kinds []string
	for _, k := range []struct {
		name  string
		given bool
	}{
		{CheckTTL, c.TTL != 0},
		{CheckHTTP, c.HTTP != ""},
		{CheckTCP, c.TCP != ""},
		{CheckUDP, c.UDP != ""},
		{CheckGRPC, c.GRPC != ""},
		{CheckDocker, docker},
		{CheckOSService, c.OSService != ""},
		{CheckScript, c.RunsCommand() && !docker},
		{CheckH2PING, c.H2PING != ""},
		{CheckAlias, c.AliasNode != "" || c.AliasService != ""},
	} {
		if k.given {
			kinds = append(kinds, k.name)
		}
	}
	return kinds
}

// Validate refuses, with the documented texts, what check/register cannot take.
// It needs nothing but the definition: whether commands are allowed and whether
// the service exists is for the agent to say.
func (c *CheckRegistration) Validate() error {
	if c.Name == "" {
		return Errorf(Invalid, "Missing check name")
	}
	if !ValidCheckStatus(c.Status) {
		return Errorf(Invalid, "Bad check status")
	}
	if err := c.Tenancy.Validate(); err != nil {
		return err
	}
	if err := c.ValidateProbe(); err != nil {
		return Errorf(Invalid, "Invalid check: %v", err)
	}
	return nil
}

// ValidCheckStatus reports whether s may be the first state of a check; empty
// stands for critical.
func ValidCheckStatus(s string) bool {
	switch s {
	case "", Passing, Warning, Critical:
		return true
	}
	return false
}

// ValidateProbe refuses probes and rules that make no sense, with texts to be put
// behind words like "Invalid check: ". The error has the kind Invalid.
func (c *CheckRegistration) ValidateProbe() error {
	kinds := c.kinds()
	var reason string
	switch {
	case c.Interval > 0 && c.TTL > 0:
		reason = "Interval and TTL cannot both be specified"
	case len(kinds) > 1:
		reason = fmt.Sprintf("only one kind of check may be given, not %s", strings.Join(kinds, " and "))
	case c.Script != "" && len(c.Args) > 0:
		reason = "Script and Args cannot both be specified"
	case len(kinds) == 0, kinds[0] == CheckTTL && c.TTL < 0:
		reason = "TTL must be > 0 for TTL checks"
	case kinds[0] == CheckDocker && !c.RunsCommand():
		reason = "Args must be given for Docker checks"
	case kinds[0] == CheckAlias && c.Interval != 0:
		reason = "Interval cannot be set for Alias checks"
	case kinds[0] != CheckAlias && kinds[0] != CheckTTL && c.Interval <= 0:
		reason = "Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks"
	case c.OutputMaxSize < 0:
		reason = "MaxOutputMaxSize must be positive"
	case c.FailuresBeforeWarning > c.FailuresBeforeCritical:
		reason = "FailuresBeforeWarning can't be higher than FailuresBeforeCritical"
	default:
		return nil
	}
	return Errorf(Invalid, "%s", reason)
}
