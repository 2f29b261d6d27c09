package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t *testing.T, p Pair) *x509.Certificate {
	t.Helper()
	c, err := parseCertificate(p.Cert)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAuthority(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	pair, err := NewAuthority(AuthorityRequest{Domain: "consul", Lifetime: 24 * time.Hour, ClusterID: "c1", Constrain: true, Also: []string{"example.com"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	c := mustParse(t, pair)
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	got := []any{c.IsCA, ok && key.Curve.Params().Name == "P-256", c.NotAfter.Equal(now.Add(24 * time.Hour)), c.URIs[0].String(),
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains, strings.HasPrefix(c.Subject.CommonName, "Curia Agent CA "), len(c.SubjectKeyId) > 0}
	want := []any{true, true, true, "spiffe://c1.consul", true, []string{"consul", "localhost", "example.com"}, true, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("authority (-want +got):\n%s", diff)
	}
	again, err := NewAuthority(AuthorityRequest{Domain: "consul", Lifetime: time.Hour, CommonName: "mine"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if c2 := mustParse(t, again); c2.SerialNumber.Cmp(c.SerialNumber) == 0 || c2.Subject.CommonName != "mine" || c2.PermittedDNSDomains != nil {
		t.Errorf("second authority: got serial %s, name %q, constraints %q", c2.SerialNumber, c2.Subject.CommonName, c2.PermittedDNSDomains)
	}
	other, err := NewAuthority(AuthorityRequest{Domain: "consul", Lifetime: time.Hour}, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseAuthority(Pair{pair.Cert, other.Key}); fmt.Sprint(err) != "the key is not that of the authority's certificate" {
		t.Errorf("an authority with another's key: got %v", err)
	}
}

func TestIssue(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	pair, err := NewAuthority(AuthorityRequest{Domain: "consul", Lifetime: 24 * time.Hour, Constrain: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ParseAuthority(pair)
	if err != nil {
		t.Fatal(err)
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, c := range []struct {
		req   Request
		names string
		uses  []x509.ExtKeyUsage
	}{
		{Request{Role: ForServer}, "server.dc1.consul, localhost, 127.0.0.1", both},
		{Request{Role: ForServer, Node: "n1"}, "n1.server.dc1.consul, server.dc1.consul, localhost, 127.0.0.1", both},
		{Request{Role: ForClient, DNSNames: []string{"web.consul"}, IPs: []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("::1")}},
			"client.dc1.consul, localhost, web.consul, 127.0.0.1, 10.0.0.1, ::1", both},
		{Request{Role: ForCLI}, "cli.dc1.consul, localhost", []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	} {
		c.req.Datacenter, c.req.Domain, c.req.Lifetime = "dc1", "consul", time.Hour
		pair, err := ca.Issue(c.req, now)
		if err != nil {
			t.Errorf("issue %+v: %v", c.req, err)
			continue
		}
		got := mustParse(t, pair)
		if diff := cmp.Diff([]any{c.names, c.uses, now.Add(time.Hour), false}, []any{names(got), got.ExtKeyUsage, got.NotAfter.Local(), got.IsCA}); diff != "" {
			t.Errorf("issue %+v (-want +got):\n%s", c.req, diff)
		}
	}
	for _, c := range []struct {
		req  Request
		now  time.Time
		want string
	}{
		{Request{Role: ForCLI, Node: "n1", Domain: "consul", Datacenter: "dc1", Lifetime: 1}, now, "only certificates of servers name a node"},
		{Request{Role: ForCLI, Domain: "consul", Lifetime: 1}, now, `datacenter "" must be letters`},
		{Request{Role: ForServer, Domain: "consul", Datacenter: "dc1", Node: "a/b", Lifetime: 1}, now, `node "a/b" must be letters`},
		{Request{Role: ForCLI, Domain: "consul", Datacenter: "dc1"}, now, "it must be valid for a day at least"},
		{Request{Role: ForCLI, Domain: ".", Datacenter: "dc1", Lifetime: 1}, now, `domain "." must be a name`},
		{Request{Role: ForCLI, Domain: "consul", Datacenter: "dc1", Lifetime: 1}, now.Add(48 * time.Hour), "the authority has expired on"},
		{Request{Role: ForServer, Domain: "example", Datacenter: "dc1", Lifetime: time.Hour}, now, "nobody would believe it"},
	} {
		if _, err := ca.Issue(c.req, c.now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("issue %+v: got %v, want %q", c.req, err, c.want)
		}
	}
}
