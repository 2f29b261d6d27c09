package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// TLS says how to speak HTTPS. The zero value trusts what the system trusts,
// and has effect under HTTPS only.
type TLS struct {
	Enabled    bool   // HTTPS whatever the scheme of the address; https:// alone does the same
	CAFile     string // PEM file of the authorities to trust, in place of the system's
	CAPath     string // directory of such files
	CertFile   string // PEM file of the certificate to show; needs KeyFile
	KeyFile    string
	ServerName string // name to expect in the agent's certificate; empty: the host of the address
	SkipVerify bool   // believe any certificate
}

const unixScheme = "unix://"

// parseAddress gives the URL that paths are appended to, and the path of the
// socket when the address is one.
func parseAddress(address string, secure bool) (base *url.URL, socket string, err error) {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	if path, ok := strings.CutPrefix(address, unixScheme); ok {
		if path == "" {
			return nil, "", fmt.Errorf("address %q has no path", address)
		}
		return &url.URL{Scheme: scheme, Host: "localhost"}, path, nil
	}
	text := address
	if !strings.Contains(text, "://") {
		text = scheme + "://" + text
	}
	base, err = url.Parse(text)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("address %q: %w", address, errors.Unwrap(err))
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, "", fmt.Errorf("address %q: unknown scheme %q: use http, https or unix", address, base.Scheme)
	case base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil:
		return nil, "", fmt.Errorf("address %q is not of the form host:port, http://host:port or https://host:port", address)
	}
	// Whoever asked for HTTPS shall not send a token in the clear because of
	// an old address.
	if secure {
		base.Scheme = "https"
	}
	return base, "", nil
}

func newTransport(t TLS, socket string) (*http.Transport, error) {
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	out := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     time.Minute,
	}
	if socket != "" {
		out.Proxy = nil
		out.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return out, nil
}

func (t TLS) config() (*tls.Config, error) {
	out := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.SkipVerify,
	}
	files, err := t.authorities()
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read certificate authority: %w", err)
		}
		if out.RootCAs == nil {
			out.RootCAs = x509.NewCertPool()
		}
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificate authority %s: no PEM certificate in it", name)
		}
	}
	if t.CertFile == "" && t.KeyFile == "" {
		return out, nil
	}
	if t.CertFile == "" || t.KeyFile == "" {
		return nil, errors.New("a client certificate needs both its certificate file and its key file")
	}
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	out.Certificates = []tls.Certificate{pair}
	return out, nil
}

// authorities lists the files that hold the authorities to trust.
func (t TLS) authorities() ([]string, error) {
	var out []string
	if t.CAFile != "" {
		out = append(out, t.CAFile)
	}
	if t.CAPath == "" {
		return out, nil
	}
	entries, err := os.ReadDir(t.CAPath)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, filepath.Join(t.CAPath, e.Name()))
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read certificate authorities: %s is empty", t.CAPath)
	}
	return out, nil
}
