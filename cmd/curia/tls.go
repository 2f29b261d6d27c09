package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"curia/certs"
)

var tlsCommands = []command{
	{
		name: "tls ca create",
		line: "Make a certificate authority.",
		help: `Two files are written here, with the domain in their names: the certificate, which
every agent needs as ca_file, and the key, which is needed to issue certificates and
belongs in a safe place. Files that exist are never overwritten.

Example:

    $ curia tls ca create
    ==> Saved consul-agent-ca.pem
    ==> Saved consul-agent-ca-key.pem`,
		flags: flags(
			domainFlag,
			daysFlag(1825),
			textFlag("common-name", "`NAME` of the authority. Default: one with its serial number."),
			textFlag("cluster-id", "`ID` of the cluster, for the authority's SPIFFE name. Default: a random one."),
			boolFlag("name-constraint", "Make an authority that can vouch for names of the domain and localhost alone."),
			listFlag("additional-name-constraint", "`DOMAIN` that the authority can vouch for, too; with -name-constraint. May be repeated."),
		),
		run: tlsCreateAuthority,
	},
	{
		name: "tls cert create",
		line: "Make a certificate for a server, for a client agent or for the command line.",
		help: `The authority's two files must be here, or be named with -ca and -key. The
certificate and its key are written here, to files named after the datacenter, the
role and the domain, with the next number that is free.

The certificate of a server is for the name server.DATACENTER.DOMAIN: whoever has it
can become a server and read everything, so keep it on servers.

Example:

    $ curia tls cert create -server
    ==> Using consul-agent-ca.pem and consul-agent-ca-key.pem
    ==> Saved dc1-server-consul-0.pem
    ==> Saved dc1-server-consul-0-key.pem`,
		flags: flags(
			boolFlag("server", "Make a certificate for a server."),
			boolFlag("client", "Make a certificate for a client agent."),
			boolFlag("cli", "Make a certificate for the command line: it can be shown, not served."),
			textFlag("dc", "`DATACENTER` of the agent. Default dc1."),
			domainFlag,
			textFlag("node", "`NAME` of the server, for a certificate that also says NAME.server.DATACENTER.DOMAIN."),
			daysFlag(365),
			listFlag("additional-dnsname", "`NAME` that the certificate is for, too; localhost is one. May be repeated."),
			listFlag("additional-ipaddress", "`ADDRESS` that the certificate is for, too; 127.0.0.1 is one of agents. May be repeated."),
			textFlag("ca", "`FILE` with the certificate of the authority. Default DOMAIN-agent-ca.pem."),
			textFlag("key", "`FILE` with the key of the authority. Default DOMAIN-agent-ca-key.pem."),
		),
		run: tlsCreateCertificate,
	},
}

var domainFlag = flagOf(cli.StringFlag{Name: "domain", Value: "consul", Usage: "`DOMAIN` of the cluster, as the setting domain has it. Default consul."})

func daysFlag(n int) flagFunc {
	return flagOf(cli.IntFlag{Name: "days", Value: n, Usage: fmt.Sprintf("`NUMBER` of days until it expires. Default %d.", n)})
}

// lifetime is -days, at most what a Duration can say.
func (c *call) lifetime() (time.Duration, error) {
	const most = 290 * 365
	n := c.Int("days")
	if n < 1 || n > most {
		return 0, fmt.Errorf("%s: -days cannot be %d: use 1 to %d", words(c.Command), n, most)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

func tlsCreateAuthority(_ context.Context, c *call) error {
	lifetime, err := c.lifetime()
	if err != nil {
		return err
	}
	domain := c.String("domain")
	pair, err := certs.NewAuthority(certs.AuthorityRequest{
		CommonName: c.String("common-name"), Domain: domain, ClusterID: c.String("cluster-id"), Lifetime: lifetime,
		Constrain: c.Bool("name-constraint"), Also: c.StringSlice("additional-name-constraint"),
	}, time.Now())
	if err != nil {
		return err
	}
	return c.savePair(domain+"-agent-ca", pair)
}

func tlsCreateCertificate(_ context.Context, c *call) error {
	req, err := c.certificateRequest()
	if err != nil {
		return err
	}
	caFile, keyFile := c.String("ca"), c.String("key")
	if caFile == "" {
		caFile = req.Domain + "-agent-ca.pem"
	}
	if keyFile == "" {
		keyFile = req.Domain + "-agent-ca-key.pem"
	}
	authority, err := readAuthority(caFile, keyFile)
	if err != nil {
		return err
	}
	now := time.Now()
	pair, err := authority.Issue(req, now)
	if err != nil {
		return err
	}
	if req.Role == certs.ForServer {
		c.warn("whoever has the certificate of a server can become one and read all that the cluster knows: keep it on servers, as safe as the authority's key.")
	}
	if now.Add(req.Lifetime).After(authority.NotAfter()) {
		c.warn("the authority expires on %s, and with it this certificate before its own time.", authority.NotAfter().UTC().Format(time.DateOnly))
	}
	c.printf("==> Using %s and %s\n", caFile, keyFile)
	return c.savePair(freeName(fmt.Sprintf("%s-%s-%s", req.Datacenter, req.Role, req.Domain)), pair)
}

// certificateRequest reads the flags of a certificate.
func (c *call) certificateRequest() (certs.Request, error) {
	lifetime, err := c.lifetime()
	if err != nil {
		return certs.Request{}, err
	}
	req := certs.Request{Datacenter: c.String("dc"), Domain: c.String("domain"), Node: c.String("node"), Lifetime: lifetime, DNSNames: c.StringSlice("additional-dnsname")}
	if req.Datacenter == "" {
		req.Datacenter = "dc1"
	}
	for _, role := range []certs.Role{certs.ForServer, certs.ForClient, certs.ForCLI} {
		if !c.Bool(string(role)) {
			continue
		}
		if req.Role != "" {
			return req, fmt.Errorf("%s: give one of -server, -client and -cli, not several", words(c.Command))
		}
		req.Role = role
	}
	if req.Role == "" {
		return req, fmt.Errorf("%s: say who it is for with -server, -client or -cli", words(c.Command))
	}
	for _, text := range c.StringSlice("additional-ipaddress") {
		ip := net.ParseIP(text)
		if ip == nil {
			return req, fmt.Errorf("%s: -additional-ipaddress: %q is not an IP address; names belong into -additional-dnsname", words(c.Command), text)
		}
		req.IPs = append(req.IPs, ip)
	}
	return req, nil
}

// warn tells people something that programs need not read.
func (c *call) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, "==> WARNING: "+format+"\n", args...)
}

func readAuthority(caFile, keyFile string) (*certs.Authority, error) {
	cert, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w; make an authority with \"tls ca create\", or name its file with -ca", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w; name its file with -key", err)
	}
	authority, err := certs.ParseAuthority(certs.Pair{Cert: cert, Key: key})
	if err != nil {
		return nil, fmt.Errorf("%s and %s are not an authority: %w", caFile, keyFile, err)
	}
	return authority, nil
}

// freeName adds the first number that no certificate or key has.
func freeName(base string) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", base, i)
		_, cert := os.Lstat(name + ".pem")
		_, key := os.Lstat(name + "-key.pem")
		if cert != nil && key != nil { // what else is wrong, writing them will tell
			return name
		}
	}
}

// savePair writes name.pem and name-key.pem, neither over a file that exists.
func (c *call) savePair(name string, pair certs.Pair) error {
	certFile, keyFile := name+".pem", name+"-key.pem"
	if err := saveNew(certFile, pair.Cert, 0o644); err != nil {
		return err
	}
	if err := saveNew(keyFile, pair.Key, 0o600); err != nil {
		_ = os.Remove(certFile) // one without the other is of no use
		return err
	}
	c.printf("==> Saved %s\n==> Saved %s\n", certFile, keyFile)
	return nil
}

func saveNew(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if os.IsExist(err) {
		return fmt.Errorf("%s exists already; move it away first: it is never overwritten", path)
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("save %s: %w", path, err)
	}
	return nil
}
