package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"curia/config"
	"curia/dnsapi"
)

// dnsSockets are where DNS questions come in.
type dnsSockets struct {
	packets []*net.UDPConn
	streams []net.Listener
}

func (s *dnsSockets) close() {
	for _, c := range s.packets {
		_ = c.Close()
	}
	for _, l := range s.streams {
		_ = l.Close()
	}
}

// receiveBuffer holds the questions that come while all processors are busy, in
// bytes. The kernel may allow less.
const receiveBuffer = 1 << 20

// listenDNS opens the sockets of the DNS interface, over UDP and TCP; none when
// its port is off.
func listenDNS(cfg *config.Config) (*dnsSockets, error) {
	s := &dnsSockets{}
	if cfg.Ports.DNS < 0 {
		return s, nil
	}
	for _, addr := range cfg.Addresses.DNS {
		if err := s.open(addr, cfg.Ports.DNS); err != nil {
			s.close()
			return nil, fmt.Errorf("cannot listen for DNS on %s: %w; choose another with -dns-port, -client or addresses.dns", addr, err)
		}
	}
	return s, nil
}

func (s *dnsSockets) open(addr string, port int) error {
	if strings.HasPrefix(addr, "unix://") {
		return fmt.Errorf("not an IP address")
	}
	name := net.JoinHostPort(addr, strconv.Itoa(port))
	l, err := net.Listen("tcp", name)
	if err != nil {
		return err
	}
	s.streams = append(s.streams, l)
	c, err := net.ListenPacket("udp", name)
	if err != nil {
		return err
	}
	packets := c.(*net.UDPConn)
	_ = packets.SetReadBuffer(receiveBuffer)
	s.packets = append(s.packets, packets)
	return nil
}

// dnsConfig is how names are answered: names of the node as they were when the
// agent started, the rest as it is configured now.
func (n *node) dnsConfig(started, cfg *config.Config) dnsapi.Config {
	d := cfg.DNS
	order := dnsapi.Sequential
	if d.RecursorStrategy == "random" {
		order = dnsapi.Random
	}
	return dnsapi.Config{
		Datacenter: started.Node.Datacenter, Domain: started.Node.Domain, AltDomain: started.Node.AltDomain,
		NodeTTL: d.NodeTTL, ServiceTTL: d.ServiceTTL,
		UDPAnswerLimit: d.UDPAnswerLimit, ARecordLimit: d.ARecordLimit,
		OnlyPassing: d.OnlyPassing, DisableCompression: d.DisableCompression, NodeMetaTXT: d.NodeMetaTXT,
		AllowStale: d.AllowStale, MaxStale: d.MaxStale,
		SOA: dnsapi.SOA{
			Refresh: uint32(max(d.SOA.Refresh, 0)), Retry: uint32(max(d.SOA.Retry, 0)),
			Expire: uint32(max(d.SOA.Expire, 0)), MinTTL: uint32(max(d.SOA.MinTTL, 0)),
		},
		Recursion: dnsapi.Recursion{Servers: d.Recursors, Timeout: d.RecursorTimeout, Order: order},
		Token:     n.agent.DNSToken,
	}
}
