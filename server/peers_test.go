package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// serverOf is a member that is a server: "1 alive nonvoter=1" has the ID i1, the
// name s1 and the address 10.0.0.1:8300, unless it says name=, id= or addr=.
func serverOf(text string) *api.Member {
	words := strings.Fields(text)
	status := map[string]api.MemberStatus{"alive": api.MemberAlive, "failed": api.MemberFailed, "left": api.MemberLeft, "leaving": api.MemberLeaving}[words[1]]
	m := memberOf("s"+words[0], "i"+words[0], "10.0.0."+words[0], status, "role=consul port=8300 "+strings.Join(words[2:], " "))
	if name := m.Tags["name"]; name != "" {
		m.Name = name
	}
	if addr := m.Tags["addr"]; addr != "" {
		m.Addr = addr
	}
	return m
}

func serversOf(texts ...string) []*api.Member {
	var out []*api.Member
	for _, text := range texts {
		out = append(out, serverOf(text))
	}
	return out
}

// peersOf are servers of the log: "1" votes, "2-" does not, and "3@9" is at the
// address of another.
func peersOf(text string) []*api.RaftServer {
	var out []*api.RaftServer
	for i, word := range strings.Fields(text) {
		id, at, moved := strings.Cut(word, "@")
		voter := !strings.HasSuffix(id, "-")
		id = strings.TrimSuffix(id, "-")
		if !moved {
			at = id
		}
		out = append(out, &api.RaftServer{ID: "i" + id, Node: "s" + id, Address: "10.0.0." + at + ":8300", Voter: voter, Leader: i == 0})
	}
	return out
}

// planned shows changes.
func planned(changes []peerChange) string {
	var out []string
	for _, c := range changes {
		out = append(out, strings.TrimSpace(fmt.Sprint(c.Do, " ", c.ID, " ", strings.TrimSuffix(strings.TrimPrefix(c.Address, "10.0.0."), ":8300"))))
	}
	return strings.Join(out, ", ")
}

// TestPeerChanges asks what follows from the first member; i1 leads.
func TestPeerChanges(t *testing.T) {
	for _, c := range []struct {
		what    string
		peers   string
		members []*api.Member
		want    string
		err     string
	}{
		{"it joins", "1", serversOf("2 alive", "1 alive"), "add i2 2", ""},
		{"it is there", "1 2", serversOf("2 alive"), "", ""},
		{"it is there, and does not vote", "1 2-", serversOf("2 alive"), "", ""},
		{"it has moved", "1 2@9", serversOf("2 alive"), "add i2 2", ""},
		{"it has moved to where another was", "1 2 3", serversOf("2 alive addr=10.0.0.3"), "remove i3, add i2 3", ""},
		{"a new one is where another was", "1 2", serversOf("3 alive addr=10.0.0.2"), "remove i2, add i3 2", ""},
		{"it claims to be where the leader is", "1", serversOf("2 alive addr=10.0.0.1"), "",
			"its address 10.0.0.1:8300 is that of this server; give each its own with advertise and ports.server"},
		{"the leader has moved", "1@9 2", serversOf("1 alive"), "add i1 1", ""},
		{"it fails", "1 2", serversOf("2 failed"), "", ""},
		{"it is leaving", "1 2", serversOf("2 leaving"), "", ""},
		{"it has left", "1 2", serversOf("2 left"), "remove i2", ""},
		{"it left long ago", "1", serversOf("2 left"), "", ""},
		{"the leader is seen to leave", "1 2", serversOf("1 left"), "", ""},
		{"it left, and came back under another name", "1 2", serversOf("2 left", "2 alive name=new"), "", ""},
		{"it came back under another name", "1 2", serversOf("2 alive name=new", "2 left"), "", ""},
		{"bootstrap", "1", serversOf("2 alive bootstrap=1", "1 alive"), "add i2 2", ""},
		{"a second bootstrap", "1", serversOf("2 alive bootstrap=1", "1 alive bootstrap=1"), "",
			"it was started with bootstrap, as was s1; only one server of a datacenter may be: start it without"},
		{"a second bootstrap that is there", "1 2@9", serversOf("2 alive bootstrap=1", "1 alive bootstrap=1"), "add i2 2", ""},
		{"the first bootstrap has left", "1", serversOf("2 alive bootstrap=1", "3 left bootstrap=1"), "add i2 2", ""},
	} {
		got, err := peerChanges(peersOf(c.peers), "i1", "dc1", c.members[0], c.members)
		told := ""
		if err != nil {
			told = err.Error()
		}
		if diff := cmp.Diff([2]string{c.want, c.err}, [2]string{planned(got), told}); diff != "" {
			t.Errorf("%s: servers %s (-want +got)\n%s", c.what, c.peers, diff)
		}
	}
}

// healthOf judges peers as they are said to be: "1+" is healthy and "2-" is not,
// for as many seconds as follow; "?" marks one that does not vote.
func healthOf(text string, now time.Time) *api.AutopilotHealth {
	h := &api.AutopilotHealth{}
	for i, word := range strings.Fields(text) {
		secs := 0
		_, _ = fmt.Sscanf(strings.TrimSuffix(word[2:], "?"), "%d", &secs)
		h.Servers = append(h.Servers, &api.ServerHealth{
			ID: "i" + word[:1], Address: "10.0.0." + word[:1] + ":8300", Leader: i == 0, Voter: !strings.HasSuffix(word, "?"),
			Healthy: word[1] == '+', StableSince: now.Add(-time.Duration(secs) * time.Second),
		})
	}
	return h
}

// TestSuffrage lets those vote that have shown to be healthy.
func TestSuffrage(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	conf := api.DefaultAutopilot()
	for _, c := range []struct {
		health  string
		members []*api.Member
		want    string
	}{
		{"1+99 2+9?", serversOf("1 alive", "2 alive"), ""},
		{"1+99 2+10?", serversOf("1 alive", "2 alive"), "promote i2 2"},
		{"1+99 2+10? 3+11?", serversOf("1 alive", "2 alive", "3 alive"), "promote i2 2, promote i3 3"},
		{"1+99 2-99?", serversOf("1 alive", "2 alive"), ""},
		{"1+99 2+99?", serversOf("1 alive"), ""},
		{"1+99 2+99?", serversOf("1 alive", "2 alive nonvoter=1"), ""},
		{"1+99 2+99?", serversOf("1 alive", "2 alive read_replica=1"), ""},
		{"1+99 2+99", serversOf("1 alive", "2 alive read_replica=1"), "demote i2"},
		{"1+99 2+99 3+99", serversOf("1 alive", "2 alive nonvoter=1", "3 alive nonvoter=1"), "demote i2, demote i3"},
		{"1+99 2+99", serversOf("1 alive nonvoter=1", "2 alive"), ""}, // it leads
		{"1+99 2-1 3+1", serversOf("1 alive", "2 alive", "3 alive nonvoter=1"), ""},
		{"1+99 2-1 3-1", serversOf("1 alive", "2 alive", "3 alive nonvoter=1"), ""},
		{"1+99 2+1 3-1", serversOf("1 alive", "2 alive", "3 alive nonvoter=1"), "demote i3"},
	} {
		got := suffrage(&conf, healthOf(c.health, now), serversByID(c.members, "dc1"), now)
		if diff := cmp.Diff(c.want, planned(got)); diff != "" {
			t.Errorf("%s with %s (-want +got)\n%s", c.health, c.members[len(c.members)-1].Name, diff)
		}
	}
}

// TestDeadServers removes no more than the rest can bear.
func TestDeadServers(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	for _, c := range []struct {
		health  string
		members []*api.Member
		quorum  uint64
		want    string // peers; members; why not
	}{
		{"1+ 2+ 3+", serversOf("1 alive", "2 alive", "3 alive"), 0, "[] [] "},
		{"1+ 2+ 3-", serversOf("1 alive", "2 alive", "3 failed"), 0, "[i3] [s3] "},
		{"1+ 2+ 3-", serversOf("1 alive", "2 alive", "3 left"), 0, "[i3] [] "},
		{"1+ 2+ 3-99", serversOf("1 alive", "2 alive", "3 alive"), 0, "[] [] "}, // slow, not dead
		{"1+ 2+ 3-", serversOf("1 alive", "2 alive", "3 failed"), 2, "[i3] [s3] "},
		{"1+ 2+ 3-", serversOf("1 alive", "2 alive", "3 failed"), 3, "[] [] fewer than min_quorum would be left"},
		{"1+ 2-", serversOf("1 alive", "2 failed"), 0, "[] [] half of the voters or more are dead"},
		{"1+ 2- 3-", serversOf("1 alive", "2 failed", "3 failed"), 0, "[] [] half of the voters or more are dead"},
		{"1+ 2+ 3- 4-", serversOf("1 alive", "2 alive", "3 failed", "4 failed"), 0, "[] [] half of the voters or more are dead"},
		{"1+ 2+ 3+ 4- 5-", serversOf("1 alive", "2 alive", "3 alive", "4 failed", "5 failed"), 0, "[i4 i5] [s4 s5] "},
		{"1+ 2+ 3+ 4- 5-", serversOf("1 alive", "2 alive", "3 alive", "4 failed", "5 failed"), 4, "[i4] [s4] fewer than min_quorum would be left"},
		{"1+ 2- 3- 4-", serversOf("1 alive", "2 alive", "3 alive", "4 failed"), 0, "[] [] too few of the others are healthy"},
		{"1+ 2-? 3-?", serversOf("1 alive", "2 failed", "3 failed"), 0, "[i2 i3] [s2 s3] "},
		{"1+ 2- 3-?", serversOf("1 alive", "2 failed", "3 failed"), 0, "[i3] [s3] half of the voters or more are dead"},
		{"1+", serversOf("1 alive", "2 failed"), 0, "[] [s2] "},
		{"1+ 2+ 3-59", serversOf("1 alive", "2 alive"), 0, "[] [] "},
		{"1+ 2+ 3-60", serversOf("1 alive", "2 alive"), 0, "[i3] [] "},
		{"1- 2+ 3+", serversOf("1 failed", "2 alive", "3 alive"), 0, "[] [] "}, // it leads
	} {
		conf := api.DefaultAutopilot()
		conf.MinQuorum = c.quorum
		dead, kept := deadServers(&conf, healthOf(c.health, now), serversByID(c.members, "dc1"), now)
		if diff := cmp.Diff(c.want, fmt.Sprint(dead.peers, " ", dead.members, " ", kept)); diff != "" {
			t.Errorf("%s, min_quorum %d (-want +got)\n%s", c.health, c.quorum, diff)
		}
	}
}
