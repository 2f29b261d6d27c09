package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/go-sockaddr/template"
)

// carrierNAT is private in effect: RFC 6598.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// completeAddresses expands templates, fills in what follows from other
// addresses, and checks that what remains are addresses of the right kind.
func (c *Config) completeAddresses(h host, p *problems) {
	a := &c.Addresses
	for _, one := range []struct {
		key      string
		ip       *string
		fallback string
	}{
		{"bind_addr", &a.Bind, ""},
		{"advertise_addr", &a.Advertise, ""},
		{"advertise_addr_wan", &a.AdvertiseWAN, ""},
		{"advertise_addr_ipv4", &a.Tagged.IPv4, ""},
		{"advertise_addr_ipv6", &a.Tagged.IPv6, ""},
		{"advertise_addr_wan_ipv4", &a.Tagged.WANIPv4, ""},
		{"advertise_addr_wan_ipv6", &a.Tagged.WANIPv6, ""},
		{"serf_lan", &a.SerfLAN, "bind_addr"},
		{"serf_wan", &a.SerfWAN, "bind_addr"},
	} {
		if one.fallback != "" && *one.ip == "" {
			*one.ip = a.Bind
		}
		*one.ip = p.oneIP(one.key, *one.ip)
	}
	a.Client = p.addrs("client_addr", a.Client)
	for _, face := range []struct {
		key  string
		list *Addrs
	}{{"dns", &a.DNS}, {"http", &a.HTTP}, {"https", &a.HTTPS}, {"grpc", &a.GRPC}} {
		if len(*face.list) == 0 {
			*face.list = slices.Clone(a.Client)
			continue
		}
		*face.list = p.addrs("addresses."+face.key, *face.list)
	}
	if len(p.errs) > 0 {
		return
	}
	c.completeAdvertise(h, p)
	if len(p.errs) == 0 {
		c.completeTagged()
	}
	for i, r := range c.Join.Retry {
		c.Join.Retry[i] = p.expand("retry_join", r)
	}
}

func (c *Config) completeAdvertise(h host, p *problems) {
	a := &c.Addresses
	if a.Bind == "" {
		a.Bind = "0.0.0.0"
	}
	switch {
	case a.Advertise != "":
	case a.Bind != "0.0.0.0" && a.Bind != "::":
		a.Advertise = a.Bind
	default:
		a.Advertise = p.onlyAddress(h, a.Bind)
	}
	if a.AdvertiseWAN == "" {
		a.AdvertiseWAN = a.Advertise
	}
	for _, ip := range []string{a.Advertise, a.AdvertiseWAN} {
		if ip == "0.0.0.0" || ip == "::" {
			p.fail("advertise address cannot be %s: nobody can connect to it", ip)
			return
		}
	}
}

// onlyAddress picks the address to advertise when the agent listens
// everywhere: the private IPv4 address of the host, or for "::" its public
// IPv6 address. When there are several, guessing would be worse than asking.
func (p *problems) onlyAddress(h host, bind string) string {
	all, err := h.addresses()
	if err != nil {
		p.fail("advertise_addr: %w", err)
		return ""
	}
	kind, fits := "private IPv4", func(ip netip.Addr) bool {
		return ip.Is4() && (ip.IsPrivate() || carrierNAT.Contains(ip))
	}
	if bind == "::" {
		kind, fits = "public IPv6", func(ip netip.Addr) bool {
			return ip.Is6() && ip.IsGlobalUnicast() && !ip.IsPrivate()
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(ip netip.Addr) bool { return !fits(ip) })
	switch len(all) {
	case 0:
		p.fail("No %s address found", kind)
	case 1:
		return all[0].String()
	default:
		p.fail("Multiple %s addresses found. Please configure one with 'bind' and/or 'advertise'.", kind)
	}
	return ""
}

// completeTagged lists the node's addresses by tag, as the catalog shows
// them. What was configured wins over what follows from other settings.
func (c *Config) completeTagged() {
	a := c.Addresses
	tags := map[string]string{"lan": a.Advertise, "wan": a.AdvertiseWAN}
	for tag, ip := range map[string]string{"lan": a.Advertise, "wan": a.AdvertiseWAN} {
		if addr, err := netip.ParseAddr(ip); err == nil && addr.Is4() {
			tags[tag+"_ipv4"] = ip
		} else if err == nil {
			tags[tag+"_ipv6"] = ip
		}
	}
	for tag, ip := range map[string]string{"lan_ipv4": a.Tagged.IPv4, "lan_ipv6": a.Tagged.IPv6, "wan_ipv4": a.Tagged.WANIPv4, "wan_ipv6": a.Tagged.WANIPv6} {
		if ip != "" {
			tags[tag] = ip
		}
	}
	for tag, ip := range c.Node.TaggedAddresses {
		tags[tag] = ip
	}
	c.Node.TaggedAddresses = tags
}

// expand evaluates a go-sockaddr template such as {{ GetPrivateIP }}.
func (p *problems) expand(key, text string) string {
	if !strings.Contains(text, "{{") {
		return strings.TrimSpace(text)
	}
	out, err := template.Parse(text)
	if err != nil {
		p.fail("%s: evaluate %q: %w", key, text, err)
		return ""
	}
	if out = strings.TrimSpace(out); out == "" {
		p.fail("%s: %q gives no address on this host", key, text)
	}
	return out
}

// oneIP checks a setting that must be a single IP address, or empty.
func (p *problems) oneIP(key, text string) string {
	failed := len(p.errs)
	ips := strings.Fields(p.expand(key, text))
	if len(ips) == 0 || len(p.errs) > failed {
		return ""
	}
	if len(ips) > 1 {
		p.fail("%s cannot contain multiple addresses: %q", key, ips)
		return ""
	}
	ip, err := netip.ParseAddr(strings.Trim(ips[0], "[]"))
	if err != nil {
		p.fail("%s %q is not an IP address", key, ips[0])
		return ""
	}
	return ip.Unmap().String()
}

// addrs checks a list of IP addresses and socket paths.
func (p *problems) addrs(key string, texts Addrs) Addrs {
	var out Addrs
	for _, text := range texts {
		for _, addr := range strings.Fields(p.expand(key, text)) {
			if path, ok := strings.CutPrefix(addr, "unix://"); ok {
				if path == "" || !strings.HasPrefix(key, "addresses.http") {
					p.fail("%s %q: only addresses.http and addresses.https may be sockets, with a path", key, addr)
				}
				out = append(out, addr)
				continue
			}
			if ip := p.oneIP(key, addr); ip != "" {
				out = append(out, ip)
			}
		}
	}
	if len(out) == 0 {
		p.fail("%s cannot be empty", key)
	}
	return out
}
