package metrics

import (
	"strings"
	"sync/atomic"

	"curia/api"
)

// calls holds the figures of each verb. The map never changes.
type calls map[*api.Op]*call

// call is what is known of the calls of one verb. Verbs do not share cache
// lines: those that are called most are called from all processors.
type call struct {
	took       Sample
	client     atomic.Uint64 // calls that ended with 4xx
	server     atomic.Uint64 // calls that ended with 5xx
	_          [72]byte
	name, path string // path as the labels show it
}

func newCalls(ops []*api.Op) calls {
	c := make(calls, len(ops))
	for _, op := range ops {
		c[op] = &call{name: op.Name, path: pathLabel(op.Path)}
	}
	return c
}

// pathLabel gives a path as the documented label: "/v1/kv/{key}" as "v1.kv._".
func pathLabel(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "_"
		}
	}
	return strings.Join(parts, ".")
}

func (c *call) failed(status int) {
	if status < 500 {
		c.client.Add(1)
	} else {
		c.server.Add(1)
	}
}

// derived are the documented samples that are times of verbs.
var derived = map[string][]string{
	"kvs.apply":          {"kv.put", "kv.delete"},
	"txn.apply":          {"txn.apply"},
	"catalog.register":   {"catalog.register"},
	"catalog.deregister": {"catalog.deregister"},
	"session.apply":      {"session.create", "session.destroy"},
	"session.renew":      {"session.renew"},
}

// measure tells api.http for each verb that was called, and what follows from
// it: the calls of servers by kind and the times of writes.
func (c calls) measure(to *Scrape) {
	byName := make(map[string]Summary, len(c))
	var reads, requests, errors uint64
	for op, call := range c {
		sum := call.took.Summary()
		if sum.Count == 0 {
			continue
		}
		byName[op.Name] = sum
		labels := []Label{{"method", op.Method}, {"path", call.path}}
		to.Summary("api.http", sum, labels...)
		client, server := call.client.Load(), call.server.Load()
		if client > 0 {
			to.Counter("api.http.errors", client, append(labels, Label{"class", "4xx"})...)
		}
		if server > 0 {
			to.Counter("api.http.errors", server, append(labels, Label{"class", "5xx"})...)
		}
		switch op.Kind {
		case api.KindRead:
			reads += sum.Count
			fallthrough
		case api.KindWrite, api.KindLeader:
			requests += sum.Count
			errors += server
		}
	}
	to.Counter("rpc.query", reads)
	to.Counter("rpc.request", requests)
	to.Counter("rpc.request_error", errors)
	for name, ops := range derived {
		var sum Summary
		for _, op := range ops {
			sum = sum.and(byName[op])
		}
		to.Summary(name, sum)
	}
}
