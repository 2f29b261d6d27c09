package bearer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"curia/api"
)

// Config is the Config of an auth method of type jwt ("JWT Auth Method"). Just
// one of JWTValidationPubKeys, JWKSURL and OIDCDiscoveryURL is given.
type Config struct {
	JWTValidationPubKeys []string // public keys or certificates in PEM
	JWKSURL              string
	JWKSCACert           string // authorities to trust for JWKSURL, in PEM; empty: those of the system
	OIDCDiscoveryURL     string // the issuer; its .well-known/openid-configuration tells of the keys
	OIDCDiscoveryCACert  string
	// JWTSupportedAlgs are the algorithms that may have signed; empty: RS256, or
	// those that suit JWTValidationPubKeys.
	JWTSupportedAlgs []string
	// BoundAudiences are the audiences of which a token must have one. Without them
	// a token must be for no audience.
	BoundAudiences []string
	BoundIssuer    string // empty: any
	// ClaimMappings give claims that have one value a name, ListClaimMappings those
	// that have several. A claim that begins with a slash is a JSON pointer.
	ClaimMappings, ListClaimMappings map[string]string
	// Leeways of the times of a token. 0 means 150 s, of ClockSkewLeeway 60 s;
	// negative ones none.
	ExpirationLeeway, NotBeforeLeeway, ClockSkewLeeway api.ReadableDuration
}

// Method is a configuration that was checked. It is immutable.
type Method struct {
	cfg  Config
	algs []jose.SignatureAlgorithm
	keys []jose.JSONWebKey // that were given
	from *source           // where the others are; nil: nowhere
}

// algorithms are those of public keys.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
}

// Parse checks a configuration. It looks at nothing but the text.
func Parse(config []byte) (*Method, error) {
	m := &Method{}
	if len(config) == 0 {
		config = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m.cfg); err != nil {
		return nil, fmt.Errorf("%w; an auth method of type jwt knows %s", err, strings.Join(fieldNames(), ", "))
	}
	given := 0
	for _, is := range []bool{len(m.cfg.JWTValidationPubKeys) > 0, m.cfg.JWKSURL != "", m.cfg.OIDCDiscoveryURL != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, fmt.Errorf("exactly one of JWTValidationPubKeys, JWKSURL and OIDCDiscoveryURL must be set for type jwt, not %d", given)
	}
	for _, text := range m.cfg.JWTValidationPubKeys {
		key, err := publicKey(text)
		if err != nil {
			return nil, fmt.Errorf("JWTValidationPubKeys: %w", err)
		}
		m.keys = append(m.keys, jose.JSONWebKey{Key: key})
	}
	var err error
	switch {
	case m.cfg.JWKSURL != "":
		m.from, err = newSource("JWKSURL", m.cfg.JWKSURL, m.cfg.JWKSCACert)
	case m.cfg.OIDCDiscoveryURL != "":
		m.from, err = newSource("OIDCDiscoveryURL", m.cfg.OIDCDiscoveryURL, m.cfg.OIDCDiscoveryCACert)
	}
	if err != nil {
		return nil, err
	}
	if err := m.chooseAlgorithms(); err != nil {
		return nil, err
	}
	if err := checkMappings("ClaimMappings", m.cfg.ClaimMappings); err != nil {
		return nil, err
	}
	return m, checkMappings("ListClaimMappings", m.cfg.ListClaimMappings)
}

func fieldNames() []string {
	var out []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		out = append(out, f.Name)
	}
	return out
}

// publicKey reads a public key or a certificate in PEM.
func publicKey(text string) (crypto.PublicKey, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("one of the keys is not one block of PEM: give a PUBLIC KEY or a CERTIFICATE in each element")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	default:
		return nil, fmt.Errorf("%s is no public key: give a PUBLIC KEY or a CERTIFICATE", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", block.Type, err)
	}
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return key, nil
	}
	return nil, fmt.Errorf("a key of type %T cannot verify: give one for RSA, ECDSA or Ed25519", key)
}

// chooseAlgorithms takes those that the configuration names, or the usual ones.
func (m *Method) chooseAlgorithms() error {
	for _, name := range m.cfg.JWTSupportedAlgs {
		if !slices.Contains(algorithms, jose.SignatureAlgorithm(name)) {
			return fmt.Errorf("JWTSupportedAlgs: unknown algorithm %q: use some of %v", name, algorithms)
		}
		m.algs = append(m.algs, jose.SignatureAlgorithm(name))
	}
	if len(m.algs) > 0 {
		return nil
	}
	for _, k := range m.keys {
		m.algs = append(m.algs, usual(k.Key))
	}
	if len(m.keys) == 0 {
		m.algs = []jose.SignatureAlgorithm{jose.RS256}
	}
	return nil
}

// usual is the algorithm that a key is mostly used with.
func usual(key crypto.PublicKey) jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 384:
			return jose.ES384
		case 521:
			return jose.ES512
		}
		return jose.ES256
	case ed25519.PublicKey:
		return jose.EdDSA
	}
	return jose.RS256
}

// checkMappings wants every claim to have a name of its own.
func checkMappings(field string, mappings map[string]string) error {
	claims := map[string]string{}
	for _, claim := range slices.Sorted(maps.Keys(mappings)) {
		name := mappings[claim]
		if claim == "" || name == "" {
			return fmt.Errorf("%s: the claim %q is mapped to the name %q: neither may be empty", field, claim, name)
		}
		if other, taken := claims[name]; taken {
			return fmt.Errorf("%s: the claims %q and %q are both mapped to %q: give each a name of its own", field, other, claim, name)
		}
		claims[name] = claim
	}
	return nil
}

// Values are the names of claims with one value, sorted.
func (m *Method) Values() []string { return slices.Sorted(maps.Values(m.cfg.ClaimMappings)) }

// Lists are the names of claims with several values, sorted.
func (m *Method) Lists() []string { return slices.Sorted(maps.Values(m.cfg.ListClaimMappings)) }

// newSource checks where keys are fetched from.
func newSource(field, address, ca string) (*source, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s is no address: give one that begins with https:// or http://", field)
	}
	s := &source{address: address, discovers: field == "OIDCDiscoveryURL", ca: ca}
	if ca == "" {
		return s, nil
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM([]byte(ca)) {
		return nil, fmt.Errorf("%sCACert has no certificate in PEM", strings.TrimSuffix(field, "URL"))
	}
	return s, nil
}

// leeway is what a setting means: 0 is the default, negative is none.
func leeway(set api.ReadableDuration, byDefault time.Duration) time.Duration {
	switch d := time.Duration(set); {
	case d == 0:
		return byDefault
	case d < 0:
		return 0
	default:
		return d
	}
}
