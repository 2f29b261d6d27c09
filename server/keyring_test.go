package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// TestKeyring hands what is asked to the pools.
func TestKeyring(t *testing.T) {
	var asked []server.KeyRequest
	report := &api.KeyringReport{Datacenter: "dc1", Keys: map[string]int{"AAAA": 1}, PrimaryKeys: map[string]int{}, NumNodes: 1}
	s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) {
		c.Pools.Keys = func(_ context.Context, q server.KeyRequest) ([]*api.KeyringReport, error) {
			asked = append(asked, q)
			if q.Key == "bad" {
				return nil, errors.New("n2 refuses")
			}
			return []*api.KeyringReport{report}, nil
		}
	}})
	for _, c := range []struct {
		method, params, body string
		status               int
		want                 string
		asked                *server.KeyRequest
	}{
		{"GET", "", "", 200, `[{"WAN":false,"Datacenter":"dc1","Segment":"","Keys":{"AAAA":1},"PrimaryKeys":{},"NumNodes":1}]`, &server.KeyRequest{}},
		{"GET", "?relay-factor=5&local-only=false", "", 200, "*", &server.KeyRequest{Relay: 5}},
		{"GET", "?local-only", "", 200, "*", &server.KeyRequest{LocalOnly: true}},
		{"GET", "?local-only=x", "", 400, `Invalid value for local-only: "x"`, nil},
		{"GET", "?relay-factor=6", "", 400, "Invalid relay-factor 6: it must be in the range 0 to 5", nil},
		{"POST", "?relay-factor=2", `{"Key":"a1i101sMY8rxB+0eAKD/gw=="}`, 200, "", &server.KeyRequest{Action: server.InstallKey, Key: "a1i101sMY8rxB+0eAKD/gw==", Relay: 2}},
		{"POST", "", `{"Key":"AAAA"}`, 400, "install a key: a key must be 16, 24 or 32 bytes in base64; curia keygen makes one", nil},
		{"POST", "", `{"Key":"a key"}`, 400, "install a key: a key must be 16, 24 or 32 bytes in base64; curia keygen makes one", nil},
		{"PUT", "", `{"Key":"AAAA"}`, 200, "", &server.KeyRequest{Action: server.UseKey, Key: "AAAA"}},
		{"DELETE", "", `{"Key":"bad"}`, 500, "n2 refuses", &server.KeyRequest{Action: server.RemoveKey, Key: "bad"}},
		{"DELETE", "", `{}`, 400, "Missing key", nil},
	} {
		asked = nil
		w := s.Do(c.method, "/v1/operator/keyring"+c.params, c.body)
		if w.Code != c.status || c.want != "*" && w.Body.String() != c.want {
			t.Errorf("%s %s %s\n got %d %s\nwant %d %s", c.method, c.params, c.body, w.Code, w.Body, c.status, c.want)
		}
		var want []server.KeyRequest
		if c.asked != nil {
			want = append(want, *c.asked)
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("%s %s %s: asked of the pools (-want +got):\n%s", c.method, c.params, c.body, diff)
		}
	}
}

// datacenters are peers that answer questions about keys, and note them.
type datacenters struct {
	server.Peers
	mu    sync.Mutex
	asked []string
}

// Call implements api.Caller.
func (d *datacenters) Call(_ context.Context, req *api.Request) (*api.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, fmt.Sprintf("%s: %s %+v token %q", req.Datacenter, req.Op.Name, req.Args, req.Token))
	if req.Datacenter == "dc3" && req.Op == api.KeyringRemove.Op {
		return nil, errors.New("n3 refuses")
	}
	return &api.Response{Value: []*api.KeyringReport{{Datacenter: req.Datacenter}}}, nil
}

// TestKeyringElsewhere covers that the agents of other datacenters are asked too.
func TestKeyringElsewhere(t *testing.T) {
	others := &datacenters{}
	s := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) {
		c.Peers = others
		c.Pools.Nearest = func() []string { return []string{"dc1", "dc3", "dc2"} }
		c.Pools.Keys = func(context.Context, server.KeyRequest) ([]*api.KeyringReport, error) {
			return []*api.KeyringReport{{WAN: true, Datacenter: "dc1"}, {Datacenter: "dc1"}}, nil
		}
	}})
	for _, c := range []struct {
		method, params string
		status         int
		want           string
		asked          []string
	}{
		{"GET", "?relay-factor=1", 200, "dc1 WAN, dc1, dc3, dc2", []string{
			`dc2: operator.keyring-list &{RelayFactor:1 LocalOnly:true} token ""`, `dc3: operator.keyring-list &{RelayFactor:1 LocalOnly:true} token ""`}},
		{"GET", "?local-only", 200, "dc1 WAN, dc1", nil},
		{"PUT", "", 200, "", []string{
			`dc2: operator.keyring-use &{RelayFactor:0 Body:{Key:k} LocalOnly:true} token "secret"`, `dc3: operator.keyring-use &{RelayFactor:0 Body:{Key:k} LocalOnly:true} token "secret"`}},
		{"DELETE", "", 500, "in datacenter dc3: n3 refuses", []string{
			`dc2: operator.keyring-remove &{RelayFactor:0 Body:{Key:k} LocalOnly:true} token ""`, `dc3: operator.keyring-remove &{RelayFactor:0 Body:{Key:k} LocalOnly:true} token ""`}},
	} {
		others.asked = nil
		body, token := "", ""
		if c.method != "GET" {
			body = `{"Key":"k","LocalOnly":true}`
		}
		if c.method == "PUT" {
			token = "?token=secret"
		}
		w := s.Do(c.method, "/v1/operator/keyring"+c.params+token, body)
		if got := pools(t, c.method, w.Body.Bytes()); w.Code != c.status || got != c.want {
			t.Errorf("%s %s: got %d %s, want %d %s", c.method, c.params, w.Code, got, c.status, c.want)
		}
		slices.Sort(others.asked)
		if diff := cmp.Diff(c.asked, others.asked); diff != "" {
			t.Errorf("%s %s: asked of other datacenters (-want +got):\n%s", c.method, c.params, diff)
		}
	}
}

// pools names the pools of the reports in an answer to a list, or gives the answer.
func pools(t *testing.T, method string, body []byte) string {
	if method != "GET" {
		return string(body)
	}
	var reports []*api.KeyringReport
	if err := json.Unmarshal(body, &reports); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var out []string
	for _, r := range reports {
		name := r.Datacenter
		if r.WAN {
			name += " WAN"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}
