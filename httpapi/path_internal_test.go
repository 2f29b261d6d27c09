package httpapi

import "testing"

// TestLoggedPath wants no secret of a path to reach the log.
func TestLoggedPath(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/acl/info/secret":       "/v1/acl/info/<hidden>",
		"/v1/acl/destroy/a/b":       "/v1/acl/destroy/<hidden>",
		"/v1/acl/list":              "/v1/acl/list",
		"/v1/kv/v1/acl/info/secret": "/v1/kv/v1/acl/info/secret",
	} {
		if got := loggedPath(path); got != want {
			t.Errorf("loggedPath(%q): got %q, want %q", path, got, want)
		}
	}
}
