package bearer

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is a server that tells its keys.
type issuer struct {
	*httptest.Server
	asked  atomic.Int32 // for keys
	answer atomic.Pointer[http.HandlerFunc]
}

// newIssuer starts one with a key named k1.
func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.answer.Load())(w, r)
	})
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(claims{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/other/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(claims{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/keys", http.StatusFound) })
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/down", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/keys", http.StatusFound)
	})
	i.Server = httptest.NewUnstartedServer(mux)
	i.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.StartTLS()
	t.Cleanup(i.Close)
	i.tells(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "k1"})
	return i
}

// tells sets the keys.
func (i *issuer) tells(keys ...jose.JSONWebKey) {
	text := must(json.Marshal(jose.JSONWebKeySet{Keys: keys}))
	i.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) })
}

func (i *issuer) answers(f http.HandlerFunc) { i.answer.Store(&f) }

// ca is the certificate of the server in PEM.
func (i *issuer) ca() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}))
}

// TestSources fetches keys from where a configuration says.
func TestSources(t *testing.T) {
	i := newIssuer(t)
	token := sign(jose.RS256, rsaKey, "k1", claims{"iat": time.Now().Unix(), "iss": i.URL})
	stranger := sign(jose.RS256, rsaKey, "k1", claims{"iat": time.Now().Unix(), "iss": "https://stranger"})
	for _, c := range []struct {
		name   string
		config claims
		token  string
		want   string
	}{
		{"keys", claims{"JWKSURL": i.URL + "/keys", "JWKSCACert": i.ca()}, token, ""},
		{"another name of the key", claims{"JWKSURL": i.URL + "/keys", "JWKSCACert": i.ca()}, sign(jose.RS256, rsaKey, "k9", claims{"iat": time.Now().Unix()}), "no known key"},
		{"no name of the key", claims{"JWKSURL": i.URL + "/keys", "JWKSCACert": i.ca()}, sign(jose.RS256, rsaKey, "", claims{"iat": time.Now().Unix()}), ""},
		{"keys of any issuer", claims{"JWKSURL": i.URL + "/keys", "JWKSCACert": i.ca()}, stranger, ""},
		{"redirected", claims{"JWKSURL": i.URL + "/moved", "JWKSCACert": i.ca()}, token, ""},
		{"round and round", claims{"JWKSURL": i.URL + "/round", "JWKSCACert": i.ca()}, token, "more than 3 redirections"},
		{"to http", claims{"JWKSURL": i.URL + "/down", "JWKSCACert": i.ca()}, token, "from https to http"},
		{"authority of the system", claims{"JWKSURL": i.URL + "/keys"}, token, "certificate"},
		{"no such page", claims{"JWKSURL": i.URL + "/none", "JWKSCACert": i.ca()}, token, "404 Not Found"},
		{"discovery", claims{"OIDCDiscoveryURL": i.URL, "OIDCDiscoveryCACert": i.ca()}, token, ""},
		{"discovery, other issuer of the token", claims{"OIDCDiscoveryURL": i.URL, "OIDCDiscoveryCACert": i.ca()}, stranger, `from "https://stranger"`},
		{"discovery, other issuer of the keys", claims{"OIDCDiscoveryURL": i.URL + "/other", "OIDCDiscoveryCACert": i.ca()}, token, "calls itself"},
	} {
		_, err := NewVerifier().Verify(t.Context(), method(t, c.config), c.token)
		wantError(t, c.name, err, c.want)
	}
}

// TestAnswers gives a source that answers strangely.
func TestAnswers(t *testing.T) {
	i := newIssuer(t)
	config := claims{"JWKSURL": i.URL + "/keys", "JWKSCACert": i.ca()}
	key := string(must(json.Marshal(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "k1"})))
	private := string(must(json.Marshal(jose.JSONWebKey{Key: rsaKey, KeyID: "k1"})))
	for text, want := range map[string]string{
		`{"keys":[{"kty":"XYZ"},` + key + `,7]}`:                                     "",
		`{"keys":[` + strings.Replace(key, `"kid"`, `"use":"enc","kid"`, 1) + `]}`:   "no public key",
		`{"keys":[` + strings.Replace(key, `"kid"`, `"alg":"RS512","kid"`, 1) + `]}`: "no known key",
		`{"keys":[` + private + `]}`:                                                 "no public key",
		`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`:                                    "no public key",
		`{"keys":[]}`: "no public key",
		`<html>`:      "not the JSON",
		`{"keys":[` + strings.Repeat(" ", fetchBytes) + `]}`:                                                                      "more than 1048576 bytes",
		string(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: otherKey.Public()}, {Key: rsaKey.Public()}}}))): "",
	} {
		i.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
		_, err := NewVerifier().Verify(t.Context(), method(t, config), sign(jose.RS256, rsaKey, "k1", claims{"iat": time.Now().Unix()}))
		wantError(t, text[:min(len(text), 60)], err, want)
	}
}

// TestKeysAreRemembered counts how often a source is asked.
func TestKeysAreRemembered(t *testing.T) {
	i := newIssuer(t)
	m := method(t, claims{"JWKSURL": i.URL + "/keys", "JWKSCACert": i.ca()})
	v := NewVerifier()
	first := sign(jose.RS256, rsaKey, "k1", claims{"iat": time.Now().Unix()})
	second := sign(jose.RS256, otherKey, "k2", claims{"iat": time.Now().Unix()})
	verify := func(name, token, want string, asked int32) {
		t.Helper()
		_, err := v.Verify(t.Context(), m, token)
		wantError(t, name, err, want)
		if got := i.asked.Load(); got != asked {
			t.Errorf("%s: the source was asked %d times, want %d", name, got, asked)
		}
	}
	age := func(by time.Duration) {
		last := *v.of(m.from).last.Load()
		last.fetched = last.fetched.Add(-by)
		v.of(m.from).last.Store(&last)
	}
	var together sync.WaitGroup
	for range 20 {
		together.Go(func() { verify("at once", first, "", 1) })
	}
	together.Wait()
	i.tells(jose.JSONWebKey{Key: otherKey.Public(), KeyID: "k2"})
	verify("a key that is too new", second, "no known key", 1)
	age(fetchPause)
	verify("a known key", first, "", 1)
	verify("an unknown key", second, "", 2)
	verify("a key that is gone", first, "no known key", 2)
	var answered time.Time
	i.answers(func(w http.ResponseWriter, _ *http.Request) {
		answered = time.Now()
		w.WriteHeader(http.StatusBadGateway)
	})
	age(keysTTL)
	verify("keys too old", second, "502", 3)
	if last := v.of(m.from).last.Load(); !last.fetched.After(answered) {
		t.Errorf("the pause begins %s before the end of the fetch, want it to begin after", answered.Sub(last.fetched))
	}
	verify("too soon after a failure", second, "502", 3)
	i.tells(jose.JSONWebKey{Key: otherKey.Public(), KeyID: "k2"})
	age(fetchPause)
	verify("after a failure", second, "", 4)
}

// TestFetchEnds wants whoever gives up to be let go, and the next one to ask.
func TestFetchEnds(t *testing.T) {
	i := newIssuer(t)
	m := method(t, claims{"JWKSURL": i.URL + "/keys", "JWKSCACert": i.ca()})
	v := NewVerifier()
	token := sign(jose.RS256, rsaKey, "k1", claims{"iat": time.Now().Unix()})
	arrived, release := make(chan struct{}), make(chan struct{})
	i.answers(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, m, token)
		ended <- err
	}()
	<-arrived
	waiting, stop := context.WithCancel(t.Context())
	stop()
	_, err := v.Verify(waiting, m, token)
	wantError(t, "waits for the fetch of somebody else", err, "context canceled")
	cancel()
	wantError(t, "gives up", <-ended, "context canceled")
	close(release)
	i.tells(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "k1"})
	_, err = v.Verify(t.Context(), m, token)
	wantError(t, "the next one", err, "")
}
