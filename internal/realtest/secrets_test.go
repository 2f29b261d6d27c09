package realtest

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"curia/config"
)

// secrets are texts that must not be told, by what they are.
type secrets map[string]string

// make gives a new secret, which may be an ID.
func (s secrets) make(what string) string {
	id := fmt.Sprintf("5ec2e700-%04d-4000-8000-00005ec2e700", len(s))
	s[what] = id
	return id
}

// leaked names the secrets in a text.
func (s secrets) leaked(text string) []string {
	var out []string
	for what, secret := range s {
		if strings.Contains(text, secret) {
			out = append(out, what)
		}
	}
	slices.Sort(out)
	return out
}

// secretConfig sets every setting that the table calls secret, and definitions
// that hold secrets.
func secretConfig(t *testing.T, s secrets) map[string]any {
	t.Helper()
	out := map[string]any{
		"acl": map[string]any{"enabled": true, "default_policy": "deny", "enable_token_persistence": true}, "log_level": "trace",
		"enable_debug": true, "enable_script_checks": true,
		"services": []any{map[string]any{
			"name": "web", "token": s.make("token of a service"),
			"check": map[string]any{"http": "http://127.0.0.1:1/", "interval": "1s", "header": map[string]any{"Authorization": []string{s.make("header of a check")}}},
		}},
		"checks": []any{map[string]any{"name": "c", "ttl": "1h", "token": s.make("token of a check")}},
		"watches": []any{map[string]any{
			"type": "nodes", "token": s.make("token of a watch"), "handler_type": "http",
			"http_handler_config": map[string]any{"path": "http://127.0.0.1:1/", "header": map[string]any{"Authorization": []string{s.make("header of a watch")}}},
		}},
	}
	for _, row := range config.Settings() {
		if !row.Secret {
			continue
		}
		var v any = s.make(row.Key)
		switch {
		case row.Key == "encrypt":
			v = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="
			s[row.Key] = v.(string)
		case row.Kind == config.Object:
			v = map[string]any{"some": map[string]any{"thing": v}}
		case row.Kind == config.Blocks:
			v = []any{map[string]any{"some": v}}
		}
		at, words := out, strings.Split(row.Key, ".")
		for _, word := range words[:len(words)-1] {
			next, ok := at[word].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[word] = next
			}
			at = next
		}
		at[words[len(words)-1]] = v
	}
	return out
}

// askAs makes a request with a token in one of the places where it may be.
func (a *agent) askAs(token string, place int, method, path, body string) (status int, answer string) {
	a.t.Helper()
	if place == 0 {
		path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "token=" + token
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), thingWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+a.addr+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	switch place {
	case 1:
		req.Header.Set("X-Consul-Token", token)
	case 2:
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := plain.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil { // its header, too
		a.t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}

// secretRequests are requests with a secret in place of each $, of which the agent refuses
// some. Those that may be answered with the secret are marked with a star.
func secretRequests(secret string) [][3]string {
	all := []string{
		"GET /v1/kv/a", "GET /v1/nothing", "GET /v1/agent/self", "GET /v1/agent/metrics", "GET /v1/agent/metrics?format=prometheus", "GET /v1/agent/host",
		"GET /v1/agent/members", "GET /v1/agent/services", "GET /v1/agent/checks", "GET /v1/agent/service/web", "GET /v1/health/state/any",
		"GET /v1/catalog/node/n1", "GET* /v1/query", "GET /v1/openapi.json", "GET /v1/operator/usage", "GET /debug/pprof/goroutine?debug=2",
		"GET /v1/kv/a?index=x", "GET /v1/kv/a?wait=x", "GET /v1/kv/a?dc=$", "GET /v1/kv/?filter=$", "PATCH /v1/kv/a", "GET /v1/acl/tokens?filter=$",
		"GET* /v1/acl/info/$", "GET /v1/acl/info", "DELETE /v1/acl/info/$", "PUT* /v1/acl/clone/$", "GET /v1/acl/clone/$", "GET* /v1/acl/list", "GET* /v1/acl/tokens",
		"GET /v1/acl/token/$", "GET* /v1/acl/token/self", "DELETE /v1/acl/token/$", "PUT /v1/acl/token/$ {}", "PUT /v1/acl/token/$ {", "PUT /v1/acl/token/$/clone",
		`PUT /v1/acl/token {"SecretID":"$"}`, `PUT /v1/acl/token {"SecretID":"$`, `PUT /v1/acl/token {"SecretID":"$","AccessorID":"x"}`,
		`PUT /v1/acl/token {"SecretID":["$"]}`, `PUT /v1/acl/token {"SecretID":"$-and-more"}`, `PUT /v1/acl/update {"ID":"$","Type":"x"}`, `PUT /v1/acl/create {"ID":"$","Rules":"x"}`,
		`PUT /v1/acl/bootstrap {"BootstrapSecret":"$"}`, `PUT /v1/acl/bootstrap {"BootstrapSecret":"$`, "PUT /v1/acl/rules/translate/$", "GET /v1/acl/rules/translate/$",
		`PUT /v1/agent/token/replication {"Token":"$"}`, `PUT /v1/agent/token/nothing {"Token":"$"}`, `PUT /v1/agent/token/dns {"Token":["$"]}`, `PUT /v1/agent/token/dns {"Token":"$`,
		`PUT /v1/agent/service/register {"Name":"t","Token":"$"}`, `PUT /v1/agent/service/register {"Name":"t","Token":["$"]}`, `PUT /v1/agent/service/register {"Name":"","Token":"$"}`,
		`PUT /v1/agent/check/register {"Name":"k","TTL":"1h","Token":"$"}`, `PUT /v1/agent/check/register {"Name":"k","Token":"$"}`,
		`POST /v1/query {"Name":"q","Token":"$","Service":{"Service":"web"}}`, `POST /v1/query {"Name":"q2","Token":"$","Service":{}}`,
		"PUT /v1/agent/reload", "PUT /v1/event/fire/e", "PUT /v1/session/create", "PUT /v1/session/renew/none", "PUT /v1/operator/keyring {\"Key\":\"$\"}", "PUT /v1/snapshot $", "PUT /v1/txn [\"$\"]",
	}
	var out [][3]string
	for _, line := range all {
		method, rest, _ := strings.Cut(strings.ReplaceAll(line, "$", secret), " ")
		path, body, _ := strings.Cut(rest, " ")
		out = append(out, [3]string{method, path, body})
	}
	return out
}

// TestSecrets starts an agent with everything secret that can be configured, uses
// the API with secrets wherever they may be, and looks for them in the log at its
// finest, in what the agent tells, and in files that others may read.
func TestSecrets(t *testing.T) {
	s := secrets{}
	conf := secretConfig(t, s)
	a := prepare(t, option{config: conf})
	a.launch()
	root := s["acl.tokens.initial_management"]
	eventually(t, startWait, func() error {
		status, _, body, err := a.ask("GET", "/v1/acl/token/self?token="+root, "")
		if err == nil && status != 200 {
			err = fmt.Errorf("the token of the configuration: %d %s", status, body)
		}
		return err
	})
	for what, secret := range s {
		if strings.HasPrefix(what, "acl.tokens.") && what != "acl.tokens.initial_management" && !strings.HasSuffix(what, "recovery") || strings.HasPrefix(what, "token of") {
			body := fmt.Sprintf(`{"SecretID":%q,"ServiceIdentities":[{"ServiceName":"web"}]}`, secret)
			if status, answer := a.askAs(root, 1, "PUT", "/v1/acl/token", body); status != 200 {
				t.Fatalf("make a token: %d %s", status, answer)
			}
		}
	}
	tokens := []string{root, s["acl.tokens.default"], s["acl.tokens.agent"], s["acl.tokens.agent_recovery"], s.make("a token that nobody has")}
	refused := 0
	for i, token := range tokens {
		for j, secret := range append(tokens, s["encrypt"]) {
			for _, r := range secretRequests(secret) {
				method, mayTell := strings.CutSuffix(r[0], "*")
				status, answer := a.askAs(token, (i+j)%3, method, r[1], r[2])
				if status >= 400 {
					refused++
				}
				if leaked := s.leaked(answer); len(leaked) > 0 && (status >= 400 || !mayTell && !made(method, r[1])) {
					t.Errorf("%s %s %s\nis answered with the secrets %q:\n%.2000s", method, r[1], r[2], leaked, answer)
				}
			}
		}
	}
	if refused < 500 {
		t.Errorf("%d requests were refused; want many, to see what refusals tell", refused)
	}
	next := s.make("token after a reload")
	acl := conf["acl"].(map[string]any)
	acl["tokens"].(map[string]any)["dns"] = next
	a.configure(conf)
	a.signal(syscall.SIGHUP)
	eventually(t, thingWait, func() error {
		if !strings.Contains(a.output(), "configuration reloaded") {
			return fmt.Errorf("no word of the reload")
		}
		return nil
	})
	a.signal(syscall.SIGUSR1)
	a.stop(syscall.SIGTERM)
	for line := range strings.Lines(a.output()) {
		if leaked := s.leaked(line); len(leaked) > 0 {
			t.Errorf("the log has the secrets %q:\n%s", leaked, line)
		}
	}
	readable(t, a.dir, s)
}

// made reports whether an answer tells a secret that its request gave.
func made(method, path string) bool {
	return method == "PUT" && (strings.HasPrefix(path, "/v1/acl/token") || strings.HasPrefix(path, "/v1/acl/create") || strings.HasPrefix(path, "/v1/acl/update"))
}

// readable wants no secrets in files that others than their owner may read.
func readable(t *testing.T, dir string, s secrets) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if leaked := s.leaked(string(text)); len(leaked) > 0 {
			found++
			if !ofOwner(t, dir, path) {
				t.Errorf("%s has the secrets %q; want that only its owner reads it", path, leaked)
			}
		}
		return nil
	})
	if err != nil || found < 3 {
		t.Errorf("files with secrets: %d, %v; want at least the log, the tokens and the keyring", found, err)
	}
}

// ofOwner reports whether the file, or a directory on the way to it from dir, is
// for its owner alone. Others may have made dir itself.
func ofOwner(t *testing.T, dir, path string) bool {
	t.Helper()
	for ; path != dir; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 == 0 {
			return true
		}
	}
	return false
}
