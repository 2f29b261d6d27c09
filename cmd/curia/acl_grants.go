package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"curia/api"
)

// grantFlags say what a token or a role may do.
func grantFlags(more ...flagFunc) []flagFunc {
	return append([]flagFunc{
		descriptionFlag,
		listFlag("policy-id", "`ID` of a policy. May be repeated."),
		listFlag("policy-name", "`NAME` of a policy. May be repeated."),
		listFlag("service-identity", "`NAME[:DC[,DC…]]` of a service to register. May be repeated."),
		listFlag("node-identity", "`NAME:DC` of a node to register. May be repeated."),
		listFlag("templated-policy", "`TEMPLATE[:NAME]` to fill in. May be repeated."),
	}, more...)
}

// appendFlags add to what a token may do.
var appendFlags = []flagFunc{
	listFlag("append-policy-id", "`ID` of a policy to add. May be repeated."),
	listFlag("append-policy-name", "`NAME` of a policy to add. May be repeated."),
	listFlag("append-role-id", "`ID` of a role to add. May be repeated."),
	listFlag("append-role-name", "`NAME` of a role to add. May be repeated."),
	listFlag("append-service-identity", "`NAME[:DC[,DC…]]` of a service to register, to add. May be repeated."),
	listFlag("append-node-identity", "`NAME:DC` of a node to register, to add. May be repeated."),
	listFlag("append-templated-policy", "`TEMPLATE[:NAME]` to fill in, to add. May be repeated."),
}

// links takes over flags about links. Those without append- take the place of
// all of its kind that were there.
func (c *call) links(to *[]api.ACLLink, kind string) {
	if c.IsSet(kind+"-id") || c.IsSet(kind+"-name") {
		*to = nil
	}
	for _, flag := range []string{kind, "append-" + kind} {
		for _, id := range c.StringSlice(flag + "-id") {
			*to = append(*to, api.ACLLink{ID: id})
		}
		for _, name := range c.StringSlice(flag + "-name") {
			*to = append(*to, api.ACLLink{Name: name})
		}
	}
}

// identities takes over flags about things that read makes of a text, in the same
// way. What is there already is not added again.
func identities[T any](c *call, to *[]T, flag string, read func(text string) (T, error)) error {
	if c.IsSet(flag) {
		*to = nil
	}
	for _, text := range append(c.StringSlice(flag), c.StringSlice("append-"+flag)...) {
		one, err := read(text)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(*to, func(other T) bool { return reflect.DeepEqual(other, one) }) {
			*to = append(*to, one)
		}
	}
	return nil
}

// grants takes over the flags about permissions.
func (c *call) grants(g *api.ACLGrants) error {
	c.links(&g.Policies, "policy")
	return errors.Join(
		identities(c, &g.ServiceIdentities, "service-identity", serviceIdentity),
		identities(c, &g.NodeIdentities, "node-identity", nodeIdentity),
		identities(c, &g.TemplatedPolicies, "templated-policy", templatedPolicy),
	)
}

// serviceIdentity reads NAME[:DC[,DC…]].
func serviceIdentity(text string) (api.ServiceIdentity, error) {
	name, rest, _ := strings.Cut(text, ":")
	i := api.ServiceIdentity{ServiceName: name}
	if rest != "" {
		i.Datacenters = strings.Split(rest, ",")
	}
	return i, nil
}

// nodeIdentity reads NAME:DC.
func nodeIdentity(text string) (api.NodeIdentity, error) {
	name, datacenter, ok := strings.Cut(text, ":")
	if !ok {
		return api.NodeIdentity{}, fmt.Errorf("node identity %q is not NAME:DC", text)
	}
	return api.NodeIdentity{NodeName: name, Datacenter: datacenter}, nil
}

// templatedPolicy reads TEMPLATE[:NAME].
func templatedPolicy(text string) (api.TemplatedPolicy, error) {
	template, name, _ := strings.Cut(text, ":")
	p := api.TemplatedPolicy{TemplateName: template}
	if name != "" {
		p.TemplateVariables = &api.TemplateVariables{Name: name}
	}
	return p, nil
}

// printLinks prints links under a heading.
func (c *call) printLinks(heading string, links []api.ACLLink) {
	if len(links) == 0 {
		return
	}
	c.printf("%s:\n", heading)
	for _, l := range links {
		c.printf("   %s - %s\n", l.ID, l.Name)
	}
}

func (c *call) printGrants(g *api.ACLGrants) {
	c.printLinks("Policies", g.Policies)
	if len(g.ServiceIdentities) > 0 {
		c.printf("Service Identities:\n")
	}
	for _, i := range g.ServiceIdentities {
		where := "all"
		if len(i.Datacenters) > 0 {
			where = strings.Join(i.Datacenters, ", ")
		}
		c.printf("   %s (Datacenters: %s)\n", i.ServiceName, where)
	}
	if len(g.NodeIdentities) > 0 {
		c.printf("Node Identities:\n")
	}
	for _, i := range g.NodeIdentities {
		c.printf("   %s (Datacenter: %s)\n", i.NodeName, i.Datacenter)
	}
	if len(g.TemplatedPolicies) > 0 {
		c.printf("Templated Policies:\n")
	}
	for _, p := range g.TemplatedPolicies {
		c.printf("   %s\n", p.TemplateName)
		if p.TemplateVariables != nil {
			c.printf("      Name: %s\n", p.TemplateVariables.Name)
		}
	}
}
