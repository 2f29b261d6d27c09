package agent

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"curia/api"
	"curia/httpapi"
)

// FuzzRegister sends bodies of registrations: each is taken or refused in the
// documented words, and what was taken can be listed, pushed, and read again
// after a restart.
func FuzzRegister(f *testing.F) {
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `"x"`, `7`, `{"Name":"web"}`, `{"name":"web","port":80,"tags":["a",null],"meta":{"k":"v"}}`,
		`{"ID":"redis1","Name":"redis","Tags":["primary"],"Address":"127.0.0.1","Port":8000,"Meta":{"redis_version":"4.0"},
			"EnableTagOverride":false,"Check":{"DeregisterCriticalServiceAfter":"90m","HTTP":"http://localhost:5000/health","Interval":"10s","Timeout":"5s"},
			"Weights":{"Passing":10,"Warning":1},"TaggedAddresses":{"lan":{"Address":"127.0.0.1","Port":8000}}}`,
		`{"Name":"web","Check":{},"Checks":[null,{"TTL":"15s"},{"CheckID":"a","Name":"b","TCP":"localhost:22","Interval":"1s"}]}`,
		`{"Name":"web","Check":{"Args":["true"],"Interval":"10s"}}`, `{"Name":"web","Check":{"Script":"true","Interval":"10s"}}`,
		`{"Name":"c","TTL":"15s","Status":"passing","Notes":"n"}`, `{"ID":"mem","Name":"mem","AliasService":"web","AliasNode":"n2"}`,
		`{"Name":"c","GRPC":"localhost:1/svc","GRPCUseTLS":true,"Interval":1000000000}`, `{"Name":"c","H2PING":"x","Interval":"1s"}`,
		`{"Name":"c","DockerContainerID":"d","Shell":"/bin/sh","Script":"x","Interval":"1s"}`, `{"Name":"c","OSService":"s","Interval":"1s"}`,
		`{"Name":"c","HTTP":"http://[::1","Method":"\n","Header":{"":["\n"]},"Interval":"1s"}`, `{"Name":"c","UDP":"x:y","Interval":"1s"}`,
		`{"Name":"c","ServiceID":"none","TTL":"1s"}`, `{"Name":"c","TTL":"1s","SuccessBeforePassing":-1,"FailuresBeforeCritical":9223372036854775807}`,
		`{"Name":"web","Kind":"connect-proxy","Proxy":{"DestinationServiceName":"x"},"Connect":{"SidecarService":{}},"Locality":{"Region":"r"}}`,
		`{"Name":"web","Namespace":"team"}`, `{"Name":"_node_maintenance","TTL":"1s"}`, `{"Name":"\u0000\ud800","TTL":"1s"}`,
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	quiet := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, body []byte, service bool) {
		r := newRig(t, newCatalog(), nil)
		close(r.ended) // nobody waits for a catalog
		h := httpapi.New(httpapi.Config{}, r.Agent, quiet)
		send := func(method, path string, body []byte) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, bytes.NewReader(body)))
			return w
		}
		path := "/v1/agent/check/register"
		if service {
			path = "/v1/agent/service/register"
		}
		for range 2 {
			w := send("PUT", path, body)
			switch text := w.Body.String(); {
			case w.Code == http.StatusOK && text == "", w.Code == http.StatusBadRequest && text != "":
			case w.Code == http.StatusNotFound && strings.HasPrefix(text, "ServiceID "):
			case w.Code == http.StatusInternalServerError && strings.HasPrefix(text, "Scripts are disabled on this agent"):
			default:
				t.Fatalf("PUT %s %q: got %d %q", path, body, w.Code, text)
			}
			if n := len(r.local.errands(&r.cfg.Node)); (n > 0) != (w.Code == http.StatusOK) {
				t.Errorf("PUT %s %q: got %d, and %d things to write to the catalog", path, body, w.Code, n)
			}
		}
		for _, list := range []string{"/v1/agent/services", "/v1/agent/checks", "/v1/agent/self"} {
			if w := send("GET", list, nil); w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) {
				t.Errorf("GET %s after %q: got %d %q", list, body, w.Code, w.Body)
			}
		}
		restored(t, r)
		services, checks := r.local.rows()
		for _, s := range services {
			_, _ = r.ask(api.LocalHealthByID.Op, &api.LocalHealthArgs{Service: s.ID, Format: "text"}, "")
			r.must(api.LocalServiceDeregister.Op, &api.LocalServiceID{ID: s.ID})
		}
		for _, c := range checks {
			r.must(api.LocalCheckDeregister.Op, &api.LocalCheckID{ID: c.CheckID})
		}
		if services, checks := r.local.rows(); len(services)+len(checks) > 0 {
			t.Errorf("after %q and its removal there are %d services and %d checks", body, len(services), len(checks))
		}
	})
}

// restored wants what an agent has to be the same after a restart, but for the
// states of checks.
func restored(t *testing.T, r *rig) {
	t.Helper()
	next := newRig(t, r.catalog, nil)
	services, _ := r.local.rows()
	for _, s := range services {
		var saved savedService
		reread(t, savedService{Service: s}, &saved)
		next.local.putService(saved.Service, "", 0)
	}
	for _, c := range r.local.all() {
		var saved savedCheck
		reread(t, savedCheck{Check: c.row, Registration: c.def}, &saved)
		if err := next.restoreCheck(&saved, nil); err != nil {
			t.Errorf("restore check %s: %v", jsonOf(t, saved), err)
		}
	}
	servicesAfter, checksAfter := next.local.rows()
	_, checks := r.local.rows()
	for _, c := range append(checks, checksAfter...) {
		c.Status = ""
	}
	same(t, "services after a restart", jsonOf(t, servicesAfter), jsonOf(t, services))
	if len(checks) == 1 || len(checksAfter) != len(checks) {
		same(t, "checks after a restart", jsonOf(t, checksAfter), jsonOf(t, checks))
	}
}

func reread(t *testing.T, from, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(jsonOf(t, from)), to); err != nil {
		t.Fatalf("read %s again: %v", jsonOf(t, from), err)
	}
}
