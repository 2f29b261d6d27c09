package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"curia/internal/pause"
)

// RetryJoin joins until somebody answers or ctx ends, every interval and at
// most attempts times; 0 means without end. It returns an error when it gives
// up ("retry_join", "retry_max").
func RetryJoin(ctx context.Context, p *Pool, addrs []string, interval time.Duration, attempts int, log *slog.Logger) error {
	if err := known(addrs); err != nil {
		return fmt.Errorf("join the %s pool: %w", p.cfg.Area, err)
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
		if !pause.For(ctx, interval) {
			return nil
		}
	}
}

// known refuses addresses that would have to be asked of a cloud. It does not
// name them: they hold secrets.
func known(addrs []string) error {
	if slices.ContainsFunc(addrs, func(addr string) bool { return strings.Contains(addr, "provider=") }) {
		return errors.New("addresses cannot be asked of a cloud yet: name them, instead of a provider")
	}
	return nil
}
