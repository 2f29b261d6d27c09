package state

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"curia/api"
)

// copyCommand makes the commands of copies; nil if the words are none. Rows are
// given as ID:name, or ID:secret, and +ID:name for one that links to the policy p1.
func (w words) copyCommand(now time.Time) Command {
	switch w.verb {
	case "copy confirm":
		return &ACLCopyConfirm{Copied: ACLCopied{
			From: w.text("from"), Indexes: [api.CopyKinds]uint64{w.number("policies"), w.number("roles"), w.number("tokens")}, Tokens: w.has("all"), At: now,
		}}
	case "copy rows":
	default:
		return nil
	}
	each := func(key string, f func(id, name string, g api.ACLGrants)) {
		for _, row := range w.list(key) {
			id, name, _ := strings.Cut(row, ":")
			id, linked := strings.CutPrefix(id, "+")
			g := api.ACLGrants{}
			if linked {
				g.Policies = []api.ACLLink{{ID: "p1"}}
			}
			f(id, name, g)
		}
	}
	c := &ACLCopy{Delete: w.list("delete"), Kind: api.CopyKind(w.number("kind"))}
	each("policies", func(id, name string, _ api.ACLGrants) {
		c.Policies = append(c.Policies, api.ACLPolicy{ID: id, Name: name, Hash: []byte(name)})
	})
	each("roles", func(id, name string, g api.ACLGrants) {
		c.Roles = append(c.Roles, api.ACLRole{ID: id, Name: name, Hash: []byte(name), ACLGrants: g})
	})
	each("tokens", func(id, secret string, g api.ACLGrants) {
		c.Tokens = append(c.Tokens, api.ACLToken{AccessorID: id, SecretID: secret, CreateTime: now, ACLGrants: g, Local: w.has("local")})
	})
	return c
}

func showCopied(c *ACLCopied) string {
	return line("from="+c.From, fmt.Sprint(c.Indexes), maybe("all", c.Tokens), "at="+c.At.Format("15:04:05"))
}

// TestCopiesConverge changes the ACLs of a store at random, goes back to a snapshot
// now and then, and copies them to another one in small pages. Both must have
// the same then, and the local tokens of the other must be untouched.
func TestCopiesConverge(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	from, to := newStage(), newStage()
	apply := func(s *stage, line string) {
		s.index++
		s.store.Apply([]Entry{s.entry(t, s.index, []string{line})}) // failures are part of it
	}
	pick := func(prefix string, n int) string { return fmt.Sprint(prefix, random.IntN(n)) }
	for _, l := range []string{
		"policy set id=own name=own", "token set id=l1 secret=l1 policies=own local", "token set id=l2 secret=l2 local",
		"token set id=old secret=old", // of the time before anything was copied
	} {
		apply(to, l)
	}
	local := to.store.View().ACLTokens()[:2]
	for range 100 {
		for range random.IntN(8) {
			switch random.IntN(12) {
			case 0:
				apply(from, "policy delete id="+pick("p", 20))
			case 1:
				apply(from, "role delete id="+pick("r", 10))
			case 2:
				apply(from, "token delete id="+pick("t", 60))
			case 3, 4:
				id := pick("p", 20)
				apply(from, fmt.Sprintf("policy set id=%s name=%s", id, pick("n", 25)))
			case 5:
				id := pick("r", 10)
				apply(from, fmt.Sprintf("role set id=%s name=%s policies=%s", id, pick("n", 12), pick("p", 20)))
			case 6:
				apply(from, fmt.Sprintf("token set id=%s secret=%s local", pick("local", 9), pick("s", 90)))
			default:
				id := pick("t", 60)
				apply(from, fmt.Sprintf("token set id=%s secret=%s about=%s policies=%s roles=%s", id, pick("s", 90), pick("x", 9), pick("p", 20), pick("r", 10)))
				apply(from, fmt.Sprintf("token set id=%s secret=%s about=%s update", id, from.store.secretOf(id), pick("x", 9)))
			}
		}
		switch random.IntN(30) {
		case 0:
			from.snapshot(t)
		case 1:
			from.goBack(t)
		}
		copyAll(t, from.store, to, random.IntN(900))
		if !reflect.DeepEqual(from.store.View().ACLSums(WithTokens), to.store.View().ACLSums(WithTokens)) {
			// A row that had to give way for a moment comes with the next round.
			copyAll(t, from.store, to, random.IntN(900))
		}
		if diff := cmp.Diff(copiesOf(from.store), copiesOf(to.store), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(api.ACLPolicy{}, "CreateIndex", "ModifyIndex"),
			cmpopts.IgnoreFields(api.ACLRole{}, "CreateIndex", "ModifyIndex"), cmpopts.IgnoreFields(api.ACLToken{}, "CreateIndex", "ModifyIndex")); diff != "" {
			t.Fatalf("seed %d: what is copied (-) and the copies (+):\n%s", seed, diff)
		}
	}
	for _, l := range local {
		if now := to.store.View().ACLToken(l.AccessorID); now == nil || now.SecretID != l.SecretID || !now.Local {
			t.Errorf("local token %s: got %+v, want what it was, but for links", l.AccessorID, now)
		}
	}
}

// copyAll makes a round of copying, as a leader does.
func copyAll(t *testing.T, from *Store, to *stage, page int) {
	t.Helper()
	for kind := range api.CopyKind(api.CopyKinds) {
		var buckets []byte
		own, there := to.store.View().ACLSums(WithTokens)[kind], from.View().ACLSums(WithTokens)[kind]
		for i := range api.CopyBuckets {
			if string(own[8*i:8*i+8]) != string(there[8*i:8*i+8]) {
				buckets = append(buckets, byte(i))
			}
		}
		q := &api.ACLMarksArgs{Kind: kind, Buckets: buckets}
		for more := len(buckets) > 0; more; {
			marks := from.View().ACLMarks(q, 1+page/100)
			changed, gone := to.store.View().ACLDiffer(q, marks)
			to.copy(t, &ACLCopy{Kind: kind, Delete: gone})
			for len(changed) > 0 {
				rows := from.View().ACLRows(&api.ACLRowsArgs{Kind: kind, IDs: changed}, max(page, 1))
				to.copy(t, &ACLCopy{Policies: rows.Policies, Roles: rows.Roles, Tokens: rows.Tokens})
				changed = changed[rows.Taken:]
			}
			if more = marks.More; more {
				q.After = marks.IDs[len(marks.IDs)-1]
			}
		}
	}
}

// copy writes copies, the way of the log.
func (s *stage) copy(t *testing.T, c *ACLCopy) {
	t.Helper()
	b, err := Encode(c, s.now)
	if err != nil {
		t.Fatal(err)
	}
	s.index++
	e, err := Decode(b, s.index)
	if err != nil {
		t.Fatal(err)
	}
	if o := s.store.Apply([]Entry{e})[0]; o.Err != nil || o.Value != 0 {
		t.Fatalf("copy %+v: got %+v", c, o)
	}
}

// copiesOf is all of a store that is copied, or would be.
func copiesOf(s *Store) *api.ACLRows {
	all := &api.ACLRows{}
	every := make([]byte, api.CopyBuckets)
	for i := range every {
		every[i] = byte(i)
	}
	v := s.View()
	for kind := range api.CopyKind(api.CopyKinds) {
		marks := v.ACLMarks(&api.ACLMarksArgs{Kind: kind, Buckets: every}, 1<<30)
		rows := v.ACLRows(&api.ACLRowsArgs{Kind: kind, IDs: marks.IDs}, 1<<30)
		all.Policies = append(all.Policies, rows.Policies...)
		all.Roles = append(all.Roles, rows.Roles...)
		all.Tokens = append(all.Tokens, rows.Tokens...)
	}
	return all
}

func (s *Store) secretOf(accessor string) string {
	if t := s.View().ACLToken(accessor); t != nil {
		return t.SecretID
	}
	return "none"
}

// snapshot keeps the state, and goBack returns to it.
func (s *stage) snapshot(t *testing.T) {
	t.Helper()
	if _, err := s.line("snapshot", nil); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) goBack(t *testing.T) {
	t.Helper()
	if s.kept == nil {
		return
	}
	if _, err := s.line("restore", nil); err != nil {
		t.Fatal(err)
	}
	s.index = s.store.Index()
}
