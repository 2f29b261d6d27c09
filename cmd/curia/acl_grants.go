package main

import (
	"fmt"
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

// links takes over flags about links, which take the place of all of its kind
// that were there.
func (c *call) links(to *[]api.ACLLink, kind string) {
	if !c.IsSet(kind+"-id") && !c.IsSet(kind+"-name") {
		return
	}
	*to = nil
	for _, id := range c.StringSlice(kind + "-id") {
		*to = append(*to, api.ACLLink{ID: id})
	}
	for _, name := range c.StringSlice(kind + "-name") {
		*to = append(*to, api.ACLLink{Name: name})
	}
}

// grants takes over the flags about permissions.
func (c *call) grants(g *api.ACLGrants) error {
	c.links(&g.Policies, "policy")
	if c.IsSet("service-identity") {
		g.ServiceIdentities = nil
	}
	for _, text := range c.StringSlice("service-identity") {
		name, rest, _ := strings.Cut(text, ":")
		i := api.ServiceIdentity{ServiceName: name}
		if rest != "" {
			i.Datacenters = strings.Split(rest, ",")
		}
		g.ServiceIdentities = append(g.ServiceIdentities, i)
	}
	if c.IsSet("node-identity") {
		g.NodeIdentities = nil
	}
	for _, text := range c.StringSlice("node-identity") {
		name, datacenter, ok := strings.Cut(text, ":")
		if !ok {
			return fmt.Errorf("node identity %q is not NAME:DC", text)
		}
		g.NodeIdentities = append(g.NodeIdentities, api.NodeIdentity{NodeName: name, Datacenter: datacenter})
	}
	if c.IsSet("templated-policy") {
		g.TemplatedPolicies = nil
	}
	for _, text := range c.StringSlice("templated-policy") {
		template, name, _ := strings.Cut(text, ":")
		p := api.TemplatedPolicy{TemplateName: template}
		if name != "" {
			p.TemplateVariables = &api.TemplateVariables{Name: name}
		}
		g.TemplatedPolicies = append(g.TemplatedPolicies, p)
	}
	return nil
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
