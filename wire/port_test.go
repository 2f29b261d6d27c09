package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"curia/api"
)

// dial opens a connection by hand.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(thingWait)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// cutOff waits until the other side ends a connection.
func cutOff(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, conn)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Errorf("%s: the connection is still there after %v", what, thingWait)
	}
}

// TestGarbage cuts off who speaks nothing that is known, and says so once.
func TestGarbage(t *testing.T) {
	s := serve(t, "", Limits{}, &fake{call: echo})
	for _, c := range []struct{ name, sent string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"zeros", "\x00\x00\x00\x00"},
		{"text", "hello"},
		{"TLS, which is not configured", "\x16\x03\x01\x00\x05hello"},
	} {
		conn := dial(t, s.address)
		if _, err := conn.Write([]byte(c.sent)); err != nil {
			t.Fatal(err)
		}
		cutOff(t, c.name, conn)
	}
	s.log.says(t, "it speaks no protocol that is known here (its first byte is 0x47)")
	s.log.says(t, "refused a connection") // all are of one address
	conn := dial(t, s.address)            // it begins as a call should
	if _, err := conn.Write([]byte("PUT / HTTP/1.1\r\n\r\n" + strings.Repeat("x", 64))); err != nil {
		t.Fatal(err)
	}
	cutOff(t, "something like a call", conn)
	if got, err := get(t.Context(), connect(t, 0, s.address), "a"); got != "a" {
		t.Errorf("a call after all that: got %q, %v", got, err)
	}
}

// TestSlowHandshake cuts off who does not say what it wants.
func TestSlowHandshake(t *testing.T) {
	s := serve(t, "", Limits{Handshake: 50 * time.Millisecond}, &fake{call: echo})
	silent := dial(t, s.address)
	r := connect(t, 0, s.address)
	if _, err := get(t.Context(), r, "a"); err != nil {
		t.Fatal(err)
	}
	cutOff(t, "somebody silent", silent)
	s.log.says(t, "refused a connection")
	// The bound is one of the beginning: who has begun may be silent.
	if got, err := get(t.Context(), r, "b"); got != "b" {
		t.Errorf("a connection that is older than the bound: got %q, %v", got, err)
	}
}

// TestTooManyConnections refuses those above the bound, until others have gone.
func TestTooManyConnections(t *testing.T) {
	s := serve(t, "", Limits{PerAddress: 2}, &fake{call: echo})
	first, second := dial(t, s.address), dial(t, s.address)
	third := dial(t, s.address)
	cutOff(t, "the third connection", third)
	s.log.says(t, "it has 2 connections already (limits.rpc_max_conns_per_client)")
	for _, conn := range []net.Conn{first, second} {
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := get(t.Context(), connect(t, thingWait, s.address), "a"); got != "a" {
		t.Errorf("after others have gone: got %q, %v", got, err)
	}
}

// TestLogStreams carries bytes for the replicated log, both ways, also to oneself.
func TestLogStreams(t *testing.T) {
	s := serve(t, "", Limits{Handshake: time.Second}, &fake{call: echo})
	conns := NewConns(nil, Security{}, nil)
	defer conns.Close()
	network := s.Log(s.address, "dc1", conns)
	other := NewPort(s.listener, Security{}, nil, &fake{}, nil).Log("127.0.0.1:1", "dc1", conns)
	for name, from := range map[string]*LogNetwork{"another": other, "itself": network} {
		accepted := make(chan net.Conn, 1)
		go func() {
			if conn, err := network.Accept(); err == nil {
				accepted <- conn
			}
		}()
		near, err := from.Dial(s.address, time.Second)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		far := arrives(t, name, accepted)
		sent := []byte("P\x16\x01 whatever")
		go func() { _, _ = near.Write(sent) }()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s: got %q, %v, wanted %q", name, got, err, sent)
		}
		for _, conn := range []net.Conn{near, far} {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if got := network.Addr().String(); got != s.address {
		t.Errorf("address: got %s, wanted %s", got, s.address)
	}
}

// archive is more than fits into one part.
var archive = bytes.Repeat([]byte("0123456789abcdef"), 3*partSize/16+1)

// TestSnapshotStreams saves and restores an archive.
func TestSnapshotStreams(t *testing.T) {
	restored := make(chan []byte, 1)
	s := serve(t, "", Limits{}, &fake{
		save: func(begin func(api.Meta) io.Writer) error {
			w := begin(api.Meta{Index: 42, KnownLeader: true})
			_, err := w.Write(archive)
			return err
		},
		restore: func(from io.Reader) error {
			b, err := io.ReadAll(from)
			restored <- b
			return err
		},
	})
	r := connect(t, 0, s.address)
	got, meta, err := save(t.Context(), r)
	if err != nil || !bytes.Equal(got, archive) || meta.Index != 42 || !meta.KnownLeader {
		t.Errorf("save: got %d bytes, %+v, %v; wanted %d bytes at index 42", len(got), meta, err, len(archive))
	}
	if err := restore(t.Context(), r, bytes.NewReader(archive)); err != nil {
		t.Errorf("restore: %v", err)
	}
	if b := arrives(t, "the archive", restored); !bytes.Equal(b, archive) {
		t.Errorf("restore: %d bytes arrived, wanted %d", len(b), len(archive))
	}
}

func save(ctx context.Context, r *Router) ([]byte, api.Meta, error) {
	var out bytes.Buffer
	var meta api.Meta
	err := r.SaveSnapshot(ctx, &api.Request{Op: api.SnapshotSave.Op, Args: &api.StaleArgs{}}, func(m api.Meta) io.Writer {
		meta = m
		return &out
	})
	return out.Bytes(), meta, err
}

func restore(ctx context.Context, r *Router, from io.Reader) error {
	return r.RestoreSnapshot(ctx, &api.Request{Op: api.SnapshotRestore.Op, Args: &api.None{}}, from)
}

// TestSnapshotFailures ends the streams before, in the middle and by force.
func TestSnapshotFailures(t *testing.T) {
	refusal := &api.Error{Kind: api.Rejected, Msg: "damaged"}
	var saving func(begin func(api.Meta) io.Writer) error
	var restoring func(io.Reader) error
	s := serve(t, "", Limits{}, &fake{
		save:    func(begin func(api.Meta) io.Writer) error { return saving(begin) },
		restore: func(from io.Reader) error { return restoring(from) },
	})
	r := connect(t, 0, s.address)

	saving = func(func(api.Meta) io.Writer) error { return api.ErrNoLeader }
	if b, _, err := save(t.Context(), r); api.KindOf(err) != api.NoLeader || len(b) > 0 {
		t.Errorf("a save that is refused: got %d bytes, %v", len(b), err)
	}
	saving = func(begin func(api.Meta) io.Writer) error {
		_, err := begin(api.Meta{Index: 1}).Write(archive)
		return errors.Join(err, refusal)
	}
	if b, _, err := save(t.Context(), r); api.KindOf(err) != api.Rejected || len(b) != len(archive) {
		t.Errorf("a save that fails in the middle: got %d bytes, %v", len(b), err)
	}
	restoring = func(from io.Reader) error {
		_, err := io.ReadFull(from, make([]byte, 10))
		return errors.Join(err, refusal)
	}
	if err := restore(t.Context(), r, bytes.NewReader(bytes.Repeat(archive, 50))); api.KindOf(err) != api.Rejected {
		t.Errorf("an archive that is refused before its end: got %v", err)
	}
	var there error
	ended := make(chan struct{})
	restoring = func(from io.Reader) error {
		defer close(ended)
		_, there = io.Copy(io.Discard, from)
		return there
	}
	torn := errors.New("the disk is torn")
	err := restore(t.Context(), r, io.MultiReader(bytes.NewReader(archive), failing{torn}))
	if !errors.Is(err, torn) {
		t.Errorf("an archive that cannot be read: got %v, wanted %v", err, torn)
	}
	arrives(t, "the end at the server", ended)
	if there == nil {
		t.Error("the server takes an archive that has no end for a whole one")
	}
	saving = func(begin func(api.Meta) io.Writer) error {
		w := begin(api.Meta{Index: 1})
		go s.stop()
		for {
			if _, err := w.Write(archive[:10]); err != nil {
				return err
			}
		}
	}
	if b, _, err := save(t.Context(), r); err == nil {
		t.Errorf("a save whose server ends: got %d bytes and no error", len(b))
	}
	s.stop()
	if err := restore(t.Context(), r, bytes.NewReader(archive)); !api.Untried(err) {
		t.Errorf("a server that is gone: got %v, wanted an error that lets it be tried again", err)
	}
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
