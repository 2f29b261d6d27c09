package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"curia/agent"
	"curia/config"
	"curia/dnsapi"
	"curia/internal/metrics"
	"curia/watch"
	"curia/wire"
)

// Times of the end of an agent.
const (
	drainWait   = 5 * time.Second  // for requests that are under way
	headerWait  = 10 * time.Second // for the header of a request
	idleWait    = 5 * time.Minute  // of a connection between two requests
	shutdownMax = 15 * time.Second // until a second signal is not waited for
)

// loadFunc reads the configuration; it is called again for each reload.
type loadFunc func() (*config.Config, []string, error)

// errWithoutLeave is how an agent ends that was stopped and did not leave its
// cluster. Its exit code is 1.
var errWithoutLeave = errors.New("stopped without leaving the cluster")

// runAgent runs an agent until a signal, or ctx, ends it.
func runAgent(ctx context.Context, load loadFunc, out io.Writer) error {
	cfg, warnings, err := load()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Stop(signals)

	level := &slog.LevelVar{}
	log, closeLog, err := openLog(cfg, level, out)
	if err != nil {
		return err
	}
	defer closeLog()
	n, err := assemble(cfg, log, out)
	if err != nil {
		return err
	}
	defer n.release()
	for _, w := range warnings {
		log.Warn(w)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- n.run(ctx, cfg) }()
	for {
		select {
		case err := <-done:
			return err
		case asked := <-n.reloads:
			asked <- n.reload(cfg, load, level)
		case sig := <-signals:
			switch sig {
			case syscall.SIGHUP:
				if err := n.reload(cfg, load, level); err != nil {
					log.Error("reload failed, keeping the old configuration", "err", err)
				}
				continue
			case syscall.SIGUSR1:
				_ = n.metrics.Dump(os.Stderr) // nobody can be told when that fails
				continue
			}
			leave := sig == os.Interrupt && !cfg.Leave.SkipOnInterrupt || sig == syscall.SIGTERM && cfg.Leave.OnTerminate
			log.Info("stopping", "signal", sig.String(), "leave", leave)
			if !leave {
				cancel()
				return end(done, signals, leave)
			}
			return n.depart(cancel, done, signals)
		case <-n.pools.departed:
			log.Info("leaving and stopping, as it was asked for")
			return n.depart(cancel, done, signals)
		}
	}
}

// depart leaves the pools, then ends the agent with stop.
func (n *node) depart(stop func(), done <-chan error, signals <-chan os.Signal) error {
	go func() {
		n.handOver()
		n.pools.leave()
		stop()
	}()
	return end(done, signals, true)
}

// end waits until the agent has stopped, or for a second signal.
func end(done <-chan error, signals <-chan os.Signal, leave bool) error {
	timer := time.NewTimer(shutdownMax)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			if err == nil && !leave {
				err = errWithoutLeave
			}
			return err
		case sig := <-signals:
			if sig != syscall.SIGHUP && sig != syscall.SIGUSR1 {
				return errWithoutLeave
			}
		case <-timer.C:
			return errWithoutLeave
		}
	}
}

// reload takes over what can change while the agent runs.
func (n *node) reload(old *config.Config, load loadFunc, level *slog.LevelVar) error {
	log := n.log
	next, warnings, err := load()
	if err != nil {
		return err
	}
	services, checks, err := definitions(next)
	if err != nil {
		return err
	}
	watches, err := watchesOf(next)
	if err != nil {
		return err
	}
	rules, err := httpRules(next)
	if err != nil {
		return err
	}
	if err := n.reloadTLS(old, next); err != nil {
		return err
	}
	if err := n.agent.Configure(services, checks); err != nil {
		return err
	}
	n.watches.Configure(watches)
	for _, w := range warnings {
		log.Warn(w)
	}
	_, restart := config.Diff(old, next)
	if len(restart) > 0 {
		log.Warn("settings changed that need a restart", "keys", restart)
	}
	setLevel(level, next.Log.Level)
	setMetricRules(n.metrics, next, log)
	n.agent.SetTokens(agentTokens(next))
	n.agent.Adjust(adjustable(next, n.id))
	n.http.api.SetRules(rules)
	n.setConnLimit(next.Limits.HTTPMaxConnsPerClient)
	n.setLimits(&next.Limits)
	if n.serving != nil {
		if err := n.serving.replica.Tune(uint64(next.Raft.SnapshotThreshold), uint64(next.Raft.TrailingLogs), next.Raft.SnapshotInterval); err != nil {
			log.Warn("part of the configuration was not taken over", "err", err)
		}
	}
	n.dns.Configure(n.dnsConfig(old, next))
	n.debug.Store(next.Log.EnableDebug)
	log.Info("configuration reloaded")
	return nil
}

// askReload lets the loop of runAgent read the configuration again.
func (n *node) askReload() error {
	done := make(chan error, 1)
	select {
	case n.reloads <- done:
		return <-done
	case <-time.After(drainWait):
		return errors.New("the agent is busy or stopping")
	}
}

// untilDone drops the error of something that was told to end.
func untilDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// node is an assembled agent.
type node struct {
	id      string
	log     *slog.Logger
	metrics *metrics.Registry
	pushers []*metrics.Pusher
	conns   *wire.Conns
	router  *wire.Router
	serving *serving // nil in a client agent
	agent   *agent.Agent
	watches *watch.Set
	web
	dns       *dnsapi.Server
	questions *dnsSockets
	pools     *pools
	undo      []func() // releases what assemble took, in reverse order
	*switches
}

func (n *node) release() {
	for i := len(n.undo) - 1; i >= 0; i-- {
		n.undo[i]()
	}
}

// assemble opens everything that can fail. Nothing answers yet.
func assemble(cfg *config.Config, log *slog.Logger, out io.Writer) (n *node, err error) {
	n = &node{log: log, switches: newSwitches(cfg)}
	release := n.release // of what was taken; a failure sets n to nil
	defer func() {
		if err != nil {
			release()
		}
	}()
	doubts, err := n.loadTLS(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.openSockets(cfg); err != nil {
		return nil, err
	}
	banner(out, cfg, n)
	for _, d := range doubts {
		log.Warn(d)
	}
	if n.pools, err = openPools(cfg, n.id, log); err != nil {
		return nil, err
	}
	n.undo = append(n.undo, n.pools.close)
	if n.metrics, err = newMetrics(cfg, log); err != nil {
		return nil, err
	}
	if err := n.openPushers(cfg); err != nil {
		return nil, err
	}
	n.openLinks(cfg)
	if cfg.Mode.Server {
		if err := n.openServer(cfg, log); err != nil {
			return nil, err
		}
		n.metrics.Add(n.serving.applied.Measure)
		n.metrics.Add(n.serving.Measure)
	}
	n.setLimits(&cfg.Limits)
	n.metrics.Add(n.measureRequests)
	n.agent = agent.New(n.agentConfig(cfg), n.answers(cfg), log)
	if n.serving != nil {
		n.serving.local = n.agent
	}
	n.metrics.Add(n.agent.Measure)
	services, checks, err := definitions(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.agent.Configure(services, checks); err != nil {
		return nil, err
	}
	n.agent.Restore()
	watches, err := watchesOf(cfg)
	if err != nil {
		return nil, err
	}
	n.watches = watch.NewSet(n.agent, log)
	n.watches.Configure(watches)
	n.dns = dnsapi.New(n.dnsConfig(cfg, cfg), n.agent, log)
	n.http, err = n.httpServer(cfg)
	return n, err
}

// openSockets takes the data directory, the sockets of clients and the PID file.
func (n *node) openSockets(cfg *config.Config) (err error) {
	if err := n.openDataDir(cfg); err != nil {
		return err
	}
	n.undo = append(n.undo, n.closeListeners)
	if err := n.listenHTTP(cfg); err != nil {
		return err
	}
	if err := n.listenHTTPS(cfg); err != nil {
		return err
	}
	if n.questions, err = listenDNS(cfg); err != nil {
		return err
	}
	n.undo = append(n.undo, n.questions.close)
	return n.writePID(cfg.Process.PIDFile)
}

// run answers until ctx ends, then drains.
func (n *node) run(ctx context.Context, cfg *config.Config) error {
	group, ctx := errgroup.WithContext(ctx)
	replicating, stopReplica := context.WithCancel(context.WithoutCancel(ctx))
	if n.serving != nil {
		n.runServer(ctx, replicating, group, cfg)
	}
	n.pools.run(ctx, group, n.agent)
	group.Go(func() error { return paceGarbage(ctx) })
	for _, p := range n.pushers {
		group.Go(func() error { return p.Run(ctx) })
	}
	if p := cfg.Process; p.AutoReload {
		group.Go(func() error { return n.reloadOnChange(ctx, p.Files) })
	}
	group.Go(func() error { return untilDone(ctx, n.agent.Run(ctx)) })
	group.Go(func() error { return untilDone(ctx, n.watches.Run(ctx)) })
	group.Go(func() error { return n.dns.Run(ctx, n.questions.packets, n.questions.streams) })
	for _, l := range n.listeners {
		group.Go(func() error {
			if err := n.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("answer on %s: %w", l.name, err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		defer stopReplica()
		defer n.handOver() // while all others can still be reached
		if n.serving != nil {
			n.serving.Drain()
		}
		n.agent.Drain()
		wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWait)
		defer cancel()
		if err := n.http.Shutdown(wait); err != nil {
			n.log.Warn("requests are still under way, cutting them off", "err", err)
			return n.http.Close()
		}
		n.http.api.Wait()
		return nil
	})
	return group.Wait()
}
