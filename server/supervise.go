package server

import (
	"context"
	"slices"
	"time"

	"curia/api"
	"curia/internal/pause"
)

// How often the leader looks at the health of the servers, and how often it
// does something about those that are dead.
const (
	healthEvery = 2 * time.Second
	pruneEvery  = 10 * time.Second
)

// watchServers looks after the servers until ctx ends: it lets those vote that
// have shown to be healthy, and removes those that have failed.
func (s *Server) watchServers(ctx context.Context) error {
	s.steady.forget()
	for pruned := time.Now(); ; {
		health := s.lookAtServers(ctx)
		if s.cfg.Pools.Members != nil {
			if err := s.suffrage(ctx, health); err != nil {
				return err
			}
			if time.Since(pruned) >= pruneEvery {
				pruned = time.Now()
				if err := s.prune(ctx, health); err != nil {
					return err
				}
			}
		}
		if !pause.For(ctx, healthEvery) {
			return ctx.Err()
		}
	}
}

// suffrage gives and takes votes.
func (s *Server) suffrage(ctx context.Context, health *api.AutopilotHealth) error {
	conf := s.autopilot()
	members := serversByID(s.members(), s.cfg.Datacenter)
	return s.changePeers(ctx, suffrage(&conf, health, members, time.Now()))
}

// suffrage gives the changes of votes: a server that is meant to vote does so
// when it has been healthy for long enough, and one that is not gives its vote
// back when the others are a majority without it.
func suffrage(conf *api.AutopilotConfiguration, health *api.AutopilotHealth, members map[string]*api.Member, now time.Time) []peerChange {
	var out []peerChange
	voters, good := tally(health)
	for _, h := range health.Servers {
		m := members[h.ID]
		if m == nil {
			continue
		}
		steady := time.Duration(conf.ServerStabilizationTime)
		switch {
		case !h.Voter && !neverVotes(m) && h.Healthy && now.Sub(h.StableSince) >= steady:
			out = append(out, peerChange{Do: promotePeer, ID: h.ID, Address: h.Address, Why: "it is healthy since " + h.StableSince.Format(time.RFC3339)})
		case h.Voter && neverVotes(m) && !h.Leader && voters > 1:
			left := good
			if h.Healthy {
				left--
			}
			if left >= (voters-1)/2+1 {
				out = append(out, peerChange{Do: demotePeer, ID: h.ID, Why: "it is not meant to vote"})
				voters, good = voters-1, left
			}
		}
	}
	return out
}

// tally counts the voters, and the healthy ones among them.
func tally(health *api.AutopilotHealth) (voters, good int) {
	for _, h := range health.Servers {
		if !h.Voter {
			continue
		}
		voters++
		if h.Healthy {
			good++
		}
	}
	return voters, good
}

// prune removes the dead servers from the log, and makes those that have failed
// leave the pool. The catalog follows when they have left.
func (s *Server) prune(ctx context.Context, health *api.AutopilotHealth) error {
	conf := s.autopilot()
	if !conf.CleanupDeadServers {
		return nil
	}
	members := serversByID(s.members(), s.cfg.Datacenter)
	dead, kept := deadServers(&conf, health, members, time.Now())
	if kept != "" {
		s.log.Warn("not removing the servers that are dead", "why", kept)
	}
	var changes []peerChange
	for _, id := range dead.peers {
		changes = append(changes, peerChange{Do: removePeer, ID: id, Why: "it is dead"})
	}
	if err := s.changePeers(ctx, changes); err != nil || s.cfg.Pools.ForceLeave == nil {
		return err
	}
	for _, name := range dead.members {
		s.log.Info("making a failed server leave", "node", name)
		if err := s.cfg.Pools.ForceLeave(name); err != nil {
			s.log.Warn("cannot make a failed server leave, trying again", "node", name, "err", err)
		}
	}
	return nil
}

// casualties are the servers to be removed: from the log by ID, from gossip by
// name.
type casualties struct {
	peers, members []string
}

// deadServers finds the servers that have failed, have left, or have been
// unknown to gossip for a minute and the stabilization time. Copies are removed whenever they
// are dead. Voters are when they are fewer than half, the healthy ones among the
// rest are a majority of it, and the rest is not below the configured minimum;
// else kept says why not.
func deadServers(conf *api.AutopilotConfiguration, health *api.AutopilotHealth, members map[string]*api.Member, now time.Time) (_ casualties, kept string) {
	var out casualties
	var dead []string // voters
	for _, h := range health.Servers {
		switch {
		case h.Leader || !isDead(conf, h, members[h.ID], now):
		case h.Voter:
			dead = append(dead, h.ID)
		default:
			out.peers = append(out.peers, h.ID)
		}
	}
	voters, good := tally(health)
	rest := voters - len(dead)
	switch {
	case len(dead) == 0:
	case 2*len(dead) >= voters:
		kept = "half of the voters or more are dead"
	case good < rest/2+1:
		kept = "too few of the others are healthy"
	case uint64(rest) < conf.MinQuorum:
		kept = "fewer than min_quorum would be left"
		room := voters - int(min(conf.MinQuorum, uint64(voters)))
		out.peers, dead = append(out.peers, dead[:room]...), dead[room:]
	default:
		out.peers = append(out.peers, dead...)
		dead = nil
	}
	stays := map[string]bool{}
	for _, id := range dead {
		stays[id] = true
	}
	for _, h := range health.Servers {
		stays[h.ID] = stays[h.ID] || h.Leader
	}
	for id, m := range members {
		if m.Status == api.MemberFailed && !stays[id] {
			out.members = append(out.members, m.Name)
		}
	}
	slices.Sort(out.members)
	return out, kept
}

// isDead judges a server of the log; m is nil when gossip does not know it.
func isDead(conf *api.AutopilotConfiguration, h *api.ServerHealth, m *api.Member, now time.Time) bool {
	if m == nil {
		// Gossip may still be on its way, most of all after a start.
		return !h.Healthy && now.Sub(h.StableSince) >= max(reconcileEvery, time.Duration(conf.ServerStabilizationTime))
	}
	return m.Status == api.MemberFailed || m.Status == api.MemberLeft
}
