package realtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// copied are the keys of agents of a datacenter that copies ACLs from dc1, and
// believes for two seconds what it was told.
func copied(primary *agent) map[string]any {
	return map[string]any{
		"datacenter": "dc2", "primary_datacenter": "dc1", "retry_join_wan": []string{primary.wanAddress()}, "retry_interval_wan": "1s",
		"acl": map[string]any{
			"enabled": true, "default_policy": "deny", "enable_token_replication": true,
			"token_ttl": "2s", "policy_ttl": "2s", "role_ttl": "2s",
			"tokens": map[string]any{"replication": root, "default": root},
		},
	}
}

// TestACLCopies works with the ACLs of one datacenter in another, through a client
// agent there, while its leader and then the first datacenter go away.
func TestACLCopies(t *testing.T) {
	t.Parallel()
	conf := guarded()
	conf["primary_datacenter"] = "dc1"
	primary := start(t, option{config: conf})
	dc := startDatacenter(t, copied(primary))
	c, there := dc.client.client(), primary.client()
	status := func(want func(*consul.ACLReplicationStatus) bool) {
		t.Helper()
		eventually(t, thingWait, func() error {
			st, _, err := c.ACL().Replication(nil)
			if err == nil && !want(st) {
				err = fmt.Errorf("replication: got %+v", st)
			}
			return err
		})
	}
	works := func(st *consul.ACLReplicationStatus) bool {
		return st.Enabled && st.Running && st.SourceDatacenter == "dc1" && st.ReplicationType == "tokens" && st.ReplicatedTokenIndex > 0 &&
			time.Since(st.LastSuccess) < 10*time.Second
	}
	status(works)

	p, _, err := c.ACL().PolicyCreate(&consul.ACLPolicy{Name: "writer", Rules: `key_prefix "" { policy = "write" }`}, nil)
	check(t, err)
	read, _, err := c.ACL().PolicyReadByName("writer", nil)
	check(t, err)
	same(t, "ID of the policy", read.ID, p.ID)
	links := []*consul.ACLTokenPolicyLink{{Name: "writer"}}
	global, _, err := c.ACL().TokenCreate(&consul.ACLToken{Policies: links}, nil)
	check(t, err)
	local, _, err := c.ACL().TokenCreate(&consul.ACLToken{Policies: links, Local: true}, nil)
	check(t, err)
	puts := func(a *agent, token, datacenter string) error {
		_, err := a.clientAs(token).KV().Put(&consul.KVPair{Key: "a", Value: []byte("1")}, &consul.WriteOptions{Datacenter: datacenter})
		return err
	}
	check(t, puts(dc.client, global.SecretID, ""))
	check(t, puts(dc.client, global.SecretID, "dc1"))
	check(t, puts(dc.client, local.SecretID, ""))
	denied := func(what string, err error) error {
		if err == nil || !strings.Contains(err.Error(), "ACL not found") {
			return fmt.Errorf("%s: got %v, want ACL not found", what, err)
		}
		return nil
	}
	check(t, denied("a local token of dc2 in dc1", puts(dc.client, local.SecretID, "dc1")))
	list, _, err := c.ACL().TokenList(nil)
	check(t, err)
	same(t, "tokens of dc2", len(list), 4) // the anonymous one, root, and the two
	list, _, err = there.ACL().TokenList(nil)
	check(t, err)
	same(t, "tokens of dc1", len(list), 3)

	gone := dc.leader()
	gone.kill()
	dc.leader()
	_, err = there.ACL().TokenDelete(global.AccessorID, nil)
	check(t, err)
	for _, a := range append(dc.followers(), dc.client) {
		eventually(t, thingWait, func() error { return denied("a token that was revoked", puts(a, global.SecretID, "")) })
	}
	status(works)
	gone.restart()
	kept, _, err := there.ACL().TokenCreate(&consul.ACLToken{Policies: links}, nil)
	check(t, err)
	eventually(t, thingWait, func() error { return puts(gone, kept.SecretID, "") })
	// Only what this server has copied works from now on.
	eventually(t, thingWait, func() error {
		_, _, err := gone.clientAs(kept.SecretID).ACL().TokenReadSelf(nil)
		return err
	})
	status(func(st *consul.ACLReplicationStatus) bool { return works(st) && time.Since(st.LastSuccess) < time.Second })

	primary.kill()
	status(func(st *consul.ACLReplicationStatus) bool {
		return st.LastErrorMessage != "" && time.Since(st.LastSuccess) > 3*time.Second
	})
	check(t, puts(dc.client, kept.SecretID, ""))
	check(t, puts(dc.leader(), kept.SecretID, ""))
	policies, _, err := c.ACL().PolicyList(nil)
	check(t, err)
	same(t, "policies", len(policies), 3)
	_, _, err = c.ACL().TokenCreate(&consul.ACLToken{Policies: links, Local: true}, nil)
	check(t, err)

	primary.restart()
	status(works)
	later, _, err := there.ACL().TokenCreate(&consul.ACLToken{Policies: links}, nil)
	check(t, err)
	eventually(t, thingWait, func() error { return puts(dc.client, later.SecretID, "") })
}
