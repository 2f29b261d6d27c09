package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"curia/client"
)

// TestRemedyTLS holds what people are told to do against what went wrong.
func TestRemedyTLS(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	reset := &net.OpError{Op: "write", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		address string
		err     error
		want    string // part of it
	}{
		{"http://a:8500", refused, `start an agent with "curia agent -dev"`},
		{"https://a:8501", refused, `start an agent with "curia agent -dev"`},
		{"https://a:8501", tls.RecordHeaderError{}, "it speaks HTTP there"},
		{"https://a:8501", x509.UnknownAuthorityError{}, "-ca-file"},
		{"https://a:8501", x509.HostnameError{}, "-tls-server-name"},
		{"https://a:8501", &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, "show a certificate that it accepts"},
		{"https://a:8501", reset, "if it demands a certificate, show one with -client-cert"},
		{"https://a:8501", &net.OpError{Op: "write", Err: syscall.EPIPE}, "if it demands a certificate"},
		{"http://a:8500", reset, "start an agent"},
	} {
		if got := remedy("curia", &client.UnreachableError{Address: c.address, Err: c.err}); !strings.Contains(got, c.want) {
			t.Errorf("%s, %v: got %q, wanted %q in it", c.address, c.err, got, c.want)
		}
	}
}
