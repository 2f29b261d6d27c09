package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curia/api"
	"curia/internal/testing/inproc"
	"curia/server"
)

// TestPeers tries what can be said wrongly of the servers of the log.
func TestPeers(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for _, c := range []struct {
		method, target string
		status         int
		want           string
	}{
		{"DELETE", "/v1/operator/raft/peer", 400, "Must specify either ?id with the server's ID or ?address with IP:port of peer to remove"},
		{"DELETE", "/v1/operator/raft/peer?id=a&address=b", 400, "Must specify only one of ?id or ?address"},
		{"DELETE", "/v1/operator/raft/peer?id=a", 500, `id "a" was not found in the Raft configuration`},
		{"DELETE", "/v1/operator/raft/peer?address=b", 500, `address "b" was not found in the Raft configuration`},
		{"DELETE", "/v1/operator/raft/peer?address=127.0.0.1:8300", 500, "cannot remove " + inproc.NodeID + " (127.0.0.1:8300): it is the only voter, nobody would be left to lead"},
		{"POST", "/v1/operator/raft/transfer-leader?id=a", 500, `id "a" was not found in the Raft configuration`},
		{"POST", "/v1/operator/raft/transfer-leader?id=" + inproc.NodeID, 500, "cannot transfer leadership: there is no other server that could lead"},
	} {
		if w := s.Do(c.method, c.target, ""); w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("%s %s\n got %d %s\nwant %d %s", c.method, c.target, w.Code, w.Body, c.status, c.want)
		}
	}
}

// TestAutopilotBegins wants the configuration of the agent in the log once, and
// health as soon as there is a leader.
func TestAutopilotBegins(t *testing.T) {
	dir := t.TempDir()
	conf := api.DefaultAutopilot()
	conf.MaxTrailingLogs = 77
	tune := func(c *server.Config) { c.Autopilot = conf }
	s := inproc.Start(t, inproc.Options{Dir: dir, Tune: tune})
	if got := s.Must(t, "GET", "/v1/operator/autopilot/configuration", ""); !strings.Contains(got, `"MaxTrailingLogs":77,`) {
		t.Errorf("first configuration: got %s, want that of the agent", got)
	}
	s.Must(t, "PUT", "/v1/operator/autopilot/configuration", `{"MaxTrailingLogs":78}`)
	s.Stop()
	s = inproc.Start(t, inproc.Options{Dir: dir, Tune: tune})
	got := s.Must(t, "GET", "/v1/operator/autopilot/configuration", "")
	for _, want := range []string{`"MaxTrailingLogs":78,`, `"LastContactThreshold":"200ms"`, `"CleanupDeadServers":true`} {
		if !strings.Contains(got, want) {
			t.Errorf("configuration after a restart: got %s, want %s in it", got, want)
		}
	}
	if w := s.Do("PUT", "/v1/operator/autopilot/configuration", `{"LastContactThreshold":"-1s"}`); w.Code != 400 {
		t.Errorf("negative threshold: got %d %s, want 400", w.Code, w.Body)
	}
	var health api.AutopilotHealth
	if err := json.Unmarshal([]byte(s.Must(t, "GET", "/v1/operator/autopilot/health", "")), &health); err != nil {
		t.Fatal(err)
	}
	if !health.Healthy || len(health.Servers) != 1 {
		t.Fatalf("health: got %+v, want one healthy server", health)
	}
	if h := health.Servers[0]; h.Name != inproc.NodeName || h.SerfStatus != "alive" || !h.Leader || !h.Voter || h.LastTerm == 0 || h.StableSince.IsZero() {
		t.Errorf("health of the server: got %+v", h)
	}
	if got := s.Must(t, "GET", "/v1/operator/autopilot/state", ""); !strings.Contains(got, `"Leader":"`+inproc.NodeID+`","Voters":["`+inproc.NodeID+`"]`) {
		t.Errorf("state: got %s", got)
	}
}

// update sends where a node is.
func update(s *inproc.Server, node string, x float64) int {
	body := fmt.Sprintf(`{"Node":%q,"Coord":{"Vec":[%v,0,0,0,0,0,0,0]}}`, node, x)
	return s.Do("PUT", "/v1/coordinate/update", body).Code
}

// TestCoordinatesAreBatched sends many places at once: they are shown some
// seconds later, in few commands, the last one of each node.
func TestCoordinatesAreBatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		for i := range 300 {
			s.Must(t, "PUT", "/v1/catalog/register", fmt.Sprintf(`{"Node":"n%03d","Address":"10.0.0.1"}`, i))
		}
		index := s.Store.Index()
		for _, x := range []float64{1, 2} {
			for i := range 300 {
				if code := update(s, fmt.Sprintf("n%03d", i), x); code != 200 {
					t.Fatalf("update of node %d: got %d", i, code)
				}
			}
		}
		update(s, "ghost", 1)
		if got := s.Must(t, "GET", "/v1/coordinate/nodes", ""); got != "[]" {
			t.Errorf("right after the updates: got %.100s…, want none yet", got)
		}
		time.Sleep(5*time.Second + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if n := strings.Count(s.Must(t, "GET", "/v1/coordinate/nodes", ""), `"Vec":[2,0,`); n != 300 {
			t.Errorf("five seconds later: %d nodes are at their last place, want 300", n)
		}
		if wrote := s.Store.Index() - index; wrote != 3 {
			t.Errorf("300 coordinates took %d commands, want 3", wrote)
		}
		if w := s.Do("GET", "/v1/coordinate/node/ghost", ""); w.Code != 404 {
			t.Errorf("a node that is not in the catalog: got %d %s, want 404", w.Code, w.Body)
		}
	})
}

// TestCoordinatesAreBounded sends more than there is room for: it is answered
// all the same, and dropped.
func TestCoordinatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		for i := range 1000 {
			if code := update(s, fmt.Sprintf("ghost%d", i), 1); code != 200 {
				t.Fatalf("update %d: got %d", i, code)
			}
		}
		index := s.Store.Index()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if wrote := s.Store.Index() - index; wrote != 5 {
			t.Errorf("1000 coordinates at once took %d commands, want 5", wrote)
		}
	})
}

// TestWrongCoordinates are refused.
func TestWrongCoordinates(t *testing.T) {
	s := inproc.Start(t, inproc.Options{})
	for body, want := range map[string]string{
		`{"Node":"n1"}`:                      "incompatible coordinate: Vec must have 8 numbers",
		`{"Node":"n1","Coord":{"Vec":[1]}}`:  "incompatible coordinate: Vec must have 8 numbers",
		`{"Coord":{"Vec":[1]}}`:              "Missing node name",
		`{"Node":"n1","Coord":{"Vec":"x"}}`:  "Request decode failed: json: cannot unmarshal string into Go struct field Coordinate.Coord.Vec of type []float64",
		`{"Node":"n1","Coord":{"Error":1e9}`: "Request decode failed: unexpected EOF",
	} {
		if w := s.Do("PUT", "/v1/coordinate/update", body); w.Code != 400 || w.Body.String() != want {
			t.Errorf("update %s\n got %d %s\nwant 400 %s", body, w.Code, w.Body, want)
		}
	}
	off := inproc.Start(t, inproc.Options{Tune: func(c *server.Config) { c.NoCoordinates = true }})
	for _, target := range []string{"datacenters", "nodes", "node/n1"} {
		if w := off.Do("GET", "/v1/coordinate/"+target, ""); w.Code != 401 || w.Body.String() != "Coordinate support disabled" {
			t.Errorf("coordinate/%s while they are off: got %d %s, want 401", target, w.Code, w.Body)
		}
	}
	if code := update(off, "n1", 1); code != 401 {
		t.Errorf("coordinate/update while they are off: got %d, want 401", code)
	}
}

// TestNear sorts every list that takes ?near, from cached results too.
func TestNear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inproc.Start(t, inproc.Options{})
		for _, n := range []string{"a", "b", "c"} {
			s.Must(t, "PUT", "/v1/catalog/register", fmt.Sprintf(
				`{"Node":%q,"Address":"10.0.0.1","NodeMeta":{"x":"y"},"Service":{"Service":"web"},"Check":{"Name":"up","ServiceID":"web","Status":"passing"}}`, n))
		}
		settle := func(places map[string]float64) {
			for n, x := range places {
				update(s, n, x)
			}
			time.Sleep(6 * time.Second)
			synctest.Wait()
		}
		look := func(near, want string) {
			t.Helper()
			for _, target := range []string{"catalog/nodes?x", "catalog/service/web?x", "health/service/web?x", "health/checks/web?x", "health/checks/web?node-meta=x:y",
				`health/state/passing?filter=Name=="up"`} {
				body := s.Must(t, "GET", "/v1/"+target+"&near="+near, "")
				got := ""
				for _, part := range strings.Split(body, `"Node":"`)[1:] {
					if name := part[:strings.IndexByte(part, '"')]; len(name) == 1 && !strings.HasSuffix(got, name) {
						got += name
					}
				}
				if got != want {
					t.Errorf("%s near %q: got %s, want %s", target, near, got, want)
				}
			}
		}
		look("c", "abc")
		settle(map[string]float64{"a": 1, "b": 2, "c": 3, inproc.NodeName: 2.1})
		look("c", "cba")
		// Prepared queries are sorted by what they say, or by what their caller says.
		for query, near := range map[string]string{"Service.Near=c": "", "Service.Near=a": "c", "Service.Near=_agent": "c", "none": "c"} {
			id := queryOf(t, s, fmt.Sprintf(`{"Name":%q,"Service":{"Service":"web","Near":%q}}`, query, strings.TrimPrefix(query, "Service.Near=")))
			var got api.QueryResult
			if err := json.Unmarshal([]byte(s.Must(t, "GET", "/v1/query/"+id+"/execute?limit=2&near="+near, "")), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Nodes) != 2 || got.Nodes[0].Node.Node+got.Nodes[1].Node.Node != "cb" {
				t.Errorf("query with %s, executed near %q: got %+v, want c and b", query, near, got.Nodes)
			}
		}
		agent := queryOf(t, s, `{"Name":"agent","Service":{"Service":"web","Near":"_agent"}}`)
		if got := s.Must(t, "GET", "/v1/query/"+agent+"/execute?limit=1", ""); !strings.Contains(got, `"Node":"b"`) {
			t.Errorf("query near the agent: got %s, want b", got)
		}
		look("nobody", "abc")
		look("_agent", "bca")
		settle(map[string]float64{"a": 3.5})
		look("c", "cab")
	})
}
