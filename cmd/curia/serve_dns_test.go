package main

import (
	"net"
	"strings"
	"testing"

	"curia/config"
)

func TestListenDNS(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, c := range []struct {
		name    string
		addrs   config.Addrs
		port    int
		sockets int // of each kind
		err     string
	}{
		{"off", config.Addrs{"127.0.0.1"}, -1, 0, ""},
		{"two addresses", config.Addrs{"127.0.0.1", "127.0.0.2"}, 0, 2, ""},
		{"a port that is taken", config.Addrs{"127.0.0.1"}, port, 0, "cannot listen for DNS on 127.0.0.1: "},
		{"a unix socket", config.Addrs{"unix:///tmp/dns"}, 0, 0, "cannot listen for DNS on unix:///tmp/dns: not an IP address"},
	} {
		cfg := config.Default()
		cfg.Addresses.DNS, cfg.Ports.DNS = c.addrs, c.port
		s, err := listenDNS(cfg)
		if err != nil || c.err != "" {
			if err == nil || c.err == "" || !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			continue
		}
		if len(s.packets) != c.sockets || len(s.streams) != c.sockets {
			t.Errorf("%s: %d UDP and %d TCP sockets, want %d", c.name, len(s.packets), len(s.streams), c.sockets)
		}
		s.close()
	}
}
