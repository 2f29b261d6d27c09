package state

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// TestOlderSnapshots restores a snapshot that was written before there were auth
// methods.
func TestOlderSnapshots(t *testing.T) {
	s := furnished(t)
	now := tables
	defer func() { tables = now }()
	tables = slices.DeleteFunc(slices.Clone(now), func(a anyTable) bool {
		return a == anyTable(authMethods) || a == anyTable(bindingRules)
	})
	var older bytes.Buffer
	if _, err := s.store.Snapshot().WriteTo(&older); err != nil || len(tables) != len(now)-2 {
		t.Fatalf("write: %d of %d tables, %v", len(tables), len(now), err)
	}
	tables = now
	next := NewStore()
	if err := next.Restore(&older); err != nil {
		t.Fatal(err)
	}
	want := s.store.Snapshot().Counts()
	want[authMethods.name], want[bindingRules.name] = 0, 0
	if diff := cmp.Diff(want, next.Snapshot().Counts()); diff != "" {
		t.Errorf("rows by table (-want +got):\n%s", diff)
	}
}

// TestSnapshotsForOlderVersions restores a snapshot where tables are unknown that it
// has never used: while servers are upgraded one after the other, one of the new
// version may have to give its state to one of the old.
func TestSnapshotsForOlderVersions(t *testing.T) {
	s := NewStore()
	for _, o := range s.Apply([]Entry{{Index: 1, Now: time.Unix(1, 0), Command: &KVPut{Key: "a"}}}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	var newer bytes.Buffer
	if _, err := s.Snapshot().WriteTo(&newer); err != nil {
		t.Fatal(err)
	}
	now := tables
	defer func() { tables = now }()
	tables = slices.DeleteFunc(slices.Clone(now), func(a anyTable) bool { return a == anyTable(aclCopies) })
	next := NewStore()
	if err := next.Restore(&newer); err != nil {
		t.Fatal(err)
	}
	if got := next.Snapshot().Counts()[kvs.name]; got != 1 || len(tables) != len(now)-1 {
		t.Errorf("an older version with %d of %d tables reads %d keys, want 1", len(tables), len(now), got)
	}
}

// methodCommand makes the commands of auth methods; nil if the words are none.
func (w words) methodCommand(how ACLWrite, now time.Time) Command {
	switch w.verb {
	case "method set":
		return &AuthMethodSet{Method: api.ACLAuthMethod{
			Name: w.text("name"), Type: w.text("type"), Description: w.text("about"), Config: api.Opaque(`{"a":1}`),
		}, Write: how}
	case "method delete":
		return &AuthMethodDelete{Name: w.text("name")}
	case "rule set":
		return &BindingRuleSet{Rule: api.ACLBindingRule{
			ID: w.text("id"), AuthMethod: w.text("method"), Selector: w.text("selector"), BindType: api.BindRole, BindName: w.text("bind"),
		}, Write: how}
	case "rule delete":
		return &BindingRuleDelete{ID: w.text("id")}
	case "login":
		return &ACLLogin{Method: w.number("made"), Token: api.ACLToken{
			AccessorID: w.text("id"), SecretID: w.text("secret"), AuthMethod: w.text("method"), Roles: w.aclLinks("roles"), CreateTime: now,
		}}
	}
	return nil
}

// methodQuery answers the queries of auth methods.
func methodQuery(v *View, w words) ([]string, bool) {
	switch w.verb {
	case "method get":
		return showOne(v.ACLAuthMethod(w.text("name")), showMethod), true
	case "methods":
		return show(v.ACLAuthMethods(), showMethod), true
	case "rule get":
		return showOne(v.ACLBindingRule(w.text("id")), showRule), true
	case "rules":
		if w.has("method") {
			return show(v.ACLRulesOf(w.text("method")), showRule), true
		}
		return show(v.ACLBindingRules(), showRule), true
	}
	return nil, false
}

func showMethod(m *api.ACLAuthMethod) string {
	return line(m.Name, "type="+m.Type, maybe("about", m.Description), string(m.Config), since(m.CreateIndex, m.ModifyIndex))
}

func showRule(r *api.ACLBindingRule) string {
	return line(r.ID, "method="+r.AuthMethod, maybe("selector", r.Selector), r.BindType+"="+r.BindName, since(r.CreateIndex, r.ModifyIndex))
}
