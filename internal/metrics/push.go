package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// Dialect is how a metrics server wants to be told.
type Dialect uint8

// The dialects.
const (
	StatsD    Dialect = iota // datagrams; values of labels become parts of names
	Statsite                 // the same lines over TCP
	DogStatsD                // datagrams with tags; the host is not in the names of gauges
)

func (d Dialect) String() string { return [...]string{"statsd", "statsite", "dogstatsd"}[d] }

// Times and sizes of telling a metrics server.
const (
	pushEvery  = 10 * time.Second
	pushWait   = 5 * time.Second // for the connection and everything that is written
	packetSize = 1400            // bytes of a datagram: they fit into one frame
)

// Pusher tells a metrics server every ten seconds what has changed: nothing is
// noted for it while calls are measured. Make one with NewPusher.
type Pusher struct {
	from    *Registry
	dialect Dialect
	address string
	tags    []string           // of every metric, DogStatsD only
	told    map[string]Summary // by line without value
	log     *slog.Logger
	failing bool
}

// NewPusher makes a pusher to host:port; of DogStatsD also unix:///path.
func NewPusher(from *Registry, dialect Dialect, address string, tags []string, log *slog.Logger) *Pusher {
	return &Pusher{from: from, dialect: dialect, address: address, tags: tags, told: map[string]Summary{}, log: log}
}

// Reach finds out whether the server can be reached, as far as that can be known.
func (p *Pusher) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pushWait)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		return fmt.Errorf("reach the %v server %s: %w", p.dialect, p.address, err)
	}
	return conn.Close()
}

func (p *Pusher) dial(ctx context.Context) (net.Conn, error) {
	network, address := "udp", p.address
	if path, ok := strings.CutPrefix(address, "unix://"); ok && p.dialect == DogStatsD {
		network, address = "unixgram", path
	} else if p.dialect == Statsite {
		network = "tcp"
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Run pushes until ctx ends, and once more then. A server that cannot be reached
// is logged once, and told later what it has missed.
func (p *Pusher) Run(ctx context.Context) error {
	tick := time.NewTicker(pushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.note(p.push(ctx))
		case <-ctx.Done():
			p.note(p.push(context.WithoutCancel(ctx)))
			return nil
		}
	}
}

// note logs when pushing begins to fail, and when it succeeds again.
func (p *Pusher) note(err error) {
	switch {
	case err != nil && !p.failing:
		p.log.Warn("cannot tell a metrics server what was measured, trying again and again", "kind", p.dialect.String(), "address", p.address, "err", err)
	case err == nil && p.failing:
		p.log.Info("a metrics server can be told again what was measured", "kind", p.dialect.String(), "address", p.address)
	}
	p.failing = err != nil
}

func (p *Pusher) push(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pushWait)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetWriteDeadline(deadline)
	lines, told := p.lines()
	for _, packet := range packets(lines) {
		if _, err := conn.Write(packet); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	p.told = told
	return conn.Close()
}

// lines says what has changed since the server was last told, and what it knows
// when it has all of them.
func (p *Pusher) lines() (lines []string, told map[string]Summary) {
	points := p.from.scrape()
	told = make(map[string]Summary, len(points))
	for _, at := range points {
		name, tags := p.name(at)
		if at.kind == gauge {
			if at.value < 0 && p.dialect != DogStatsD {
				lines = append(lines, name+":0|g") // a sign alone would mean a difference
			}
			lines = append(lines, name+":"+number(at.value)+"|g"+tags)
			continue
		}
		key := name + tags
		before := p.told[key]
		told[key] = at.sum
		n, sum := at.sum.Count-before.Count, max(at.sum.Sum-before.Sum, 0)
		switch {
		case n == 0:
			told[key] = before // the sum may be ahead of the count
		case at.kind == counter:
			lines = append(lines, name+":"+number(sum)+"|c"+tags)
		default:
			// What was summed up is told as so many of the mean.
			rate := ""
			if n > 1 {
				rate = "|@" + strconv.FormatFloat(1/float64(n), 'g', 9, 64)
			}
			lines = append(lines, name+":"+number(sum/float64(n))+"|ms"+rate+tags)
		}
	}
	return lines, told
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// plainName takes away what has a meaning in these formats.
var (
	plainName = strings.NewReplacer(":", "_", "|", "_", "@", "_", "#", "_", " ", "_", "\n", "_", ",", "_")
	plainTag  = strings.NewReplacer("|", "_", "#", "_", "\n", "_", ",", "_")
)

// name is how a metric is called, and the tags that follow its value.
func (p *Pusher) name(at point) (name, tags string) {
	if p.dialect != DogStatsD {
		parts := []string{at.name}
		for _, l := range at.labels {
			parts = append(parts, l.Value)
		}
		return plainName.Replace(dotted(parts...)), ""
	}
	name = at.name
	if host := dotted(p.from.cfg.Prefix, p.from.cfg.Host); at.kind == gauge && p.from.cfg.Host != "" {
		if rest, ok := strings.CutPrefix(name, host+"."); ok {
			name = dotted(p.from.cfg.Prefix, rest)
		}
	}
	all := make([]string, 0, len(p.tags)+len(at.labels))
	for _, t := range p.tags {
		all = append(all, plainTag.Replace(t))
	}
	for _, l := range at.labels {
		all = append(all, plainName.Replace(l.Name)+":"+plainTag.Replace(l.Value))
	}
	if len(all) > 0 {
		tags = "|#" + strings.Join(all, ",")
	}
	return plainName.Replace(name), tags
}

// packets puts lines together, as many as fit into a datagram.
func packets(lines []string) [][]byte {
	var out [][]byte
	var b bytes.Buffer
	flush := func() {
		if b.Len() > 0 {
			out = append(out, bytes.Clone(b.Bytes()))
			b.Reset()
		}
	}
	for _, l := range lines {
		if b.Len()+len(l)+1 > packetSize {
			flush()
		}
		b.WriteString(l)
		b.WriteByte('\n')
	}
	flush()
	return out
}
