package server

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"curia/acl"
	"curia/api"
	"curia/state"
)

// benchTokens applies a hundred policies and so many tokens as they come out of
// the log, each with two of the policies. It returns the secrets.
func benchTokens(tb testing.TB, store *state.Store, tokens int) []string {
	tb.Helper()
	index := store.Index()
	now := time.Unix(1_000_000_000, 0)
	var batch []state.Entry
	apply := func(c state.Command) {
		text, err := state.Encode(c, now)
		if err != nil {
			tb.Fatal(err)
		}
		index++
		e, err := state.Decode(text, index)
		if err != nil {
			tb.Fatal(err)
		}
		batch = append(batch, e)
	}
	flush := func() {
		for _, o := range store.Apply(batch) {
			if o.Err != nil {
				tb.Fatal(o.Err)
			}
		}
		batch = nil
	}
	policy := func(i int) string { return fmt.Sprintf("d0000000-0000-4000-8000-%012d", i%100) }
	for i := range 100 {
		apply(&state.ACLPolicySet{Policy: api.ACLPolicy{
			ID: policy(i), Name: fmt.Sprint("team-", i),
			Rules: fmt.Sprintf(`key_prefix "team-%d/" { policy = "write" } service "team-%d" { policy = "write" } node_prefix "" { policy = "read" }`, i, i),
		}})
	}
	flush()
	secrets := make([]string, tokens)
	for i := range secrets {
		secrets[i] = fmt.Sprintf("5ec2e700-0000-4000-8000-%012d", i)
		apply(&state.ACLTokenSet{Token: api.ACLToken{
			AccessorID: fmt.Sprintf("acce5500-0000-4000-8000-%012d", i), SecretID: secrets[i], Description: fmt.Sprint("machine ", i), CreateTime: now,
			ACLGrants: api.ACLGrants{Policies: []api.ACLLink{{ID: policy(i)}, {ID: policy(i + 1)}}},
		}})
		if len(batch) == 256 {
			flush()
		}
	}
	flush()
	return secrets
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkTokens resolves tokens at random: some for the first time since the
// ACLs changed, and all of them again. It tells the live heap that each takes when
// all have been used.
func BenchmarkTokens(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		before := liveHeap()
		store := state.NewStore()
		secrets := benchTokens(b, store, n)
		r := newResolver(&ACLConfig{Options: acl.Options{Default: acl.DenyAll{}}}, "dc1", store)
		resolve := func(secret string) {
			if _, _, err := r.resolve(secret); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprint("first/", n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				if i++; i%n == 0 {
					r.version = state.ACLVersion{} // as if the ACLs had changed
				}
				resolve(secrets[i%n])
			}
		})
		for _, secret := range secrets {
			resolve(secret)
		}
		b.Run(fmt.Sprint("again/", n), func(b *testing.B) {
			heap := liveHeap() - before
			order := rand.Perm(n)
			i := 0
			for b.Loop() {
				i++
				resolve(secrets[order[i%n]])
			}
			b.ReportMetric(float64(heap)/float64(n), "heap-B/token")
		})
		runtime.KeepAlive(store)
		runtime.KeepAlive(r)
	}
}

// TestTokensInMemory bounds what a token takes.
func TestTokensInMemory(t *testing.T) {
	const tokens, most = 10_000, 2 << 10
	before := liveHeap()
	store := state.NewStore()
	secrets := benchTokens(t, store, tokens)
	r := newResolver(&ACLConfig{Options: acl.Options{Default: acl.DenyAll{}}}, "dc1", store)
	for _, secret := range secrets {
		if _, _, err := r.resolve(secret); err != nil {
			t.Fatal(err)
		}
	}
	if got := (liveHeap() - before) / tokens; got > most {
		t.Errorf("a token of %d takes %d bytes; want %d at most", tokens, got, most)
	}
	runtime.KeepAlive(store)
	runtime.KeepAlive(r)
}
