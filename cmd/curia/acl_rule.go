package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"curia/api"
	"curia/client"
)

// ruleFlags say what a binding rule is like.
func ruleFlags(more ...flagFunc) []flagFunc {
	return append(more,
		descriptionFlag,
		textFlag("bind-type", "`TYPE` of what the rule binds to: service, node, role, policy or templated-policy."),
		textFlag("bind-name", "`NAME` of what the rule binds to. ${value.x} in it stands for a claim."),
		listFlag("bind-vars", "`NAME=VALUE` to fill into a templated policy. ${value.x} stands for a claim."),
		textFlag("selector", "`EXPRESSION` over the claims of those whom the rule is about. Default: all."),
		indexesFlag, formatFlag)
}

var ruleIDFlag = textFlag("id", "`ID` of the binding rule.")

var aclRuleCommands = []command{
	{
		name: "acl binding-rule create",
		line: "Create a binding rule.",
		help: `A binding rule says what those may do who log in with an auth method. Its
selector and its name speak of the claims that the auth method maps: value.x of
those with one value, list.x of those with several.

Example:

    $ curia acl binding-rule create -method=ci -bind-type=service -bind-name='build-${value.project}' -selector='"deploy" in list.groups'
    ID:             2d96a2ba-b2d5-4b3b-8a8c-7f4bd04a4a4c
    AuthMethod:     ci
    …`,
		flags: flags(ruleFlags(textFlag("method", "`NAME` of the auth method."))...),
		ask:   aclRules.runCreate,
	},
	{
		name: "acl binding-rule read",
		line: "Print a binding rule.",
		help: `Example:

    $ curia acl binding-rule read -id=2d96a2ba-b2d5-4b3b-8a8c-7f4bd04a4a4c`,
		flags: flags(ruleIDFlag, indexesFlag, formatFlag),
		ask:   aclRules.runRead,
	},
	{
		name: "acl binding-rule update",
		line: "Change a binding rule.",
		help: `What no flag names stays as it is, unless -no-merge is given. The auth method of
a rule does not change.

Example:

    $ curia acl binding-rule update -id=2d96a2ba-b2d5-4b3b-8a8c-7f4bd04a4a4c -selector='value.project == "web"'`,
		flags: flags(ruleFlags(ruleIDFlag, noMergeFlag)...),
		ask:   aclRules.runUpdate,
	},
	{
		name: "acl binding-rule delete",
		line: "Delete a binding rule.",
		help: `Tokens of those who logged in before stay as they are.

Example:

    $ curia acl binding-rule delete -id=2d96a2ba-b2d5-4b3b-8a8c-7f4bd04a4a4c
    Binding rule "2d96a2ba-b2d5-4b3b-8a8c-7f4bd04a4a4c" deleted successfully`,
		flags: flags(ruleIDFlag),
		ask:   aclRules.runDelete("Binding rule"),
	},
	{
		name: "acl binding-rule list",
		line: "List the binding rules.",
		help: `Example:

    $ curia acl binding-rule list -method=ci`,
		flags: flags(textFlag("method", "`NAME` of the auth method whose rules are wanted. Default: all."), indexesFlag, formatFlag),
		ask:   ruleList,
	},
}

var aclRules = aclNoun[api.ACLBindingRule]{
	name: "binding rule", which: errors.New("say which binding rule with -id"),
	find: flagged("id"), flags: (*call).ruleFlags,
	bare: func(r *api.ACLBindingRule) api.ACLBindingRule {
		return api.ACLBindingRule{ID: r.ID, AuthMethod: r.AuthMethod}
	},
	print:  func(c *call, r *api.ACLBindingRule) { c.printRule("", r) },
	create: api.ACLBindingRuleCreate,
	read: func(ctx context.Context, agent *client.Client, id string) (*api.ACLBindingRule, error) {
		return api.Call(ctx, agent, api.ACLBindingRuleRead, api.ACLID[api.ACLBindingRule]{ID: id})
	},
	update: func(ctx context.Context, agent *client.Client, id string, r api.ACLBindingRule) (*api.ACLBindingRule, error) {
		return api.Call(ctx, agent, api.ACLBindingRuleUpdate, api.ACLUpdate[api.ACLBindingRule]{ACLID: api.ACLID[api.ACLBindingRule]{ID: id}, New: r})
	},
	remove: func(ctx context.Context, agent *client.Client, id string) error {
		_, err := api.Call(ctx, agent, api.ACLBindingRuleDelete, api.ACLID[api.ACLBindingRule]{ID: id})
		return err
	},
}

// ruleFlags takes over what the flags say.
func (c *call) ruleFlags(r *api.ACLBindingRule) error {
	c.takeText(map[string]*string{
		"method": &r.AuthMethod, "description": &r.Description, "bind-type": &r.BindType, "bind-name": &r.BindName, "selector": &r.Selector,
	})
	if !c.IsSet("bind-vars") {
		return nil
	}
	r.BindVars = &api.TemplateVariables{}
	for _, text := range c.StringSlice("bind-vars") {
		name, value, ok := strings.Cut(text, "=")
		if !ok || !strings.EqualFold(name, "name") {
			return fmt.Errorf("-bind-vars %q is not Name=VALUE: templated policies have no other variables", text)
		}
		r.BindVars.Name = value
	}
	return nil
}

func ruleList(ctx context.Context, c *call, agent *client.Client) error {
	all, err := api.Call(ctx, agent, api.ACLBindingRules, api.ACLBindingRulesArgs{AuthMethod: c.String("method")})
	if err != nil {
		return fmt.Errorf("list binding rules: %w", err)
	}
	return c.show(list(all), func() {
		for _, r := range all {
			c.printf("%s:\n", r.ID)
			shown := *r
			shown.ID = ""
			c.printRule("   ", &shown)
		}
	})
}

func (c *call) printRule(indent string, r *api.ACLBindingRule) {
	vars := ""
	if r.BindVars != nil {
		vars = "Name=" + r.BindVars.Name
	}
	c.printFields(indent, "ID", r.ID, "AuthMethod", r.AuthMethod, "Description", r.Description, "BindType", r.BindType, "BindName", r.BindName,
		"BindVars", vars, "Selector", r.Selector)
	c.printIndexes(indent, r.CreateIndex, r.ModifyIndex)
}
