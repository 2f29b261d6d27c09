package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"curia/api"
)

// TestMain keeps failures of random tests out of testdata: their output names
// the seed that repeats them.
func TestMain(m *testing.M) {
	if err := errors.Join(flag.Set("rapid.nofailfile", "true"), flag.Set("rapid.checks", "200")); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// questions are asked after every command.
var questions = func() []words {
	var out []words
	for _, l := range strings.Split(strings.TrimSpace(`
kv get key=a
kv get key=a/
kv get key=a/b
kv get key=a/b/c
kv get key=b
kv get key=never
kv list prefix=
kv list prefix=a
kv list prefix=a/
kv list prefix=a/b/
kv list prefix=b
kv list prefix=never
sessions
sessions node=n1
sessions node=n2
sessions node=n3
session get id=s1
session get id=s2
queries
query get id=q1
query get id=q2
query find name=q1
query find name=web
query find name=web-1
query find name=db
nodes
node name=n1
node name=n2
node name=n3
node name=1111-a
node name=1111
services
service name=web
service name=db
health name=web
health name=db
checks node=n1
checks node=n2
checks service=web
checks service=db
checks state=any
checks state=passing
checks state=warning
checks state=critical`), "\n") {
		w, err := parseWords(l)
		if err != nil {
			panic(err)
		}
		out = append(out, w)
	}
	return out
}()

// answer is what a question was answered at one moment.
type answer struct {
	rows    []string
	index   uint64
	missing bool
	watch   Watch
}

func ask(s *Store, q words) answer {
	v := s.View()
	rows, _ := query(v, q)
	return answer{rows, v.Index(), v.Missing(), v.Watch()}
}

// random is a run of random commands against the model.
type random struct {
	store *Store
	model *model
	last  []answer // to questions
	log   [][]byte
	now   time.Time
}

// TestRandomCommands holds the state against the model, and the promises about
// indexes and wake-ups against every question after every command.
func TestRandomCommands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &random{store: NewStore(), model: newModel(), now: time.Unix(1_000_000_000, 0).UTC()}
		r.log = append(r.log, nil)
		r.store.Apply([]Entry{{Index: 1, Now: r.now}})
		for _, q := range questions {
			r.last = append(r.last, ask(r.store, q))
		}
		for range rapid.IntRange(1, 40).Draw(t, "commands") {
			r.now = r.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			if rapid.IntRange(0, 15).Draw(t, "restore") == 0 {
				r.restore(t)
				continue
			}
			r.step(t, drawCommand(t, r.model, r.now))
		}
		r.replay(t)
	})
}

// step applies a command to the state and to the model.
func (r *random) step(t *rapid.T, c Command) {
	b, err := Encode(c, r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.log = append(r.log, b)
	index := uint64(len(r.log))
	wantValue, wantOK := r.model.apply(decoded(t, b, index))
	got := r.store.Apply([]Entry{decoded(t, b, index)})[0]
	if again, err := Encode(decoded(t, b, index).Command, r.now); err != nil || !bytes.Equal(b, again) {
		t.Fatalf("command %d %#v: encoded %x, decoded and encoded again %x, %v", index, c, b, again, err)
	}
	if (got.Err == nil) != wantOK {
		t.Fatalf("command %d %T %s: got error %v, want success %v", index, c, b, got.Err, wantOK)
	}
	if _, is := got.Value.(bool); is && wantValue != nil && got.Value != wantValue {
		t.Fatalf("command %d %T: got %v, want %v", index, c, got.Value, wantValue)
	}
	for i, q := range questions {
		a := ask(r.store, q)
		r.compare(t, q, c, got.Err, r.last[i], a)
		r.last[i] = a
	}
}

func decoded(t *rapid.T, b []byte, index uint64) Entry {
	if b == nil {
		return Entry{Index: index, Now: time.Unix(1_000_000_000, 0).UTC()}
	}
	e, err := Decode(b, index)
	if err != nil {
		t.Fatalf("decode %x: %v", b, err)
	}
	return e
}

// compare looks at the answers to a question before and after a command.
func (r *random) compare(t *rapid.T, q words, c Command, failed error, before, after answer) {
	asked := q.verb + " " + showArgs(q)
	said, _ := json.Marshal(c)
	if diff := cmp.Diff(r.model.query(q), after.rows); diff != "" {
		t.Fatalf("%s after %T %s at %d: model (-), state (+):\n%s", asked, c, said, r.model.index, diff)
	}
	if after.index < before.index {
		t.Fatalf("%s after %T %s: index went back from %d to %d", asked, c, said, before.index, after.index)
	}
	fired := before.watch.Fired()
	if !cmp.Equal(before.rows, after.rows) {
		if !fired {
			t.Fatalf("%s after %T %s: nobody was woken by the change from %q to %q", asked, c, said, before.rows, after.rows)
		}
		if after.index <= before.index {
			t.Fatalf("%s after %T %s: the answer changed from %q to %q, the index stayed %d", asked, c, said, before.rows, after.rows, after.index)
		}
		return
	}
	if failed != nil && fired {
		t.Fatalf("%s after %T %s that failed (%v): woken", asked, c, said, failed)
	}
	switch c := c.(type) {
	case *Txn: // may have made and undone the same thing
		return
	case *Register: // so may one that renames a node, or a service and moves its check
		if c.Node.ID != "" || c.Service != nil && len(c.Checks) > 0 {
			return
		}
	case *Reap:
		if fired {
			t.Fatalf("%s after %T %s: woken", asked, c, said)
		}
		if q.verb == "kv list" {
			return // a floor takes the place of tombstones
		}
	}
	if before.missing || after.missing {
		return // follows the index of its table, begins and ends with its subject
	}
	if q.verb == "query find" && strings.Contains(after.rows[0], " template ") {
		return // follows all templates, and the neighbours of its name
	}
	if strings.HasPrefix(q.text("name"), "1111") {
		return // nodes by ID follow all nodes
	}
	if after.index != before.index {
		t.Fatalf("%s after %T %s: the answer stayed %q, the index rose from %d to %d", asked, c, said, after.rows, before.index, after.index)
	}
	// neighbours of a prefix may share a node of the tree with it
	if fired && q.verb != "kv list" {
		t.Fatalf("%s after %T %s: woken, although the answer stayed %q", asked, c, said, after.rows)
	}
}

func showArgs(w words) string {
	var out []string
	for k, v := range w.args {
		out = append(out, k+"="+strings.Join(v, ","))
	}
	return strings.Join(out, " ")
}

// restore writes the state down, and goes on in a new store and, to see that
// watches wake, restores it into the old one as well.
func (r *random) restore(t *rapid.T) {
	var b bytes.Buffer
	if _, err := r.store.Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	next := NewStore()
	for _, s := range []*Store{next, r.store} {
		if err := s.Restore(bytes.NewReader(b.Bytes())); err != nil {
			t.Fatal(err)
		}
	}
	var again bytes.Buffer
	if _, err := next.Snapshot().WriteTo(&again); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
		t.Fatalf("a restored state is written down differently (%v):\n%q\n%q", err, b.Bytes(), again.Bytes())
	}
	r.store = next
	for i, q := range questions {
		before, after := r.last[i], ask(next, q)
		if !before.watch.Fired() {
			t.Fatalf("%s %s: not woken by a restore", q.verb, showArgs(q))
		}
		if !cmp.Equal(before.rows, after.rows) || before.index != after.index || before.missing != after.missing {
			t.Fatalf("%s %s: before the restore %q at %d, after it %q at %d", q.verb, showArgs(q),
				before.rows, before.index, after.rows, after.index)
		}
		r.last[i] = after
	}
}

// replay applies the log again in batches and expects the same state.
func (r *random) replay(t *rapid.T) {
	var entries []Entry
	for i, b := range r.log {
		entries = append(entries, decoded(t, b, uint64(i+1)))
	}
	s := NewStore()
	for len(entries) > 0 {
		n := rapid.IntRange(1, len(entries)).Draw(t, "batch")
		if got := len(s.Apply(entries[:n])); got != n {
			t.Fatalf("%d entries have %d outcomes", n, got)
		}
		entries = entries[n:]
	}
	var got, want bytes.Buffer
	if _, err := s.Snapshot().WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Snapshot().WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatalf("one by one:\n%q\nin batches:\n%q", want.Bytes(), got.Bytes())
	}
	for _, q := range questions {
		if diff := cmp.Diff(r.model.query(q), ask(s, q).rows); diff != "" {
			t.Fatalf("%s %s: model (-), replayed log (+):\n%s", q.verb, showArgs(q), diff)
		}
	}
}

// drawCommand makes a random command, a likely one for the state of the model.
func drawCommand(t *rapid.T, m *model, now time.Time) Command {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	switch rapid.SampledFrom([]string{
		"put", "put", "put", "delete", "tree", "create", "create", "destroy", "register", "register", "register",
		"register", "deregister", "reap", "txn", "txn", "query", "query", "forget",
	}).Draw(t, "command") {
	case "put":
		return drawPut(t, m)
	case "delete":
		c := &KVDelete{Key: drawKey(t)}
		if rapid.Bool().Draw(t, "cas?") {
			c.CAS = drawIndex(t, m, c.Key)
		}
		return c
	case "tree":
		return &KVDelete{Key: pick("prefix", "", "a", "a/", "a/b", "a/b/", "b"), Recurse: true}
	case "create":
		s := api.Session{
			ID: drawSession(t), Node: drawNode(t), Behavior: pick("behavior", api.BehaviorRelease, api.BehaviorDelete),
			LockDelay: api.LockDelay(rapid.SampledFrom([]int{0, 10, 100}).Draw(t, "delay")) * api.LockDelay(time.Second),
		}
		s.NodeChecks = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"c1", "c2", "serfHealth"}), 0, 2, rapid.ID).Draw(t, "checks")
		if len(s.NodeChecks) == 0 {
			s.NodeChecks = nil
			s.ServiceChecks = []api.ServiceCheck{{ID: "c1"}}
		}
		return &SessionCreate{Session: s}
	case "query":
		return drawQuery(t)
	case "forget":
		return &QueryDelete{ID: pick("query", "q1", "q2", "q3")}
	case "destroy":
		return &SessionDestroy{ID: drawSession(t)}
	case "register":
		return drawRegister(t)
	case "deregister":
		return &Deregister{Node: drawNode(t), ServiceID: pick("service", "", "", "i1", "i2"), CheckID: pick("check", "", "c1", "c2")}
	case "reap":
		return &Reap{Before: now.Add(-time.Duration(rapid.IntRange(-1, 60).Draw(t, "age")) * time.Second)}
	}
	c := &Txn{}
	for range rapid.IntRange(1, 5).Draw(t, "operations") {
		c.Ops = append(c.Ops, drawOp(t, m))
	}
	return c
}

func drawKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "a/", "a/b", "a/b/c", "a/b/d", "ab", "b"}).Draw(t, "key")
}
func drawNode(t *rapid.T) string {
	return rapid.SampledFrom([]string{"n1", "n1", "n2", "n3"}).Draw(t, "node")
}
func drawSession(t *rapid.T) string {
	return rapid.SampledFrom([]string{"s1", "s2", "s3"}).Draw(t, "session")
}

// drawIndex is the right one every other time.
func drawIndex(t *rapid.T, m *model, key string) *uint64 {
	index := m.kv[key].ModifyIndex
	if rapid.Bool().Draw(t, "other index") {
		index = rapid.Uint64Range(0, m.index).Draw(t, "index")
	}
	return &index
}

func drawPut(t *rapid.T, m *model) *KVPut {
	c := &KVPut{
		Key: drawKey(t), Value: []byte(rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "value")),
		Flags: rapid.Uint64Range(0, 1).Draw(t, "flags"),
	}
	session := drawSession(t)
	switch rapid.IntRange(0, 5).Draw(t, "condition") {
	case 0:
		c.CAS = drawIndex(t, m, c.Key)
	case 1, 2:
		c.Acquire = &session
	case 3:
		c.Release = &session
	}
	return c
}

func drawService(t *rapid.T) *api.Service {
	return &api.Service{
		ID: rapid.SampledFrom([]string{"i1", "i2"}).Draw(t, "id"), Service: rapid.SampledFrom([]string{"web", "db"}).Draw(t, "service"),
		Tags: rapid.SampledFrom([][]string{{}, {"x"}, {"y", "x"}, {"y"}}).Draw(t, "tags"),
	}
}

func drawCheck(t *rapid.T) *api.Check {
	id := rapid.SampledFrom([]string{"c1", "c2", api.SerfHealth}).Draw(t, "check")
	return &api.Check{
		CheckID: id, Name: id, ServiceTags: []string{},
		Status:    rapid.SampledFrom([]string{api.Passing, api.Warning, api.Critical}).Draw(t, "status"),
		ServiceID: rapid.SampledFrom([]string{"", "", "i1", "i2"}).Draw(t, "check of"),
	}
}

func drawRegistered(t *rapid.T) *api.Node {
	return &api.Node{
		Node: drawNode(t), Address: rapid.SampledFrom([]string{"1", "1", "1", "2", ""}).Draw(t, "address"),
		ID: rapid.SampledFrom([]string{"", "", "", "1111-a", "1111-b", "2222"}).Draw(t, "node ID"),
	}
}

func drawRegister(t *rapid.T) *Register {
	c := &Register{Node: drawRegistered(t), SkipNodeUpdate: rapid.IntRange(0, 3).Draw(t, "skip") == 0}
	if rapid.Bool().Draw(t, "service?") {
		c.Service = drawService(t)
	}
	// the same check twice would be there in between
	c.Checks = rapid.SliceOfNDistinct(rapid.Custom(drawCheck), 0, 2, func(c *api.Check) string { return c.CheckID }).Draw(t, "checks")
	return c
}

func drawQuery(t *rapid.T) Command {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	q := api.PreparedQuery{
		ID: pick("query", "q1", "q2", "q3"), Name: pick("name", "", "w", "web", "web", "web-1", "db", "q1"),
		Session: pick("query of", "", "", "s1", "s2"),
	}
	q.Service.Service = pick("service of query", "web", "db")
	q.Template.Type = pick("template", "", "", api.NamePrefixMatch)
	if rapid.Bool().Draw(t, "new query") {
		return &QueryCreate{Query: q}
	}
	return &QueryUpdate{Query: q}
}

func drawOp(t *rapid.T, m *model) *api.TxnOp {
	set := rapid.SampledFrom([]string{api.TxnSet, api.TxnSet, api.TxnDelete}).Draw(t, "verb")
	switch rapid.SampledFrom([]string{"kv", "kv", "kv", "node", "service", "check", "session"}).Draw(t, "operation") {
	case "node":
		return &api.TxnOp{Node: &api.TxnNodeOp{Verb: set, Node: *drawRegistered(t)}}
	case "service":
		return &api.TxnOp{Service: &api.TxnServiceOp{Verb: set, Node: drawNode(t), Service: api.ServiceSpec{Service: *drawService(t)}}}
	case "check":
		c := drawCheck(t)
		c.Node = drawNode(t)
		return &api.TxnOp{Check: &api.TxnCheckOp{Verb: set, Check: api.CheckSpec{Check: *c}}}
	case "session":
		return &api.TxnOp{Session: &api.TxnSessionOp{Verb: api.TxnDelete, Session: api.TxnSessionID{ID: drawSession(t)}}}
	}
	op := &api.TxnKVOp{
		Key: drawKey(t), Value: []byte("t"), Session: drawSession(t),
		Verb: rapid.SampledFrom([]string{
			api.TxnSet, api.TxnCAS, api.TxnLock, api.TxnUnlock, api.TxnGet, api.TxnCheckIndex,
			api.TxnCheckNotExists, api.TxnDelete, api.TxnDeleteTree, api.TxnDeleteCAS,
		}).Draw(t, "kv verb"),
	}
	op.Index = *drawIndex(t, m, op.Key)
	return &api.TxnOp{KV: op}
}
