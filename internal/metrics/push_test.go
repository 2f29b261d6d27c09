package metrics

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"curia/api"
)

// TestPushGolden tells each dialect what was measured, and then what has changed.
func TestPushGolden(t *testing.T) {
	for _, d := range []Dialect{StatsD, Statsite, DogStatsD} {
		t.Run(d.String(), func(t *testing.T) {
			r := used(t)
			address, heard := listenFor(t, d)
			p := NewPusher(r, d, address, []string{"team:a|b", "prod"}, slog.New(slog.DiscardHandler))
			if err := p.push(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := heard() + "-- later\n"
			r.Observe(api.KVPut.Op, 10*time.Millisecond, 200)
			if err := p.push(t.Context()); err != nil {
				t.Fatal(err)
			}
			golden(t, "push-"+d.String()+".txt", []byte(got+heard()))
		})
	}
}

// listenFor plays a metrics server. heard gives what came with one push.
func listenFor(t *testing.T, d Dialect) (address string, heard func() string) {
	t.Helper()
	if d == Statsite {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l.Addr().String(), func() string {
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String(), func() string {
		var all bytes.Buffer
		packet := make([]byte, 1<<16)
		for { // what was sent over the loopback is there already
			if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				return all.String()
			}
			if n > packetSize {
				t.Errorf("a datagram of %d bytes, wanted at most %d", n, packetSize)
			}
			all.Write(packet[:n])
		}
	}
}

// TestPushFails loses the server: it is logged once, and what it missed is told
// when it is back.
func TestPushFails(t *testing.T) {
	r := used(t)
	address, heard := listenFor(t, Statsite)
	var log bytes.Buffer
	p := NewPusher(r, Statsite, "127.0.0.1:1", nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err := p.Reach(t.Context()); err == nil || !strings.Contains(err.Error(), "statsite server 127.0.0.1:1") {
		t.Errorf("reach a server that is not there: got %v", err)
	}
	for range 3 {
		p.note(p.push(t.Context()))
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("three failures are in the log %d times:\n%s", n, log.String())
	}
	p.address = address
	p.note(p.push(t.Context()))
	if got := heard(); !strings.Contains(got, "consul.raft.apply:4|c\n") {
		t.Errorf("after an outage: got\n%s\nwanted everything since the start", got)
	}
	if n := strings.Count(log.String(), "level=INFO"); n != 1 {
		t.Errorf("the recovery is in the log %d times:\n%s", n, log.String())
	}
}
