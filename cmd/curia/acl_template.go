package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"curia/api"
	"curia/client"
)

var templateFlag = textFlag("name", "`NAME` of the template, such as builtin/service.")

var aclTemplateCommands = []command{
	{
		name: "acl templated-policy list",
		line: "List the templates of policies.",
		help: `Example:

    $ curia acl templated-policy list
    builtin/api-gateway
    builtin/dns
    …`,
		flags: flags(formatFlag),
		ask:   templateList,
	},
	{
		name: "acl templated-policy read",
		line: "Print a template of policies.",
		help: `Example:

    $ curia acl templated-policy read -name=builtin/service`,
		flags: flags(templateFlag, formatFlag),
		ask:   templateRead,
	},
	{
		name: "acl templated-policy preview",
		line: "Print the policy that a template gives.",
		help: `Nothing is kept of it. Tokens and roles get such a policy with -templated-policy.

Example:

    $ curia acl templated-policy preview -name=builtin/service -var=name:web`,
		flags: flags(templateFlag, listFlag("var", "`NAME:VALUE` to fill in. Templates have no other variable than name."), indexesFlag, formatFlag),
		ask:   templatePreview,
	},
}

var errWhichTemplate = errors.New("say which template with -name")

func templateList(ctx context.Context, c *call, agent *client.Client) error {
	all, err := api.Call(ctx, agent, api.ACLTemplates, api.None{})
	if err != nil {
		return fmt.Errorf("list templates: %w", err)
	}
	return c.show(all, func() {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			c.printf("%s\n", name)
		}
	})
}

func templateRead(ctx context.Context, c *call, agent *client.Client) error {
	name := c.String("name")
	if name == "" {
		return errWhichTemplate
	}
	t, err := api.Call(ctx, agent, api.ACLTemplateRead, api.ACLName{Name: name})
	if err != nil {
		return fmt.Errorf("read template %q: %w", name, err)
	}
	return c.show(t, func() {
		c.printFields("", "Name", t.TemplateName, "Description", t.Description)
		if strings.Contains(t.Schema, `"required":["name"]`) {
			c.printFields("", "Variables", "name")
		}
		c.printf("Raw Template:\n%s\n", strings.TrimRight(t.Template, "\n"))
	})
}

func templatePreview(ctx context.Context, c *call, agent *client.Client) error {
	args := api.ACLPreviewArgs{ACLName: api.ACLName{Name: c.String("name")}}
	if args.Name == "" {
		return errWhichTemplate
	}
	for _, text := range c.StringSlice("var") {
		name, value, ok := strings.Cut(text, ":")
		if !ok || !strings.EqualFold(name, "name") {
			return fmt.Errorf("-var %q is not name:VALUE: templates have no other variables", text)
		}
		args.Variables.Name = value
	}
	p, err := api.Call(ctx, agent, api.ACLTemplatePreview, args)
	if err != nil {
		return fmt.Errorf("preview template %q: %w", args.Name, err)
	}
	return c.show(p, func() { c.printPolicy(p) })
}
