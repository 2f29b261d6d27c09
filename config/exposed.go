package config

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// warnExposed speaks of addresses for clients that other machines reach, while
// nothing asks those for a token, and of rules that are not held against anybody.
func (c *Config) warnExposed(p *problems) {
	if c.ACL.DefaultPolicy == "deny" && !c.ACL.Enabled {
		p.warn("acl.default_policy is deny, but ACLs are off, so that everything is allowed: set acl { enabled = true }, or leave default_policy out.")
	}
	a := c.Addresses
	api := append(exposed(a.HTTP, c.Ports.HTTP), exposed(a.HTTPS, c.Ports.HTTPS)...)
	dns := exposed(a.DNS, c.Ports.DNS)
	switch {
	case len(api)+len(dns) == 0, c.ACL.Enabled && c.ACL.DefaultPolicy == "deny":
		return
	case c.ACL.Enabled:
		p.warn("%s can be reached from other machines, and acl.default_policy is allow: "+
			"without a token everything is allowed that no rule forbids; "+
			`set acl { default_policy = "deny" }, or bind to loopback with client_addr = "127.0.0.1".`, strings.Join(append(api, dns...), ", "))
		return
	}
	const remedy = `enable ACLs with acl { enabled = true default_policy = "deny" }, or bind to loopback with client_addr = "127.0.0.1".`
	if len(dns) > 0 && len(api) == 0 {
		p.warn("DNS on %s can be reached from other machines, and ACLs are off: everybody may look up nodes and services; "+remedy, strings.Join(dns, ", "))
		return
	}
	may := "everybody may read and change everything"
	if c.CheckRules.EnableScripts {
		may += ", and run commands here, because of enable_script_checks"
	}
	p.warn("the API on %s can be reached from other machines, and ACLs are off: %s; "+remedy, strings.Join(api, ", "), may)
}

// exposed lists the listeners that other machines reach. Sockets of files have
// permissions of their own.
func exposed(addrs Addrs, port int) []string {
	var out []string
	for _, addr := range addrs {
		ip, err := netip.ParseAddr(addr)
		if err == nil && port >= 0 && !ip.IsLoopback() {
			out = append(out, net.JoinHostPort(addr, strconv.Itoa(port)))
		}
	}
	return out
}
