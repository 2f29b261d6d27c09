package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"curia/api"
	"curia/config"
	"curia/internal/pause"
)

// formEvery is how often a new server looks whether the others are there.
const formEvery = 500 * time.Millisecond

// formCluster waits until as many servers are there as bootstrap_expect says, and
// forms a cluster of them if there is none yet. The one with the smallest ID does
// so; the others are found by it.
func (n *node) formCluster(ctx context.Context, cfg *config.Config) error {
	if cfg.Mode.BootstrapExpect <= 1 {
		return nil
	}
	told := ""
	for !n.serving.replica.Formed() {
		servers, err := n.expected(ctx, cfg)
		switch {
		case err != nil && err.Error() != told:
			told = err.Error()
			n.log.Info("waiting for other servers to form a cluster", "reason", told)
		case err == nil:
			if err := n.serving.replica.Form(servers); err != nil {
				return err
			}
			n.log.Info("formed a cluster", "servers", len(servers))
			return nil
		}
		if !pause.For(ctx, formEvery) {
			return nil
		}
	}
	return nil
}

// expected gives the servers that form the cluster, or tells why this server does
// not form one now.
func (n *node) expected(ctx context.Context, cfg *config.Config) ([]*api.RaftServer, error) {
	want := strconv.Itoa(cfg.Mode.BootstrapExpect)
	var out []*api.RaftServer
	for _, m := range n.pools.lanMembers() {
		switch {
		case m.Tags["role"] != "consul" || m.Status != api.MemberAlive:
		case m.Tags["bootstrap"] != "":
			return nil, fmt.Errorf("server %s forms a cluster by itself (bootstrap)", m.Name)
		case m.Tags["expect"] == "":
		case m.Tags["expect"] != want:
			return nil, fmt.Errorf("server %s expects %s servers and this one %s: set bootstrap_expect alike", m.Name, m.Tags["expect"], want)
		case m.Tags["nonvoter"] == "":
			out = append(out, &api.RaftServer{ID: m.Tags["id"], Node: m.Name, Address: memberServer(m)})
		}
	}
	if len(out) < cfg.Mode.BootstrapExpect {
		return nil, fmt.Errorf("%d of %s servers are there", len(out), want)
	}
	slices.SortFunc(out, func(a, b *api.RaftServer) int { return strings.Compare(a.ID, b.ID) })
	if out[0].ID != n.id {
		return nil, fmt.Errorf("server %s forms the cluster", out[0].Node)
	}
	for _, s := range out[1:] {
		report, err := n.serverReport(ctx, s.Address)
		if err != nil {
			return nil, fmt.Errorf("server %s does not answer: %w", s.Node, err)
		}
		if report.Formed {
			return nil, fmt.Errorf("server %s belongs to a cluster, which will take this one in", s.Node)
		}
	}
	return out, nil
}
