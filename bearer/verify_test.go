package bearer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// The keys of the tests.
var (
	rsaKey   = must(rsa.GenerateKey(rand.Reader, 2048))
	otherKey = must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey    = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	edKey    = func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) }()
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// public gives the public half of a key in PEM.
func public(key crypto.Signer) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))}))
}

type claims = map[string]any

// sign makes a token; id names the key unless it is empty.
func sign(alg jose.SignatureAlgorithm, key any, id string, c claims) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil))
	return must(jwt.Signed(signer).Claims(c).Serialize())
}

// method parses a configuration that has to be right.
func method(t *testing.T, config claims) *Method {
	t.Helper()
	m, err := Parse(must(json.Marshal(config)))
	if err != nil {
		t.Fatalf("Parse(%v): %v", config, err)
	}
	return m
}

// wantError wants an error with a text; none when the text is empty.
func wantError(t *testing.T, asked string, err error, text string) {
	t.Helper()
	if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
		t.Errorf("%s\n got %v\nwant %q", asked, err, text)
	}
}

// TestVerifyKeys holds tokens against the keys of a configuration.
func TestVerifyKeys(t *testing.T) {
	good := claims{"nbf": 1, "exp": 1 << 33}
	none := "eyJhbGciOiJub25lIn0.eyJuYmYiOjEsImV4cCI6ODU4OTkzNDU5Mn0."
	secret := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(public(rsaKey))}, nil))
	confused := must(jwt.Signed(secret).Claims(good).Serialize())
	forged := sign(jose.RS256, rsaKey, "", good)
	forged = forged[:len(forged)-6] + "AAAAAA"
	for _, c := range []struct {
		name  string
		keys  []crypto.Signer
		algs  []string
		token string
		want  string
	}{
		{"rsa", []crypto.Signer{rsaKey}, nil, sign(jose.RS256, rsaKey, "", good), ""},
		{"the second key", []crypto.Signer{otherKey, rsaKey}, nil, sign(jose.RS256, rsaKey, "", good), ""},
		{"a name that the key does not have", []crypto.Signer{rsaKey}, nil, sign(jose.RS256, rsaKey, "x", good), ""},
		{"what suits the curve", []crypto.Signer{ecKey}, nil, sign(jose.ES384, ecKey, "", good), ""},
		{"what suits Edwards", []crypto.Signer{edKey}, nil, sign(jose.EdDSA, edKey, "", good), ""},
		{"given algorithm", []crypto.Signer{rsaKey}, []string{"PS512"}, sign(jose.PS512, rsaKey, "", good), ""},
		{"other algorithm", []crypto.Signer{rsaKey}, []string{"RS512"}, sign(jose.RS256, rsaKey, "", good), "not a JWT that was signed with one of [RS512]"},
		{"other key", []crypto.Signer{otherKey}, nil, sign(jose.RS256, rsaKey, "", good), "no known key verifies"},
		{"other kind of key", []crypto.Signer{ecKey}, []string{"RS256"}, sign(jose.RS256, rsaKey, "", good), "no known key verifies"},
		{"no signature", []crypto.Signer{rsaKey}, nil, none, "not a JWT"},
		{"public key as a secret", []crypto.Signer{rsaKey}, nil, confused, "not a JWT"},
		{"forged", []crypto.Signer{rsaKey}, nil, forged, "no known key verifies"},
		{"nonsense", []crypto.Signer{rsaKey}, nil, "nonsense", "not a JWT"},
		{"nothing", []crypto.Signer{rsaKey}, nil, "", "not a JWT"},
		{"too long", []crypto.Signer{rsaKey}, nil, strings.Repeat("a", maxToken+1), "more than 65536"},
		{"no claims", []crypto.Signer{rsaKey}, nil, sign(jose.RS256, rsaKey, "", claims{"exp": "soon"}), "read the claims"},
	} {
		config := claims{}
		var keys []string
		for _, k := range c.keys {
			keys = append(keys, public(k))
		}
		config["JWTValidationPubKeys"], config["JWTSupportedAlgs"] = keys, c.algs
		_, err := NewVerifier().Verify(t.Context(), method(t, config), c.token)
		wantError(t, c.name, err, c.want)
		if err != nil && len(c.token) > 20 && strings.Contains(err.Error(), c.token[:20]) {
			t.Errorf("%s: the error shows the token: %v", c.name, err)
		}
	}
}

// TestVerifyClaims holds tokens against what a configuration binds, one million
// seconds after 1970 and later.
func TestVerifyClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		for _, c := range []struct {
			name   string
			config claims
			token  claims
			want   string
		}{
			{"begins and ends", nil, claims{"iat": now, "nbf": now, "exp": now + 1}, ""},
			{"ends within the skew", nil, claims{"nbf": 1, "exp": now - 60}, ""},
			{"ended", nil, claims{"nbf": 1, "exp": now - 61}, "the token ended at "},
			{"ended, no skew", claims{"ClockSkewLeeway": "-1s"}, claims{"nbf": 1, "exp": now - 1}, "ended"},
			{"begins within the skew", nil, claims{"nbf": now + 60, "exp": now + 100}, ""},
			{"begins later", nil, claims{"nbf": now + 61, "exp": now + 100}, "the token begins at "},
			{"issued in the future", nil, claims{"iat": now + 61, "nbf": 1, "exp": now + 100}, "issued in the future"},
			{"other skew", claims{"ClockSkewLeeway": int64(2 * time.Minute)}, claims{"iat": now + 120, "exp": now + 1000}, ""},
			{"no times", nil, claims{"sub": "x"}, "neither iat, nbf nor exp"},
			{"no end", nil, claims{"iat": now - 210}, ""},
			{"no end, too old", nil, claims{"iat": now - 211}, "ended"},
			{"no end, other leeway", claims{"ExpirationLeeway": "10m"}, claims{"iat": now - 600}, ""},
			{"no end, no leeway", claims{"ExpirationLeeway": "-1s"}, claims{"nbf": now - 61}, "ended"},
			{"only an end", nil, claims{"exp": now + 210}, ""},
			{"only an end, too far", nil, claims{"exp": now + 211}, "begins"},
			{"only an end, other leeway", claims{"NotBeforeLeeway": "1h"}, claims{"exp": now + 3600}, ""},
			{"issuer", claims{"BoundIssuer": "me"}, claims{"iat": now, "iss": "me"}, ""},
			{"other issuer", claims{"BoundIssuer": "me"}, claims{"iat": now, "iss": "you"}, `from "you"`},
			{"no issuer", claims{"BoundIssuer": "me"}, claims{"iat": now}, `from ""`},
			{"audience", claims{"BoundAudiences": []string{"a", "b"}}, claims{"iat": now, "aud": []string{"x", "b"}}, ""},
			{"audience as text", claims{"BoundAudiences": []string{"a"}}, claims{"iat": now, "aud": "a"}, ""},
			{"other audience", claims{"BoundAudiences": []string{"a"}}, claims{"iat": now, "aud": "b"}, `for ["b"], none of which`},
			{"no audience", claims{"BoundAudiences": []string{"a"}}, claims{"iat": now}, "none of which"},
			{"audience that nobody asked for", nil, claims{"iat": now, "aud": "b"}, "has no BoundAudiences"},
		} {
			config := claims{"JWTValidationPubKeys": []string{public(rsaKey)}}
			for k, v := range c.config {
				config[k] = v
			}
			_, err := NewVerifier().Verify(t.Context(), method(t, config), sign(jose.RS256, rsaKey, "", c.token))
			wantError(t, c.name, err, c.want)
		}
	})
}

// TestIdentity takes over claims.
func TestIdentity(t *testing.T) {
	m := method(t, claims{
		"JWTValidationPubKeys": []string{public(rsaKey)},
		"ClaimMappings":        claims{"sub": "subject", "n": "number", "b": "truth", "/org/a~1b/1": "deep", "http://x/y": "url", "none": "none", "/org/x": "nowhere"},
		"ListClaimMappings":    claims{"groups": "groups", "sub": "subjects", "no": "no", "/org/a~1b": "all"},
	})
	if diff := cmp.Diff([]string{"deep", "none", "nowhere", "number", "subject", "truth", "url"}, m.Values()); diff != "" {
		t.Errorf("Values (-want +got):\n%s", diff)
	}
	token := claims{
		"nbf": 1, "exp": 1 << 33, "sub": "web", "n": 12345678901, "b": true, "http://x/y": "z", "secret": "s", "none": nil,
		"groups": []any{"a", 1.5, false}, "org": claims{"a/b": []any{"x", "y"}},
	}
	got, err := NewVerifier().Verify(t.Context(), m, sign(jose.RS256, rsaKey, "", token))
	want := &Identity{
		Values: map[string]string{"subject": "web", "number": "12345678901", "truth": "true", "deep": "y", "url": "z"},
		Lists:  map[string][]string{"groups": {"a", "1.5", "false"}, "subjects": {"web"}, "all": {"x", "y"}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("identity: %v (-want +got):\n%s", err, diff)
	}
	for _, c := range []struct {
		token claims
		want  string
	}{
		{claims{"n": []any{1}}, `the claim "n" is mapped by ClaimMappings but has not one value`},
		{claims{"groups": []any{claims{}}}, `the claim "groups" has an element`},
	} {
		c.token["iat"] = time.Now().Unix()
		_, err := NewVerifier().Verify(t.Context(), m, sign(jose.RS256, rsaKey, "", c.token))
		wantError(t, fmt.Sprint(c.token), err, c.want)
	}
}

// TestParse wants bad configurations to be named.
func TestParse(t *testing.T) {
	key := public(rsaKey)
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(rsaKey))}))
	for config, want := range map[string]string{
		``:                      "not 0",
		`{`:                     "unexpected EOF",
		`[]`:                    "cannot unmarshal array",
		`{}`:                    "exactly one of JWTValidationPubKeys, JWKSURL and OIDCDiscoveryURL must be set for type jwt, not 0",
		`{"Host":"x"}`:          `unknown field "Host"; an auth method of type jwt knows JWTValidationPubKeys, JWKSURL`,
		`{"JWKSURL":"x"}`:       "JWKSURL is no address",
		`{"JWKSURL":"ftp://x"}`: "JWKSURL is no address",
		`{"JWKSURL":"https://x","OIDCDiscoveryURL":"https://y"}`:                                  "not 2",
		`{"jwksurl":"https://x"}`:                                                                 "",
		`{"JWKSURL":"https://x","JWKSCACert":"x"}`:                                                "JWKSCACert has no certificate",
		`{"OIDCDiscoveryURL":"https://x","OIDCDiscoveryCACert":"x"}`:                              "OIDCDiscoveryCACert has no certificate",
		`{"JWTValidationPubKeys":["x"]}`:                                                          "not one block of PEM",
		`{"JWTValidationPubKeys":[` + quoted(key+key) + `]}`:                                      "not one block of PEM",
		`{"JWTValidationPubKeys":[` + quoted(private) + `]}`:                                      "PRIVATE KEY is no public key",
		`{"JWTValidationPubKeys":[` + quoted(strings.Replace(key, "MII", "AII", 1)) + `]}`:        "read PUBLIC KEY",
		`{"JWKSURL":"https://x","JWTSupportedAlgs":["HS256"]}`:                                    `unknown algorithm "HS256": use some of [RS256`,
		`{"JWKSURL":"https://x","JWTSupportedAlgs":["none"]}`:                                     `unknown algorithm "none"`,
		`{"JWKSURL":"https://x","ClaimMappings":{"a":""}}`:                                        `the claim "a" is mapped to the name ""`,
		`{"JWKSURL":"https://x","ListClaimMappings":{"a":"x","b":"x"}}`:                           `ListClaimMappings: the claims "a" and "b" are both mapped to "x"`,
		`{"JWKSURL":"https://x","ExpirationLeeway":"soon"}`:                                       "invalid duration",
		`{"JWKSURL":"https://x","ExpirationLeeway":"5m","NotBeforeLeeway":0,"BoundAudiences":[]}`: "",
	} {
		_, err := Parse([]byte(config))
		wantError(t, config, err, want)
		if err != nil && strings.Contains(config, "PRIVATE KEY") && strings.Contains(err.Error(), private[40:60]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func quoted(text string) string { return string(must(json.Marshal(text))) }

// TestUnreachable tells what is not known from what is refused.
func TestUnreachable(t *testing.T) {
	m := method(t, claims{"JWKSURL": "http://user:hidden@127.0.0.1:1/keys?token=hidden#hidden"})
	_, err := NewVerifier().Verify(t.Context(), m, sign(jose.RS256, rsaKey, "", claims{}))
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || unreachable.Address != "http://127.0.0.1:1/keys" || strings.Contains(err.Error(), "hidden") {
		t.Errorf("got %v, want an UnreachableError without what may be secret", err)
	}
}

// FuzzVerify reads arbitrary configurations and tokens: an error or an identity,
// never a panic, never both.
func FuzzVerify(f *testing.F) {
	good := claims{"nbf": 1, "exp": 1 << 33, "sub": "web", "groups": []string{"a"}}
	config := string(must(json.Marshal(claims{
		"JWTValidationPubKeys": []string{public(edKey), public(ecKey)}, "ClaimMappings": claims{"sub": "name", "/a/0": "b"},
		"ListClaimMappings": claims{"groups": "groups"}, "JWTSupportedAlgs": []string{"EdDSA", "ES384", "RS256"},
	})))
	for _, token := range []string{sign(jose.EdDSA, edKey, "k", good), sign(jose.ES384, ecKey, "", good)} {
		f.Add(config, token)
	}
	f.Add(config, "eyJhbGciOiJub25lIn0.e30.")
	f.Add(`{"JWKSURL":"https://x","JWKSCACert":"x"}`, "a.b.c")
	f.Fuzz(func(t *testing.T, config, token string) {
		m, err := Parse([]byte(config))
		if err != nil || m.from != nil {
			return // nothing is fetched here
		}
		id, err := NewVerifier().Verify(t.Context(), m, token)
		if (id == nil) != (err != nil) {
			t.Errorf("%s\n%s\n got %v, %v; want one of them", config, token, id, err)
		}
	})
}
