package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// furnished is a store with something in every table.
func furnished(t testing.TB) *stage {
	t.Helper()
	s := newStage()
	for _, l := range []string{
		"register node=n1 nodeid=1111-a addr=1 service=web tags=x check=serfHealth:passing check=up:passing:web",
		"register node=n2 nodeid=2222-b addr=2 service=web tags=y check=serfHealth:passing",
		"session create id=s1 node=n1 checks=up lockdelay=15s",
		"session create id=s2 node=n2 lockdelay=15s",
		"copy confirm from=dc0 policies=1",
		"kv put key=a value=1 flags=1",
		"kv put key=a/b value=2 acquire=s1",
		"kv put key=a/c value=3 acquire=s2",
		"kv put key=old value=4",
		"kv delete key=old",
		"reap before=1h",
		"kv put key=gone value=4",
		"kv delete key=go recurse",
		"session destroy id=s2",
		"query create id=q1 name=web service=web session=s1",
		"query create id=q2 name=w service=web template",
		"autopilot set trailing=250",
		"coordinate update node=n1 vec=1",
		`config set kind=mesh name=mesh body="{\"A\":1}"`,
		"policy set id=p1 name=p1",
		"role set id=r1 name=r1 policies=p1",
		"token bootstrap id=t1 secret=t1 policies=p1 roles=r1 for=1h",
		"method set name=m1 type=jwt",
		"method set name=m2 type=jwt",
		"rule set id=b1 method=m1 bind=r1",
	} {
		if _, err := s.line(l, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, tab := range tables {
		if s.store.root.Load().trees[tab.position()].size == 0 {
			t.Fatalf("table %s is empty: furnish it", tab.tableName())
		}
	}
	return s
}

// TestFailuresLeaveNothing holds every way to fail against the tables, the
// indexes of the tables and the watches: all must be as before, whether the
// command comes alone or among others.
func TestFailuresLeaveNothing(t *testing.T) {
	failing := [][]string{
		{"kv put key=a acquire=ghost"},
		{"kv put key=a acquire="},
		{"kv put key=a release="},
		{"session create id=s1 node=n1"},
		{"session create id=s9 node=nobody"},
		{"session create id=s9 node=n1 checks=serfHealth,nope"},
		{"query create id=q1 name=new service=web"},
		{"query create id=web service=web session=s1"},
		{"query create id=q9 name=WEB service=web"},
		{"query create id=q9 name=Q1 service=web"},
		{"query create id=q9 name=q9 service=web"},
		{"query create id=q9 name=W service=web template"},
		{"query create id=q9 name=new service=web session=ghost"},
		{"query update id=q9 name=new service=web"},
		{"query update id=q2 name=web service=web"},
		{"query update id=q1 name=w service=web template"},
		{"query update id=q1 name=web service=web session=ghost"},
		{"query delete id=q9"},
		{"register node=n1"},
		{"register node=n1 nodeid=3333-c addr=9"},
		{"register node=n1 nodeid=2222-b addr=9 service=new"},
		{"register node=n9 addr=9 service=new check=x:critical check=y:passing:nope"},
		{"register node=n1 addr=9 service=web tags=z check=up:critical:web check=y:passing:nope"},
		{"register node=n9 nodeid=1111-a addr=9 check=up:passing:web"},
		{
			"txn", "kv set key=a value=9", "kv set key=new value=9", "kv delete key=a/b", "kv delete-tree key=a",
			"kv lock key=lock session=s1", "node set node=n1 addr=9", "node set node=n9 addr=9", "node delete node=n2",
			"service set node=n1 service=web tags=z", "service set node=n1 service=new", "service delete node=n1 service=web",
			"check set node=n1 id=serfHealth status=critical", "check delete node=n1 id=serfHealth", "session delete id=s1",
			"kv get key=nope",
		},
		{`register node="n1\x00web" addr=9`},
		{`register node=n1 addr=9 service=web id="a\x00b"`},
		{`register node=n1 addr=9 service="web\x00n2"`},
		{`register node=n1 addr=9 check="a\x00b:passing"`},
		{"txn", `node set node="n1\x00" addr=1`},
		{"txn", `service set node=n1 service=x id="a\x00"`},
		{"txn", `check set node=n1 id="a\x00" status=passing`},
		{`config set kind=mesh name="a\x00b"`},
		{"txn", "node delete node=n1", "kv check-index key=a/b index=1"},
		{"method set name=M1 type=jwt"},
		{"method set name=m1 type=other update"},
		{"method set name=none type=jwt update"},
		{"rule set id=b2 method=none bind=r1"},
		{"rule set id=b2 method=m1 bind=r1 update"},
		{"rule set id=b1 method=m2 bind=r1 update"},
		{"login id=t2 secret=t2 method=none made=1"},
		{"login id=t2 secret=t2 method=m1 made=1"},
	}
	for _, c := range failing {
		t.Run(c[0], func(t *testing.T) {
			s := furnished(t)
			before := s.store.root.Load()
			var watches []answer
			for _, q := range questions {
				watches = append(watches, ask(s.store, q))
			}
			got := s.outcome(t, c)
			if got.Err == nil {
				t.Fatalf("%q: got %v, want an error", c, got.Value)
			}
			after := s.store.root.Load()
			for i := range before.trees {
				if before.trees[i].root != after.trees[i].root {
					t.Errorf("%q: tree %d was written", c, i)
				}
			}
			if diff := cmp.Diff(before.changed, after.changed); diff != "" {
				t.Errorf("%q: indexes of tables before (-) and after (+):\n%s", c, diff)
			}
			for i, q := range questions {
				if watches[i].watch.Fired() {
					t.Errorf("%q woke %s %s", c, q.verb, showArgs(q))
				}
			}
			among, without := s.among(t, c, true), s.among(t, c, false)
			if !bytes.Equal(among, without) {
				t.Errorf("%q among other commands: state\n%q\nwithout it\n%q", c, among, without)
			}
		})
	}
}

// entry makes an entry of a line and the lines below it.
func (s *stage) entry(t *testing.T, index uint64, lines []string) Entry {
	t.Helper()
	var parsed []words
	for _, l := range lines {
		w, err := parseWords(l)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, w)
	}
	c, err := command(parsed[0], parsed[1:], s.now)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Index: index, Now: s.now, Command: c}
}

func (s *stage) outcome(t *testing.T, lines []string) Outcome {
	t.Helper()
	return s.store.Apply([]Entry{s.entry(t, 100, lines)})[0]
}

// among applies a failing command, or nothing in its place, between others in
// one batch, and returns the snapshot of what came of it.
func (s *stage) among(t *testing.T, lines []string, with bool) []byte {
	t.Helper()
	fresh := furnished(t)
	entries := []Entry{
		fresh.entry(t, 101, []string{"kv put key=before value=1"}),
		fresh.entry(t, 102, []string{"register node=n1 nodeid=1111-a addr=1 service=before check=before:warning"}),
		{Index: 103, Now: fresh.now},
		fresh.entry(t, 104, []string{"kv put key=after value=1"}),
		fresh.entry(t, 105, []string{"register node=n2 addr=22 service=web tags=after"}),
	}
	if with {
		entries[2] = fresh.entry(t, 103, lines)
	}
	for i, o := range fresh.store.Apply(entries) {
		if wantErr := with && i == 2; (o.Err != nil) != wantErr {
			t.Fatalf("%q: entry %d: got error %v, want one: %v", lines, i, o.Err, wantErr)
		}
	}
	var b bytes.Buffer
	if _, err := fresh.store.Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestKeysAreBytes sends keys that are no UTF-8 through the log and a snapshot.
func TestKeysAreBytes(t *testing.T) {
	for _, key := range []string{"\xff\xfe", "a\x00b", "\xc3", "😀"} {
		t.Run(fmt.Sprintf("%x", key), func(t *testing.T) {
			b, err := Encode(&KVPut{Key: key, Value: []byte("1")}, time.Unix(1, 0))
			if err != nil {
				t.Fatal(err)
			}
			e, err := Decode(b, 1)
			if err != nil {
				t.Fatalf("key %q: %v", key, err)
			}
			for i := range b {
				b[i] = 0xaa // what was decoded must not lie in here
			}
			s := NewStore()
			s.Apply([]Entry{e})
			var snap bytes.Buffer
			if _, err := s.Snapshot().WriteTo(&snap); err != nil {
				t.Fatal(err)
			}
			next := NewStore()
			if err := next.Restore(&snap); err != nil {
				t.Fatal(err)
			}
			p := next.View().KV(key)
			if p == nil || p.Key != key || string(p.Value) != "1" {
				t.Fatalf("key %q: got %+v", key, p)
			}
		})
	}
}

// TestManyEntriesInOneCall applies more entries than one transaction takes.
func TestManyEntriesInOneCall(t *testing.T) {
	const n = 10 * maxTogether
	s := NewStore()
	v := s.View()
	v.KV("k/00007")
	missing := v.Watch()
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{Index: uint64(i + 1), Command: &KVPut{Key: fmt.Sprintf("k/%05d", i), Value: []byte("v")}}
	}
	if got := len(s.Apply(entries)); got != n {
		t.Fatalf("got %d outcomes, want %d", got, n)
	}
	if !missing.Fired() {
		t.Error("the watch of a key that came did not fire")
	}
	v = s.View()
	pairs := v.KVList("k/")
	if len(pairs) != n || v.Index() != n {
		t.Fatalf("got %d keys at %d, want %d at %d", len(pairs), v.Index(), n, n)
	}
	var watches []Watch
	for _, p := range pairs {
		w := s.View()
		w.KV(p.Key)
		watches = append(watches, w.Watch())
	}
	s.Apply([]Entry{{Index: n + 1, Command: &KVDelete{Key: "k/", Recurse: true}}})
	if i := slices.IndexFunc(watches, func(w Watch) bool { return !w.Fired() }); i >= 0 {
		t.Errorf("the watch of %s did not fire when all were deleted", pairs[i].Key)
	}
}
