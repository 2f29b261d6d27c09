package state

import (
	"encoding/json"
	"fmt"
	"strconv"

	"curia/api"
)

// operatorCommand makes a command about the cluster itself; nil when the words
// are none.
func (w words) operatorCommand() Command {
	switch w.verb {
	case "autopilot set":
		return &AutopilotSet{Conf: api.AutopilotConfiguration{MaxTrailingLogs: w.number("trailing")}, CAS: w.maybeNumber("cas")}
	case "coordinate update":
		c := &CoordinateBatch{}
		for _, node := range w.list("node") {
			c.Updates = append(c.Updates, &api.NodeCoordinate{Node: node, Segment: w.text("segment"), Coord: w.coordinate()})
		}
		return c
	case "config set":
		e := api.ConfigEntry{Kind: w.text("kind"), Name: w.text("name"), Meta: w.pairs("meta")}
		if w.has("body") {
			e.Body = api.Opaque(w.text("body"))
		}
		return &ConfigSet{Entry: e, CAS: w.maybeNumber("cas")}
	case "config delete":
		return &ConfigDelete{Kind: w.text("kind"), Name: w.text("name"), CAS: w.maybeNumber("cas")}
	}
	return nil
}

// coordinate reads vec=1,0.5 and height=0.1.
func (w words) coordinate() *api.Coordinate {
	c := &api.Coordinate{}
	for _, text := range w.list("vec") {
		x, _ := strconv.ParseFloat(text, 64)
		c.Vec = append(c.Vec, x)
	}
	c.Height, _ = strconv.ParseFloat(w.text("height"), 64)
	return c
}

// operatorQuery carries out a query about the cluster itself.
func operatorQuery(v *View, w words) (rows []string, ok bool) {
	switch w.verb {
	case "autopilot get":
		if c := v.Autopilot(); c != nil {
			rows = append(rows, line(maybe("trailing", c.MaxTrailingLogs), since(c.CreateIndex, c.ModifyIndex)))
		}
	case "coordinates":
		if w.has("node") {
			return show(v.CoordinatesOf(w.text("node")), showCoordinate), true
		}
		return show(v.Coordinates(), showCoordinate), true
	case "distances":
		to := v.Distances(w.text("from"))
		if to == nil {
			return []string{"unknown"}, true
		}
		for _, node := range w.list("to") {
			d, known := to(node)
			rows = append(rows, fmt.Sprintf("%s %v %t", node, d, known))
		}
	case "config get":
		if e := v.ConfigEntry(w.text("kind"), w.text("name")); e != nil {
			rows = append(rows, showEntry(e))
		}
	case "config list":
		return show(v.ConfigEntries(w.text("kind")), showEntry), true
	case "usage":
		b, _ := json.Marshal(v.Usage())
		rows = append(rows, string(b))
	default:
		return nil, false
	}
	return rows, true
}

func showCoordinate(c *api.NodeCoordinate) string {
	return line(c.Node, maybe("segment", c.Segment), fmt.Sprint(c.Coord.Vec), maybe("height", c.Coord.Height), fmt.Sprintf("@%d", c.ModifyIndex))
}

func showEntry(e *api.ConfigEntry) string {
	return line(e.Kind+"/"+e.Name, string(e.Body), maybe("meta", showMap(e.Meta)), since(e.CreateIndex, e.ModifyIndex))
}
