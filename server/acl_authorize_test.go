package server_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"curia/acl"
	"curia/api"
)

// TestAuthorize asks about permissions.
func TestAuthorize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guarded(t, acl.DenyAll{})
		secret := tokenOf(t, s, `key "a" { policy = "write" } operator = "read"`)
		wanted := []api.ACLAuthorization{
			{Resource: acl.Key, Access: acl.Write, Segment: "a"}, {Resource: acl.Key, Access: acl.Read, Segment: "b"},
			{Resource: acl.Operator, Access: acl.Read}, {Resource: acl.Operator, Access: acl.Write}, {Resource: acl.Intention, Access: acl.Read, Segment: "x"},
		}
		for who, want := range map[string]string{secret: "true false true false false", rootSecret: "true true true true true", "": "false false false false false"} {
			got, err := call(s, who, api.ACLAuthorize, api.ACLAuthorizeArgs{Wanted: wanted})
			var allowed []string
			for i, a := range got {
				allowed = append(allowed, fmt.Sprint(a.Allow))
				if a.ACLAuthorization != wanted[i] {
					t.Errorf("answer %d: got %+v, want it to repeat %+v", i, a, wanted[i])
				}
			}
			if strings.Join(allowed, " ") != want || err != nil {
				t.Errorf("token %q: got %v, %v; want %s", who, allowed, err, want)
			}
		}
		for _, c := range []struct {
			wanted []api.ACLAuthorization
			want   string
		}{
			{make([]api.ACLAuthorization, 65), "Refusing to process more than 64 authorizations at once"},
			{[]api.ACLAuthorization{{Resource: "door", Access: acl.Read}}, `unknown resource "door"`},
			{[]api.ACLAuthorization{{Resource: acl.Key, Access: "lick"}}, `unknown access "lick" to the resource key`},
			{[]api.ACLAuthorization{{Resource: acl.Node, Access: acl.List}}, `unknown access "list" to the resource node`},
		} {
			err := (&api.ACLAuthorizeArgs{Wanted: c.wanted}).Validate()
			if api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d authorizations: got %v, want %q", len(c.wanted), err, c.want)
			}
		}
	})
}
