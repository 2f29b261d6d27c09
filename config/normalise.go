package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
)

// host is what the configuration takes from the machine it is for.
type host struct {
	name      func() (string, error)
	addresses func() ([]netip.Addr, error)
}

func thisHost() host { return host{name: os.Hostname, addresses: interfaceAddresses} }

func interfaceAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list interface addresses: %w", err)
	}
	var out []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr().Unmap())
		}
	}
	return out, nil
}

// complete brings c from what was given to what holds: first canonical forms
// and everything that depends on other settings or on the host, then the checks.
func (c *Config) complete(h host) (warnings []string, err error) {
	var p problems
	c.completeNode(h, &p)
	c.completeMode(&p)
	c.completeAddresses(h, &p)
	c.completeACL()
	c.completeTLS(&p)
	c.completeRest()
	c.validate(&p)
	c.warnExposed(&p)
	return p.warnings, errors.Join(p.errs...)
}

// problems collects what is wrong, in the order in which it is found.
type problems struct {
	errs     []error
	warnings []string
}

func (p *problems) fail(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("config: "+format, args...))
}

func (p *problems) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf("config: "+format, args...))
}

// dnsLabel is what a node's name must be for DNS to find the node.
var dnsLabel = regexp.MustCompile(`^[a-zA-Z0-9-]{1,63}$`)

func (c *Config) completeNode(h host, p *problems) {
	n := &c.Node
	n.Name = strings.TrimSpace(n.Name)
	if n.Name == "" && !c.isGiven("node_name") {
		name, err := h.name()
		if err != nil {
			p.fail("node_name: ask for the host name: %w", err)
		}
		n.Name = strings.TrimSpace(name)
	}
	if n.Name != "" && !dnsLabel.MatchString(n.Name) {
		p.warn("node name %q cannot be found over DNS: only letters, digits and dashes can, at most 63 of them.", n.Name)
	}
	n.ID = strings.ToLower(strings.TrimSpace(n.ID))
	n.Datacenter = strings.ToLower(n.Datacenter)
	n.Domain = dotted(n.Domain)
	if n.AltDomain != "" {
		n.AltDomain = dotted(n.AltDomain)
	}
}

func dotted(domain string) string { return strings.TrimRight(strings.ToLower(domain), ".") + "." }

// completeMode checks the combinations before it settles them: afterwards
// nobody can tell what was asked for.
func (c *Config) completeMode(p *problems) {
	m := &c.Mode
	switch {
	case m.BootstrapExpect < 0:
		p.fail("bootstrap_expect cannot be %d. Must be greater than or equal to zero", m.BootstrapExpect)
	case m.Dev && m.BootstrapExpect > 1:
		p.fail("'bootstrap_expect > 1' and '-dev' are mutually exclusive: a development server is alone")
	case m.BootstrapExpect > 0 && m.Bootstrap:
		p.fail("'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive")
	case m.BootstrapExpect > 0 && !m.Server:
		p.fail("'bootstrap_expect' requires 'server = true'")
	case m.Bootstrap && !m.Server:
		p.fail("'bootstrap = true' requires 'server = true'")
	case m.ReadReplica && !m.Server:
		p.fail("'read_replica = true' requires 'server = true'")
	case m.ReadReplica && (m.Bootstrap || m.BootstrapExpect > 0 || m.Dev):
		p.fail("'read_replica = true' and a server that forms a cluster ('bootstrap', 'bootstrap_expect', '-dev') are mutually exclusive: it could not lead")
	case m.Dev && !m.Server:
		p.fail("'-dev' requires 'server = true': a development agent is a server")
	case m.BootstrapExpect > 0 && m.BootstrapExpect%2 == 0:
		p.warn("an even number of servers (bootstrap_expect = %d) survives no more failures than one server fewer.", m.BootstrapExpect)
	}
	if m.BootstrapExpect == 1 || m.Dev {
		m.Bootstrap, m.BootstrapExpect = true, 0
	}
	if !c.isGiven("leave_on_terminate") {
		c.Leave.OnTerminate = !m.Server
	}
	if !c.isGiven("skip_leave_on_interrupt") {
		c.Leave.SkipOnInterrupt = m.Server
	}
	switch {
	case m.Dev && c.Node.DataDir != "":
		p.warn("-dev keeps nothing on disk: data_dir %q is ignored.", c.Node.DataDir)
		c.Node.DataDir = ""
	case !m.Dev && c.Node.DataDir == "":
		p.fail("data_dir cannot be empty")
	}
}

// completeACL gives the older settings their meaning in the newer ones.
func (c *Config) completeACL() {
	a, n := &c.ACL, &c.Node
	a.LegacyDatacenter = strings.ToLower(a.LegacyDatacenter)
	if a.LegacyDatacenter != "" && !c.isGiven("acl.enabled") {
		a.Enabled = true
	}
	if n.PrimaryDatacenter == "" {
		n.PrimaryDatacenter = a.LegacyDatacenter
	}
	if n.PrimaryDatacenter == "" {
		n.PrimaryDatacenter = n.Datacenter
	}
	n.PrimaryDatacenter = strings.ToLower(n.PrimaryDatacenter)
}

var tlsVersions = map[string]string{
	"": "", "tls10": "TLSv1_0", "tls11": "TLSv1_1", "tls12": "TLSv1_2", "tls13": "TLSv1_3",
	"TLSv1_0": "TLSv1_0", "TLSv1_1": "TLSv1_1", "TLSv1_2": "TLSv1_2", "TLSv1_3": "TLSv1_3",
}

// completeTLS hands the defaults down to the listeners, key by key.
func (c *Config) completeTLS(p *problems) {
	defaults := tlsListenerSettings("defaults")
	for _, group := range tlsGroups[1:] {
		for i, s := range tlsListenerSettings(group) {
			if !c.isGiven(s.Key) {
				reflect.ValueOf(s.in(c)).Elem().Set(reflect.ValueOf(defaults[i].in(c)).Elem())
			}
		}
	}
	for _, group := range tlsGroups {
		l := c.TLS.listener(group)
		v, ok := tlsVersions[l.MinVersion]
		if !ok {
			p.fail("tls.%s.tls_min_version %q must be TLSv1_0, TLSv1_1, TLSv1_2 or TLSv1_3", group, l.MinVersion)
		}
		l.MinVersion = v
	}
	// A checked host name is worth nothing on connections that may be plain.
	if c.TLS.InternalRPC.VerifyServerHostname {
		c.TLS.InternalRPC.VerifyOutgoing = true
	}
}

func (c *Config) completeRest() {
	c.Log.Level = strings.ToUpper(c.Log.Level)
	c.Log.SyslogFacility = strings.ToUpper(c.Log.SyslogFacility)
	if c.Log.Level == "ERROR" {
		c.Log.Level = "ERR"
	}
	c.Query.DefaultTime = min(c.Query.DefaultTime, c.Query.MaxTime)
	if !c.isGiven("limits.txn_max_req_len") {
		c.Limits.TxnMaxReqLen = max(c.Limits.TxnMaxReqLen, c.Limits.KVMaxValueSize)
	}
	for _, port := range []*int{&c.Ports.DNS, &c.Ports.HTTP, &c.Ports.HTTPS, &c.Ports.GRPC, &c.Ports.GRPCTLS, &c.Ports.SerfWAN} {
		if *port == 0 {
			*port = -1
		}
	}
	c.UI.ContentPath = "/" + strings.Trim(c.UI.ContentPath, "/") + "/"
	if c.UI.Dir != "" {
		c.UI.Enabled = true
	}
}
