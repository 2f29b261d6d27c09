package realtest

import (
	"fmt"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

func TestClientSession(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	s := c.Session()
	_, _, err := s.Create(&consul.SessionEntry{Name: "first"}, nil)
	check(t, err)
	id, _, err := s.Create(&consul.SessionEntry{Name: "mine", LockDelay: 20 * time.Second, TTL: "90s", Behavior: "delete"}, nil)
	check(t, err)
	got, meta, err := s.Info(id, nil)
	check(t, err)
	if got == nil || meta.LastIndex == 0 {
		t.Fatalf("info: got %v, %+v", got, meta)
	}
	same(t, "info", fmt.Sprint(got.ID, got.Name, got.Node, got.LockDelay, got.TTL, got.Behavior, got.CreateIndex > 0),
		fmt.Sprint(id, "mine", "n1", 20*time.Second, "90s", "delete", true))
	renewed, _, err := s.Renew(id, nil)
	check(t, err)
	same(t, "renew", renewed, got)

	bare, _, err := s.CreateNoChecks(&consul.SessionEntry{Name: "bare"}, nil)
	check(t, err)
	got, _, err = s.Info(bare, nil)
	check(t, err)
	if len(got.NodeChecks) != 0 || len(got.Checks) != 0 {
		t.Errorf("session without checks: got %+v", got)
	}
	list, _, err := s.List(nil)
	check(t, err)
	ofNode, _, err := s.Node("n1", nil)
	check(t, err)
	none, _, err := s.Node("nobody", nil)
	check(t, err)
	same(t, "sessions: all, of n1, of nobody", []int{len(list), len(ofNode), len(none)}, []int{3, 3, 0})

	gone, _, err := s.Renew("00000000-0000-0000-0000-000000000000", nil)
	if gone != nil || err != nil {
		t.Errorf("renew of an unknown session: got %v, %v, wanted neither", gone, err)
	}
	unknown, _, err := s.Info("00000000-0000-0000-0000-000000000000", nil)
	if unknown != nil || err != nil {
		t.Errorf("info of an unknown session: got %v, %v, wanted neither", unknown, err)
	}

	_, meta, err = s.List(nil)
	check(t, err)
	woken := make(chan int, 1)
	go func() {
		now, _, err := s.List(&consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: thingWait})
		if err != nil {
			t.Error(err)
		}
		woken <- len(now)
	}()
	_, err = s.Destroy(bare, nil)
	check(t, err)
	same(t, "sessions after a wait", await(t, "the list wakes", woken), 2)

	for _, bad := range []consul.SessionEntry{{TTL: "9s"}, {TTL: "25h"}, {TTL: "x"}, {Behavior: "keep"}, {Node: "nobody"}, {Checks: []string{"none"}}} {
		if id, _, err := s.Create(&bad, nil); err == nil {
			t.Errorf("create %+v: got %s, wanted an error", bad, id)
		}
	}
}

// TestClientSessionEnds covers what becomes of keys when a session ends.
func TestClientSessionEnds(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	for _, behavior := range []string{consul.SessionBehaviorRelease, consul.SessionBehaviorDelete} {
		id, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{Behavior: behavior, LockDelay: time.Minute}, nil)
		check(t, err)
		key := "end/" + behavior
		ok, _, err := c.KV().Acquire(&consul.KVPair{Key: key, Value: []byte("v"), Session: id}, nil)
		same(t, "acquire", []any{ok, err}, []any{true, nil})
		_, err = c.Session().Destroy(id, nil)
		check(t, err)
		p, _, err := c.KV().Get(key, nil)
		check(t, err)
		if behavior == consul.SessionBehaviorDelete {
			if p != nil {
				t.Errorf("behavior delete: got %+v", p)
			}
		} else if p == nil || p.Session != "" || string(p.Value) != "v" {
			t.Errorf("behavior release: got %+v", p)
		}
		next, _, err := c.Session().CreateNoChecks(nil, nil)
		check(t, err)
		ok, _, err = c.KV().Acquire(&consul.KVPair{Key: key, Session: next}, nil)
		same(t, "acquire within the lock delay", []any{ok, err}, []any{false, nil})
	}

	// A session ends with the check that it depends on.
	reg := &consul.CatalogRegistration{Node: "ext", Address: "127.0.0.9", Checks: consul.HealthChecks{
		{Node: "ext", CheckID: "alive", Name: "alive", Status: consul.HealthPassing},
	}}
	_, err := c.Catalog().Register(reg, nil)
	check(t, err)
	id, _, err := c.Session().Create(&consul.SessionEntry{Node: "ext", Checks: []string{"alive"}}, nil)
	check(t, err)
	reg.Checks[0].Status = consul.HealthCritical
	_, err = c.Catalog().Register(reg, nil)
	check(t, err)
	if s, _, err := c.Session().Info(id, nil); s != nil || err != nil {
		t.Errorf("session after its check became critical: got %v, %v", s, err)
	}
}

// TestClientSessionTTL covers that a session lives while it is renewed, and not
// much longer. The shortest documented TTL takes 10 to 20 seconds; the short
// test lowers it by the configuration.
func TestClientSessionTTL(t *testing.T) {
	t.Parallel()
	ttl := time.Duration(scale(1, 10)) * time.Second
	o := option{}
	if testing.Short() {
		o.config = map[string]any{"session_ttl_min": "1s"}
	}
	a := start(t, o)
	c := a.client()
	create := func() string {
		id, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{TTL: ttl.String()}, nil)
		check(t, err)
		return id
	}
	renewed, left := create(), create()
	began := time.Now()
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- c.Session().RenewPeriodic(ttl.String(), renewed, nil, done) }()
	eventually(t, 4*ttl, func() error {
		s, _, err := c.Session().Info(left, nil)
		if err != nil || s == nil {
			return err
		}
		return fmt.Errorf("%s still lives", left)
	})
	if lived := time.Since(began); lived < ttl {
		t.Errorf("a session with a TTL of %v lived %v", ttl, lived)
	}
	if s, _, err := c.Session().Info(renewed, nil); s == nil || err != nil {
		t.Errorf("the renewed session: got %v, %v, wanted it alive", s, err)
	}
	close(done)
	check(t, await(t, "RenewPeriodic ends", ended))
	if s, _, err := c.Session().Info(renewed, nil); s != nil || err != nil {
		t.Errorf("the session after RenewPeriodic: got %v, %v, wanted it destroyed", s, err)
	}
}
