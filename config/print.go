package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

const hidden = "hidden"

// Sanitized lists the effective values by dotted key, as JSON may show them:
// durations as strings, secrets as "hidden". It serves DebugConfig in
// /v1/agent/self. The caller may change the map, but not the values in it.
func (c *Config) Sanitized() map[string]any {
	out := map[string]any{}
	for _, s := range index().rows {
		v := s.value(c)
		if s.Secret && !reflect.ValueOf(v).IsZero() {
			v = hidden
		}
		out[s.Key] = sanitize(s.Key, v)
	}
	return out
}

// sanitize prints one value. It looks into blocks and objects, where a key's name is all there
// is to tell that its value is secret.
func sanitize(key string, v any) any {
	switch v := v.(type) {
	case time.Duration:
		return v.String()
	case map[string]time.Duration:
		return sanitizeMap(v)
	case map[string]any:
		return sanitizeMap(v)
	case map[string]string:
		if v == nil {
			return map[string]any{}
		}
		return sanitizeMap(v)
	case []map[string]any:
		out := []any{}
		for _, o := range v {
			out = append(out, sanitizeMap(o))
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			out = append(out, sanitize(key, item))
		}
		return out
	case Addrs:
		return append([]string{}, v...)
	case []string:
		out := []string{}
		for _, text := range v {
			// Discovery of cloud hosts takes its credentials in the same string.
			if strings.Contains(text, "provider=") {
				text = hidden
			}
			out = append(out, text)
		}
		return out
	case string:
		if v != "" && isSecretName(key) {
			return hidden
		}
	}
	return v
}

func sanitizeMap[V any](m map[string]V) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = sanitize(k, v)
	}
	return out
}

func isSecretName(key string) bool {
	name := strings.ToLower(key[strings.LastIndexByte(key, '.')+1:])
	for _, word := range []string{"token", "secret", "password", "authorization", "private_key", "privatekey"} {
		if strings.Contains(name, word) && !strings.HasSuffix(name, "_ttl") {
			return true
		}
	}
	return false
}

// Docs is docs/config.md: the table as Markdown.
func Docs() string {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, theme := range themes {
		fmt.Fprintf(&b, "\n## %s\n\n| key | flag | type | default | reload | description |\n|---|---|---|---|---|---|\n", theme.title)
		for _, s := range theme.rows() {
			row := index().byKey[s.Key][0]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", row.Key, row.flagDoc(), row.Kind, row.defaultDoc(), row.reloadDoc(), row.doc())
		}
	}
	return b.String()
}

const docsHead = `# Configuration

<!-- Generated from the table in config/settings_*.go: go generate ./config -->

Configuration comes from these sources; a later one overrides an earlier one:

1. the defaults below;
2. ` + "`-dev`" + `: a server in memory, on 127.0.0.1, that elects itself;
3. files and directories, in the order of the ` + "`-config-file`" + ` and ` + "`-config-dir`" + ` flags; of a directory the
   ` + "`.json`" + ` and ` + "`.hcl`" + ` files in alphabetical order, without its subdirectories; empty files are skipped;
4. flags, and ` + "`-hcl`" + ` with a piece of configuration.

Of single values the last one holds, lists are appended, maps are merged. A key with a dot is a member of an
object: ` + "`ports.http`" + ` is written ` + "`{\"ports\": {\"http\": 8500}}`" + ` in JSON and ` + "`ports { http = 8500 }`" + ` in HCL.
Durations are strings with a unit, such as ` + "`\"10s\"`" + `. An unknown key is an error.

Addresses may be [go-sockaddr](https://pkg.go.dev/github.com/hashicorp/go-sockaddr/template) templates.

*Accepted*: the key is known and its value is checked, but it has no effect yet; the agent says so when it starts.
`

func (s *Setting) flagDoc() string {
	if s.Flag == "" {
		return ""
	}
	return "`-" + s.Flag + "`"
}

func (s *Setting) reloadDoc() string {
	if s.Reload {
		return "yes"
	}
	return ""
}

func (s *Setting) defaultDoc() string {
	switch v := s.zero().(type) {
	case Addrs:
		if len(v) == 0 {
			return ""
		}
		return "`" + strings.Join(v, " ") + "`"
	case time.Duration:
		if v == 0 {
			return "`0`"
		}
		short := strings.Replace(strings.Replace(v.String()+" ", "m0s ", "m", 1), "h0m", "h", 1)
		return "`" + strings.TrimSpace(short) + "`"
	case string:
		if v == "" {
			return ""
		}
		return "`" + v + "`"
	case bool, int, float64:
		return fmt.Sprintf("`%v`", v)
	}
	return ""
}

func (s *Setting) doc() string {
	text := s.Doc
	if len(s.Aliases) > 0 {
		text += " Also `" + strings.Join(s.Aliases, "`, `") + "`."
	}
	if s.Status != Effective {
		text = fmt.Sprintf("*%s%s.* %s", strings.ToUpper(s.Status.String()[:1]), s.Status.String()[1:], text)
	}
	return text
}
