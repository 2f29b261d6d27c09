package server

import (
	"context"

	"curia/acl"
	"curia/api"
)

// aclAuthorize tells which permissions the caller has.
func aclAuthorize(_ context.Context, who acl.Authorizer, q *api.ACLAuthorizeArgs) ([]api.ACLAuthorized, error) {
	out := []api.ACLAuthorized{}
	for _, w := range q.Wanted {
		need := acl.Need{Resource: w.Resource, Access: w.Access, Name: w.Segment}
		out = append(out, api.ACLAuthorized{ACLAuthorization: w, Allow: who.Allows(need)})
	}
	return out, nil
}
