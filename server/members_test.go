package server_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// roster stands for gossip: what all servers of a test know of the members.
type roster struct {
	mu      sync.Mutex
	members []*api.Member
	tell    []func(*api.Member)
	left    []string // who was forced to leave
}

// list is for Pools.Members.
func (r *roster) list() []*api.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.members)
}

// set adds a member or changes it, and tells the servers.
func (r *roster) set(m api.Member) {
	r.mu.Lock()
	r.members = slices.DeleteFunc(r.members, func(o *api.Member) bool { return o.Name == m.Name })
	r.members = append(r.members, &m)
	tell := slices.Clone(r.tell)
	r.mu.Unlock()
	for _, f := range tell {
		f(&m)
	}
}

// mark sets the status of a member; MemberNone forgets it.
func (r *roster) mark(name string, status api.MemberStatus) {
	for _, m := range r.list() {
		if m.Name != name {
			continue
		}
		if status != api.MemberNone {
			next := *m
			next.Status = status
			r.set(next)
			return
		}
		r.mu.Lock()
		r.members = slices.DeleteFunc(r.members, func(o *api.Member) bool { return o.Name == name })
		tell := slices.Clone(r.tell)
		r.mu.Unlock()
		for _, f := range tell {
			f(m)
		}
	}
}

// forceLeave is for Pools.ForceLeave.
func (r *roster) forceLeave(name string) error {
	r.mu.Lock()
	r.left = append(r.left, name)
	r.mu.Unlock()
	r.mark(name, api.MemberLeft)
	return nil
}

// listen has the server told of changes.
func (r *roster) listen(s *server.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell = append(r.tell, s.MemberChanged)
}

func clientNamed(name string) api.Member {
	return api.Member{Name: name, Addr: "10.1.0.1", Status: api.MemberAlive,
		Tags: map[string]string{"role": "node", "dc": inproc.Datacenter, "id": "id-of-" + name, "build": "1.21.4:"}}
}

func serverNamed(name, id, addr, port string) api.Member {
	return api.Member{Name: name, Addr: addr, Status: api.MemberAlive,
		Tags: map[string]string{"role": "consul", "dc": inproc.Datacenter, "id": id, "port": port, "build": "1.21.4:"}}
}

// alone starts a server among members.
func alone(t *testing.T, r *roster, dir string) *inproc.Server {
	t.Helper()
	s := inproc.Start(t, inproc.Options{Dir: dir, Tune: func(c *server.Config) {
		c.Pools.Members, c.Pools.ForceLeave = r.list, r.forceLeave
	}})
	r.listen(s.Server)
	return s
}

// selfNamed is the member that inproc's server is.
func selfNamed() api.Member {
	return serverNamed(inproc.NodeName, inproc.NodeID, inproc.Address, fmt.Sprint(inproc.ServerPort))
}

// healthOfNodes shows the nodes with their serfHealth.
func healthOfNodes(s *inproc.Server) string {
	out := []string{}
	v := s.Store.View()
	for _, n := range v.Nodes() {
		line := n.Node
		for _, c := range v.ChecksOfNode(n.Node) {
			line += " " + c.Status
		}
		out = append(out, line)
	}
	return strings.Join(out, ", ")
}

// TestMembersAndSessions follows a lock through the life of the node that holds
// it: events are enough, no full pass comes in between.
func TestMembersAndSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &roster{members: []*api.Member{}}
		r.set(selfNamed())
		s := alone(t, r, "")
		want := func(when, nodes string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(nodes, healthOfNodes(s)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", when, diff)
			}
		}
		want("alone", "n1 passing")
		r.set(clientNamed("web"))
		want("web has joined", "n1 passing, web passing")
		id := sessionOf(t, s, `{"Node":"web","LockDelay":"5s"}`)
		if got := s.Must(t, "PUT", "/v1/kv/lock?acquire="+id, "held"); got != "true" {
			t.Fatalf("acquire: got %s", got)
		}
		held := indexOf(t, s, "/v1/kv/lock")
		freed := wait(s, api.KVGet, api.KeyArgs{Key: "lock"}, api.Query{MinIndex: held})
		r.mark("web", api.MemberFailed)
		want("web has failed", "n1 passing, web critical")
		if lives(t, s, id) {
			t.Error("the session of a node that has failed is still there")
		}
		<-freed
		if got := s.Must(t, "GET", "/v1/kv/lock", ""); strings.Contains(got, "Session") {
			t.Errorf("the lock of a node that has failed: got %s, want it free", got)
		}
		s.Must(t, "PUT", "/v1/kv/other", "") // writes go on
		if w := s.Do("PUT", "/v1/session/create", `{"Node":"web"}`); w.Code != 500 || !strings.Contains(w.Body.String(), "critical") {
			t.Errorf("a session on a node that has failed: got %d %s, want it refused", w.Code, w.Body)
		}
		r.mark("web", api.MemberAlive)
		want("web is back", "n1 passing, web passing")
		again := sessionOf(t, s, `{"Node":"web"}`)
		r.mark("web", api.MemberLeft)
		want("web has left", "n1 passing")
		if lives(t, s, again) {
			t.Error("the session of a node that has left is still there")
		}
		r.mark("web", api.MemberAlive)
		r.mark("web", api.MemberNone)
		want("web is forgotten", "n1 passing")
	})
}

// TestMembersWithoutEvents finds in full passes what nobody told.
func TestMembersWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &roster{}
		r.set(selfNamed())
		s := alone(t, r, "")
		r.tell = nil
		want := func(when, nodes string) {
			t.Helper()
			time.Sleep(61 * time.Second) // of the bubble's clock
			synctest.Wait()
			if diff := cmp.Diff(nodes, healthOfNodes(s)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", when, diff)
			}
		}
		s.Must(t, "PUT", "/v1/catalog/register", `{"Node":"external","Address":"10.2.0.1"}`)
		s.Must(t, "PUT", "/v1/catalog/register", `{"Node":"stray","Address":"10.2.0.2","Check":{"Name":"serfHealth","Status":"passing"}}`)
		for i := range 600 {
			r.set(clientNamed(fmt.Sprintf("c%03d", i)))
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		got := healthOfNodes(s)
		if n := strings.Count(got, "passing"); n != 601 || strings.Contains(got, "stray") || !strings.Contains(got, "external") {
			t.Errorf("a minute after 600 members came: %d are passing, want 601; external kept: %t, stray kept: %t",
				n, strings.Contains(got, "external"), strings.Contains(got, "stray"))
		}
		for i := range 600 {
			r.mark(fmt.Sprintf("c%03d", i), api.MemberNone)
		}
		want("a minute after they are forgotten", "external, n1 passing")
		r.tell = []func(*api.Member){s.Server.MemberChanged}
		began := time.Now()
		for i := range 10_000 {
			s.Server.MemberChanged(&api.Member{Name: fmt.Sprint("ghost", i)})
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("telling of 10000 changes took %v, want no wait", took)
		}
		idle := s.Store.Index()
		want("after changes of members that nobody knows", "external, n1 passing")
		if now := s.Store.Index(); now != idle {
			t.Errorf("changes of members that nobody knows wrote %d entries", now-idle)
		}
	})
}

// TestRestartKeepsNodes leads again before gossip has found the others: their
// sessions live on.
func TestRestartKeepsNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := &roster{}
		r.set(selfNamed())
		s := alone(t, r, dir)
		r.set(clientNamed("web"))
		r.set(clientNamed("gone"))
		synctest.Wait()
		id := sessionOf(t, s, `{"Node":"web"}`)
		s.Stop()
		r = &roster{}
		r.set(selfNamed())
		s = alone(t, r, dir)
		synctest.Wait()
		time.Sleep(30 * time.Second)
		if !lives(t, s, id) {
			t.Errorf("a session ended by a restart of the server; nodes: %s", healthOfNodes(s))
		}
		r.set(clientNamed("web"))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if got := healthOfNodes(s); got != "n1 passing, web passing" || !lives(t, s, id) {
			t.Errorf("a minute after a restart: got %s, session lives: %t; want n1 and web, and the session", got, lives(t, s, id))
		}
	})
}
