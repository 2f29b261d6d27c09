package bearer

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of what is fetched, and of what is kept of it.
const (
	fetchWait  = 10 * time.Second // for one key set, with its discovery
	fetchBytes = 1 << 20          // of one answer
	fetchHops  = 3                // redirections
	keysTTL    = 5 * time.Minute  // that keys are used without asking again
	fetchPause = 10 * time.Second // between two fetches from one source
	maxSources = 256
)

// source is where keys are fetched from.
type source struct {
	address   string
	discovers bool   // address is that of an issuer who tells where the keys are
	ca        string // in PEM; empty: that of the system
	roots     *x509.CertPool
}

// keySet is what a source told.
type keySet struct {
	keys    []jose.JSONWebKey
	fetched time.Time
	err     error // why there are none
}

// UnreachableError says that the keys of a method could not be fetched.
type UnreachableError struct {
	// Address has no password, query or fragment.
	Address string
	Err     error
}

func (e *UnreachableError) Error() string {
	return "fetch keys from " + e.Address + ": " + e.Err.Error()
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Verifier believes tokens, and remembers the keys that it fetched. It may be
// used concurrently. Make one with NewVerifier.
type Verifier struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*cached
}

// cached is what is known of a source. Who holds turn may fetch.
type cached struct {
	turn chan struct{}
	last atomic.Pointer[keySet] // nil: it was never asked
}

// NewVerifier makes a Verifier that knows no keys yet.
func NewVerifier() *Verifier { return &Verifier{known: map[[sha256.Size]byte]*cached{}} }

// of finds what is known of a source.
func (v *Verifier) of(s *source) *cached {
	id := sha256.Sum256(fmt.Appendf(nil, "%t\n%s\n%s", s.discovers, s.address, s.ca))
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.known[id]
	if c == nil {
		if len(v.known) >= maxSources {
			clear(v.known)
		}
		c = &cached{turn: make(chan struct{}, 1)}
		v.known[id] = c
	}
	return c
}

// keys gives the keys of a source, among them the one with an ID if there is
// one. It waits for at most one fetch of somebody else and one of its own.
func (v *Verifier) keys(ctx context.Context, s *source, id string) ([]jose.JSONWebKey, error) {
	c := v.of(s)
	if set := c.last.Load(); set.serves(id, time.Now()) {
		return set.keys, set.err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, &UnreachableError{plain(s.address), ctx.Err()}
	}
	if set := c.last.Load(); set.serves(id, time.Now()) {
		return set.keys, set.err
	}
	keys, err := s.fetch(ctx)
	if ctx.Err() != nil {
		return nil, err // it is not the source that failed
	}
	// A source that does not answer takes as long as the pause between two fetches:
	// counted from the end, it is not asked again for each of those who wait.
	c.last.Store(&keySet{keys, time.Now(), err})
	return keys, err
}

// serves reports whether there is no point in asking again for a key.
func (k *keySet) serves(id string, now time.Time) bool {
	if k == nil {
		return false
	}
	age := now.Sub(k.fetched)
	if age < fetchPause {
		return true
	}
	return k.err == nil && age < keysTTL && (id == "" || slices.ContainsFunc(k.keys, func(key jose.JSONWebKey) bool { return key.KeyID == id }))
}

// fetch asks a source for its keys.
func (s *source) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
	}
	client := &http.Client{Transport: transport, CheckRedirect: follow}
	address := s.address
	if s.discovers {
		var told struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		at := strings.TrimSuffix(address, "/") + "/.well-known/openid-configuration"
		if err := get(ctx, client, at, &told); err != nil {
			return nil, err
		}
		if told.Issuer != address {
			return nil, &UnreachableError{plain(at), fmt.Errorf("the issuer calls itself %q: OIDCDiscoveryURL must be the same", told.Issuer)}
		}
		address = told.Keys
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := get(ctx, client, address, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		// A set may have keys for other purposes, of kinds that nobody here knows.
		if json.Unmarshal(text, &key) == nil && key.Valid() && key.IsPublic() && key.Use != "enc" {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, &UnreachableError{plain(address), errors.New("there is no public key in the answer")}
	}
	return keys, nil
}

// follow lets a source redirect, but not from https to http.
func follow(next *http.Request, before []*http.Request) error {
	switch {
	case len(before) > fetchHops:
		return fmt.Errorf("more than %d redirections", fetchHops)
	case before[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("redirected from https to http")
	}
	return nil
}

// get reads a JSON document.
func get(ctx context.Context, client *http.Client, address string, into any) error {
	fail := func(err error) error {
		var told *url.Error
		if errors.As(err, &told) {
			err = told.Err // it would show the whole address
		}
		return &UnreachableError{plain(address), err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fail(fmt.Errorf("the answer is %s", resp.Status))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, fetchBytes+1))
	switch {
	case err != nil:
		return fail(err)
	case len(body) > fetchBytes:
		return fail(fmt.Errorf("the answer has more than %d bytes", fetchBytes))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fail(fmt.Errorf("the answer is not the JSON that was expected: %w", err))
	}
	return nil
}

// plain is an address without what may be secret in it.
func plain(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
