package agent

import (
	"context"
	"math/rand/v2"
	"time"

	"curia/api"
)

// How often an agent tells the servers where it is: so often that all of a
// datacenter together send coordinateRate times per second ("Network
// Coordinates").
const (
	coordinateRate = 64
	coordinateMin  = 15 * time.Second
)

// coordinateInterval is the time between two messages of one among many members.
func coordinateInterval(members int) time.Duration {
	return max(coordinateMin, time.Duration(members)*time.Second/coordinateRate)
}

// sendCoordinates tells the servers where this agent is, from time to time and
// up to twice that, until ctx ends. What is lost comes again.
func (a *Agent) sendCoordinates(ctx context.Context) error {
	if a.cfg.Pools.Coordinate == nil {
		return nil
	}
	for {
		every := coordinateInterval(len(a.cfg.LAN()))
		timer := time.NewTimer(every + rand.N(every))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		where := a.cfg.Pools.Coordinate()
		if where == nil {
			return nil // it is not measured, and will not be
		}
		update := api.CoordinateUpdateArgs{Update: api.CoordinateUpdate{Node: a.cfg.Node.Node, Coord: where}}
		_, err := ask(ctx, a, api.CoordinateSet, update, a.tokens.get("agent"))
		switch kind := api.KindOf(err); {
		case err == nil || ctx.Err() != nil:
		case kind == api.NoLeader || kind == api.Disabled:
			a.log.Debug("cannot tell the servers where this agent is", "err", err)
		default:
			a.log.Warn("cannot tell the servers where this agent is, trying again", "err", err)
		}
	}
}
