package state

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"curia/api"
)

// words is one line of a play: the words in front, then key=value pairs and
// bare flags in any order.
type words struct {
	verb string
	args map[string][]string
}

// verbs of two words; all others have one.
var twoWords = map[string]bool{
	"kv": true, "session": true, "node": true, "service": true, "check": true, "query": true, "autopilot": true, "coordinate": true, "config": true,
	"token": true, "policy": true, "role": true, "method": true, "rule": true, "copy": true,
}

// parseWords splits a line at blanks. Values in quotes may hold blanks and
// escapes.
func parseWords(line string) (words, error) {
	w := words{args: map[string][]string{}}
	rest := strings.TrimSpace(line)
	first := true
	for rest != "" {
		end := strings.IndexAny(rest, " \"")
		word := rest
		switch {
		case end < 0:
			rest = ""
		case rest[end] == ' ':
			word, rest = rest[:end], strings.TrimLeft(rest[end:], " ")
		default:
			quoted, err := strconv.QuotedPrefix(rest[end:])
			if err != nil {
				return w, fmt.Errorf("%q: %w", line, err)
			}
			value, _ := strconv.Unquote(quoted)
			word, rest = rest[:end]+value, strings.TrimLeft(rest[end+len(quoted):], " ")
		}
		key, value, pair := strings.Cut(word, "=")
		switch {
		case pair:
			w.args[key] = append(w.args[key], value)
		case first:
			w.verb = word
		case twoWords[w.verb] && len(w.args) == 0:
			w.verb += " " + word
		default:
			w.args[word] = append(w.args[word], "")
		}
		first = false
	}
	return w, nil
}

func (w words) has(key string) bool { return len(w.args[key]) > 0 }

func (w words) text(key string) string {
	if !w.has(key) {
		return ""
	}
	return w.args[key][0]
}

func (w words) number(key string) uint64 {
	n, _ := strconv.ParseUint(w.text(key), 10, 64)
	return n
}

func (w words) maybeNumber(key string) *uint64 {
	if !w.has(key) {
		return nil
	}
	n := w.number(key)
	return &n
}

func (w words) maybeText(key string) *string {
	if !w.has(key) {
		return nil
	}
	s := w.text(key)
	return &s
}

func (w words) list(key string) []string {
	if w.text(key) == "" {
		return nil
	}
	return strings.Split(w.text(key), ",")
}

func (w words) pairs(key string) map[string]string {
	var out map[string]string
	for _, p := range w.list(key) {
		k, v, _ := strings.Cut(p, ":")
		if out == nil {
			out = map[string]string{}
		}
		out[k] = v
	}
	return out
}

// command makes a command of a line; ops are the lines that are indented below
// it, now is the clock of the play.
func command(w words, ops []words, now time.Time) (Command, error) {
	switch w.verb {
	case "kv put":
		return &KVPut{
			Key: w.text("key"), Value: []byte(w.text("value")), Flags: w.number("flags"),
			CAS: w.maybeNumber("cas"), Acquire: w.maybeText("acquire"), Release: w.maybeText("release"),
		}, nil
	case "kv delete":
		return &KVDelete{Key: w.text("key"), Recurse: w.has("recurse"), CAS: w.maybeNumber("cas")}, nil
	case "session create":
		return w.session()
	case "session destroy":
		return &SessionDestroy{ID: w.text("id")}, nil
	case "query create":
		return &QueryCreate{Query: w.query()}, nil
	case "query update":
		return &QueryUpdate{Query: w.query()}, nil
	case "query delete":
		return &QueryDelete{ID: w.text("id")}, nil
	case "register":
		return w.register(), nil
	case "deregister":
		return &Deregister{Node: w.text("node"), ServiceID: w.text("service"), CheckID: w.text("check")}, nil
	case "reap":
		age, err := time.ParseDuration(w.text("before"))
		return &Reap{Before: now.Add(age)}, err
	case "txn":
		c := &Txn{}
		for _, op := range ops {
			o, err := op.txnOp()
			if err != nil {
				return nil, err
			}
			c.Ops = append(c.Ops, o)
		}
		return c, nil
	case "skip":
		return nil, nil
	}
	if c := w.aclCommand(now); c != nil {
		return c, nil
	}
	if c := w.operatorCommand(); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%q is neither a command nor a query", w.verb)
}

func (w words) session() (Command, error) {
	s := api.Session{
		ID: w.text("id"), Name: w.text("name"), Node: w.text("node"), TTL: w.text("ttl"),
		NodeChecks: w.list("checks"), Behavior: api.BehaviorRelease,
	}
	if w.has("behavior") {
		s.Behavior = w.text("behavior")
	}
	for _, id := range w.list("servicechecks") {
		s.ServiceChecks = append(s.ServiceChecks, api.ServiceCheck{ID: id})
	}
	if w.has("lockdelay") {
		d, err := time.ParseDuration(w.text("lockdelay"))
		if err != nil {
			return nil, err
		}
		s.LockDelay = api.LockDelay(d)
	}
	return &SessionCreate{Session: s}, nil
}

// query makes a prepared query, a template if the line says so.
func (w words) query() api.PreparedQuery {
	q := api.PreparedQuery{ID: w.text("id"), Name: w.text("name"), Session: w.text("session")}
	q.Service.Service, q.Service.Tags = w.text("service"), w.list("tags")
	if w.has("template") {
		q.Template.Type = api.NamePrefixMatch
	}
	return q
}

func (w words) register() *Register {
	r := &Register{Node: w.node(), SkipNodeUpdate: w.has("skip-node-update")}
	if w.has("service") {
		r.Service = w.service()
	}
	for _, text := range w.args["check"] {
		parts := strings.SplitN(text, ":", 3)
		c := &api.Check{CheckID: parts[0], Name: parts[0], Status: api.Critical, Output: w.text("output"), ServiceTags: []string{}}
		if len(parts) > 1 {
			c.Status = parts[1]
		}
		if len(parts) > 2 {
			c.ServiceID = parts[2]
		}
		r.Checks = append(r.Checks, c)
	}
	return r
}

func (w words) node() *api.Node {
	return &api.Node{
		ID: w.text("nodeid"), Node: w.text("node"), Address: w.text("addr"), Datacenter: "dc1", Meta: w.pairs("meta"),
		ModifyIndex: w.number("index"),
	}
}

func (w words) service() *api.Service {
	s := &api.Service{
		ID: w.text("id"), Service: w.text("service"), Tags: w.list("tags"), Port: int(w.number("port")),
		Weights: api.Weights{Passing: 1, Warning: 1}, ModifyIndex: w.number("index"),
	}
	if s.ID == "" {
		s.ID = s.Service
	}
	if s.Tags == nil {
		s.Tags = []string{}
	}
	return s
}

// txnOp makes an operation of an indented line such as "kv cas key=a index=3".
func (w words) txnOp() (*api.TxnOp, error) {
	noun, verb, _ := strings.Cut(w.verb, " ")
	switch noun {
	case "kv":
		return &api.TxnOp{KV: &api.TxnKVOp{
			Verb: verb, Key: w.text("key"), Value: []byte(w.text("value")), Flags: w.number("flags"),
			Index: w.number("index"), Session: w.text("session"),
		}}, nil
	case "node":
		return &api.TxnOp{Node: &api.TxnNodeOp{Verb: verb, Node: *w.node()}}, nil
	case "service":
		return &api.TxnOp{Service: &api.TxnServiceOp{
			Verb: verb, Node: w.text("node"), Service: api.ServiceSpec{Service: *w.service()},
		}}, nil
	case "check":
		return &api.TxnOp{Check: &api.TxnCheckOp{Verb: verb, Check: api.CheckSpec{Check: api.Check{
			Node: w.text("node"), CheckID: w.text("id"), Name: w.text("id"), Status: w.text("status"),
			ServiceID: w.text("serviceid"), ServiceTags: []string{}, ModifyIndex: w.number("index"),
		}}}}, nil
	case "session":
		return &api.TxnOp{Session: &api.TxnSessionOp{Verb: verb, Session: api.TxnSessionID{ID: w.text("id")}}}, nil
	}
	return nil, fmt.Errorf("%q is no operation of a transaction", w.verb)
}

// query carries out a query and tells what it found, one row per line; ok is
// false when the words are no query.
func query(v *View, w words) (rows []string, ok bool) {
	switch w.verb {
	case "kv get":
		if p := v.KV(w.text("key")); p != nil {
			return []string{showKV(p)}, true
		}
		return nil, true
	case "kv list":
		return show(v.KVList(w.text("prefix")), showKV), true
	case "session get":
		if s := v.Session(w.text("id")); s != nil {
			return []string{showSession(s)}, true
		}
		return nil, true
	case "sessions":
		if w.has("node") {
			return show(v.SessionsOf(w.text("node")), showSession), true
		}
		return show(v.Sessions(), showSession), true
	case "queries":
		return show(v.Queries(), showQuery), true
	case "query get":
		return showMaybe(v.Query(w.text("id")), showQuery), true
	case "query find":
		return showMaybe(v.FindQuery(w.text("name")), showQuery), true
	case "query health":
		if q := v.FindQuery(w.text("name")); q != nil {
			return showHealth(v.QueryHealth(q)), true
		}
		return nil, true
	case "nodes":
		return show(v.Nodes(), showNode), true
	case "node":
		n := v.Node(w.text("name"))
		if n == nil {
			return nil, true
		}
		return append([]string{showNode(n)}, indented(v.ServicesOf(n.Node), showService)...), true
	case "services":
		return showNames(v.ServiceNames()), true
	case "service":
		return show(v.ServiceNodes(w.text("name")), showServiceNode), true
	case "health":
		return showHealth(v.ServiceHealth(w.text("name"))), true
	case "checks":
		switch {
		case w.has("node"):
			return show(v.ChecksOfNode(w.text("node")), showCheck), true
		case w.has("service"):
			return show(v.ChecksOfService(w.text("service")), showCheck), true
		}
		return show(v.ChecksInState(w.text("state")), showCheck), true
	}
	if rows, ok := methodQuery(v, w); ok {
		return rows, ok
	}
	if rows, ok := aclQuery(v, w); ok {
		return rows, true
	}
	return operatorQuery(v, w)
}
