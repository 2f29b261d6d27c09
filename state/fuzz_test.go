package state

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"curia/api"
)

// FuzzDecode reads arbitrary bytes as an entry of the log: an error or a
// command, never a panic. A command that was read is written back as something
// that is read the same way.
func FuzzDecode(f *testing.F) {
	now := time.Unix(1_000_000_000, 5)
	for _, c := range []Command{
		&KVPut{Key: "a", Value: []byte("1"), CAS: new(uint64)},
		&KVDelete{Key: "a", Recurse: true},
		&Reap{Before: now},
		&SessionCreate{Session: api.Session{ID: "s", Node: "n", ServiceChecks: []api.ServiceCheck{{ID: "c"}}}},
		&SessionDestroy{ID: "s"},
		&Register{
			Node: &api.Node{Node: "n", Meta: map[string]string{"a": "b"}}, Service: &api.Service{ID: "s", Tags: []string{"t"}},
			Checks: []*api.Check{{CheckID: "c"}},
		},
		&Deregister{Node: "n"},
		&QueryCreate{Query: api.PreparedQuery{
			ID: "q", Name: "n", Template: api.QueryTemplate{Type: api.NamePrefixMatch}, DNS: api.QueryDNS{TTL: "1s"},
			Service: api.ServiceQuery{Service: "s", Tags: []string{"t"}, NodeMeta: map[string]string{"a": "b"},
				Failover: api.QueryFailover{NearestN: 1, Targets: []api.QueryTarget{{Datacenter: "dc2"}}}},
		}},
		&QueryUpdate{Query: api.PreparedQuery{ID: "q", Session: "s"}},
		&QueryDelete{ID: "q"},
		&Txn{Ops: []*api.TxnOp{{KV: &api.TxnKVOp{Verb: api.TxnSet, Key: "k"}}}},
	} {
		b, err := Encode(c, now)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b, 7)
		if err != nil {
			return
		}
		if e.Index != 7 || e.Command == nil {
			t.Fatalf("decode %x: got %+v without an error", b, e)
		}
		once, err := Encode(e.Command, e.Now)
		if err != nil {
			return // a time that cannot be written
		}
		again, err := Decode(once, 7)
		if err != nil {
			t.Fatalf("%x was read, written as %x, and not read again: %v", b, once, err)
		}
		twice, err := Encode(again.Command, again.Now)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x was written as %x, then as %x, %v", b, once, twice, err)
		}
	})
}

// FuzzRestore restores damaged snapshots: a state or an error, never a panic;
// after an error the state is as it was and nobody is woken.
func FuzzRestore(f *testing.F) {
	var whole bytes.Buffer
	if _, err := furnished(f).store.Snapshot().WriteTo(&whole); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	for _, cut := range []int{0, 1, 5, whole.Len() / 2, whole.Len() - 1} {
		f.Add(whole.Bytes()[:cut])
	}
	for at := 0; at < whole.Len(); at += 97 {
		b := bytes.Clone(whole.Bytes())
		b[at] ^= 0x55
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := furnished(t).store
		before := s.root.Load()
		v := s.View()
		v.KVList("")
		w := v.Watch()
		raised, err := RaiseFloor(bytes.NewReader(b), 50)
		if err == nil {
			_, err = io.Copy(io.Discard, raised)
		}
		_, _, checked := CheckSnapshot(bytes.NewReader(b))
		restored := s.Restore(bytes.NewReader(b))
		if (checked == nil) != (restored == nil) {
			t.Fatalf("%x: CheckSnapshot says %v, Restore %v (RaiseFloor %v)", b, checked, restored, err)
		}
		if restored == nil {
			for _, q := range questions {
				ask(s, q)
			}
			return
		}
		if s.root.Load() != before || w.Fired() {
			t.Fatalf("%x: %v, and yet the state changed", b, restored)
		}
	})
}

// TestRestoreRefusesDamage cuts a snapshot at every place.
func TestRestoreRefusesDamage(t *testing.T) {
	var whole bytes.Buffer
	s := furnished(t).store
	n, err := s.Snapshot().WriteTo(&whole)
	if err != nil || n != int64(whole.Len()) {
		t.Fatalf("wrote %d bytes, said %d, %v", whole.Len(), n, err)
	}
	for cut := range whole.Len() {
		if err := NewStore().Restore(bytes.NewReader(whole.Bytes()[:cut])); err == nil {
			t.Fatalf("a snapshot of %d bytes was restored from the first %d", whole.Len(), cut)
		}
	}
	index, counts, err := CheckSnapshot(bytes.NewReader(whole.Bytes()))
	if err != nil || index != s.Index() {
		t.Fatalf("got index %d, %v, want %d", index, err, s.Index())
	}
	if diff := cmp.Diff(s.Snapshot().Counts(), counts); diff != "" {
		t.Fatalf("rows by table in the store (-), in its snapshot (+):\n%s", diff)
	}
}
