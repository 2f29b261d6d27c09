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

// copies are two datacenters: the second copies the ACLs of the first.
type copies struct {
	t       *testing.T
	primary *agent
	dc      *datacenter
}

// status waits until the status of copying is as wanted.
func (d *copies) status(want func(*consul.ACLReplicationStatus) bool) {
	d.t.Helper()
	c := d.dc.client.client()
	eventually(d.t, thingWait, func() error {
		st, _, err := c.ACL().Replication(nil)
		if err == nil && !want(st) {
			err = fmt.Errorf("replication: got %+v", st)
		}
		return err
	})
}

// works says that tokens were copied just now.
func works(st *consul.ACLReplicationStatus) bool {
	return st.Enabled && st.Running && st.SourceDatacenter == "dc1" && st.ReplicationType == "tokens" && st.ReplicatedTokenIndex > 0 &&
		time.Since(st.LastSuccess) < 10*time.Second
}

// fails says that nothing was copied for some time.
func fails(st *consul.ACLReplicationStatus) bool {
	return st.LastErrorMessage != "" && time.Since(st.LastSuccess) > 3*time.Second
}

// writerToken makes a token with the policy writer.
func writerToken(t *testing.T, through *agent, local bool) *consul.ACLToken {
	t.Helper()
	tok, _, err := through.client().ACL().TokenCreate(&consul.ACLToken{Policies: []*consul.ACLTokenPolicyLink{{Name: "writer"}}, Local: local}, nil)
	check(t, err)
	return tok
}

// puts writes a key with a token, in a datacenter.
func puts(a *agent, token, datacenter string) error {
	return putting(a, token)(datacenter)
}

// putting is puts for those who try more than once.
func putting(a *agent, token string) func(datacenter string) error {
	kv := a.clientAs(token).KV()
	return func(datacenter string) error {
		_, err := kv.Put(&consul.KVPair{Key: "a", Value: []byte("1")}, &consul.WriteOptions{Datacenter: datacenter})
		return err
	}
}

// unknown wants an error that says that nobody has a token.
func unknown(what string, err error) error {
	if err == nil || !strings.Contains(err.Error(), "ACL not found") {
		return fmt.Errorf("%s: got %v, want ACL not found", what, err)
	}
	return nil
}

// TestACLCopies works with the ACLs of one datacenter in another, through a client
// agent there, while its leader and then the first datacenter go away.
func TestACLCopies(t *testing.T) {
	t.Parallel()
	conf := guarded()
	conf["primary_datacenter"] = "dc1"
	d := &copies{t: t, primary: start(t, option{config: conf})}
	d.dc = startDatacenter(t, copied(d.primary))
	d.status(works)
	global := d.write()
	d.loseLeader(global)
	d.losePrimary()
}

// write makes a policy and tokens in the second datacenter, uses them, and gives
// the one that holds everywhere.
func (d *copies) write() *consul.ACLToken {
	d.t.Helper()
	t, c, agent := d.t, d.dc.client.client(), d.dc.client
	p, _, err := c.ACL().PolicyCreate(&consul.ACLPolicy{Name: "writer", Rules: `key_prefix "" { policy = "write" }`}, nil)
	check(t, err)
	read, _, err := c.ACL().PolicyReadByName("writer", nil)
	check(t, err)
	same(t, "ID of the policy", read.ID, p.ID)
	global, local := writerToken(t, agent, false), writerToken(t, agent, true)
	check(t, puts(agent, global.SecretID, ""))
	check(t, puts(agent, global.SecretID, "dc1"))
	check(t, puts(agent, local.SecretID, ""))
	check(t, unknown("a local token of dc2 in dc1", puts(agent, local.SecretID, "dc1")))
	eventually(t, thingWait, func() error {
		list, _, err := c.ACL().TokenList(nil)
		if err == nil && len(list) != 4 { // the anonymous one, root, and the two
			err = fmt.Errorf("tokens of dc2: got %d, want 4", len(list))
		}
		return err
	})
	list, _, err := d.primary.client().ACL().TokenList(nil)
	check(t, err)
	same(t, "tokens of dc1", len(list), 3)
	return global
}

// loseLeader revokes a token after the leader of the second datacenter was killed,
// and lets that come back.
func (d *copies) loseLeader(token *consul.ACLToken) {
	d.t.Helper()
	gone := d.dc.leader()
	gone.kill()
	d.dc.leader()
	_, err := d.primary.client().ACL().TokenDelete(token.AccessorID, nil)
	check(d.t, err)
	for _, a := range append(d.dc.followers(), d.dc.client) {
		put := putting(a, token.SecretID)
		eventually(d.t, thingWait, func() error { return unknown("a token that was revoked", put("")) })
	}
	d.status(works)
	gone.restart()
	d.dc.leader()
}

// losePrimary goes on with copies while the first datacenter is away.
func (d *copies) losePrimary() {
	d.t.Helper()
	t, agent := d.t, d.dc.client
	kept := writerToken(t, d.primary, false)
	for _, a := range d.dc.servers {
		tokens := a.clientAs(kept.SecretID).ACL()
		eventually(t, thingWait, func() error {
			_, _, err := tokens.TokenReadSelf(&consul.QueryOptions{AllowStale: true})
			return err
		})
	}
	made := time.Now()
	d.status(func(st *consul.ACLReplicationStatus) bool { return works(st) && st.LastSuccess.After(made) })
	d.primary.kill()
	d.status(fails)
	check(t, puts(agent, kept.SecretID, ""))
	check(t, puts(d.dc.leader(), kept.SecretID, ""))
	policies, _, err := agent.client().ACL().PolicyList(nil)
	check(t, err)
	same(t, "policies", len(policies), 3)
	writerToken(t, agent, true)

	d.primary.restart()
	d.status(works)
	later := writerToken(t, d.primary, false)
	put := putting(agent, later.SecretID)
	eventually(t, thingWait, func() error { return put("") })
}
