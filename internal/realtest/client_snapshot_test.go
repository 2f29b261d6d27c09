package realtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
)

// save takes a snapshot with the client.
func save(t *testing.T, c *consul.Client) []byte {
	t.Helper()
	r, meta, err := c.Snapshot().Save(nil)
	check(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	check(t, err)
	if meta.LastIndex == 0 || !meta.KnownLeader {
		t.Errorf("save: got %+v, wanted an index and a leader", meta)
	}
	return b
}

// TestClientSnapshot brings back an old state into a later one: the data is the
// old, the indexes are not.
func TestClientSnapshot(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	kv := c.KV()
	_, err := kv.Put(&consul.KVPair{Key: "s/kept", Value: []byte("old"), Flags: 7}, nil)
	check(t, err)
	register(t, c)
	session, _, err := c.Session().CreateNoChecks(&consul.SessionEntry{Name: "kept"}, nil)
	check(t, err)
	archive := save(t, c)

	for i := range 20 {
		_, err := kv.Put(&consul.KVPair{Key: fmt.Sprint("s/later", i), Value: []byte("new")}, nil)
		check(t, err)
	}
	_, err = kv.Put(&consul.KVPair{Key: "s/kept", Value: []byte("new")}, nil)
	check(t, err)
	_, err = c.Catalog().Deregister(&consul.CatalogDeregistration{Node: "w1"}, nil)
	check(t, err)
	_, err = c.Session().Destroy(session, nil)
	check(t, err)

	paths := []string{"/v1/kv/s/?recurse", "/v1/kv/s/kept", "/v1/kv/none", "/v1/health/service/web", "/v1/catalog/services", "/v1/session/list"}
	before := indexes(t, a, paths)
	woken := make(chan string, len(paths))
	for _, p := range paths {
		go func() {
			sep := "?"
			if strings.Contains(p, "?") {
				sep = "&"
			}
			_, header, _, err := a.ask("GET", fmt.Sprint(p, sep, "wait=60s&index=", before[p]), "")
			if err == nil && number(header) <= before[p] {
				err = fmt.Errorf("woken at %d from a wait above %d", number(header), before[p])
			}
			woken <- fmt.Sprint(p, err)
		}()
	}
	check(t, c.Snapshot().Restore(nil, bytes.NewReader(archive)))
	got := map[string]bool{}
	want := map[string]bool{}
	for _, p := range paths {
		got[await(t, "the watchers wake", woken)] = true
		want[p+"<nil>"] = true
	}
	same(t, "who woke, and how", got, want)
	for p, i := range indexes(t, a, paths) {
		if i <= before[p] {
			t.Errorf("index of %s: got %d after the restore, %d before", p, i, before[p])
		}
	}
	restored(t, c, session)

	// What was restored outlives the process, and so do its indexes.
	after := indexes(t, a, paths)
	a.kill()
	a.restart()
	restored(t, a.client(), session)
	for p, i := range indexes(t, a, paths) {
		if i < after[p] {
			t.Errorf("index of %s: got %d after a restart, %d before", p, i, after[p])
		}
	}
	_, err = kv.Put(&consul.KVPair{Key: "s/next", Value: []byte("1")}, nil)
	check(t, err)
	if p, _, err := kv.Get("s/next", nil); err != nil || p.ModifyIndex <= after["/v1/kv/s/?recurse"] {
		t.Errorf("a write after the restore: got %+v, %v, wanted an index above %d", p, err, after["/v1/kv/s/?recurse"])
	}
}

// restored checks that the state is that of the snapshot.
func restored(t *testing.T, c *consul.Client, session string) {
	t.Helper()
	pairs, _, err := c.KV().List("s/", nil)
	check(t, err)
	same(t, "keys after the restore", names(pairs, func(p *consul.KVPair) string { return fmt.Sprint(p.Key, "=", string(p.Value), p.Flags) }), "s/kept=old7")
	entries, _, err := c.Health().Service("web", "", false, nil)
	check(t, err)
	same(t, "instances after the restore", len(entries), 3)
	s, _, err := c.Session().Info(session, nil)
	if err != nil || s == nil || s.Name != "kept" {
		t.Errorf("session after the restore: got %v, %v", s, err)
	}
}

// indexes gives the index of each path now.
func indexes(t *testing.T, a *agent, paths []string) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for _, p := range paths {
		_, header, _, err := a.ask("GET", p, "")
		check(t, err)
		out[p] = number(header)
	}
	return out
}

func number(h map[string][]string) uint64 {
	if len(h["X-Consul-Index"]) == 0 {
		return 0
	}
	n, _ := strconv.ParseUint(h["X-Consul-Index"][0], 10, 64)
	return n
}

// TestDamagedSnapshot sends archives that are not whole: each is refused with a
// reason, and state and index stay as they are.
func TestDamagedSnapshot(t *testing.T) {
	t.Parallel()
	a := start(t, option{})
	c := a.client()
	for i := range 50 {
		_, err := c.KV().Put(&consul.KVPair{Key: fmt.Sprint("d/", i), Value: bytes.Repeat([]byte{byte(i)}, 500)}, nil)
		check(t, err)
	}
	good := save(t, c)
	files := unpack(t, good)
	state := files["state.bin"]
	flip := func(b []byte, at int) []byte {
		out := bytes.Clone(b)
		out[at] ^= 0x10
		return out
	}
	type file = struct {
		name string
		text []byte
	}
	sums := func(meta, state []byte) []byte {
		return fmt.Appendf(nil, "%x  meta.json\n%x  state.bin\n", sha256.Sum256(meta), sha256.Sum256(state))
	}
	meta := files["meta.json"]
	resized := bytes.Replace(meta, fmt.Appendf(nil, `"Size":%d`, len(state)), fmt.Appendf(nil, `"Size":%d`, len(state)/2), 1)
	damaged := map[string][]byte{
		"nothing":                    nil,
		"text":                       []byte("this is no archive"),
		"half":                       good[:len(good)/2],
		"last byte missing":          good[:len(good)-1],
		"first byte":                 flip(good, 0),
		"a bit in the middle":        flip(good, len(good)/2),
		"a bit at the end":           flip(good, len(good)-3),
		"garbage after it":           append(bytes.Clone(good), "garbage"...),
		"twice":                      append(bytes.Clone(good), good...),
		"state changed":              pack(t, file{"meta.json", meta}, file{"state.bin", flip(state, len(state)/2)}, file{"SHA256SUMS", files["SHA256SUMS"]}),
		"meta changed":               pack(t, file{"meta.json", append(bytes.Clone(meta), ' ')}, file{"state.bin", state}, file{"SHA256SUMS", files["SHA256SUMS"]}),
		"no sums":                    pack(t, file{"meta.json", meta}, file{"state.bin", state}),
		"no state":                   pack(t, file{"meta.json", meta}, file{"SHA256SUMS", files["SHA256SUMS"]}),
		"no meta":                    pack(t, file{"state.bin", state}, file{"SHA256SUMS", files["SHA256SUMS"]}),
		"another file":               pack(t, file{"meta.json", meta}, file{"state.bin", state}, file{"SHA256SUMS", files["SHA256SUMS"]}, file{"extra", nil}),
		"right sums, half the state": pack(t, file{"meta.json", resized}, file{"state.bin", state[:len(state)/2]}, file{"SHA256SUMS", sums(resized, state[:len(state)/2])}),
		"right sums, no state":       pack(t, file{"meta.json", meta}, file{"state.bin", bytes.Repeat([]byte{0xa1}, len(state))}, file{"SHA256SUMS", sums(meta, bytes.Repeat([]byte{0xa1}, len(state)))}),
	}
	_, before, err := c.KV().List("d/", nil)
	check(t, err)
	for name, archive := range damaged {
		began := time.Now()
		status, _, text, err := a.ask("PUT", "/v1/snapshot", string(archive))
		if err != nil || status != 500 || len(text) < 10 {
			t.Errorf("restore of %s: got %d %q, %v, wanted 500 with a reason", name, status, text, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("restore of %s took %v", name, took)
		}
		pairs, after, err := c.KV().List("d/", nil)
		if err != nil || len(pairs) != 50 || after.LastIndex != before.LastIndex {
			t.Fatalf("after the restore of %s: got %d keys at index %d, %v, wanted 50 at %d", name, len(pairs), after.LastIndex, err, before.LastIndex)
		}
	}
	a.must("PUT", "/v1/snapshot", string(good))
}

// unpack gives the files of an archive.
func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	check(t, err)
	out := map[string][]byte{}
	for r := tar.NewReader(zip); ; {
		head, err := r.Next()
		if err == io.EOF {
			return out
		}
		check(t, err)
		out[head.Name], err = io.ReadAll(r)
		check(t, err)
	}
}

// pack makes an archive of files.
func pack(t *testing.T, files ...struct {
	name string
	text []byte
}) []byte {
	t.Helper()
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	w := tar.NewWriter(zip)
	for _, f := range files {
		check(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.text)), Mode: 0o600}))
		_, err := w.Write(f.text)
		check(t, err)
	}
	check(t, w.Close())
	check(t, zip.Close())
	return buf.Bytes()
}
