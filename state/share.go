package state

import (
	"maps"
	"slices"

	"curia/api"
)

// Rows that were decoded each hold copies of the same names, tags and metadata;
// with many instances of few services that is most of their memory. Before a
// row is put into its table it takes over what a row that is there already has.

func init() {
	services.share = shareInstance
	checks.share = shareCheck
}

// shareInstance takes the name of the node from its row, and what is equal from
// the first instance of the same service.
func shareInstance(src source, i *instance) {
	if n := nodes.get(src, []byte(fold(i.Node))); n != nil && n.Node == i.Node {
		i.Node = n.Node
	}
	s := i.Service
	services.prefix(src, servicesName, join(fold(s.Service), ""), func(other *instance) bool {
		o := other.Service
		if s.Service == o.Service {
			s.Service = o.Service
		}
		if slices.Equal(s.Tags, o.Tags) {
			s.Tags = o.Tags
		}
		if maps.Equal(s.Meta, o.Meta) {
			s.Meta = o.Meta
		}
		return false
	})
	if s.ID == s.Service {
		s.ID = s.Service
	}
}

// noDefinition is the definition of all checks that have none.
var noDefinition = &api.CheckDefinition{}

// shareCheck takes names and tags from the rows of the node and the service.
func shareCheck(src source, c *api.Check) {
	if n := nodes.get(src, []byte(fold(c.Node))); n != nil && n.Node == c.Node {
		c.Node = n.Node
	}
	if c.ServiceID != "" {
		if s := services.get(src, join(fold(c.Node), c.ServiceID)); s != nil && s.Service.Service == c.ServiceName {
			c.ServiceID, c.ServiceName = s.Service.ID, s.Service.Service
			if slices.Equal(c.ServiceTags, s.Service.Tags) {
				c.ServiceTags = s.Service.Tags
			}
		}
	}
	for _, status := range []string{api.Passing, api.Warning, api.Critical, api.Unknown} {
		if c.Status == status {
			c.Status = status
		}
	}
	if c.Definition == nil || c.Definition.IsZero() {
		c.Definition = noDefinition
	}
}
