package main

import (
	"context"
	"fmt"

	"curia/api"
	"curia/client"
)

var eventCommands = []command{{
	name: "event", args: "[PAYLOAD]", most: 1,
	line: "Fire an event in a datacenter, and print its ID.",
	help: `Every agent that the expressions fit takes notice of the event, and its watches
run. Name, expressions and payload may have a few hundred bytes together.

Example:

    $ curia event -name=deploy -service=web 1609030
    Event ID: b54fe110-7af5-cafc-d1fb-afc8ba432b1c`,
	flags: flags(
		textFlag("name", "`NAME` of the event."),
		textFlag("node", "Only agents whose node name fits this regular `EXPRESSION`."),
		textFlag("service", "Only agents with a service whose name fits this regular `EXPRESSION`."),
		textFlag("tag", "Only agents where such a service has a tag that fits this regular `EXPRESSION`."),
	),
	ask: fireEvent,
}}

func fireEvent(ctx context.Context, c *call, agent *client.Client) error {
	args := api.EventFireArgs{
		Name: c.String("name"), Payload: []byte(c.arg(0)),
		EventFilter: api.EventFilter{Node: c.String("node"), Service: c.String("service"), Tag: c.String("tag")},
	}
	switch {
	case args.Name == "":
		return refusal("Event name must be specified")
	case args.Tag != "" && args.Service == "":
		return refusal("Cannot provide tag filter without service filter.")
	}
	e, err := api.Call(ctx, agent, api.EventFire, args)
	if err != nil {
		return fmt.Errorf("fire event %q: %w", args.Name, err)
	}
	c.printf("Event ID: %s\n", e.ID)
	return nil
}
