package acl

import (
	"fmt"
	"slices"
	"strings"
)

// Template is a policy with a gap for a name ("Templated Policies").
type Template struct {
	Name        string // builtin/service
	Description string
	// Rules is the text; ${name} stands for the name of the resource.
	Rules string
	// Named says that a name must be given.
	Named bool
}

const readCatalog = "service_prefix \"\" {\n  policy = \"read\"\n}\nnode_prefix \"\" {\n  policy = \"read\"\n}\n"

// The templates of service and node identities.
var (
	ServiceTemplate = &Template{
		Name: "builtin/service", Named: true,
		Description: "Gives the token or role permissions to register a service and discover services in the catalog.",
		Rules: "service \"${name}\" {\n  policy = \"write\"\n}\nservice \"${name}-sidecar-proxy\" {\n  policy = \"write\"\n}\n" +
			readCatalog,
	}
	NodeTemplate = &Template{
		Name: "builtin/node", Named: true,
		Description: "Gives the token or role permissions for a client agent to register its node and discover services.",
		Rules:       "node \"${name}\" {\n  policy = \"write\"\n}\nservice_prefix \"\" {\n  policy = \"read\"\n}\n",
	}
)

var templates = []*Template{
	{
		Name: "builtin/api-gateway", Named: true,
		Description: "Gives the token or role permissions for an API gateway.",
		Rules:       "mesh = \"read\"\nservice \"${name}\" {\n  policy = \"write\"\n}\n" + readCatalog,
	},
	{
		Name:        "builtin/dns",
		Description: "Gives the token or role permissions for the DNS interface to query services in the catalog.",
		Rules:       readCatalog + "query_prefix \"\" {\n  policy = \"read\"\n}\n",
	},
	NodeTemplate,
	{
		Name:        "builtin/nomad-client",
		Description: "Gives the token or role permissions for integration with a Nomad client.",
		Rules:       "agent_prefix \"\" {\n  policy = \"read\"\n}\nnode_prefix \"\" {\n  policy = \"read\"\n}\nservice_prefix \"\" {\n  policy = \"write\"\n}\n",
	},
	{
		Name:        "builtin/nomad-server",
		Description: "Gives the token or role permissions for integration with a Nomad server.",
		Rules: "acl = \"write\"\nagent_prefix \"\" {\n  policy = \"read\"\n}\nnode_prefix \"\" {\n  policy = \"read\"\n}\n" +
			"service_prefix \"\" {\n  policy = \"write\"\n}\n",
	},
	ServiceTemplate,
}

// Templates lists the templates by name.
func Templates() []*Template { return slices.Clone(templates) }

// FindTemplate gives the template with a name; nil if there is none.
func FindTemplate(name string) *Template {
	for _, t := range templates {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Text fills in a name. Names are letters, digits, dashes and underscores.
func (t *Template) Text(name string) (string, error) {
	if !t.Named {
		return t.Rules, nil
	}
	if !validName(name) {
		return "", fmt.Errorf("templated policy %s: the name %q must have 1 to 256 letters, digits, dashes and underscores", t.Name, name)
	}
	return strings.ReplaceAll(t.Rules, "${name}", name), nil
}

// validName reports whether a name may stand in a policy made from a template.
func validName(name string) bool {
	if name == "" || len(name) > 256 {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
