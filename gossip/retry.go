package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// RetryJoin joins until somebody answers or ctx ends, every interval and at
// most attempts times; 0 means without end. It returns an error when it gives
// up ("retry_join", "retry_max").
func RetryJoin(ctx context.Context, p *Pool, addrs []string, interval time.Duration, attempts int, log *slog.Logger) error {
	for _, addr := range addrs {
		if strings.Contains(addr, "provider=") {
			return fmt.Errorf("join the %s pool: addresses cannot be asked of a cloud yet: name them instead of %q", p.cfg.Area, addr)
		}
	}
	for n := 1; ; n++ {
		found, err := p.Join(addrs)
		if err == nil {
			log.Info("joined", "pool", p.cfg.Area.String(), "members", found)
			return nil
		}
		if n == attempts {
			return fmt.Errorf("join the %s pool: gave up after %d attempts: %w", p.cfg.Area, n, err)
		}
		log.Warn("cannot join yet, trying again", "pool", p.cfg.Area.String(), "in", interval, "err", err)
		timer := time.NewTimer(interval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}
