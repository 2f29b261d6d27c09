package client

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"curia/acl"
	"curia/api"
	"curia/httpapi"
)

// recorder is an api.Caller that keeps what it was asked.
type recorder struct{ last *api.Request }

func (r *recorder) Call(_ context.Context, req *api.Request) (*api.Response, error) {
	r.last = req
	return &api.Response{Value: reflect.Zero(req.Op.Result).Interface()}, nil
}

// serveAPI starts the real HTTP face in front of a recorder.
func serveAPI(t *testing.T) (*Client, *recorder) {
	t.Helper()
	rec := &recorder{}
	srv := httptest.NewServer(httpapi.New(httpapi.Config{}, rec, slog.New(slog.DiscardHandler)))
	t.Cleanup(srv.Close)
	c, err := New(Config{Address: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c, rec
}

// sound puts values in place that Validate insists on.
func sound(args any) {
	yes := "true"
	switch a := args.(type) {
	case *api.CheckRegisterArgs:
		a.Definition.Status, a.Definition.TTL = api.Warning, 1
	case *api.CheckUpdateArgs:
		a.Update.Status = api.Warning
	case *api.ACLAuthorizeArgs:
		for i := range a.Wanted {
			a.Wanted[i].Resource, a.Wanted[i].Access = acl.Key, acl.Read
		}
	case *api.MaintenanceArgs:
		a.Enable = &yes
	case *api.ServiceMaintenanceArgs:
		a.Enable = &yes
	}
}

// TestRoundTrip sends every argument of every verb, one at a time because some
// exclude each other, and wants the HTTP face to read what was sent.
func TestRoundTrip(t *testing.T) {
	c, rec := serveAPI(t)
	for _, op := range api.Ops() {
		if op.Kind == api.KindRaw {
			continue
		}
		all := api.ArgsOf(op.Args)
		for i := range max(1, len(all)) {
			args := reflect.New(op.Args)
			name := op.Name
			for j, a := range all {
				if i == j || a.Source != api.FromQuery {
					fill(t, a, args.Elem().FieldByIndex(a.Index), j)
				}
				if i == j {
					name += " with " + a.Name
				}
			}
			sound(args.Interface())
			rec.last = nil
			if _, err := c.Call(t.Context(), &api.Request{Op: op, Args: args.Interface()}); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if rec.last.Op != op {
				t.Errorf("%s: arrived as %s", name, rec.last.Op.Name)
				continue
			}
			if v, ok := args.Interface().(api.Validator); ok {
				_ = v.Validate() // fills in defaults, as the other side does
			}
			if diff := cmp.Diff(args.Interface(), rec.last.Args, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: arguments (-sent +arrived):\n%s", name, diff)
			}
		}
	}
}

// TestRoundTripKeys sends keys that paths do not like.
func TestRoundTripKeys(t *testing.T) {
	c, rec := serveAPI(t)
	for _, key := range []string{
		"a", "a/b", "a/", "/", "/a", "//a", "a//b", "a//", ".", "..", "a/./b", "a/../b", "../..", "100%", "%2F", "%252F", "a?b#c", "a b+c",
		"a;b", "é", "日本", `a\b"c`, "v1/kv/x", "?recurse",
	} {
		rec.last = nil
		_, err := api.Call(t.Context(), c, api.KVPut, api.KVPutArgs{Key: key})
		if err != nil || rec.last == nil {
			t.Errorf("put %q: %v, arrived: %v", key, err, rec.last != nil)
			continue
		}
		if got := rec.last.Args.(*api.KVPutArgs).Key; got != key {
			t.Errorf("put %q: arrived as %q", key, got)
		}
	}
}

// TestRoundTripOptions sends what all requests have in common.
func TestRoundTripOptions(t *testing.T) {
	c, rec := serveAPI(t)
	sent := &api.Request{
		Op: api.KVList.Op, Args: &api.PrefixArgs{Prefix: "a"}, Token: "secret", Datacenter: "east",
		Query: api.Query{Consistency: api.Stale, MaxStale: time.Minute, MinIndex: 1 << 63, MaxWait: 90 * time.Second, Filter: `Key == "a b&c"`},
	}
	if _, err := c.Call(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sent.Query, rec.last.Query); diff != "" {
		t.Errorf("options (-sent +arrived):\n%s", diff)
	}
	if rec.last.Token != sent.Token || rec.last.Datacenter != sent.Datacenter {
		t.Errorf("token and datacenter arrived as %q and %q, want %q and %q", rec.last.Token, rec.last.Datacenter, sent.Token, sent.Datacenter)
	}
}
