//lint:file-ignore SA1019 The deprecated functions are those that older programs call.

package realtest

import (
	"testing"

	consul "github.com/hashicorp/consul/api"
)

// TestClientLegacyACL uses the older functions of the client.
func TestClientLegacyACL(t *testing.T) {
	t.Parallel()
	a, c := denying(t)
	acls := c.ACL()
	id, _, err := acls.Create(&consul.ACLEntry{Name: "app", Type: "client", Rules: `key "app/" { policy = "write" }`}, nil)
	check(t, err)
	user := a.clientAs(id)
	_, err = user.KV().Put(&consul.KVPair{Key: "app/a"}, nil)
	check(t, err)
	_, _, err = user.ACL().List(nil)
	denied(t, "list as a client", err, "lacks permission 'acl:write'")
	info, _, err := a.clientAs("").ACL().Info(id, nil)
	check(t, err)
	same(t, "info", []any{info.ID, info.Name, info.Type, info.Rules}, []any{id, "app", "client", `key "app/" { policy = "write" }`})
	copied, _, err := acls.Clone(id, nil)
	check(t, err)
	info.Rules = ""
	_, err = acls.Update(info, nil)
	check(t, err)
	_, err = user.KV().Put(&consul.KVPair{Key: "app/a"}, nil)
	denied(t, "write without rules", err, "lacks permission 'key:write' on \"app/a\"")
	_, err = a.clientAs(copied).KV().Put(&consul.KVPair{Key: "app/a"}, nil)
	check(t, err)
	all, _, err := acls.List(nil)
	check(t, err)
	same(t, "list", len(all), 4)
	_, err = acls.Destroy(copied, nil)
	check(t, err)
	gone, _, err := acls.Info(copied, nil)
	if gone != nil || err != nil {
		t.Errorf("info of what is gone: got %v, %v; want neither", gone, err)
	}
	_, _, err = acls.Create(&consul.ACLEntry{Type: "root"}, nil)
	denied(t, "create another type", err, "500 (Invalid ACL Type)")
	manager, _, err := acls.Create(&consul.ACLEntry{Name: "m", Type: consul.ACLManagementType}, nil)
	check(t, err)
	_, _, err = a.clientAs(manager).ACL().TokenList(nil)
	check(t, err)
}
