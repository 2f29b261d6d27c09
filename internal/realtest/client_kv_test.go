package realtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	consul "github.com/hashicorp/consul/api"
)

// check stops the test at an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same compares what was got with what was wanted.
func same(t testing.TB, asked string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: wanted (-), got (+):\n%s", asked, diff)
	}
}

func TestClientKV(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	kv := a.client().KV()

	pair, meta, err := kv.Get("none", nil)
	if pair != nil || err != nil || meta.LastIndex == 0 || !meta.KnownLeader {
		t.Errorf("get of a missing key: got %v, %+v, %v, wanted nil and an index", pair, meta, err)
	}
	_, err = kv.Put(&consul.KVPair{Key: "a", Value: []byte("1"), Flags: 42}, nil)
	check(t, err)
	pair, meta, err = kv.Get("a", nil)
	check(t, err)
	if string(pair.Value) != "1" || pair.Flags != 42 || pair.CreateIndex != pair.ModifyIndex || meta.LastIndex != pair.ModifyIndex {
		t.Errorf("get a: got %+v, %+v", pair, meta)
	}

	t.Run("cas", func(t *testing.T) {
		ok, _, err := kv.CAS(&consul.KVPair{Key: "a", Value: []byte("2"), ModifyIndex: pair.ModifyIndex + 1}, nil)
		same(t, "cas with a wrong index", []any{ok, err}, []any{false, nil})
		ok, _, err = kv.CAS(&consul.KVPair{Key: "a", Value: []byte("2"), ModifyIndex: pair.ModifyIndex}, nil)
		same(t, "cas with the right index", []any{ok, err}, []any{true, nil})
		ok, _, err = kv.CAS(&consul.KVPair{Key: "a", Value: []byte("3")}, nil)
		same(t, "cas 0 on an existing key", []any{ok, err}, []any{false, nil})
		ok, _, err = kv.DeleteCAS(&consul.KVPair{Key: "a", ModifyIndex: pair.ModifyIndex}, nil)
		same(t, "delete with an old index", []any{ok, err}, []any{false, nil})
		now, _, err := kv.Get("a", nil)
		check(t, err)
		ok, _, err = kv.DeleteCAS(now, nil)
		same(t, "delete with the right index", []any{ok, err}, []any{true, nil})
	})
	t.Run("values", func(t *testing.T) {
		big := bytes.Repeat([]byte{0, 0xff, 'x', '\n'}, 128<<10)
		for _, v := range [][]byte{nil, {0}, []byte("ünïcode"), big} {
			_, err := kv.Put(&consul.KVPair{Key: "v", Value: v}, nil)
			check(t, err)
			got, _, err := kv.Get("v", nil)
			check(t, err)
			if !bytes.Equal(got.Value, v) {
				t.Errorf("value of %d bytes: got %d bytes back", len(v), len(got.Value))
			}
		}
		_, err := kv.Put(&consul.KVPair{Key: "v", Value: make([]byte, 512<<10+1)}, nil)
		if err == nil || !strings.Contains(err.Error(), "413") {
			t.Errorf("value above the limit: got %v, wanted 413", err)
		}
	})
	t.Run("odd keys", func(t *testing.T) { oddKeys(t, kv) })
	t.Run("lists", func(t *testing.T) { lists(t, kv) })
	t.Run("locks", func(t *testing.T) { keyLocks(t, a.client()) })
}

// oddKeys writes and reads keys whose characters mean something in URLs.
func oddKeys(t *testing.T, kv *consul.KV) {
	keys := []string{
		"odd/space in it", "odd/per%cent", "odd/%2F", "odd/q?x=1&y", "odd/#hash", "odd/plus+", "odd/ümläut", "odd/日本",
		"odd/a:b;c,d=e@f", "odd/trailing/", "odd/quote\"'`", "odd/..dots..", "odd/back\\slash", "odd/[x]{y}|z^",
	}
	for _, k := range keys {
		_, err := kv.Put(&consul.KVPair{Key: k, Value: []byte(k)}, nil)
		check(t, err)
		got, _, err := kv.Get(k, nil)
		check(t, err)
		if got == nil || got.Key != k || string(got.Value) != k {
			t.Errorf("key %q: got %+v", k, got)
		}
	}
	got, _, err := kv.Keys("odd/", "", nil)
	check(t, err)
	if len(got) != len(keys) {
		t.Errorf("keys of odd/: got %q, wanted %q", got, keys)
	}
	for _, k := range keys {
		_, err := kv.Delete(k, nil)
		check(t, err)
	}
	got, _, err = kv.Keys("odd/", "", nil)
	check(t, err)
	same(t, "keys after deleting each", got, []string(nil))
}

func lists(t *testing.T, kv *consul.KV) {
	for _, k := range []string{"l/a", "l/b/1", "l/b/2", "l/c", "m"} {
		_, err := kv.Put(&consul.KVPair{Key: k, Value: []byte(k)}, nil)
		check(t, err)
	}
	keys, _, err := kv.Keys("l/", "/", nil)
	check(t, err)
	same(t, "keys of l/ up to /", keys, []string{"l/a", "l/b/", "l/c"})
	pairs, meta, err := kv.List("l/", nil)
	check(t, err)
	var got []string
	for _, p := range pairs {
		got = append(got, p.Key+"="+string(p.Value))
	}
	same(t, "list of l/", got, []string{"l/a=l/a", "l/b/1=l/b/1", "l/b/2=l/b/2", "l/c=l/c"})

	_, err = kv.DeleteTree("l/b", nil)
	check(t, err)
	pairs, after, err := kv.List("l/b", nil)
	check(t, err)
	if len(pairs) != 0 || after.LastIndex <= meta.LastIndex {
		t.Errorf("list of l/b after deleting it: got %v at %d, wanted nothing above %d", pairs, after.LastIndex, meta.LastIndex)
	}
}

func keyLocks(t *testing.T, c *consul.Client) {
	kv := c.KV()
	id, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{LockDelay: time.Millisecond}, nil)
	check(t, err)
	p := &consul.KVPair{Key: "lock", Value: []byte("held"), Session: id}
	ok, _, err := kv.Acquire(p, nil)
	same(t, "acquire", []any{ok, err}, []any{true, nil})
	got, _, err := kv.Get("lock", nil)
	check(t, err)
	same(t, "holder and lock index", fmt.Sprint(got.Session, got.LockIndex), fmt.Sprint(id, 1))
	other, _, err := c.Session().CreateNoChecks(nil, nil)
	check(t, err)
	ok, _, err = kv.Acquire(&consul.KVPair{Key: "lock", Session: other}, nil)
	same(t, "acquire by another", []any{ok, err}, []any{false, nil})
	ok, _, err = kv.Release(&consul.KVPair{Key: "lock", Session: other}, nil)
	same(t, "release by another", []any{ok, err}, []any{false, nil})
	ok, _, err = kv.Release(&consul.KVPair{Key: "lock", Value: []byte("free"), Session: id}, nil)
	same(t, "release", []any{ok, err}, []any{true, nil})
	got, _, err = kv.Get("lock", nil)
	check(t, err)
	same(t, "after release", fmt.Sprint(got.Session, got.LockIndex, string(got.Value)), fmt.Sprint("", 1, "free"))
	_, _, err = kv.Acquire(&consul.KVPair{Key: "lock", Session: "00000000-0000-0000-0000-000000000000"}, nil)
	if err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("acquire with an unknown session: got %v, wanted 500", err)
	}
}

// TestClientWatch waits for changes the way the client's users do.
func TestClientWatch(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	kv := a.client().KV()
	_, err := kv.Put(&consul.KVPair{Key: "w/a", Value: []byte("0")}, nil)
	check(t, err)
	_, meta, err := kv.Get("w/a", nil)
	check(t, err)

	// Without a change the wait ends by its time, with the same index.
	_, idle, err := kv.Get("w/a", &consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 50 * time.Millisecond})
	check(t, err)
	same(t, "index without a change", idle.LastIndex, meta.LastIndex)

	ctx, cancel := context.WithTimeout(t.Context(), thingWait)
	defer cancel()
	q := (&consul.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: time.Minute}).WithContext(ctx)
	woken := make(chan string, 3)
	report := func(what string, err error) {
		if err != nil {
			what += ": " + err.Error()
		}
		woken <- what
	}
	go func() {
		p, m, err := kv.Get("w/a", q)
		if err == nil {
			report(fmt.Sprintf("key %s %t", p.Value, m.LastIndex == p.ModifyIndex), nil)
			return
		}
		report("key", err)
	}()
	go func() {
		ps, _, err := kv.List("w/", q)
		report(fmt.Sprintf("list %d", len(ps)), err)
	}()
	go func() {
		ks, _, err := kv.Keys("w/", "", q)
		report(fmt.Sprintf("keys %d", len(ks)), err)
	}()
	_, err = kv.Put(&consul.KVPair{Key: "unrelated", Value: []byte("1")}, nil)
	check(t, err)
	_, err = kv.Put(&consul.KVPair{Key: "w/a", Value: []byte("1")}, nil)
	check(t, err)
	got := map[string]bool{}
	for range 3 {
		got[<-woken] = true
	}
	same(t, "answers of the woken", got, map[string]bool{"key 1 true": true, "list 1": true, "keys 1": true})
}
