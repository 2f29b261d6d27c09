package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"curia/acl"
	"curia/api"
	"curia/config"
	"curia/httpapi"
	"curia/internal/testing/inproc"
)

// TestProfiles asks for profiles with and without enable_debug and permission.
func TestProfiles(t *testing.T) {
	s := inproc.Start(t, inproc.Options{Authorizer: func(token string) acl.Authorizer {
		if token == "operator" {
			return acl.AllowAll{}
		}
		return acl.DenyAll{}
	}})
	n := &node{agent: s.Agent, switches: newSwitches(config.Default())}
	h := httpapi.New(httpapi.Config{Raw: map[*api.Op]httpapi.RawFunc{api.AgentProfile.Op: n.profiles}}, s.Agent, n.log)
	const off = "404 profiles are not served: set enable_debug"
	for _, c := range []struct {
		debug               bool
		target, token, want string
	}{
		{false, "/debug/pprof/", "operator", off},
		{false, "/debug/pprof/heap", "", off},
		{true, "/debug/pprof/", "", "403 Permission denied"},
		{true, "/debug/pprof/heap", "stranger", "403 Permission denied"},
		{true, "/debug/pprof/", "operator", "200 <html>"},
		{true, "/debug/pprof/goroutine?debug=1", "operator", "200 goroutine profile:"},
		{true, "/debug/pprof/cmdline", "operator", "404 the command line is not shown"},
		{true, "/debug/pprof/nothing", "operator", "404 Unknown profile"},
	} {
		n.debug.Store(c.debug)
		r := httptest.NewRequest("GET", c.target, nil)
		r.Header.Set("X-Consul-Token", c.token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := fmt.Sprintf("%d %s", w.Code, w.Body); !strings.HasPrefix(got, c.want) {
			t.Errorf("GET %s with %q, enable_debug %t\n got %.80s\nwant %s", c.target, c.token, c.debug, got, c.want)
		}
	}
}
