package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Pair is a certificate and its private key, both PEM.
type Pair struct{ Cert, Key []byte }

// AuthorityRequest is what an authority is to be.
type AuthorityRequest struct {
	CommonName string // "" = a name with the serial number
	Domain     string
	ClusterID  string // of the SPIFFE trust domain; "" = a random one
	Lifetime   time.Duration
	// Constrain makes the authority unable to vouch for names outside Domain,
	// localhost and Also. Addresses are not constrained.
	Constrain bool
	Also      []string
}

// NewAuthority makes an authority that signs itself, valid from now on.
func NewAuthority(req AuthorityRequest, now time.Time) (Pair, error) {
	if err := checkDomain(req.Domain); err != nil {
		return Pair{}, err
	}
	if req.Lifetime <= 0 {
		return Pair{}, errors.New("make authority: it must be valid for a day at least")
	}
	if len(req.Also) > 0 && !req.Constrain {
		return Pair{}, errors.New("make authority: additional name constraints need the name constraint itself")
	}
	id := req.ClusterID
	if id == "" {
		id = uuid.NewString()
	}
	serial := newSerial()
	name := req.CommonName
	if name == "" {
		name = "Curia Agent CA " + serial.String()
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Curia"}},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(req.Lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: id + "." + req.Domain}},
	}
	if req.Constrain {
		template.PermittedDNSDomainsCritical = true
		template.PermittedDNSDomains = append([]string{req.Domain, "localhost"}, req.Also...)
	}
	return sign(template, nil)
}

// clockSkew is how far the clocks of two machines may differ when a new
// certificate is first shown.
const clockSkew = time.Minute

// Authority issues certificates. It may be used concurrently.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// ParseAuthority takes the certificate and key of an authority that may sign
// others.
func ParseAuthority(p Pair) (*Authority, error) {
	cert, err := parseCertificate(p.Cert)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	key, err := parseKey(p.Key)
	if err != nil {
		return nil, fmt.Errorf("read the authority's key: %w", err)
	}
	if public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, errors.New("the key is not that of the authority's certificate")
	}
	if !cert.IsCA {
		return nil, errors.New("the certificate is not that of an authority")
	}
	return &Authority{cert, key}, nil
}

// NotAfter is when the authority, and with it all that it issued, expires.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

// Role is who a certificate is for.
type Role string

const (
	// ForServer is for agents that are servers: whoever has such a
	// certificate may become one.
	ForServer Role = "server"
	// ForClient is for client agents.
	ForClient Role = "client"
	// ForCLI is for people and programs that ask agents over HTTPS.
	ForCLI Role = "cli"
)

// Request is what a certificate is to be.
type Request struct {
	Role       Role
	Datacenter string
	Domain     string
	Node       string // servers only: also for <node>.server.<datacenter>.<domain>; "" = not
	Lifetime   time.Duration
	DNSNames   []string // further ones
	IPs        []net.IP // further ones
}

// Issue makes a certificate that is valid from now on. Those of agents may
// be shown by who connects and by who accepts; those for the CLI by who connects alone.
func (a *Authority) Issue(req Request, now time.Time) (Pair, error) {
	fail := func(format string, args ...any) (Pair, error) {
		return Pair{}, fmt.Errorf("issue a certificate: "+format, args...)
	}
	if err := checkDomain(req.Domain); err != nil {
		return Pair{}, err
	}
	switch {
	case !isLabel(req.Datacenter):
		return fail("datacenter %q must be letters, digits, dashes and underscores", req.Datacenter)
	case req.Node != "" && !isLabel(req.Node):
		return fail("node %q must be letters, digits, dashes and underscores", req.Node)
	case req.Node != "" && req.Role != ForServer:
		return fail("only certificates of servers name a node")
	case req.Lifetime <= 0:
		return fail("it must be valid for a day at least")
	case now.After(a.cert.NotAfter):
		return fail("the authority has expired on %s; make a new one", a.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	name := string(req.Role) + "." + req.Datacenter + "." + req.Domain
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(req.Lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames:     append([]string{name, "localhost"}, req.DNSNames...),
		IPAddresses:  req.IPs,
		// Whoever takes this for an authority shall be told better.
		BasicConstraintsValid: true,
	}
	if req.Role != ForCLI {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		template.IPAddresses = append([]net.IP{net.IPv4(127, 0, 0, 1)}, req.IPs...)
	}
	if req.Node != "" {
		template.DNSNames = append([]string{req.Node + "." + name}, template.DNSNames...)
	}
	out, err := sign(template, a)
	if err != nil {
		return Pair{}, err
	}
	return out, a.wouldBelieve(out, template)
}

// wouldBelieve finds names that the constraints of the authority exclude:
// everybody would refuse such a certificate.
func (a *Authority) wouldBelieve(p Pair, template *x509.Certificate) error {
	cert, err := parseCertificate(p.Cert)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: template.NotBefore.Add(clockSkew), KeyUsages: template.ExtKeyUsage}); err != nil {
		return fmt.Errorf("issue a certificate for %s: nobody would believe it: %w", names(template), err)
	}
	return nil
}

// sign makes a key and the certificate for it, signed by an authority or, nil, by itself.
func sign(template *x509.Certificate, by *Authority) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make a key: %w", err)
	}
	if by == nil {
		by = &Authority{template, key}
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return Pair{}, fmt.Errorf("sign a certificate for %s: %w", template.Subject.CommonName, err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("encode a key: %w", err)
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}, nil
}

// newSerial is a positive number of 127 random bits.
func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// isLabel reports whether text can stand between the dots of a name.
func isLabel(text string) bool { return label.MatchString(text) }

var label = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

func checkDomain(domain string) error {
	for part := range strings.SplitSeq(domain, ".") {
		if !isLabel(part) {
			return fmt.Errorf("domain %q must be a name such as \"consul\", without dots at its ends", domain)
		}
	}
	return nil
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it does not begin with a PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// parseKey reads a private key in any of the forms that PEM files have.
func parseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default: // the parameters of a curve, a certificate
			continue
		}
		if err != nil {
			return nil, err
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	return nil, errors.New("there is no private key in PEM without a passphrase in it")
}
