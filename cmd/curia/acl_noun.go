package main

import (
	"context"
	"errors"
	"fmt"

	"curia/api"
	"curia/client"
)

// aclNoun is what the commands about one kind of thing in the ACLs have in
// common: T is printed, named by flags and changed by flags.
type aclNoun[T any] struct {
	name  string // as messages say it
	which error  // says which flags name one
	// find gives what names one in requests, by the flags; "" when none does.
	find  func(ctx context.Context, c *call, agent *client.Client) (string, error)
	flags func(*call, *T) error // takes over what the flags say
	// bare keeps of a T what -no-merge does not clear; nil where there is no such
	// flag.
	bare  func(*T) T
	print func(*call, *T)

	create api.Verb[api.ACLCreate[T], *T]
	read   func(ctx context.Context, agent *client.Client, id string) (*T, error)
	update func(ctx context.Context, agent *client.Client, id string, t T) (*T, error)
	remove func(ctx context.Context, agent *client.Client, id string) error
}

// chosen is find that wants one.
func (n *aclNoun[T]) chosen(ctx context.Context, c *call, agent *client.Client) (string, error) {
	id, err := n.find(ctx, c, agent)
	switch {
	case err != nil:
		return "", fmt.Errorf("read %s: %w", n.name, err)
	case id == "":
		return "", n.which
	}
	return id, nil
}

// chosenRow reads the one that the flags name.
func (n *aclNoun[T]) chosenRow(ctx context.Context, c *call, agent *client.Client) (string, *T, error) {
	id, err := n.chosen(ctx, c, agent)
	if err != nil {
		return "", nil, err
	}
	t, err := n.read(ctx, agent, id)
	if err != nil {
		return "", nil, fmt.Errorf("read %s %q: %w", n.name, id, err)
	}
	return id, t, nil
}

func (n *aclNoun[T]) runCreate(ctx context.Context, c *call, agent *client.Client) error {
	var t T
	if err := n.flags(c, &t); err != nil {
		return err
	}
	made, err := api.Call(ctx, agent, n.create, api.ACLCreate[T]{New: t})
	if err != nil {
		return fmt.Errorf("create %s: %w", n.name, err)
	}
	return c.show(made, func() { n.print(c, made) })
}

func (n *aclNoun[T]) runRead(ctx context.Context, c *call, agent *client.Client) error {
	_, t, err := n.chosenRow(ctx, c, agent)
	if err != nil {
		return err
	}
	return c.show(t, func() { n.print(c, t) })
}

func (n *aclNoun[T]) runUpdate(ctx context.Context, c *call, agent *client.Client) error {
	id, t, err := n.chosenRow(ctx, c, agent)
	if err != nil {
		return err
	}
	if c.Bool("no-merge") {
		*t = n.bare(t)
	}
	if err := n.flags(c, t); err != nil {
		return err
	}
	made, err := n.update(ctx, agent, id, *t)
	if err != nil {
		return fmt.Errorf("update %s %q: %w", n.name, id, err)
	}
	return c.show(made, func() { n.print(c, made) })
}

// runDelete gives a command that deletes; title begins what it prints.
func (n *aclNoun[T]) runDelete(title string) func(context.Context, *call, *client.Client) error {
	return func(ctx context.Context, c *call, agent *client.Client) error {
		id, err := n.chosen(ctx, c, agent)
		if err != nil {
			return err
		}
		if err := n.remove(ctx, agent, id); err != nil {
			return fmt.Errorf("delete %s %q: %w", n.name, id, err)
		}
		c.printf("%s %q deleted successfully\n", title, id)
		return nil
	}
}

// Flags that several commands of ACLs have.
var (
	idFlag          = textFlag("id", "`ID` of the one that is meant.")
	namedFlag       = textFlag("name", "`NAME` of the one that is meant.")
	descriptionFlag = textFlag("description", "`TEXT` for people to read.")
	indexesFlag     = boolFlag("meta", "Print the indexes too.")
	noMergeFlag     = boolFlag("no-merge", "What no flag names is cleared. Default: it stays as it is.")
)

var errWhich = errors.New("say which one with -id or -name")

// flagged gives the ID or the name that the first of some flags says which is given.
func flagged(names ...string) func(context.Context, *call, *client.Client) (string, error) {
	return func(_ context.Context, c *call, _ *client.Client) (string, error) {
		for _, name := range names {
			if id := c.String(name); id != "" {
				return id, nil
			}
		}
		return "", nil
	}
}

// takeText takes over the flags that are given.
func (c *call) takeText(fields map[string]*string) {
	for flag, field := range fields {
		if c.IsSet(flag) {
			*field = c.String(flag)
		}
	}
}

// printFields prints names and values behind an indentation. Descriptions are
// there also when they are empty.
func (c *call) printFields(indent string, fields ...string) {
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" || fields[i] == "Description" {
			c.printf("%s%-16s%s\n", indent, fields[i]+":", fields[i+1])
		}
	}
}

// printIndexes prints the indexes of something if -meta wants them.
func (c *call) printIndexes(indent string, created, modified uint64) {
	if c.Bool("meta") {
		c.printFields(indent, "Create Index", fmt.Sprint(created), "Modify Index", fmt.Sprint(modified))
	}
}
